"""Addresses: the admin, the choice of a language, and everything else from the recognition app."""

from django.contrib import admin
from django.urls import include, path
from django.views.i18n import set_language

urlpatterns = [
    path("admin/", admin.site.urls),
    path("language/", set_language, name="set_language"),
    path("", include("recognition.urls")),
]

handler400 = "recognition.errors.bad_request"
handler403 = "recognition.errors.permission_denied"
handler404 = "recognition.errors.page_not_found"
handler500 = "recognition.errors.server_error"
