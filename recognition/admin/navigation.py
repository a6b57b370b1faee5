"""The admin's sidebar: one line here for each page that people should find."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One link of the sidebar, shown to those who hold the permission."""

    title: str | Promise
    icon: str  # a name of Material Symbols
    url_name: str
    permission: str


GROUPS: Sequence[tuple[str | Promise, Sequence[Entry]]] = (
    (
        _("Pictures"),
        (
            Entry(
                title=_("review"),
                icon="rate_review",
                url_name="admin:recognition_prediction_queues",
                permission="recognition.review_prediction",
            ),
            Entry(
                title=_("predictions"),
                icon="photo_library",
                url_name="admin:recognition_prediction_changelist",
                permission="recognition.view_prediction",
            ),
            Entry(
                title=_("reviews"),
                icon="fact_check",
                url_name="admin:recognition_review_changelist",
                permission="recognition.view_review",
            ),
            Entry(
                title=_("erasure receipts"),
                icon="delete_forever",
                url_name="admin:recognition_erasurereceipt_changelist",
                permission="recognition.view_erasurereceipt",
            ),
        ),
    ),
    (
        _("Recognition"),
        (
            Entry(
                title=_("recognizers"),
                icon="image_search",
                url_name="admin:recognition_recognizer_changelist",
                permission="recognition.view_recognizer",
            ),
            Entry(
                title=_("model versions"),
                icon="deployed_code_history",
                url_name="admin:recognition_modelversion_changelist",
                permission="recognition.view_modelversion",
            ),
            Entry(
                title=_("training runs"),
                icon="model_training",
                url_name="admin:recognition_trainingrun_changelist",
                permission="recognition.view_trainingrun",
            ),
            Entry(
                title=_("activations"),
                icon="history",
                url_name="admin:recognition_activation_changelist",
                permission="recognition.view_activation",
            ),
        ),
    ),
    (
        _("People"),
        (
            Entry(
                title=_("users"),
                icon="person",
                url_name="admin:auth_user_changelist",
                permission="auth.view_user",
            ),
            Entry(
                title=_("groups"),
                icon="group",
                url_name="admin:auth_group_changelist",
                permission="auth.view_group",
            ),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of links that this user may follow, as django-unfold takes them.

    The link with the longest address that the page's own begins with is the active one.
    """
    allowed = [
        (title, [(entry, reverse(entry.url_name)) for entry in entries if _may(request, entry)])
        for title, entries in GROUPS
    ]
    addresses = [url for _title, links in allowed for _entry, url in links]
    active = max((url for url in addresses if request.path.startswith(url)), key=len, default="")
    return [
        {
            "title": title,
            "items": [
                {
                    "title": capfirst(str(entry.title)),
                    "icon": entry.icon,
                    "link": url,
                    "active": url == active,
                }
                for entry, url in links
            ],
        }
        for title, links in allowed
        if links
    ]


def _may(request: HttpRequest, entry: Entry) -> bool:
    return request.user.has_perm(entry.permission)


def without_inline_colors(request: HttpRequest) -> dict[str, Any]:
    """Drop the colours that unfold writes into each page: they stand in admin.css instead.

    An inline sheet would need 'unsafe-inline' in the Content-Security-Policy.
    """
    return {"colors": {}}
