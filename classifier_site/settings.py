"""Settings of Lacewing, all from environment variables that begin with LACEWING_.

docs/settings.md explains each variable. A value that cannot be used raises `SettingError`.
"""

from pathlib import Path

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from classifier_site.environment import Environment
from classifier_site.machine import usable_cores
from classifier_site.secret_key import MINIMUM_LENGTH, read_or_create_secret_key

MIB = 1024 * 1024
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment("LACEWING_")

# Where things live

DATA_DIR = env.directory("DATA_DIR", BASE_DIR / "var")
VERSIONS_DIR = DATA_DIR / "versions"
TRAINING_DIR = DATA_DIR / "training"
CACHE_DIR = DATA_DIR / "cache"
MEDIA_ROOT = DATA_DIR / "media"
STATIC_ROOT = DATA_DIR / "static"
PRETRAINED_DIR = BASE_DIR / "ml" / "pretrained"
DATASETS_URL = env.text("DATASETS_URL")

# Limits and the server

MAX_UPLOAD_BYTES = env.integer("MAX_UPLOAD_BYTES", 20 * MIB, minimum=1024, maximum=1024 * MIB)
MAX_PIXELS = env.integer("MAX_PIXELS", 50_000_000, minimum=1, maximum=200_000_000)
UPLOADS_PER_MINUTE = env.integer("UPLOADS_PER_MINUTE", 0, minimum=0, maximum=100_000)
SERVING_POLL_S = env.decimal("SERVING_POLL_S", 1.0, minimum=0.05, maximum=5.0)
WORKERS = env.integer("WORKERS", usable_cores(), minimum=1, maximum=256)
THREADS = env.integer("THREADS", 8, minimum=2, maximum=64)
JOBS = env.flag("JOBS", default=True)
TRUSTED_PROXY = env.address("TRUSTED_PROXY")
FILE_UPLOAD_HANDLERS = ["recognition.limits.SizeLimitUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 * MIB  # form fields; files have MAX_UPLOAD_BYTES

# Security

DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY") or read_or_create_secret_key(DATA_DIR / "secret_key")
ALLOWED_HOSTS = env.strings("ALLOWED_HOSTS", LOOPBACK_HOSTS)
CSRF_TRUSTED_ORIGINS = env.strings("CSRF_TRUSTED_ORIGINS")

HTTPS = env.flag("HTTPS", default=False)
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = env.integer(
    "HSTS_SECONDS", 31_536_000 if HTTPS else 0, minimum=0, maximum=63_072_000
)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.flag("HSTS_SUBDOMAINS", default=HTTPS)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # a probe comes without the proxy
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "recognition.errors.csrf_failure"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],  # the admin's icons; a picture not yet sent
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
    }
}
# What the admin's pages need beyond it: Alpine evaluates the expressions in their attributes and
# writes `style` attributes. Inline scripts and inline sheets stay refused there too.
ADMIN_CONTENT_SECURITY_POLICY = {
    "script-src": [UNSAFE_EVAL],
    "style-src-attr": [UNSAFE_INLINE],
}

# The application

INSTALLED_APPS = [
    "recognition",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "django_tasks",
    "django_tasks_db",
    "ninja",
]

MIDDLEWARE = [
    "recognition.middleware.RequestIdMiddleware",
    # Far out, so that refusals of the others get their Content-Length too.
    "django.middleware.common.CommonMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "recognition.middleware.ContentSecurityPolicyMiddleware",
    "recognition.middleware.UploadLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "recognition.middleware.VisitorMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "recognition.middleware.ErrorMiddleware",
]

ROOT_URLCONF = "classifier_site.urls"
WSGI_APPLICATION = "classifier_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# The admin's look

UNFOLD = {
    "SITE_TITLE": _("Lacewing administration"),
    "SITE_HEADER": "Lacewing",
    "SITE_ICON": lambda request: static("lacewing/favicon.svg"),
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("lacewing/favicon.svg"),
        }
    ],
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "recognition.admin.dashboard_pages.tiles",
    "SIDEBAR": {"navigation": "recognition.admin.navigation.sidebar"},
    "GLOBAL_CALLBACK": "recognition.admin.navigation.without_inline_colors",
    "STYLES": [lambda request: static("lacewing/admin.css")],
    "SCRIPTS": [lambda request: static("lacewing/admin.js")],
}

# Rows

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            # A read that becomes a write is refused at once under the default mode, however
            # long the timeout; taking the write lock at BEGIN makes writers queue instead.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Jobs: in the database, so that no other server is needed; `recognition.jobs` lists them

TASKS = {
    "default": {
        "BACKEND": "django_tasks_db.DatabaseBackend",
        "QUEUES": ["default", "training"],  # a training must not hold short jobs up
    }
}

# Languages and time

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("de", _("German"))]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Static files

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# Logs: one line a record, on stderr

LOG_LEVEL = env.choice(
    "LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "recognition.middleware.RequestIdFilter"}},
    "formatters": {
        "one_line": {
            "()": "classifier_site.logs.OneLineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["request_id"],
            "formatter": "one_line",
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Django's own handlers print tracebacks over many lines and mail the admins.
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.db.backends": {"level": "INFO"},  # every query, at DEBUG
        "gunicorn.error": {"level": "WARNING"},
        "waitress.queue": {"level": "ERROR"},  # a queue under load is as it should be
    },
}

if len(SECRET_KEY) < MINIMUM_LENGTH:
    raise env.refusal("SECRET_KEY", f"at least {MINIMUM_LENGTH} characters", secret=True)
if DATASETS_URL and not DATASETS_URL.startswith(("http://", "https://")):
    raise env.refusal("DATASETS_URL", "an address that begins with http:// or https://")
env.refuse_unknown()
