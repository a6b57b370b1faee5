"""The challenger's page, and old pictures shown to a version again."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from ml.errors import LacewingError
from recognition import challengers, gating, repredicting
from recognition.admin.base import signed_in
from recognition.admin.forms import ActivationForm, ForceForm
from recognition.admin.version_pages import VersionPages, back_to
from recognition.models import ModelVersion, Recognizer


class ChallengerPages(VersionPages):
    """How a challenger does, its begin and end, and passes over old pictures."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page and what it posts."""
        posts: dict[str, Callable[[HttpRequest, int], HttpResponse]] = {
            "challenge": self.challenge_view,
            "unchallenge": self.unchallenge_view,
            "promote": self.promote_view,
            "repredict": self.repredict_view,
            "repredict_cancel": self.cancel_view,
            "repredict_resume": self.resume_view,
        }
        return [
            self.route("of/<int:recognizer_id>/challenger/", self.challenger_view, "challenger"),
            *(
                self.route(f"<int:version_id>/{page}/", require_POST(view), page)
                for page, view in posts.items()
            ),
            *super().get_urls(),
        ]

    def challenger_view(self, request: HttpRequest, recognizer_id: int) -> HttpResponse:
        """Show how often both agree, who is right where it was audited, and where they differ."""
        recognizer = self.recognizer_to_see(request, recognizer_id)
        challenger, champion = recognizer.challenger(), recognizer.active_version()
        needs_force = challenger is not None and gating.needs_force(challenger)
        return self.render(
            request,
            "challenger",
            _("Challenger of %(name)s") % {"name": recognizer.name},
            recognizer=recognizer,
            challenger=challenger,
            champion=champion,
            standing=challengers.standing(challenger, champion) if challenger else None,
            disagreements=challengers.disagreements(challenger) if challenger else [],
            candidates=recognizer.versions.filter(is_active=False, is_challenger=False).defer(
                "labels", "metrics", "gate"
            )[:20],
            needs_force=needs_force,
            form=ForceForm() if needs_force else ActivationForm(),
        )

    def challenge_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Let the version predict in the shadow of the active one."""
        version = self.version_to_switch(request, version_id)
        try:
            challengers.set_challenger(version)
        except LacewingError as error:
            messages.error(request, error.message)
        else:
            self.log_change(request, version, "Made the challenger.")
            messages.success(
                request,
                _("%(version)s sees from now on what people upload, and answers nobody.")
                % {"version": version},
            )
        return _to_challenger(version.recognizer)

    def unchallenge_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """End the challenge."""
        version = self.version_to_switch(request, version_id)
        if challengers.unset_challenger(version):
            self.log_change(request, version, "No longer the challenger.")
            messages.success(request, _("%(version)s challenges no more.") % {"version": version})
        return _to_challenger(version.recognizer)

    def promote_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Let the challenger take over, on record with how it did."""
        version = self.version_to_switch(request, version_id)
        if not version.is_challenger:
            messages.error(request, _("%(version)s is no challenger.") % {"version": version})
            return _to_challenger(version.recognizer)
        form = (ForceForm if gating.needs_force(version) else ActivationForm)(request.POST)
        if not form.is_valid():
            for errors in form.errors.values():
                messages.error(request, " ".join(map(str, errors)))
            return _to_challenger(version.recognizer)
        figures = _in_words(version, version.recognizer.active_version())
        reason = " ".join(filter(None, [form.cleaned_data["note"], figures]))
        try:
            gating.activate_by_person(version, signed_in(request), reason)
        except LacewingError as error:
            messages.error(request, error.message)
            return _to_challenger(version.recognizer)
        self.log_change(request, version, "Promoted from challenger.")
        messages.success(
            request,
            _("%(version)s is active. Its answers on old pictures can be had below.")
            % {"version": version},
        )
        return back_to(version)

    def repredict_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Let a worker show the recognizer's pictures to the version."""
        version = self.version_to_switch(request, version_id)
        if not version.is_active:
            messages.error(
                request,
                _("Only the active version answers for old pictures: activate %(version)s first.")
                % {"version": version},
            )
            return back_to(version)
        try:
            repredicting.start(version, signed_in(request))
        except LacewingError as error:
            messages.error(request, error.message)
        else:
            messages.success(
                request,
                _("The pictures are shown to %(version)s in the background, newest first.")
                % {"version": version},
            )
        return back_to(version)

    def cancel_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Stop the pass under way; the answers so far stay."""
        version = self.version_to_switch(request, version_id)
        run = version.reprediction_runs.first()
        if run is None or not repredicting.cancel(run):
            messages.info(request, _("It had ended already."))
        else:
            messages.success(request, _("Cancelled; the answers so far stay."))
        return back_to(version)

    def resume_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Take a pass up again that stands still."""
        version = self.version_to_switch(request, version_id)
        run = version.reprediction_runs.first()
        if run is None or not repredicting.resume(run):
            messages.info(request, _("It does not stand still."))
        else:
            messages.success(request, _("A worker goes on with it."))
        return back_to(version)


def _to_challenger(recognizer: Recognizer) -> HttpResponseRedirect:
    url = reverse("admin:recognition_modelversion_challenger", args=[recognizer.pk])
    return HttpResponseRedirect(url)


def _in_words(version: ModelVersion, champion: ModelVersion | None) -> str:
    """Return how the challenger did, for the record; as a fact of that moment it is kept."""
    done = challengers.standing(version, champion)
    text = f"As challenger it agreed on {done.agreed} of {done.n} pictures."
    if done.audit.n:
        text += (
            f" Of {done.audit.n} audited ones it had {done.audit.challenger_right} right, the "
            f"active version {done.audit.champion_right} (p = {done.audit.p:.2g})."
        )
    return text
