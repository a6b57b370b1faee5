import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recognition.admin.folders import read_page
from recognition.models import ModelVersion, Recognizer, Review
from tests.recognition.predictions import make_prediction

PNG = b"\x89PNG\r\n\x1a\nrest"
REPORT = b"<!doctype html><title>Report</title><script>alert(1)</script>"
FILES = {
    "confusion_matrix.png": PNG,
    "card.md": b"# Colours\n<script>alert(1)</script>",
    "report.json": b"{}",
}

AddVersion = Callable[..., ModelVersion]


@pytest.fixture
def reviewer_client(client: Client, db: None) -> Client:
    user = User.objects.create_user("rosa", is_staff=True)
    user.groups.add(Group.objects.get(name="reviewers"))
    client.force_login(user)
    return client


def url_of(page: str, version: ModelVersion, *more: str) -> str:
    return reverse(f"admin:recognition_modelversion_{page}", args=[version.pk, *more])


def texts(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def active_numbers(recognizer: Recognizer) -> list[int]:
    return list(recognizer.versions.filter(is_active=True).values_list("number", flat=True))


# Reading


def test_the_list_shows_accuracy_with_its_interval(
    admin_client: Client, add_version: AddVersion
) -> None:
    add_version()
    version = add_version(activate=False)
    version.metrics = {}
    version.save()

    content = admin_client.get(reverse("admin:recognition_modelversion_changelist")).content

    assert "90.0% (74.0%–97.0%)" in content.decode()
    assert ">–<" in content.decode()


def test_the_list_takes_as_many_queries_for_many_versions(
    admin_client: Client, add_version: AddVersion, django_assert_num_queries: Any
) -> None:
    url = reverse("admin:recognition_modelversion_changelist")
    add_version()
    with django_assert_num_queries(7):
        admin_client.get(url)
    for _ in range(3):
        add_version(activate=False)
    with django_assert_num_queries(7):
        admin_client.get(url)


def test_the_page_shows_metrics_figures_card_and_files(
    admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version(files=FILES)
    score = {"precision": 0.5, "recall": 0.25, "recall_interval": [0.1, 0.4], "f1": 1 / 3}
    version.metrics |= {"ece": 0.0123, "per_class": [{"label": "green", "support": 8} | score]}
    version.save()

    page = admin_client.get(url_of("change", version))

    content = page.content.decode()
    assert page.context["folder"].fault == ""
    assert "1.2%" in content
    assert "25.0% (10.0%–40.0%)" in content
    assert url_of("figure", version, "confusion_matrix") in content
    assert "training_curves" not in content
    assert "# Colours" in content
    assert "<script>alert(1)" not in content
    assert "model.tflite" in content


def test_the_page_tells_what_is_wrong_with_the_folder(
    admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version()
    (version.path / "model.tflite").write_bytes(b"other")

    page = admin_client.get(url_of("change", version))

    assert page.status_code == 200
    assert "model.tflite in v1 was altered" in page.content.decode()


def test_the_page_tells_that_the_folder_is_another_one(
    admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version()
    ModelVersion.objects.update(metadata_sha256="0" * 64)

    page = admin_client.get(url_of("change", version))

    assert "is not the one that was registered" in page.content.decode()


def test_a_figure_comes_as_a_png_that_cannot_be_anything_else(
    admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version(files=FILES)

    response = admin_client.get(url_of("figure", version, "confusion_matrix"))

    assert response.content == PNG
    assert response["Content-Type"] == "image/png"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize("name", ["training_curves", "model", "metadata.json"])
def test_other_files_of_the_folder_are_not_figures(
    name: str, admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version(files=FILES)
    (version.path / "model.png").write_bytes(PNG)
    figures = url_of("figure", version, "confusion_matrix").removesuffix("confusion_matrix.png")
    assert admin_client.get(f"{figures}{name}.png", follow=True).status_code == 404


def test_report_and_health_page_are_linked_where_the_metadata_lists_them(
    admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version(files={"report.html": REPORT})
    (version.path / "health.html").write_bytes(b"slipped in")

    content = admin_client.get(url_of("change", version)).content.decode()

    assert url_of("page", version, "report") in content
    assert url_of("page", version, "health") not in content
    assert admin_client.get(url_of("page", version, "health")).status_code == 404


def test_a_page_can_neither_run_scripts_nor_reach_the_site(
    admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version(files={"report.html": REPORT})

    response = admin_client.get(url_of("page", version, "report"))

    assert response.content == REPORT
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
    )


def test_an_altered_page_or_folder_is_not_shown(
    admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version(files={"report.html": REPORT})
    url = url_of("page", version, "report")

    ModelVersion.objects.update(metadata_sha256="0" * 64)
    assert admin_client.get(url).status_code == 404

    ModelVersion.objects.update(metadata_sha256=version.metadata_sha256)
    assert admin_client.get(url).status_code == 200
    (version.path / "report.html").write_bytes(b"<script>alert(1)</script>")
    assert admin_client.get(url).status_code == 404


@pytest.mark.parametrize("name", ["training", "card.md", "..%2fv1%2freport", "report.html%00"])
def test_only_the_known_pages_can_be_asked_for(
    name: str, admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version(files={"report.html": REPORT, "training.html": REPORT})
    pages = url_of("page", version, "report").removesuffix("report.html")

    response = admin_client.get(f"{pages}{name}.html", follow=True)

    assert b"<title>Report" not in response.content


@pytest.mark.parametrize("name", ["training", "../v1/report", "report.html\0", "", "REPORT"])
def test_no_other_name_is_read_from_the_folder(name: str, add_version: AddVersion) -> None:
    version = add_version(files={"report.html": REPORT, "training.html": REPORT})

    assert read_page(version, name) is None
    assert read_page(version, "report") == REPORT


def test_pages_are_for_those_who_may_see_versions(client: Client, add_version: AddVersion) -> None:
    url = url_of("page", add_version(files={"report.html": REPORT}), "report")

    assert client.get(url).status_code == 302
    client.force_login(User.objects.create_user("vera"))
    assert client.get(url).status_code == 302
    client.force_login(User.objects.create_user("otto", is_staff=True))
    assert client.get(url).status_code == 403


def test_figures_are_for_those_who_may_see_versions(
    client: Client, add_version: AddVersion
) -> None:
    url = url_of("figure", add_version(files=FILES), "confusion_matrix")
    assert client.get(url).status_code == 302
    client.force_login(User.objects.create_user("otto", is_staff=True))
    assert client.get(url).status_code == 403


# Activating


def test_activation_asks_first_and_shows_both_versions(
    admin_client: Client, add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    candidate = add_version(activate=False)

    page = admin_client.get(url_of("activate", candidate))

    assert [version.number for version in page.context["columns"]] == [1, 2]
    assert active_numbers(recognizer) == [1]


def test_activation_moves_the_service_and_keeps_the_note(
    admin_client: Client, add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    candidate = add_version(activate=False)

    response = admin_client.post(url_of("activate", candidate), {"note": "better"}, follow=True)

    assert "colors v2 is active" in texts(response)[0]
    assert active_numbers(recognizer) == [2]
    candidate.refresh_from_db()
    assert candidate.activation_note == "better"
    assert LogEntry.objects.get().object_id == str(candidate.pk)


def test_an_active_version_needs_no_activation(
    admin_client: Client, add_version: AddVersion
) -> None:
    response = admin_client.get(url_of("activate", add_version()), follow=True)
    assert texts(response) == ["colors v1 serves already."]


def test_a_broken_version_is_not_activated_and_the_reason_shown(
    admin_client: Client, add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    broken = add_version(activate=False)
    (broken.path / "model.tflite").unlink()

    response = admin_client.post(url_of("activate", broken), follow=True)

    assert "model.tflite is missing" in texts(response)[0]
    assert active_numbers(recognizer) == [1]
    assert not LogEntry.objects.exists()


def test_rollback_asks_then_goes_back(
    admin_client: Client, add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    second = add_version()
    assert url_of("rollback", second) in admin_client.get(url_of("change", second)).content.decode()

    page = admin_client.get(url_of("rollback", second))
    assert page.context["candidate"].number == 1
    assert active_numbers(recognizer) == [2]

    response = admin_client.post(url_of("rollback", second), follow=True)
    assert "colors v1 is active" in texts(response)[0]
    assert active_numbers(recognizer) == [1]


def test_a_broken_earlier_version_is_not_rolled_back_to(
    admin_client: Client, add_version: AddVersion, recognizer: Recognizer
) -> None:
    first, second = add_version(), add_version()
    (first.path / "model.tflite").unlink()

    response = admin_client.post(url_of("rollback", second), follow=True)

    assert "model.tflite is missing" in texts(response)[0]
    assert active_numbers(recognizer) == [2]


def test_there_may_be_nothing_to_roll_back_to(
    admin_client: Client, add_version: AddVersion, recognizer: Recognizer
) -> None:
    version = add_version()
    assert url_of("rollback", version) not in (
        admin_client.get(url_of("change", version)).content.decode()
    )

    response = admin_client.post(url_of("rollback", version), follow=True)

    assert texts(response) == ["Nothing to roll back to: no earlier version served."]
    assert active_numbers(recognizer) == [1]


@pytest.mark.parametrize("page", ["activate", "rollback"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_reviewer_may_not_choose_what_serves(
    page: str,
    method: str,
    reviewer_client: Client,
    add_version: AddVersion,
    recognizer: Recognizer,
) -> None:
    add_version()
    second = add_version()

    assert getattr(reviewer_client, method)(url_of(page, second)).status_code == 403

    assert active_numbers(recognizer) == [2]
    shown = reviewer_client.get(url_of("change", second)).content.decode()
    assert url_of(page, second) not in shown


def test_a_form_without_a_token_activates_nothing(
    admin_user: User, add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    candidate = add_version(activate=False)
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)

    assert client.post(url_of("activate", candidate)).status_code == 403
    assert active_numbers(recognizer) == [1]


def test_versions_are_neither_added_changed_nor_deleted(
    admin_client: Client, add_version: AddVersion
) -> None:
    version = add_version()
    assert admin_client.get(reverse("admin:recognition_modelversion_add")).status_code == 403
    assert admin_client.post(url_of("change", version), {"number": 7}).status_code == 403
    assert admin_client.post(url_of("delete", version), {"post": "yes"}).status_code == 403
    assert ModelVersion.objects.get().number == 1


# Recognizers


def recognizer_url(recognizer: Recognizer) -> str:
    return reverse("admin:recognition_recognizer_change", args=[recognizer.pk])


def test_the_list_of_recognizers_counts_the_predictions_of_each_in_one_query(
    admin_client: Client, served: Recognizer, django_assert_num_queries: Any
) -> None:
    version = served.versions.get()
    make_prediction(version)
    make_prediction(version)
    url = reverse("admin:recognition_recognizer_changelist")

    with django_assert_num_queries(7):
        page = admin_client.get(url)
    assert re.search(r'<td class="field-prediction_count[^>]*>2</td>', page.content.decode())

    for number in range(3):
        Recognizer.objects.create(slug=f"empty-{number}", name=f"Empty {number}")
    with django_assert_num_queries(7 + 3):
        admin_client.get(url)


def test_words_are_edited_and_the_slug_is_fixed(admin_client: Client, served: Recognizer) -> None:
    response = admin_client.post(
        recognizer_url(served),
        {
            "name": "Hues",
            "description": "All of them",
            "slug": "hues",
            "promotion": "propose",
            "schedule": "nightly",
            "schedule_hour": 3,
            "schedule_reviews": 20,
            "audit_share": 0.1,
            "retention_days": 365,
        },
    )

    assert response.status_code == 302
    served.refresh_from_db()
    assert (served.name, served.description, served.slug) == ("Hues", "All of them", "colors")
    assert (served.promotion, served.schedule, served.schedule_hour) == ("propose", "nightly", 3)
    assert (served.audit_share, served.retention_days) == (0.1, 365)


def test_a_new_recognizer_gets_a_slug_that_is_no_other_page(admin_client: Client) -> None:
    url = reverse("admin:recognition_recognizer_add")

    refused = admin_client.post(url, {"name": "Past", "slug": "history"})
    assert "This slug is the address of another page" in refused.content.decode()

    assert admin_client.post(url, {"name": "Birds", "slug": "birds"}).status_code == 302
    assert Recognizer.objects.get().slug == "birds"


def test_the_page_counts_what_was_reviewed_since_the_active_version(
    admin_client: Client, admin_user: User, served: Recognizer
) -> None:
    version = served.versions.get()
    old, new = make_prediction(version), make_prediction(version)
    day = timedelta(days=1)
    for prediction, at in (
        (old, timezone.now() - day),
        (new, timezone.now() + day),
        (new, timezone.now() + 2 * day),
    ):
        Review.objects.create(
            prediction=prediction,
            reviewer=admin_user,
            previous_label="red",
            label="red",
            created_at=at,
        )

    content = admin_client.get(recognizer_url(served)).content.decode()

    assert f"recognizer__id__exact={served.pk}" in content
    row = content.split("Reviewed since the active version</label>")[1]
    assert re.match(r"(?:\s|</?div[^>]*>)*1</div>", row)


def test_paths_of_the_server_are_for_those_who_edit(
    reviewer_client: Client, admin_user: User, served: Recognizer
) -> None:
    served.data_sources = ["/srv/secret/photos"]
    served.save()

    assert "/srv/secret" not in reviewer_client.get(recognizer_url(served)).content.decode()
    reviewer_client.force_login(admin_user)
    assert "/srv/secret" in reviewer_client.get(recognizer_url(served)).content.decode()


def test_a_recognizer_is_not_deleted(admin_client: Client, served: Recognizer) -> None:
    url = reverse("admin:recognition_recognizer_delete", args=[served.pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 403
    assert Recognizer.objects.exists()
