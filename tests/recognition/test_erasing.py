"""Deletion of uploads: what goes, what stays as proof, and what learned from them."""

import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ml.picture_caches import names_path, write_names
from recognition import erasing, services
from recognition.erasure_traces import SURELY_COMMITTED_AFTER_S
from recognition.models import (
    Embedding,
    ErasureReceipt,
    ModelVersion,
    Prediction,
    Recognizer,
    Reprediction,
    Review,
    ReviewLease,
    ReviewSkip,
    SnapshotItem,
    TrainingRun,
)
from tests.recognition.pictures import make_picture
from tests.recognition.predictions import make_prediction

STAFF = ErasureReceipt.Cause.STAFF
State = TrainingRun.State


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


@pytest.fixture
def reviewer(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version(files={"report.html": b"pictures", "augmented.jpg": b"pictures"})


@pytest.fixture
def prediction(version: ModelVersion, reviewer: User) -> Prediction:
    """Return an upload that was reviewed as red."""
    row = make_prediction(version)
    services.review_predictions([row], "red", reviewer)
    row.refresh_from_db()
    return row


@pytest.fixture
def delete(django_capture_on_commit_callbacks: Any) -> Callable[..., Any]:
    """Return a function that deletes uploads and does what follows the commit."""

    def delete(*predictions: Prediction) -> list[ErasureReceipt]:
        with django_capture_on_commit_callbacks(execute=True):
            return services.delete_predictions([p.pk for p in predictions], cause=STAFF)

    return delete


def make_run(
    recognizer: Recognizer,
    predictions: Sequence[Prediction],
    *,
    split: str = "train",
    **fields: Any,
) -> TrainingRun:
    """Store a training with these pictures in its snapshot."""
    run = TrainingRun.objects.create(recognizer=recognizer, **fields)
    for prediction in predictions:
        SnapshotItem.objects.create(
            run=run,
            prediction_id=prediction.pk,
            picture_sha256=prediction.picture_sha256,
            label=prediction.reviewed_label,
            split=split,
        )
    return run


def learned_by(version: ModelVersion, *predictions: Prediction, split: str = "train") -> None:
    """Let a version have learned from the pictures."""
    make_run(
        version.recognizer,
        predictions,
        split=split,
        state=State.DONE,
        version=version,
        ended_at=timezone.now(),
    )


def make_cache(settings: Any, name: str, *pictures: str) -> Path:
    """Write a cache of decoded pictures that says it holds those."""
    cache = Path(settings.CACHE_DIR) / f"pictures-{name}.npy"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_bytes(b"pixels")
    write_names(cache, pictures)
    return cache


def make_workspace(settings: Any, name: str, *pictures: Prediction) -> Path:
    """Write the folder of an interrupted training that was told to read those pictures."""
    folder = Path(settings.TRAINING_DIR) / name
    folder.mkdir(parents=True)
    reviewed = [
        {"path": str(p.picture_path), "label": "red", "name": f"prediction {p.pk}"}
        for p in pictures
    ]
    (folder / "spec.json").write_text(json.dumps({"reviewed": reviewed}))
    (folder / "features.npz").write_bytes(b"embeddings")
    return folder


def notes(settings: Any) -> list[Path]:
    return list((Path(settings.DATA_DIR) / "erasures").glob("*"))


def test_everything_that_hangs_on_an_upload_goes_with_it(
    prediction: Prediction, version: ModelVersion, reviewer: User, settings: Any, delete: Any
) -> None:
    other = make_prediction(version)
    Embedding.objects.create(prediction=prediction, sketch=b"x")
    Reprediction.objects.create(
        prediction=prediction, model_version=version, probabilities=[0.1, 0.2, 0.7],
        label="red", probability=0.7, is_shadow=True, agrees=True,
    )  # fmt: skip
    ReviewLease.objects.create(prediction=prediction, reviewer=reviewer, expires_at=timezone.now())
    ReviewSkip.objects.create(prediction=prediction, reviewer=reviewer)

    (receipt,) = delete(prediction)

    assert list(Prediction.objects.all()) == [other]
    for table in (Embedding, Reprediction, Review, ReviewLease, ReviewSkip):
        assert not table.objects.exists(), table
    assert not prediction.picture_path.exists()
    assert other.picture_path.exists()
    assert notes(settings) == []
    assert (receipt.recognizer, receipt.cause) == (version.recognizer, "staff")


def test_caches_that_hold_the_picture_go_and_others_stay(
    prediction: Prediction, settings: Any, delete: Any
) -> None:
    holding = make_cache(settings, "a", "pests/1.jpg", f"prediction {prediction.pk}")
    unknown = make_cache(settings, "b")
    names_path(unknown).unlink()
    other = make_cache(settings, "c", "pests/1.jpg", f"prediction {uuid.uuid4()}")
    delete(prediction)
    assert [holding.exists(), unknown.exists(), other.exists()] == [False, False, True]


def test_folders_of_interrupted_trainings_that_read_it_go(
    prediction: Prediction, version: ModelVersion, settings: Any, delete: Any
) -> None:
    holding = make_workspace(settings, "colors", prediction)
    compared = make_workspace(settings, "colors.compare", prediction)
    other = make_workspace(settings, "pests", make_prediction(version))
    delete(prediction)
    assert [holding.exists(), compared.exists(), other.exists()] == [False, False, True]


def test_what_a_training_under_way_holds_goes_when_it_ends(
    prediction: Prediction, version: ModelVersion, settings: Any, delete: Any,
    add_version: Callable[..., ModelVersion],
) -> None:  # fmt: skip
    run = make_run(version.recognizer, [prediction], split="", state=State.RUNNING)
    workspace = make_workspace(settings, "colors", prediction)
    (receipt,) = delete(prediction)
    assert not prediction.picture_path.exists(), "the file goes at once"
    assert workspace.exists()
    (note,) = notes(settings)
    os.utime(note, (0, 0))
    assert erasing.follow_up_all() == 1

    late_cache = make_cache(settings, "late", f"prediction {prediction.pk}")
    run.snapshot.update(split="train")
    run.state, run.version, run.ended_at = State.DONE, add_version(), timezone.now()
    run.save()
    assert erasing.follow_up_all() == 0
    assert not workspace.exists()
    assert not late_cache.exists()
    assert notes(settings) == []
    assert list(receipt.learned_versions.all()) == [run.version]


def test_the_folder_of_a_training_under_way_is_waited_for_whatever_its_snapshot(
    prediction: Prediction, version: ModelVersion, settings: Any, delete: Any
) -> None:
    run = make_run(version.recognizer, [], state=State.QUEUED)
    workspace = make_workspace(settings, "colors", prediction)
    delete(prediction)
    assert workspace.exists()
    (note,) = notes(settings)
    os.utime(note, (0, 0))
    assert erasing.follow_up_all() == 1
    TrainingRun.objects.filter(pk=run.pk).update(state=State.CANCELLED, ended_at=timezone.now())
    assert erasing.follow_up_all() == 0
    assert not workspace.exists()


def test_a_crash_after_the_commit_leaves_nothing_for_long(
    prediction: Prediction, settings: Any
) -> None:
    services.delete_predictions([prediction.pk], cause=STAFF)  # what follows never comes
    assert prediction.picture_path.exists()
    assert erasing.follow_up_all() == 0
    assert prediction.picture_path.exists(), "it may be about to follow in another process"

    (note,) = notes(settings)
    long_ago_s = time.time() - SURELY_COMMITTED_AFTER_S - 1
    os.utime(note, (long_ago_s, long_ago_s))
    assert erasing.follow_up_all() == 0
    assert not prediction.picture_path.exists()
    assert notes(settings) == []


def test_a_deletion_that_was_never_committed_takes_nothing_away(
    prediction: Prediction, settings: Any
) -> None:
    folder = Path(settings.DATA_DIR) / "erasures"
    folder.mkdir()
    note = folder / "x.json"
    note.write_text(json.dumps({str(prediction.pk): prediction.picture}))
    os.utime(note, (0, 0))
    assert erasing.follow_up_all() == 0
    assert prediction.picture_path.exists()
    assert not note.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"no id": "x"}'])
def test_a_damaged_note_does_not_stop_the_others(
    prediction: Prediction, settings: Any, content: bytes
) -> None:
    services.delete_predictions([prediction.pk], cause=STAFF)
    (note,) = notes(settings)
    damaged = note.with_name("0.json")
    damaged.write_bytes(content)
    for path in (note, damaged):
        os.utime(path, (0, 0))
    assert erasing.follow_up_all() == 0
    assert not prediction.picture_path.exists()
    assert notes(settings) == [damaged.with_suffix(".damaged")]


# Receipts


def test_a_receipt_names_the_versions_that_learned_and_nothing_of_the_picture(
    prediction: Prediction, version: ModelVersion, delete: Any
) -> None:
    learned_by(version, prediction)
    (receipt,) = delete(prediction)
    assert list(receipt.learned_versions.all()) == [version]
    assert str(prediction.pk) not in str(receipt.__dict__)
    assert erasing.find_receipt(prediction.pk) == receipt
    assert erasing.find_receipt(uuid.uuid4()) is None


def test_a_picture_that_a_training_left_out_was_not_learned_from(
    prediction: Prediction, version: ModelVersion, delete: Any
) -> None:
    learned_by(version, prediction, split="")
    (receipt,) = delete(prediction)
    assert not receipt.learned_versions.exists()


def test_a_second_deletion_gives_the_first_receipt(prediction: Prediction, delete: Any) -> None:
    (receipt,) = delete(prediction)
    assert delete(prediction) == []
    assert services.delete_prediction(prediction, cause=STAFF) == receipt
    assert ErasureReceipt.objects.count() == 1


def test_a_receipt_is_found_under_a_former_secret_key(
    prediction: Prediction, settings: Any, delete: Any
) -> None:
    (receipt,) = delete(prediction)
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another secret key, long enough for signing things with it"
    assert erasing.find_receipt(prediction.pk) is None
    settings.SECRET_KEY_FALLBACKS = [old]
    assert erasing.find_receipt(prediction.pk) == receipt


def test_many_are_deleted_in_batches(
    version: ModelVersion, delete: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "BATCH_ROWS", 2)
    rows = [make_prediction(version) for _ in range(5)]
    assert len(delete(*rows)) == 5
    assert not any(row.picture_path.exists() for row in rows)


def test_the_old_address_tells_that_it_was_deleted(
    client: Client, prediction: Prediction, version: ModelVersion, delete: Any
) -> None:
    learned_by(version, prediction)
    (receipt,) = delete(prediction)
    for address in (prediction.get_absolute_url(), f"/api/v1/predictions/{prediction.pk}"):
        response = client.get(address)
        assert response.status_code == 410
        told = text_of(response)
        assert receipt.receipt in told
        assert "Version 1 had learned from it before." in told
    response = client.post(f"{prediction.get_absolute_url()}suggestion/", {"label": "red"})
    assert response.status_code == 410
    assert client.get(f"{prediction.get_absolute_url()}picture.jpg").status_code == 404


def test_the_uploader_is_led_to_the_receipt(client: Client, served: Recognizer) -> None:
    client.post("/colors/", {"image": SimpleUploadedFile("x.jpg", make_picture())})
    address = Prediction.objects.get().get_absolute_url()
    response = client.post(f"{address}deletion/")
    assert response["Clear-Site-Data"] == '"cache"'
    assert f'<a href="{address}">Receipt</a>' in text_of(client.get(response["Location"]))
    assert ErasureReceipt.objects.get().cause == "visitor"


def test_the_command_answers_for_an_id(
    prediction: Prediction, version: ModelVersion, delete: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="is stored: it was not deleted"):
        call_command("check_receipt", str(prediction.pk))
    learned_by(version, prediction)
    (receipt,) = delete(prediction)
    call_command("check_receipt", str(prediction.pk))
    printed = capsys.readouterr().out
    assert receipt.receipt in printed
    assert (
        "colors v1 learned from it; these of its files may show the picture: report.html, "
        "augmented.jpg." in printed
    )
    with pytest.raises(CommandError, match="There is no receipt"):
        call_command("check_receipt", str(uuid.uuid4()))


# In the admin


def test_the_confirmation_says_what_learned_from_it_and_where_it_may_be_shown(
    admin_client: Client, prediction: Prediction, version: ModelVersion
) -> None:
    learned_by(version, prediction)
    pages = [
        admin_client.get(reverse("admin:recognition_prediction_delete", args=[prediction.pk])),
        admin_client.post(
            reverse("admin:recognition_prediction_changelist"),
            {"action": "delete_selected", "_selected_action": [str(prediction.pk)]},
        ),
    ]
    for response in pages:
        page = text_of(response)
        assert "These versions have learned from it" in page
        assert "the picture may be shown in report.html, augmented.jpg" in page
        assert "neither what it learned nor its files can lose a picture" in page


def test_the_confirmation_says_so_where_nothing_learned(
    admin_client: Client, prediction: Prediction
) -> None:
    address = reverse("admin:recognition_prediction_delete", args=[prediction.pk])
    assert "No version has learned from it." in text_of(admin_client.get(address))


def test_after_a_deletion_the_receipt_offers_a_training_without(
    admin_client: Client, prediction: Prediction, version: ModelVersion
) -> None:
    learned_by(version, prediction)
    response = admin_client.post(
        reverse("admin:recognition_prediction_delete", args=[prediction.pk]),
        {"post": "yes"},
        follow=True,
    )
    receipt = ErasureReceipt.objects.get()
    address = reverse("admin:recognition_erasurereceipt_change", args=[receipt.pk])
    assert f'href="{address}">Retrain without it…</a>' in text_of(response)
    page = text_of(admin_client.get(address))
    assert "Retrain without it" in page
    assert "colors v1" in page
    assert str(prediction.pk) not in page
    assert receipt.receipt[:12] in text_of(
        admin_client.get(reverse("admin:recognition_erasurereceipt_changelist"))
    )


def test_the_record_of_the_admin_says_who_deleted_and_not_what(
    admin_client: Client, admin_user: User, version: ModelVersion
) -> None:
    one, two, three = (make_prediction(version) for _ in range(3))
    admin_client.post(
        reverse("admin:recognition_prediction_delete", args=[one.pk]), {"post": "yes"}
    )
    admin_client.post(
        reverse("admin:recognition_prediction_changelist"),
        {
            "action": "delete_selected",
            "_selected_action": [str(two.pk), str(three.pk)],
            "post": "yes",
        },
    )
    entries = list(LogEntry.objects.all())
    assert {entry.object_repr for entry in entries} == {
        str(receipt) for receipt in ErasureReceipt.objects.all()
    }
    assert len(entries) == 3
    for entry in entries:
        assert entry.user == admin_user
        told = f"{entry.object_repr} {entry.object_id} {entry.change_message}"
        assert not any(word in told for word in ("red", str(one.pk), str(two.pk), str(three.pk)))


def test_a_deletion_that_nothing_learned_from_offers_nothing(
    admin_client: Client, prediction: Prediction
) -> None:
    response = admin_client.post(
        reverse("admin:recognition_prediction_changelist"),
        {"action": "delete_selected", "_selected_action": [str(prediction.pk)], "post": "yes"},
        follow=True,
    )
    assert not Prediction.objects.exists()
    assert "Retrain without it" not in text_of(response)


def test_a_training_without_it_is_asked_for_by_those_who_may(
    client: Client, prediction: Prediction, version: ModelVersion, delete: Any
) -> None:
    learned_by(version, prediction)
    (receipt,) = delete(prediction)
    address = reverse("admin:recognition_erasurereceipt_retrain", args=[receipt.pk])
    person = User.objects.create_user("eve", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_erasurereceipt"))
    client.force_login(person)
    assert "Retrain without it" not in text_of(client.get(address.replace("retrain", "change")))
    assert client.post(address).status_code == 403

    person.user_permissions.add(Permission.objects.get(codename="retrain_recognizer"))
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 302
    run = TrainingRun.objects.get(state=State.QUEUED)
    assert (run.recognizer, run.cause, run.person) == (version.recognizer, "erasure", person)

    page = text_of(client.post(address, follow=True))
    assert "is under way" in page, "one at a time"
    assert TrainingRun.objects.filter(state=State.QUEUED).count() == 1
