"""Uploads that are older than their recognizer keeps them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recognition import periodic, retention, services
from recognition.models import ErasureReceipt, ModelVersion, Prediction, Recognizer
from tests.recognition.predictions import make_prediction


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    version = add_version()
    Recognizer.objects.update(retention_days=30)
    version.recognizer.refresh_from_db()
    return version


def aged(version: ModelVersion, days: float) -> Prediction:
    return make_prediction(version, created_at=timezone.now() - timedelta(days=days))


def test_only_what_is_too_old_goes_reviewed_or_not(version: ModelVersion) -> None:
    kept = aged(version, 29.9)
    old, reviewed = aged(version, 30.1), aged(version, 400)
    services.review_predictions([reviewed], "red", User.objects.create_user("ada"))
    assert retention.delete_expired() == 2
    assert list(Prediction.objects.all()) == [kept]
    assert set(ErasureReceipt.objects.values_list("cause", flat=True)) == {"retention"}
    assert old.pk != reviewed.pk


def test_a_recognizer_without_a_number_of_days_keeps_everything(version: ModelVersion) -> None:
    Recognizer.objects.update(retention_days=None)
    aged(version, 4000)
    assert retention.delete_expired() == 0
    assert Prediction.objects.count() == 1


def test_a_minute_has_its_share_and_the_oldest_go_first(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_ROWS", 2)
    youngest, *_older = [aged(version, days) for days in (31, 32, 33, 34, 35, 36)]
    assert retention.delete_expired(5) == 5
    assert list(Prediction.objects.all()) == [youngest]
    assert retention.delete_expired(None) == 1


def test_the_worker_does_it_every_minute(version: ModelVersion) -> None:
    aged(version, 31)
    for duty in periodic.PERIODIC:
        duty()
    assert not Prediction.objects.exists()


def test_the_command_counts_before_it_deletes(
    version: ModelVersion, capsys: pytest.CaptureFixture[str]
) -> None:
    aged(version, 31)
    call_command("delete_expired", "--dry-run")
    assert "colors: 1 uploads are older than 30 days." in capsys.readouterr().out
    assert Prediction.objects.count() == 1
    call_command("delete_expired")
    assert "Deleted: 1." in capsys.readouterr().out
    assert not Prediction.objects.exists()
    Recognizer.objects.update(retention_days=None)
    call_command("delete_expired", "--dry-run")
    assert "Every recognizer keeps its uploads" in capsys.readouterr().out


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
def test_the_old_are_found_by_index(version: ModelVersion) -> None:
    plan = retention.expired(version.recognizer).values_list("pk")[:10].explain()
    assert "uploads_by_time (recognizer_id=? AND created_at<?)" in plan
    assert "TEMP B-TREE" not in plan


def test_visitors_are_told_before_and_after_the_upload(
    client: Client, version: ModelVersion
) -> None:
    uploaded = make_prediction(version)
    told = [
        ("/colors/", "Pictures that are uploaded here are deleted after 30 days."),
        (uploaded.get_absolute_url(), "30 days after the upload"),
    ]
    for address, text in told:
        assert text in client.get(address).content.decode()
    Recognizer.objects.update(retention_days=None)
    for address, text in told:
        assert text not in client.get(address).content.decode()


def test_the_admin_sets_the_number_of_days(admin_client: Client, version: ModelVersion) -> None:
    address = reverse("admin:recognition_recognizer_change", args=[version.recognizer_id])
    form = admin_client.get(address).context["adminform"].form
    data = {name: form.initial.get(name) or "" for name in form.fields}
    admin_client.post(address, data | {"retention_days": "0"})
    version.recognizer.refresh_from_db()
    assert version.recognizer.retention_days == 30, "less than a day is refused"
    admin_client.post(address, data | {"retention_days": "7"})
    version.recognizer.refresh_from_db()
    assert version.recognizer.retention_days == 7
    admin_client.post(address, data | {"retention_days": ""})
    version.recognizer.refresh_from_db()
    assert version.recognizer.retention_days is None
