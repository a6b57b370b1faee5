"""Pages to review picture by picture: which queues there are, and the card at hand."""

import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from recognition import hands
from recognition.admin.base import ReadOnlyAdmin, signed_in
from recognition.admin.cards import make_card, progress
from recognition.answers import label_or_none
from recognition.labels import known_label, pickable_labels, refuse_lookalike
from recognition.models import Prediction, Recognizer
from recognition.queues import QUEUES, Queue, waiting
from recognition.reviewing import NONE_OF_THESE, clean_label
from recognition.templatetags.presentation import capped

FRAGMENT_HEADER: Final = "X-Lacewing-Card"  # the page's script asks for the card alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Who reviews what."""

    reviewer: AbstractBaseUser
    recognizer: Recognizer
    queue: Queue

    @property
    def url(self) -> str:
        """Return the address of the page of its cards."""
        query = urlencode({"recognizer": self.recognizer.slug, "queue": self.queue.key})
        return f"{reverse('admin:recognition_prediction_review')}?{query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a reviewer's act, and the card to show next where it is not the queue's."""

    text: str = ""
    is_refusal: bool = False
    first: uuid.UUID | None = None


class ReviewPages(ReadOnlyAdmin):
    """The pages of the queues and of their cards."""

    def has_review_permission(self, request: HttpRequest) -> bool:
        """Allow reviews to those who hold the right."""
        return request.user.has_perm("recognition.review_prediction")

    def get_urls(self) -> list[URLPattern]:
        """Add the queues and the card."""
        site, name = self.admin_site, "recognition_prediction"
        return [
            path("queues/", site.admin_view(self.queues_view), name=f"{name}_queues"),
            path("review/", site.admin_view(self.card_view), name=f"{name}_review"),
            *super().get_urls(),
        ]

    def queues_view(self, request: HttpRequest) -> HttpResponse:
        """Show what waits, by recognizer and queue."""
        reviewer = self.reviewer(request)
        recognizers = Recognizer.objects.filter(versions__isnull=False).distinct()
        if slug := request.GET.get("recognizer"):
            recognizers = recognizers.filter(slug=slug)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Review"),
            "opts": self.opts,
            "desks": [
                (recognizer, _queue_rows(recognizer, reviewer)) for recognizer in recognizers
            ],
        }
        return TemplateResponse(request, "admin/recognition/review/queues.html", context)

    def card_view(self, request: HttpRequest) -> HttpResponse:
        """Show the card at hand; a POST says what it shows, skips, or takes the last word back."""
        desk = self._desk(request)
        if request.method != "POST":
            return self._show(request, desk, Told(first=uuid_or_none(request.GET.get("card"))))
        if "renew" in request.POST:
            cards = map(uuid_or_none, request.POST.getlist("renew"))
            hands.renew([card for card in cards if card], desk.reviewer)
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        told = _act(request, desk)
        if FRAGMENT_HEADER in request.headers:
            return self._show(request, desk, told)
        if told.text:
            (messages.error if told.is_refusal else messages.success)(request, told.text)
        first = f"&card={told.first}" if told.first else ""
        return HttpResponseRedirect(f"{desk.url}{first}", status=HTTPStatus.SEE_OTHER)

    def reviewer(self, request: HttpRequest) -> AbstractBaseUser:
        """Return who reviews.

        Raises:
            PermissionDenied: they may not.
        """
        if not self.has_review_permission(request):
            raise PermissionDenied
        return signed_in(request)

    def _desk(self, request: HttpRequest) -> Desk:
        reviewer = self.reviewer(request)
        queue = QUEUES.get(request.GET.get("queue", "uncertain"))
        if queue is None:
            raise Http404
        recognizer = get_object_or_404(Recognizer, slug=request.GET.get("recognizer", ""))
        return Desk(reviewer=reviewer, recognizer=recognizer, queue=queue)

    def _show(self, request: HttpRequest, desk: Desk, told: Told) -> HttpResponse:
        hand = hands.deal(desk.queue, desk.recognizer, desk.reviewer, first=told.first)
        done_today, left = progress(desk.queue, desk.recognizer, desk.reviewer)
        context: dict[str, Any] = {
            "desk": desk,
            "card": make_card(hand[0], desk.recognizer) if hand else None,
            "next": hand[1] if len(hand) > 1 else None,
            "done_today": done_today,
            "left": left,
            "told": told,
        }
        if FRAGMENT_HEADER in request.headers:
            return TemplateResponse(request, "admin/recognition/review/_card.html", context)
        context |= {
            **self.admin_site.each_context(request),
            "title": f"{desk.queue.title} · {desk.recognizer.name}",
            "is_fullwidth": "1",
        }
        return TemplateResponse(request, "admin/recognition/review/card.html", context)


def _queue_rows(
    recognizer: Recognizer, reviewer: AbstractBaseUser
) -> list[tuple[Queue, int, str, str]]:
    """Return (queue, how many wait, the same as text, address) of each queue."""
    rows = []
    for queue in QUEUES.values():
        count = waiting(queue, recognizer, reviewer)
        url = Desk(reviewer=reviewer, recognizer=recognizer, queue=queue).url
        rows.append((queue, count, capped(count), url))
    return rows


def _act(request: HttpRequest, desk: Desk) -> Told:
    """Do what the posted form asks for."""
    if "undo" in request.POST:
        undone = hands.undo(desk.recognizer, desk.reviewer)
        if undone is None:
            return Told(text=_("Nothing is left to take back."), is_refusal=True)
        return Told(text=_("Taken back: here it is again."), first=undone)
    card_id = uuid_or_none(request.POST.get("card"))
    if card_id is None or not Prediction.objects.filter(pk=card_id).exists():
        return Told(text=_("That picture is gone: here is the next one."), is_refusal=True)
    if "skip" in request.POST:
        hands.skip(card_id, desk.reviewer)
        return Told(text=_("Skipped."))
    try:
        label = posted_label(request.POST, desk.recognizer)
        is_in_time = hands.decide(card_id, label, desk.queue, desk.recognizer, desk.reviewer)
    except ValidationError as error:
        return Told(text=" ".join(error.messages), is_refusal=True, first=card_id)
    if not is_in_time:
        text = _("Not kept: meanwhile another reviewer has that picture, or has settled it.")
        return Told(text=text, is_refusal=True)
    return Told(text=_("Saved: %(label)s.") % {"label": label_or_none(label)})


def posted_label(posted: QueryDict, recognizer: Recognizer) -> str:
    """Return the label that a button or a field of the form names.

    Raises:
        ValidationError: the label is unknown, or a new one that mimics a known one.
    """
    if "none" in posted:
        return NONE_OF_THESE
    known = pickable_labels(recognizer)
    if new := posted.get("new_label", "").strip():
        refuse_lookalike(known, new)
        return clean_label(new)
    return known_label(known, clean_label(posted.get("label", "")))


def uuid_or_none(text: str | None) -> uuid.UUID | None:
    """Return the UUID that the text is, or None."""
    try:
        return uuid.UUID(text or "")
    except ValueError:
        return None
