"""What the admin's own pages about model versions have in common."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise

from recognition.admin.base import ReadOnlyAdmin
from recognition.models import ModelVersion, Recognizer


class VersionPages(ReadOnlyAdmin):
    """Finds rows, checks rights and renders; the pages stand in the classes that extend it."""

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ModelVersion]":
        """Fetch the recognizers along."""
        rows: QuerySet[ModelVersion] = super().get_queryset(request)
        return rows.select_related("recognizer")

    def has_activate_permission(self, request: HttpRequest) -> bool:
        """Allow choosing what serves to those who hold the right."""
        return request.user.has_perm("recognition.activate_modelversion")

    def route(self, address: str, view: Any, page: str) -> URLPattern:
        """Return the address of a page, named as the pages of Django's admin are."""
        name = f"recognition_modelversion_{page}"
        pattern: URLPattern = path(address, self.admin_site.admin_view(view), name=name)
        return pattern

    def version_to_see(self, request: HttpRequest, version_id: int) -> ModelVersion:
        """Return the version.

        Raises:
            PermissionDenied: the person may not see versions.
            Http404: there is none.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=version_id)

    def version_to_switch(self, request: HttpRequest, version_id: int) -> ModelVersion:
        """Return the version to those who may choose what serves; raises as `version_to_see`."""
        if not self.has_activate_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=version_id)

    def recognizer_to_see(self, request: HttpRequest, recognizer_id: int) -> Recognizer:
        """Return the recognizer to those who may see versions; raises as `version_to_see`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Recognizer, pk=recognizer_id)

    def render(
        self, request: HttpRequest, template: str, title: str | Promise, **context: Any
    ) -> HttpResponse:
        """Render one of the templates in `admin/recognition/modelversion`."""
        return TemplateResponse(
            request,
            f"admin/recognition/modelversion/{template}.html",
            {
                **self.admin_site.each_context(request),
                "title": title,
                "content_title": title,
                "opts": self.opts,
                "media": self.media,
                "may_activate": self.has_activate_permission(request),
                **context,
            },
        )


def back_to(version: ModelVersion, page: str = "change") -> HttpResponseRedirect:
    """Redirect to a page of the version."""
    return HttpResponseRedirect(
        reverse(f"admin:recognition_modelversion_{page}", args=[version.pk])
    )
