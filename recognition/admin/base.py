"""What the admin pages of Lacewing's rows have in common: people read them, services write."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

if TYPE_CHECKING:  # unfold comes without types; its classes are Django's, dressed
    ModelAdminBase = admin.ModelAdmin[Any]
    TabularInlineBase = admin.TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin as ModelAdminBase
    from unfold.admin import TabularInline as TabularInlineBase  # noqa: F401 - for its importers


class ReadOnlyAdmin(ModelAdminBase):
    """Rows that nobody adds, edits or deletes by hand, whatever rights they hold."""

    compressed_fields = False  # labels above values: three in a row leave no room beside them

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the rows come from services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: the rows say what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: other rows and files lean on these."""
        return False


def signed_in(request: HttpRequest) -> AbstractBaseUser:
    """Return the person at work.

    Raises:
        PermissionDenied: nobody is signed in.
    """
    if not isinstance(request.user, AbstractBaseUser):
        raise PermissionDenied
    return request.user


def admin_link(row: Model, text: str) -> SafeString:
    """Return a link to the row's page in the admin."""
    opts = row._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
    return format_html('<a class="lacewing-link" href="{}">{}</a>', url, text)
