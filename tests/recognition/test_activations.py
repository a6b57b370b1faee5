"""The record that says which version served when."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from recognition import services
from recognition.models import Activation, ModelVersion, Recognizer
from recognition.versions import version_at

pytestmark = pytest.mark.django_db

Kind = Activation.Kind
AddVersion = Callable[..., ModelVersion]


def test_each_change_is_recorded_with_who_how_and_why(
    recognizer: Recognizer, add_version: AddVersion
) -> None:
    ada = User.objects.create_user("ada")
    first, second = add_version(activate=False), add_version(activate=False)
    services.activate_version(first, note="a beginning", person=ada)
    services.activate_version(second, note="better", kind=Kind.GATE)
    services.rollback(recognizer, ada)
    record = Activation.objects.order_by("id").values_list(
        "version__number", "previous_version__number", "kind", "reason", "person__username"
    )
    assert list(record) == [
        (1, None, "chosen", "a beginning", "ada"),
        (2, 1, "gate", "better", None),
        (1, 2, "rolled_back", "Rolled back from version 2.", "ada"),
    ]


def test_any_moment_can_be_asked_for(recognizer: Recognizer, add_version: AddVersion) -> None:
    first, second = add_version(), add_version()
    began, changed = recognizer.activations.order_by("id").values_list("activated_at", flat=True)
    moment = timedelta(microseconds=1)
    assert version_at(recognizer, began - moment) is None
    assert version_at(recognizer, changed - moment) == first
    assert version_at(recognizer, changed) == second


def test_record_cannot_be_edited_or_deleted(recognizer: Recognizer, served: Recognizer) -> None:
    activation = Activation.objects.get()
    activation.reason = "something else"
    with pytest.raises(ValidationError, match="never edited"):
        activation.save()
    with pytest.raises(IntegrityError, match="never edited"), transaction.atomic():
        Activation.objects.update(reason="something else")
    with pytest.raises(ValidationError, match="never edited"):
        activation.delete()
    assert Activation.objects.get().reason == "made by a test"


def test_force_without_a_reason_is_refused(recognizer: Recognizer, add_version: AddVersion) -> None:
    version = add_version(activate=False)
    with pytest.raises(IntegrityError):
        services.activate_version(version, kind=Kind.FORCED)
    version.refresh_from_db()
    assert not version.is_active


def test_version_that_is_activated_is_neither_challenger_nor_proposal_any_more(
    recognizer: Recognizer, add_version: AddVersion
) -> None:
    version = add_version(activate=False)
    version.is_challenger = version.is_proposed = True
    version.save()
    services.activate_version(version)
    version.refresh_from_db()
    assert (version.is_active, version.is_challenger, version.is_proposed) == (True, False, False)


def test_recognizer_has_one_challenger_at_most(
    recognizer: Recognizer, add_version: AddVersion
) -> None:
    for _ in range(2):
        add_version(activate=False)
    with pytest.raises(IntegrityError):
        recognizer.versions.update(is_challenger=True)
