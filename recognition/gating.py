"""The gate: what becomes of a version that a training has finished, and who may overrule it.

The comparison says how candidate and incumbent did on the same test pictures; here the
verdict on it becomes a deed, once, and is kept beside the version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, Literal, Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from ml.significance import mcnemar_p
from recognition.errors import ApplicationError
from recognition.models import Activation, ModelVersion, Recognizer
from recognition.versions import activate_version

Asked = Literal["auto", "never", "force"]
SIGNIFICANCE: Final = 0.05  # as in the comparison: how often chance alone may raise an alarm
MAX_REASON_CHARS: Final = 1000


class Outcome(StrEnum):
    """What the gate did with a version."""

    ACTIVATED = "activated"
    PROPOSED = "proposed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of a version; its first reason says what was done.

    `forced`: it serves although the gate would not have let it. `verdict`: better, equal or
    worse; empty where it was compared with nothing.
    """

    outcome: Outcome
    forced: bool
    verdict: str
    reasons: list[str]

    @property
    def activated(self) -> bool:
        """Whether it serves."""
        return self.outcome is Outcome.ACTIVATED

    @classmethod
    def of(cls, version: ModelVersion) -> Self | None:
        """Return what was decided on a version before; None where nothing was."""
        kept = version.gate
        if "outcome" not in kept:
            return None
        return cls(
            outcome=Outcome(kept["outcome"]),
            forced=kept["forced"],
            verdict=kept["verdict"],
            reasons=list(kept["reasons"]),
        )


def decide(
    version: ModelVersion,
    comparison: Mapping[str, Any] | None,
    *,
    incumbent: ModelVersion | None,
    activation: Asked = "auto",
    person: AbstractBaseUser | None = None,
    reason: str = "",
) -> Decision:
    """Activate, propose or keep a version that has just been registered; return what was done.

    Once only: called again for the same version, after a crash, it does nothing and returns
    what was decided. Verdict and activation are written in one transaction.

    Args:
        version: registered, not active.
        comparison: with `incumbent`, as the report holds it; None without one.
        activation: what `person` asked of the training.
        reason: why it is forced; a version that is worse is not forced without one.

    Raises:
        ArtifactError: the version does not work; nothing was decided.
    """
    version.refresh_from_db(fields=["gate"])
    if decided := Decision.of(version):
        return decided
    active = version.recognizer.active_version()
    decision = judge(
        comparison,
        labels=version.labels,
        incumbent=incumbent,
        active=active,
        promotion=version.recognizer.promotion,
        activation=activation,
        reason=reason,
    )
    record = _record(decision, comparison, incumbent, activation, person, reason)
    note = " ".join(decision.reasons)
    if decision.activated:
        kind = Activation.Kind.FORCED if decision.forced else Activation.Kind.GATE
        activate_version(version, note, kind=kind, person=person, gate=record)
        return decision
    version.gate = record
    version.activation_note = note
    version.is_proposed = decision.outcome is Outcome.PROPOSED
    with transaction.atomic():
        if version.is_proposed:
            # The newest proposal is the one that waits; what it replaces was never decided on.
            version.recognizer.versions.filter(is_proposed=True).update(is_proposed=False)
        version.save(update_fields=["gate", "activation_note", "is_proposed"])
    return decision


def judge(
    comparison: Mapping[str, Any] | None,
    *,
    labels: Sequence[str],
    incumbent: ModelVersion | None,
    active: ModelVersion | None,
    promotion: str = Recognizer.Promotion.ACTIVATE,
    activation: Asked = "auto",
    reason: str = "",
) -> Decision:
    """Return what is to become of a version with these `labels`; changes nothing.

    A version goes live by itself if it is not worse, it was compared with the version that
    serves now, and it still knows every class of that one.
    """
    verdict, reasons = _verdict(comparison, incumbent)

    def decision(outcome: Outcome, first: str, *, forced: bool = False) -> Decision:
        return Decision(outcome=outcome, forced=forced, verdict=verdict, reasons=[first, *reasons])

    if activation == "never":
        return decision(Outcome.KEPT, "Not activated, as asked.")
    doubts = _doubts(labels, incumbent, active)
    if promotion == Recognizer.Promotion.PROPOSE and active is not None:
        doubts.append("A person decides what serves here.")
    if activation == "force" and (verdict == "worse" or doubts):
        if reason.strip():
            first = f"Activated by force: {reason.strip()[:MAX_REASON_CHARS]}"
            return decision(Outcome.ACTIVATED, first, forced=True)
        doubts.append("It was to be forced, but nobody said why.")
    beside = f"v{incumbent.number}" if incumbent else ""
    if verdict == "worse":
        return decision(Outcome.KEPT, f"Not activated: worse than {beside}.")
    if doubts:
        return decision(Outcome.PROPOSED, " ".join(["Proposed, not activated:", *doubts]))
    if not verdict:
        return decision(
            Outcome.ACTIVATED, "Activated: there was no active version to compare with."
        )
    return decision(Outcome.ACTIVATED, f"Activated: {verdict} beside {beside}.")


def needs_force(version: ModelVersion) -> bool:
    """Whether letting the version serve overrules the gate, so that it takes a reason."""
    decided = Decision.of(version)
    return (
        decided is not None
        and decided.verdict == "worse"
        and version.activated_at is None
        and version.recognizer.active_version() is not None
    )


def activate_by_person(
    version: ModelVersion, person: AbstractBaseUser | None, reason: str = ""
) -> None:
    """Let a version serve because a person says so, by force if the gate found it worse.

    `person` is None on the command line.

    Raises:
        ApplicationError: `force_without_reason`.
        ArtifactError: the version does not work; the active one stays.
    """
    reason = reason.strip()[:MAX_REASON_CHARS]
    forced = needs_force(version)
    if forced and not reason:
        raise ApplicationError(
            "force_without_reason",
            f"The gate found {version} worse than the active version. Received no reason; "
            "say why it is to serve all the same.",
            HTTPStatus.BAD_REQUEST,
        )
    kind = Activation.Kind.FORCED if forced else Activation.Kind.CHOSEN
    gate = _with_word(version, "forced" if forced else "activated", person, reason)
    activate_version(version, reason, kind=kind, person=person, gate=gate)


def reject_proposal(version: ModelVersion, person: AbstractBaseUser, reason: str = "") -> None:
    """Keep a proposed version from serving; it stays, and can be activated later.

    Raises:
        ApplicationError: `not_proposed`, somebody has decided meanwhile.
    """
    with transaction.atomic():
        row = ModelVersion.objects.select_for_update().get(pk=version.pk)
        if not row.is_proposed:
            raise ApplicationError(
                "not_proposed",
                f"{version} does not wait for a decision. Look at its page again.",
                HTTPStatus.CONFLICT,
            )
        row.is_proposed = False
        row.gate = _with_word(row, "rejected", person, reason.strip()[:MAX_REASON_CHARS])
        row.save(update_fields=["is_proposed", "gate"])
    version.is_proposed, version.gate = row.is_proposed, row.gate


def _verdict(
    comparison: Mapping[str, Any] | None, incumbent: ModelVersion | None
) -> tuple[str, list[str]]:
    """Return the verdict with its reasons, judged again on the classes that both know.

    On a class that is new to the incumbent the candidate only gains; what it lost on the
    others must not hide behind that.
    """
    if comparison is None or incumbent is None:
        return "", []
    verdict, reasons = str(comparison["verdict"]), [str(one) for one in comparison["reasons"]]
    known = set(incumbent.labels)
    shared = [change for change in comparison["per_class"] if change["label"] in known]
    if len(shared) == len(comparison["per_class"]):
        return verdict, reasons
    gained = sum(change["gained"] for change in shared)
    lost = sum(change["lost"] for change in shared)
    p = mcnemar_p(gained, lost)
    reasons.append(
        f"On the {len(shared)} classes that both know: {gained} newly right, {lost} newly wrong "
        f"(p = {p:.2g})."
    )
    if verdict != "worse" and lost > gained and p < SIGNIFICANCE:
        return "worse", reasons
    return verdict, reasons


def _doubts(
    labels: Sequence[str], incumbent: ModelVersion | None, active: ModelVersion | None
) -> list[str]:
    """Return why a person should decide, although nothing is known to be worse."""
    doubts = []
    if active is not None and (incumbent is None or incumbent.pk != active.pk):
        beside = f"compared with v{incumbent.number}" if incumbent else "compared with nothing"
        doubts.append(f"It was {beside}, but v{active.number} is active by now.")
    if active is not None and (gone := sorted(set(active.labels) - set(labels))):
        doubts.append(f"It no longer knows: {', '.join(gone)}.")
    return doubts


def _record(
    decision: Decision,
    comparison: Mapping[str, Any] | None,
    incumbent: ModelVersion | None,
    activation: Asked,
    person: AbstractBaseUser | None,
    reason: str,
) -> dict[str, Any]:
    """Return what is kept beside the version: the decision and the figures it rests on."""
    record: dict[str, Any] = {
        **asdict(decision),
        "asked": activation,
        "reason": reason,
        "person": person.get_username() if person else "",
        "decided_at": timezone.now().isoformat(timespec="seconds"),
        "incumbent": None,
    }
    if comparison is not None and incumbent is not None:
        record |= {
            "incumbent": incumbent.number,
            "n": comparison["n"],
            "p": comparison["p"],
            "old_accuracy": comparison["old_accuracy"],
            "new_accuracy": comparison["new_accuracy"],
            "gained": len(comparison["gained"]),
            "lost": len(comparison["lost"]),
        }
    return record


def _with_word(
    version: ModelVersion, word: str, person: AbstractBaseUser | None, reason: str
) -> dict[str, Any]:
    """Return the version's record with what a person said of it."""
    said = {
        "word": word,
        "person": person.get_username() if person else "",
        "reason": reason,
        "at": timezone.now().isoformat(timespec="seconds"),
    }
    return {**version.gate, "words": [*version.gate.get("words", []), said]}
