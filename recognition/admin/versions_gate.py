"""The gate's page of a version: the verdict, what it rests on, and what a person may do."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from ml.errors import LacewingError
from recognition import gating
from recognition.admin.base import signed_in
from recognition.admin.evidence import flip_list, read_evidence
from recognition.admin.forms import ActivationForm
from recognition.admin.version_pages import VersionPages, back_to
from recognition.gating import Decision, Outcome
from recognition.models import ModelVersion

HEADLINES: dict[str, Promise] = {
    "better": _("Better beyond noise"),
    "equal": _("Equal within noise"),
    "worse": _("Worse beyond noise"),
    "": _("Not compared with another version"),
}
TONES = {"better": "good", "equal": "good", "worse": "bad", "": "warn"}
WORDS: dict[str, Promise] = {
    "activated": _("activated"),
    "forced": _("forced past the gate"),
    "rejected": _("proposal rejected"),
}


class GatePages(VersionPages):
    """The gate's page and the rejection of a proposal; activation has a page of its own."""

    def get_urls(self) -> list[URLPattern]:
        """Add the gate's page."""
        return [
            self.route("<int:version_id>/gate/", self.gate_view, "gate"),
            self.route("<int:version_id>/reject/", require_POST(self.reject_view), "reject"),
            *super().get_urls(),
        ]

    def gate_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Show the verdict, its reasons, the classes and every flip, good and bad."""
        version = self.version_to_see(request, version_id)
        incumbent = incumbent_of(version)
        evidence = read_evidence(version, incumbent)
        flips = evidence.flips
        active = version.recognizer.active_version()
        decided = Decision.of(version)
        lists = (
            [
                ("lost", _("Newly wrong"), flips.lost, flips.lost_in_all),
                ("gained", _("Newly right"), flips.gained, flips.gained_in_all),
            ]
            if flips
            else []
        )
        return self.render(
            request,
            "gate",
            _("Gate of %(version)s") % {"version": version},
            version=version,
            incumbent=incumbent,
            active=active,
            is_stale=incumbent is not None and active is not None
            and active.pk not in (incumbent.pk, version.pk),
            decided=decided,
            headline=HEADLINES[decided.verdict] if decided else _("Not judged"),
            tone=TONES[decided.verdict] if decided else "warn",
            is_kept=decided is not None and decided.outcome is Outcome.KEPT,
            decided_at=_moment(version.gate.get("decided_at")),
            words=[
                {
                    **said,
                    "word": WORDS.get(said["word"], said["word"]),
                    "at": _moment(said["at"]),
                }
                for said in version.gate.get("words", [])
            ],
            needs_force=gating.needs_force(version),
            evidence=evidence,
            flip_lists=[
                (kind, title, in_all, flip_list(some, in_all, request.GET.get(kind)))
                for kind, title, some, in_all in lists
            ],
            reject_form=ActivationForm(prefix="reject"),
        )  # fmt: skip

    def reject_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Keep a proposed version from serving."""
        version = self.version_to_switch(request, version_id)
        form = ActivationForm(request.POST, prefix="reject")
        if not form.is_valid():
            for errors in form.errors.values():
                messages.error(request, " ".join(map(str, errors)))
            return back_to(version, "gate")
        try:
            gating.reject_proposal(version, signed_in(request), form.cleaned_data["note"])
        except LacewingError as error:
            messages.error(request, error.message)
        else:
            self.log_change(request, version, "Proposal rejected.")
            messages.success(request, _("%(version)s stays where it is.") % {"version": version})
        return back_to(version, "gate")


def incumbent_of(version: ModelVersion) -> ModelVersion | None:
    """Return what the gate compared the version with; None where there was nothing."""
    number = version.gate.get("incumbent")
    if number is None:
        return None
    return version.recognizer.versions.filter(number=number).first()


def _moment(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None
