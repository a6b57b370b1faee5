"""WSGI entry point, for servers other than the one that `manage.py serve` starts."""

import os

from django.core.wsgi import get_wsgi_application

from classifier_site.environment import one_line_errors

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "classifier_site.settings")
with one_line_errors():
    application = get_wsgi_application()
