"""Addresses: the admin, the choice of a language, and everything else from the recognition app."""

from django.contrib import admin
from django.urls import include, path
from django.views.i18n import set_language

urlpatterns = [
    # For everyone; under admin/ because other first parts of an address may be recognizers.
    path("admin/language/", set_language, name="set_language"),
    path("admin/", admin.site.urls),
    path("", include("recognition.urls")),
]

handler400 = "recognition.errors.bad_request"
handler403 = "recognition.errors.permission_denied"
handler404 = "recognition.errors.page_not_found"
handler500 = "recognition.errors.server_error"
