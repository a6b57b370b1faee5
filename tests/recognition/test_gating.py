"""The gate: a version goes live, waits for a person or is kept, and the record says why."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from ml.errors import ArtifactError
from recognition import gating, services
from recognition.errors import ApplicationError
from recognition.gating import Outcome
from recognition.models import Activation, ModelVersion, Recognizer

AddVersion = Callable[..., ModelVersion]

REASON = "ants: 3 newly wrong."


def comparison(verdict: str, changes: dict[str, tuple[int, int]] | None = None) -> dict[str, Any]:
    """Return a comparison as a report holds it; `changes`: label to (gained, lost)."""
    per_class = [
        {"label": label, "gained": gained, "lost": lost}
        for label, (gained, lost) in (changes or {"blue": (1, 0), "red": (0, 0)}).items()
    ]
    gained = [{}] * sum(change["gained"] for change in per_class)
    lost = [{}] * sum(change["lost"] for change in per_class)
    figures = {"n": 30, "p": 0.5, "old_accuracy": 0.8, "new_accuracy": 0.9}
    changed = {"gained": gained, "lost": lost, "per_class": per_class}
    return {"verdict": verdict, "reasons": [REASON], **figures, **changed}


@pytest.fixture
def incumbent(add_version: AddVersion) -> ModelVersion:
    return add_version()


@pytest.fixture
def candidate(incumbent: ModelVersion, add_version: AddVersion) -> ModelVersion:
    return add_version(activate=False)


@pytest.fixture
def rosa(db: None) -> User:
    return User.objects.create_user("rosa")


def active_number(recognizer: Recognizer) -> int:
    version = recognizer.active_version()
    assert version is not None
    return version.number


@pytest.mark.parametrize(
    ("verdict", "activation", "outcome"),
    [
        ("better", "auto", Outcome.ACTIVATED),
        ("equal", "auto", Outcome.ACTIVATED),
        ("worse", "auto", Outcome.KEPT),
        ("better", "never", Outcome.KEPT),
        ("better", "force", Outcome.ACTIVATED),
    ],
)
def test_the_verdict_decides_what_serves(
    incumbent: ModelVersion, candidate: ModelVersion, verdict: str, activation: gating.Asked,
    outcome: Outcome,
) -> None:  # fmt: skip
    decision = gating.decide(
        candidate, comparison(verdict), incumbent=incumbent, activation=activation
    )

    candidate.refresh_from_db()
    assert decision.outcome is outcome
    assert not decision.forced
    assert decision.reasons[1:] == [REASON]
    assert candidate.is_active is (outcome is Outcome.ACTIVATED)
    assert not candidate.is_proposed
    assert candidate.activation_note == " ".join(decision.reasons)
    assert candidate.gate["verdict"] == verdict
    assert (candidate.gate["incumbent"], candidate.gate["gained"]) == (incumbent.number, 1)
    kinds = [record.kind for record in candidate.activations.all()]
    assert kinds == ([Activation.Kind.GATE] if decision.activated else [])


def test_the_first_version_has_nothing_to_be_worse_than(
    add_version: AddVersion, recognizer: Recognizer
) -> None:
    recognizer.promotion = Recognizer.Promotion.PROPOSE
    recognizer.save()
    version = add_version(activate=False)

    decision = gating.decide(version, None, incumbent=None)

    assert decision.activated
    assert decision.verdict == ""
    assert active_number(recognizer) == 1
    assert Activation.objects.get().kind == Activation.Kind.GATE


def test_where_people_decide_a_good_version_is_proposed(
    incumbent: ModelVersion, candidate: ModelVersion, recognizer: Recognizer
) -> None:
    Recognizer.objects.update(promotion=Recognizer.Promotion.PROPOSE)
    candidate.recognizer.refresh_from_db()

    decision = gating.decide(candidate, comparison("better"), incumbent=incumbent)

    candidate.refresh_from_db()
    assert decision.outcome is Outcome.PROPOSED
    assert candidate.is_proposed
    assert active_number(recognizer) == 1


def test_only_the_newest_proposal_waits(
    incumbent: ModelVersion, candidate: ModelVersion, add_version: AddVersion
) -> None:
    Recognizer.objects.update(promotion=Recognizer.Promotion.PROPOSE)
    newer = add_version(activate=False)
    for version in (candidate, newer):
        version.recognizer.refresh_from_db()
        gating.decide(version, comparison("equal"), incumbent=incumbent)

    assert list(ModelVersion.objects.filter(is_proposed=True)) == [newer]


def test_a_version_that_was_compared_with_another_one_waits_for_a_person(
    incumbent: ModelVersion, candidate: ModelVersion, add_version: AddVersion
) -> None:
    add_version()

    decision = gating.decide(candidate, comparison("better"), incumbent=incumbent)

    assert decision.outcome is Outcome.PROPOSED
    assert "compared with v1, but v3 is active by now" in decision.reasons[0]


def test_a_version_that_no_longer_knows_a_class_waits_for_a_person(
    add_version: AddVersion, recognizer: Recognizer
) -> None:
    incumbent = add_version()
    candidate = add_version(activate=False, labels=("blue", "green", "purple"))

    decision = gating.decide(candidate, comparison("better"), incumbent=incumbent)

    assert decision.outcome is Outcome.PROPOSED
    assert "It no longer knows: red." in decision.reasons[0]
    assert active_number(recognizer) == incumbent.number


def test_losses_do_not_hide_behind_a_class_that_is_new(
    incumbent: ModelVersion, candidate: ModelVersion
) -> None:
    changes = {"blue": (0, 5), "red": (0, 5), "violet": (40, 0)}

    decision = gating.decide(candidate, comparison("better", changes), incumbent=incumbent)

    assert (decision.outcome, decision.verdict) == (Outcome.KEPT, "worse")
    assert "2 classes that both know: 0 newly right, 10 newly wrong" in decision.reasons[-1]
    assert candidate.gate["verdict"] == "worse"


def test_a_new_class_alone_does_no_harm(incumbent: ModelVersion, candidate: ModelVersion) -> None:
    changes = {"blue": (1, 2), "violet": (40, 0)}
    decision = gating.decide(candidate, comparison("better", changes), incumbent=incumbent)
    assert decision.activated


# Force


def test_a_worse_version_is_forced_with_a_reason_that_is_kept(
    incumbent: ModelVersion, candidate: ModelVersion, rosa: User
) -> None:
    decision = gating.decide(
        candidate, comparison("worse"), incumbent=incumbent, activation="force", person=rosa,
        reason="The fair needs violets.",
    )  # fmt: skip

    record = candidate.activations.get()
    assert decision.activated
    assert decision.forced
    assert (record.kind, record.person) == (Activation.Kind.FORCED, rosa)
    assert "The fair needs violets." in record.reason
    assert (candidate.gate["person"], candidate.gate["asked"]) == ("rosa", "force")


def test_force_without_a_reason_does_not_get_past_the_gate(
    incumbent: ModelVersion, candidate: ModelVersion
) -> None:
    decision = gating.decide(
        candidate, comparison("worse"), incumbent=incumbent, activation="force", reason="  "
    )
    assert decision.outcome is Outcome.KEPT
    assert not candidate.activations.exists()


def test_a_person_forces_a_kept_version_only_with_a_reason(
    incumbent: ModelVersion, candidate: ModelVersion, rosa: User, recognizer: Recognizer
) -> None:
    gating.decide(candidate, comparison("worse"), incumbent=incumbent)
    assert gating.needs_force(candidate)

    with pytest.raises(ApplicationError, match="Received no reason") as refusal:
        gating.activate_by_person(candidate, rosa)
    assert refusal.value.code == "force_without_reason"
    assert active_number(recognizer) == 1

    gating.activate_by_person(candidate, rosa, "A fair.")
    record = candidate.activations.get()
    assert (record.kind, record.person, record.reason) == ("forced", rosa, "A fair.")
    assert [said["word"] for said in candidate.gate["words"]] == ["forced"]
    assert candidate.gate["verdict"] == "worse"


def test_a_person_chooses_any_other_version_without_one(
    candidate: ModelVersion, rosa: User
) -> None:
    gating.activate_by_person(candidate, rosa)
    assert candidate.activations.get().kind == Activation.Kind.CHOSEN


def test_a_version_that_served_before_needs_no_force(
    incumbent: ModelVersion, candidate: ModelVersion, rosa: User, recognizer: Recognizer
) -> None:
    gating.decide(candidate, comparison("worse"), incumbent=incumbent)
    gating.activate_by_person(candidate, rosa, "A fair.")
    services.rollback(recognizer)
    candidate.refresh_from_db()

    assert not gating.needs_force(candidate)


# Proposals


def test_a_proposal_can_be_rejected_once(
    incumbent: ModelVersion, candidate: ModelVersion, rosa: User, recognizer: Recognizer
) -> None:
    Recognizer.objects.update(promotion=Recognizer.Promotion.PROPOSE)
    candidate.recognizer.refresh_from_db()
    gating.decide(candidate, comparison("equal"), incumbent=incumbent)

    gating.reject_proposal(candidate, rosa, "Later.")

    candidate.refresh_from_db()
    assert not candidate.is_proposed
    said = candidate.gate["words"][0]
    assert (said["word"], said["person"], said["reason"]) == ("rejected", "rosa", "Later.")
    assert active_number(recognizer) == 1
    with pytest.raises(ApplicationError, match="does not wait"):
        gating.reject_proposal(candidate, rosa)


def test_a_proposal_that_is_activated_no_longer_waits(
    incumbent: ModelVersion, candidate: ModelVersion, rosa: User
) -> None:
    Recognizer.objects.update(promotion=Recognizer.Promotion.PROPOSE)
    candidate.recognizer.refresh_from_db()
    gating.decide(candidate, comparison("equal"), incumbent=incumbent)

    gating.activate_by_person(candidate, rosa)

    candidate.refresh_from_db()
    assert candidate.is_active
    assert not candidate.is_proposed


# Once only


@pytest.mark.parametrize("verdict", ["better", "worse"])
def test_deciding_again_changes_nothing(
    incumbent: ModelVersion, candidate: ModelVersion, recognizer: Recognizer, verdict: str
) -> None:
    first = gating.decide(candidate, comparison(verdict), incumbent=incumbent)
    records = Activation.objects.count()
    stale = ModelVersion.objects.get(pk=candidate.pk)
    stale.gate = {}

    again = gating.decide(stale, comparison("equal"), incumbent=incumbent)

    assert again == first
    assert Activation.objects.count() == records


def test_a_version_that_does_not_load_is_not_decided_on(
    incumbent: ModelVersion, candidate: ModelVersion, recognizer: Recognizer
) -> None:
    (candidate.path / "model.tflite").unlink()

    with pytest.raises(ArtifactError):
        gating.decide(candidate, comparison("better"), incumbent=incumbent)

    candidate.refresh_from_db()
    assert candidate.gate == {}
    assert active_number(recognizer) == incumbent.number
