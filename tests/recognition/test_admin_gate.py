"""Pages about versions: the gate's evidence and decisions, all versions, files, the record."""

import gzip
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ml.flips import FLIPS_NAME, Flips
from recognition import gating, services
from recognition.models import Activation, ModelVersion, Recognizer, SnapshotItem, TrainingRun
from tests.recognition.flips import flipped, many_flips
from tests.recognition.predictions import make_prediction
from tests.recognition.test_gating import comparison

AddVersion = Callable[..., ModelVersion]
CHANGE = {"support": 9, "old_recall": 0.5, "new_recall": 0.25, "gained": 0, "lost": 3, "p": 0.01}
REPORT = {
    "comparison": {
        "per_class": [
            {"label": "violet", **CHANGE, "worse": False},
            {"label": "blue", **CHANGE, "worse": True},
        ]
    }
}
FILES = {FLIPS_NAME: many_flips().to_bytes(), "report.json": json.dumps(REPORT).encode()}


@pytest.fixture
def incumbent(add_version: AddVersion) -> ModelVersion:
    return add_version()


@pytest.fixture
def kept(incumbent: ModelVersion, add_version: AddVersion) -> ModelVersion:
    """Return a version that the gate found worse."""
    version = add_version(activate=False, files=FILES)
    gating.decide(version, comparison("worse"), incumbent=incumbent)
    return version


@pytest.fixture
def proposed(incumbent: ModelVersion, add_version: AddVersion) -> ModelVersion:
    Recognizer.objects.update(promotion=Recognizer.Promotion.PROPOSE)
    version = add_version(activate=False, files=FILES)
    version.recognizer.refresh_from_db()
    gating.decide(version, comparison("equal"), incumbent=incumbent)
    return version


@pytest.fixture
def reviewer_client(client: Client, db: None) -> Client:
    user = User.objects.create_user("rosa", is_staff=True)
    user.groups.add(Group.objects.get(name="reviewers"))
    client.force_login(user)
    return client


def url_of(page: str, row: ModelVersion | Recognizer, *more: object) -> str:
    return reverse(f"admin:recognition_modelversion_{page}", args=[row.pk, *more])


def texts(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def active_numbers(recognizer: Recognizer) -> list[int]:
    return list(recognizer.versions.filter(is_active=True).values_list("number", flat=True))


# The gate's page


def test_the_gate_shows_verdict_classes_and_every_flip(
    admin_client: Client, kept: ModelVersion
) -> None:
    page = admin_client.get(url_of("gate", kept))

    content = page.content.decode()
    assert "Worse beyond noise" in content
    assert "Not activated: worse than v1." in content
    rows = page.context["evidence"].classes
    assert [(row.label, row.worse, row.is_new) for row in rows] == [
        ("blue", True, False),
        ("violet", False, True),
    ]
    assert "gained &lt;1&gt;.jpg" in content
    assert "3 more flipped" in content
    assert content.count("data:image/jpeg;base64,") == 2 * (12 + 1)
    assert content.count("data:image/png;base64,") == 12 + 1
    assert "Where v1 saw blue" in content


def test_flips_have_pages(admin_client: Client, kept: ModelVersion) -> None:
    content = admin_client.get(url_of("gate", kept), {"lost": "2"}).content.decode()
    assert "lost 14.jpg" in content
    assert "lost 1.jpg" not in content


def test_pictures_of_uploads_come_from_where_they_are_stored_while_they_are(
    admin_client: Client, incumbent: ModelVersion, add_version: AddVersion
) -> None:
    prediction = make_prediction(incumbent)
    lost = tuple(
        replace(flipped(f"prediction {name}"), jpeg=b"") for name in (prediction.pk, uuid.uuid4())
    )
    flips = Flips(gained=(), lost=lost, gained_in_all=0, lost_in_all=2)
    version = add_version(activate=False, files={FLIPS_NAME: flips.to_bytes()})

    content = admin_client.get(url_of("gate", version)).content.decode()

    assert content.count(reverse("recognition:picture", args=[prediction.pk])) == 2
    assert content.count("The picture is gone.") == 2


def test_a_version_that_was_never_judged_has_a_page_too(
    admin_client: Client, incumbent: ModelVersion
) -> None:
    page = admin_client.get(url_of("gate", incumbent))
    assert page.status_code == 200
    assert "Not judged" in page.content.decode()


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (FLIPS_NAME, b"{}", "flips.json in v2 was altered"),
        ("report.json", b"{}", "report.json in v2 was altered"),
        ("metadata.json", b"{}", "The folder is not the registered one."),
    ],
)
def test_a_damaged_folder_is_told_and_nothing_of_it_shown(
    admin_client: Client, kept: ModelVersion, name: str, content: bytes, fault: str
) -> None:
    (kept.path / name).write_bytes(content)

    page = admin_client.get(url_of("gate", kept))

    assert page.status_code == 200
    assert fault in page.content.decode()
    assert "data:image/jpeg" not in page.content.decode()


@pytest.mark.parametrize("report", [b"[]", b"nonsense", b'{"comparison": {"per_class": [3]}}'])
def test_a_report_of_another_form_is_told(
    admin_client: Client, incumbent: ModelVersion, add_version: AddVersion, report: bytes
) -> None:
    version = add_version(activate=False, files={"report.json": report})
    page = admin_client.get(url_of("gate", version))
    assert "holds no comparison that can be read" in page.content.decode()


def test_reviewers_see_the_gate_but_decide_nothing(
    reviewer_client: Client, proposed: ModelVersion
) -> None:
    content = reviewer_client.get(url_of("gate", proposed)).content.decode()

    assert url_of("activate", proposed) not in content
    assert url_of("reject", proposed) not in content
    assert reviewer_client.post(url_of("reject", proposed)).status_code == 403
    assert ModelVersion.objects.get(pk=proposed.pk).is_proposed


@pytest.mark.parametrize("page", ["gate", "snapshot", "change"])
def test_pages_are_for_staff_with_the_right(client: Client, kept: ModelVersion, page: str) -> None:
    assert client.get(url_of(page, kept)).status_code == 302
    client.force_login(User.objects.create_user("otto", is_staff=True))
    assert client.get(url_of(page, kept)).status_code == 403


# Decisions


def test_a_worse_version_is_not_forced_without_a_reason(
    admin_client: Client, kept: ModelVersion, recognizer: Recognizer
) -> None:
    page = admin_client.get(url_of("activate", kept))
    assert "The gate found it worse beyond noise." in page.content.decode()

    refused = admin_client.post(url_of("activate", kept), {"note": " "})

    assert "say why it is to serve" in refused.content.decode()
    assert active_numbers(recognizer) == [1]


def test_a_worse_version_is_forced_with_a_reason_on_record(
    admin_client: Client, admin_user: User, kept: ModelVersion, recognizer: Recognizer
) -> None:
    admin_client.post(url_of("activate", kept), {"note": "A fair."})

    assert active_numbers(recognizer) == [2]
    record = Activation.objects.latest("id")
    assert (record.kind, record.person, record.reason) == ("forced", admin_user, "A fair.")
    content = admin_client.get(url_of("gate", kept)).content.decode()
    assert "forced past the gate" in content
    assert "“A fair.”" in content


def test_a_proposal_is_rejected_and_its_version_kept(
    admin_client: Client, proposed: ModelVersion, recognizer: Recognizer
) -> None:
    assert (
        "It waits for your decision." in admin_client.get(url_of("gate", proposed)).content.decode()
    )

    response = admin_client.post(url_of("reject", proposed), {"reject-note": "Later."}, follow=True)

    assert texts(response) == ["colors v2 stays where it is."]
    assert "proposal rejected" in response.content.decode()
    assert active_numbers(recognizer) == [1]
    again = admin_client.post(url_of("reject", proposed), follow=True)
    assert "does not wait for a decision" in texts(again)[0]


def test_lists_lead_to_a_proposal_that_waits(
    admin_client: Client, proposed: ModelVersion, recognizer: Recognizer
) -> None:
    versions = reverse("admin:recognition_modelversion_changelist")
    page = reverse("admin:recognition_recognizer_change", args=[recognizer.pk])

    content = admin_client.get(versions, {"is_proposed__exact": "1"}).content.decode()
    assert f'<a href="{url_of("gate", proposed)}">proposed: decide</a>' in content
    content = admin_client.get(page).content.decode()
    assert "v2 is proposed: decide" in content
    assert url_of("overview", recognizer) in content


def test_a_proposal_is_rejected_by_post_alone(admin_client: Client, proposed: ModelVersion) -> None:
    assert admin_client.get(url_of("reject", proposed)).status_code == 405


# All versions


def test_the_overview_shows_states_verdicts_and_accuracy_over_time(
    admin_client: Client, proposed: ModelVersion, add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    page = admin_client.get(url_of("overview", recognizer))

    content = page.content.decode()
    states = [(row["version"].number, str(row["state"][0])) for row in page.context["rows"]]
    assert states == [(3, "active"), (2, "proposed"), (1, "was active")]
    assert "v2 is proposed and waits for a decision." in content
    assert "90.0% (74.0%–97.0%)" in content
    assert "Roll back to v1…" in content
    chart = page.context["chart"]
    assert chart.marks[0].text == "v1: 90.0% (74.0%–97.0%)"
    assert all(mark.y_high < mark.y < mark.y_low for mark in chart.marks)
    assert content.count("<circle") == 3


def test_the_overview_takes_as_many_queries_for_many_versions(
    admin_client: Client, recognizer: Recognizer, add_version: AddVersion,
    django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    for _ in range(4):
        add_version()
    with django_assert_max_num_queries(10):
        admin_client.get(url_of("overview", recognizer))


def test_a_recognizer_without_versions_has_an_overview(
    admin_client: Client, recognizer: Recognizer
) -> None:
    content = admin_client.get(url_of("overview", recognizer)).content.decode()
    assert "There is no version yet." in content


def test_two_ticked_versions_are_compared(
    admin_client: Client, kept: ModelVersion, incumbent: ModelVersion, recognizer: Recognizer
) -> None:
    scores = {"precision": 0.5, "f1": 0.4, "support": 8}
    for version, recall in ((incumbent, 0.5), (kept, 0.25)):
        version.metrics |= {"per_class": [{"label": "blue", "recall": recall, **scores}]}
        version.save(update_fields=["metrics"])

    response = admin_client.get(
        url_of("choose", recognizer), {"version": [kept.pk, incumbent.pk]}, follow=True
    )

    content = response.content.decode()
    assert [version.number for version in response.context["columns"]] == [1, 2]
    assert response.context["class_rows"][0]["change_text"] == "-25.0%"
    assert url_of("gate", kept) in content


@pytest.mark.parametrize("ticked", [[], ["1"], ["1", "x"], ["1", "2", "3"]])
def test_other_than_two_ticks_are_refused(
    admin_client: Client, recognizer: Recognizer, ticked: list[str]
) -> None:
    response = admin_client.get(url_of("choose", recognizer), {"version": ticked}, follow=True)
    assert "tick two to compare" in texts(response)[0]


def test_versions_of_two_recognizers_are_not_compared(
    admin_client: Client, incumbent: ModelVersion
) -> None:
    other = Recognizer.objects.create(slug="other", name="Other")
    stranger = ModelVersion.objects.create(
        recognizer=other, number=1, directory="other/v1", metadata_sha256="0" * 64,
        architecture="colors", labels=["a"],
    )  # fmt: skip
    assert admin_client.get(url_of("comparison", incumbent, stranger.pk)).status_code == 404
    assert admin_client.get(url_of("comparison", incumbent, incumbent.pk)).status_code == 404


# Files


def test_files_are_sent_to_be_saved(admin_client: Client, add_version: AddVersion) -> None:
    examples = gzip.compress(b"sha256,label\n")
    version = add_version(files={"model.keras": b"PK", "examples.csv.gz": examples})

    response = admin_client.get(url_of("download", version, "model.keras"))

    assert b"".join(response.streaming_content) == b"PK"  # type: ignore[attr-defined]
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == 'attachment; filename="colors-v1-model.keras"'
    assert response["X-Content-Type-Options"] == "nosniff"
    labels = admin_client.get(url_of("download", version, "labels.txt"))
    assert labels.content == b"blue\ngreen\nred\n"
    assert 'filename="colors-v1-labels.txt"' in labels["Content-Disposition"]
    packed = admin_client.get(url_of("download", version, "examples.csv.gz"))
    assert packed["Content-Type"] == "application/gzip"
    assert "Content-Encoding" not in packed
    for sent in (response, packed):
        sent.close()


@pytest.mark.parametrize("name", ["metadata.json", "novelty.npz", "model.keras", "x"])
def test_other_files_and_missing_ones_are_not_sent(
    admin_client: Client, incumbent: ModelVersion, name: str
) -> None:
    assert admin_client.get(url_of("download", incumbent, name)).status_code == 404


def test_an_altered_file_is_not_sent(admin_client: Client, incumbent: ModelVersion) -> None:
    (incumbent.path / "model.tflite").write_bytes(b"other")
    assert admin_client.get(url_of("download", incumbent, "model.tflite")).status_code == 404


def test_downloads_are_for_those_who_may_see_versions(
    client: Client, incumbent: ModelVersion
) -> None:
    url = url_of("download", incumbent, "model.tflite")
    assert client.get(url).status_code == 302
    client.force_login(User.objects.create_user("otto", is_staff=True))
    assert client.get(url).status_code == 403


def test_the_snapshot_lists_what_the_training_learned_from(
    admin_client: Client, admin_user: User, incumbent: ModelVersion
) -> None:
    prediction = make_prediction(incumbent)
    services.review_predictions([prediction], "green", admin_user)
    run = TrainingRun.objects.create(
        recognizer=incumbent.recognizer, state="done", version=incumbent, ended_at=timezone.now()
    )
    SnapshotItem.objects.create(
        run=run, prediction_id=prediction.pk, picture_sha256="ab" * 32, label="green",
        split="train",
    )  # fmt: skip

    content = admin_client.get(url_of("snapshot", incumbent)).content.decode()

    assert str(prediction.pk) in content
    assert "1 reviewed picture" in content


def test_a_version_from_elsewhere_has_an_empty_snapshot(
    admin_client: Client, incumbent: ModelVersion
) -> None:
    content = admin_client.get(url_of("snapshot", incumbent)).content.decode()
    assert "No training on this server made it" in content


# The record of activations


def log_url(recognizer: Recognizer) -> str:
    return reverse("admin:recognition_activation_log", args=[recognizer.pk])


def test_the_record_says_which_version_served_at_a_moment(
    admin_client: Client, recognizer: Recognizer, add_version: AddVersion
) -> None:
    first, second = add_version(activate=False), add_version(activate=False)
    may = timezone.now().replace(year=2026, month=5, day=3, hour=12, minute=0, second=0)
    for version, at in ((first, may), (second, may + timedelta(hours=3))):
        Activation.objects.create(
            recognizer=recognizer, version=version, kind="chosen", activated_at=at
        )

    def served_at(at: str) -> str:
        return admin_client.get(log_url(recognizer), {"at": at}).content.decode()

    assert "At 2026-05-03 14:00:00 UTC <strong>v1</strong> served." in served_at("2026-05-03T14:00")
    assert "<strong>v2</strong>" in served_at("2026-05-03T15:30:01")
    assert "no version served yet" in served_at("2026-05-03T11:00")
    assert "Enter a valid date/time." in served_at("yesterday")


def test_the_record_names_who_how_and_why(
    admin_client: Client, admin_user: User, kept: ModelVersion, recognizer: Recognizer
) -> None:
    admin_client.post(url_of("activate", kept), {"note": "A <fair>."})
    admin_client.post(url_of("rollback", kept))

    page = admin_client.get(log_url(recognizer))

    kinds = [record.kind for record in page.context["records"]]
    assert kinds == ["rolled_back", "forced", "chosen"]
    assert "A &lt;fair&gt;." in page.content.decode()
    changelist = admin_client.get(reverse("admin:recognition_activation_changelist"))
    assert "forced past the gate" in changelist.content.decode()


def test_the_record_is_not_edited(admin_client: Client, incumbent: ModelVersion) -> None:
    record = Activation.objects.get()
    page = reverse("admin:recognition_activation_change", args=[record.pk])
    assert admin_client.post(page, {"reason": "x"}).status_code == 403
    delete = reverse("admin:recognition_activation_delete", args=[record.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    assert admin_client.get(reverse("admin:recognition_activation_add")).status_code == 403


def test_the_record_is_for_those_with_the_right(
    client: Client, incumbent: ModelVersion, recognizer: Recognizer
) -> None:
    assert client.get(log_url(recognizer)).status_code == 302
    client.force_login(User.objects.create_user("otto", is_staff=True))
    assert client.get(log_url(recognizer)).status_code == 403
