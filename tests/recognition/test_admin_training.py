"""Trainings in the admin: begun with what is recommended, followed live, cancelled."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from recognition import services, training_runs
from recognition.admin.training_runs import progress
from recognition.models import Recognizer, TrainingRun
from recognition.training_runs import HeldRun
from tests.recognition.predictions import make_prediction

EPOCH = {"phase": "head", "epoch": 1, "loss": 0.5, "accuracy": 0.8, "val_loss": None,
         "val_accuracy": 0.875, "seconds": 1.0, "images_per_s": 9.0}  # fmt: skip


def retrain_url(recognizer: Recognizer) -> str:
    return reverse("admin:recognition_recognizer_retrain", args=[recognizer.pk])


def page_of(run: TrainingRun, name: str = "change") -> str:
    return reverse(f"admin:recognition_trainingrun_{name}", args=[run.pk])


def client_with(*permissions: str) -> Client:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def trained(recognizer: Recognizer, add_version: Callable[..., Any]) -> Recognizer:
    """Return a recognizer that was trained before, with two pictures reviewed since."""
    version = add_version()
    predictions = [make_prediction(version) for _ in range(3)]
    reviewer = User.objects.create_user("reviewer")
    services.review_predictions(predictions[:2], "green", reviewer)
    services.review_predictions(predictions[2:], "", reviewer)
    recognizer.data_sources = ["/srv/pictures"]
    recognizer.training_options = {"architecture": "cnn", "epochs": 12}
    recognizer.save()
    return recognizer


# Beginning


def test_the_page_shows_what_will_be_learned_from_and_what_is_recommended(
    admin_client: Client, trained: Recognizer
) -> None:
    page = admin_client.get(retrain_url(trained))

    assert page.context["labels"] == [("green", {"all": 2, "new": 2})]
    assert len(page.context["newest"]) == 2
    content = page.content.decode()
    assert "/srv/pictures" in content
    assert '<option value="cnn" selected>cnn (as last time)</option>' in content
    assert 'value="12"' in content


def test_the_recommended_training_asks_for_nothing_else(
    admin_client: Client, trained: Recognizer
) -> None:
    answer = admin_client.post(
        retrain_url(trained), {"architecture": "cnn", "epochs": "12", "activation": "auto"}
    )

    run = TrainingRun.objects.get()
    assert answer["Location"] == page_of(run)
    assert (run.cause, run.activation) == ("person", "auto")
    assert run.person is not None
    assert run.request == {"options": {}, "notes": []}
    assert DBTaskResult.objects.get().queue_name == "training"


def test_what_is_chosen_differently_is_asked_for(admin_client: Client, trained: Recognizer) -> None:
    asked = {"architecture": "mobilenet_v2", "epochs": "", "quick": "on", "activation": "never",
             "note": "From the summer."}  # fmt: skip
    admin_client.post(retrain_url(trained), asked)

    run = TrainingRun.objects.get()
    assert run.request == {
        "options": {"architecture": "mobilenet_v2", "quick": True}, "notes": ["From the summer."]
    }  # fmt: skip
    assert run.activation == "never"


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"activation": "force"}, "may be worse"),
        ({"activation": "auto", "architecture": "resnet_9000"}, "resnet_9000"),
        ({"activation": "auto", "epochs": "-1"}, "0"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_begins_nothing(
    admin_client: Client, trained: Recognizer, asked: dict[str, str], error: str
) -> None:
    page = admin_client.post(retrain_url(trained), asked)

    assert error in page.content.decode()
    assert not TrainingRun.objects.exists()


def test_a_forced_activation_keeps_its_reason(admin_client: Client, trained: Recognizer) -> None:
    admin_client.post(
        retrain_url(trained),
        {"architecture": "cnn", "activation": "force", "force_reason": " New classes. "},
    )

    assert TrainingRun.objects.get().force_reason == "New classes."


def test_a_second_training_is_refused_and_the_first_is_shown(
    admin_client: Client, trained: Recognizer
) -> None:
    run = training_runs.request_training(trained)

    page = admin_client.post(retrain_url(trained), {"architecture": "cnn", "activation": "auto"})

    content = page.content.decode()
    assert "is under way" in content
    assert page_of(run) in content
    assert TrainingRun.objects.count() == 1


def test_nothing_to_learn_from_is_said_before_anything_begins(
    admin_client: Client, recognizer: Recognizer
) -> None:
    assert "nothing to learn from yet" in admin_client.get(retrain_url(recognizer)).content.decode()


@pytest.mark.django_db
def test_who_may_not_train_begins_and_cancels_nothing(trained: Recognizer) -> None:
    run = training_runs.request_training(trained)
    client = client_with("view_trainingrun", "change_recognizer")

    assert client.get(retrain_url(trained)).status_code == 403
    assert client.post(page_of(run, "cancel")).status_code == 403
    assert "Cancel the training" not in client.get(page_of(run)).content.decode()
    run.refresh_from_db()
    assert run.state == "queued"


@pytest.mark.django_db
def test_who_may_train_sees_no_folders_of_the_server_and_begins_a_training(
    trained: Recognizer,
) -> None:
    client = client_with("retrain_recognizer")

    assert "/srv/pictures" not in client.get(retrain_url(trained)).content.decode()
    answer = client.post(
        retrain_url(trained), {"architecture": "cnn", "activation": "auto"}, follow=True
    )

    assert answer.status_code == 200
    assert TrainingRun.objects.count() == 1


# Following


@pytest.fixture
def running(trained: Recognizer) -> TrainingRun:
    """Return a run at its second epoch of four."""
    run = training_runs.request_training(trained)
    held = HeldRun.claim(run)
    assert held is not None
    rows = [EPOCH, EPOCH | {"phase": "refine", "val_loss": 0.25}]
    held.write(stage="training", epochs=4, history=rows, log_tail="Network: cnn <b>")
    return run


def test_the_page_of_a_run_shows_its_epochs_and_fetches_what_changes(
    admin_client: Client, running: TrainingRun
) -> None:
    content = admin_client.get(page_of(running)).content.decode()

    assert f'data-url="{page_of(running, "live")}"' in content
    assert "2 / 4" in content
    assert "87.5%" in content
    assert content.count("<polyline") == 4
    assert "Network: cnn &lt;b&gt;" in content
    assert '<progress class="lacewing-progress" max="100" value="50"' in content


def test_the_part_that_changes_comes_alone_and_says_when_to_stop(
    admin_client: Client, running: TrainingRun
) -> None:
    part = admin_client.get(page_of(running, "live"))
    assert part["X-Training-State"] == "running"
    assert "<html" not in part.content.decode()

    TrainingRun.objects.update(state="failed", error="Too few ants.", ended_at=timezone.now())

    part = admin_client.get(page_of(running, "live"))
    assert part["X-Training-State"] == "failed"
    assert "Too few ants." in part.content.decode()


def test_a_run_that_ended_is_not_followed(admin_client: Client, running: TrainingRun) -> None:
    TrainingRun.objects.update(state="cancelled", ended_at=timezone.now())

    content = admin_client.get(page_of(running)).content.decode()

    assert "data-url" not in content
    assert "Cancel the training" not in content


def test_progress_grows_with_stages_and_epochs(running: TrainingRun) -> None:
    shares = []
    for stage in ("collecting", "reading", "decoding", "training", "exporting", "registering"):
        running.stage = stage
        shares.append(progress(running))

    assert shares == sorted(shares)
    assert shares[0] > 0
    assert shares[-1] < 1


def test_cancelling_ends_a_run_that_waits(admin_client: Client, trained: Recognizer) -> None:
    run = training_runs.request_training(trained)

    answer = admin_client.post(page_of(run, "cancel"))

    run.refresh_from_db()
    assert answer["Location"] == page_of(run)
    assert run.state == "cancelled"
    assert admin_client.get(page_of(run, "cancel")).status_code == 405


def test_the_list_of_runs_asks_the_database_no_more_for_many(
    admin_client: Client, trained: Recognizer, django_assert_max_num_queries: Any
) -> None:
    TrainingRun.objects.bulk_create(
        TrainingRun(recognizer=trained, state="failed", ended_at=timezone.now()) for _ in range(20)
    )
    with django_assert_max_num_queries(20):
        page = admin_client.get(reverse("admin:recognition_trainingrun_changelist"))

    assert page.status_code == 200


def test_a_recognizer_links_to_its_training(admin_client: Client, trained: Recognizer) -> None:
    url = reverse("admin:recognition_recognizer_change", args=[trained.pk])
    assert retrain_url(trained) in admin_client.get(url).content.decode()

    run = training_runs.request_training(trained)

    assert page_of(run) in admin_client.get(url).content.decode()
