"""Addresses: the admin, and everything else from the recognition app."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("recognition.urls")),
]

handler400 = "recognition.errors.bad_request"
handler403 = "recognition.errors.permission_denied"
handler404 = "recognition.errors.page_not_found"
handler500 = "recognition.errors.server_error"
