"""Lists of the admin count, search and filter without reading all rows, and still find all."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recognition import services, statistics
from recognition.admin import lists
from recognition.admin.lists import CappedPaginator, count_up_to, with_label_like
from recognition.models import ModelVersion, Prediction, Recognizer, Review
from recognition.statistics import gather_statistics
from tests.recognition.predictions import make_prediction

PREDICTIONS = "admin:recognition_prediction_changelist"
REVIEWS = "admin:recognition_review_changelist"


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version()


@pytest.fixture(params=[1, 1000], ids=["common", "rare"])
def common(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let labels count as common from so many predictions on."""
    number: int = request.param
    monkeypatch.setattr(lists, "COMMON", number)
    return number


def test_a_list_is_counted_no_further_than_its_limit(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _number in range(5):
        make_prediction(version)
    rows = Prediction.objects.all()
    assert count_up_to(rows, 3) == 3
    assert count_up_to(rows, 10) == 5

    monkeypatch.setattr(lists, "COUNTED", 4)
    paginator = CappedPaginator(rows, 2)
    assert (paginator.count, paginator.num_pages) == (4, 2)


def test_the_list_asks_for_no_count_of_all(
    admin_client: Client, version: ModelVersion, django_assert_num_queries: Any
) -> None:
    make_prediction(version)
    with django_assert_num_queries(9) as captured:
        admin_client.get(reverse(PREDICTIONS))
    counts = [q["sql"] for q in captured.captured_queries if "COUNT(" in q["sql"]]
    assert counts
    assert all("LIMIT" in sql for sql in counts)


@pytest.mark.parametrize(
    ("text", "found"),
    [("red", {"red"}), ("RE", {"red", "green"}), ("e", {"red", "green", "blue"}), ("x", set())],
)
def test_a_piece_of_a_label_finds_every_label_with_it(
    text: str, found: set[str], common: int, version: ModelVersion
) -> None:
    for label in ("red", "green", "blue"):
        make_prediction(version, label=label)
    rows = with_label_like(Prediction.objects.all(), text)
    assert set(rows.values_list("label", flat=True)) == found


def test_a_label_of_reviewers_alone_finds_what_they_gave_it_to(
    common: int, version: ModelVersion
) -> None:
    renamed = make_prediction(version, state="reviewed", reviewed_label="reddish")
    make_prediction(version, label="green")
    assert list(with_label_like(Prediction.objects.all(), "dish")) == [renamed]
    make_prediction(version)
    assert with_label_like(Prediction.objects.all(), "red").count() == 2


def test_a_label_that_the_chosen_recognizer_lacks_finds_nothing(
    admin_client: Client, version: ModelVersion
) -> None:
    make_prediction(version)
    other = Recognizer.objects.create(slug="other", name="Other")
    page = admin_client.get(
        reverse(PREDICTIONS), {"recognizer__id__exact": other.pk, "label": "red"}
    )
    assert page.context["cl"].result_count == 0


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 2),
        ("recognizer=colors", 2),
        ("recognizer=other", 0),
        ("q=gre", 1),
        ("q=admin", 2),
        ("q=nobody", 0),
    ],
)
def test_reviews_are_filtered_and_searched(
    query: str, found: int, admin_client: Client, admin_user: Any, version: ModelVersion
) -> None:
    Recognizer.objects.create(slug="other", name="Other")
    for label in ("red", "green"):
        services.review_predictions([make_prediction(version)], label, admin_user)
    page = admin_client.get(f"{reverse(REVIEWS)}?{query}")
    assert page.context["cl"].result_count == found


def test_lists_are_walked_by_an_index_from_the_newest_on(version: ModelVersion) -> None:
    for rows in (
        Prediction.objects.all(),
        Prediction.objects.filter(recognizer=version.recognizer_id),
        Prediction.objects.filter(state="reviewed"),
        Prediction.objects.filter(label="red"),
        Prediction.objects.filter(answer="none"),
        Prediction.objects.filter(model_version=version),
        Prediction.objects.filter(created_at__gte=timezone.now() - timedelta(days=7)),
        Review.objects.all(),
    ):
        plan = rows[:50].explain()
        assert "USING INDEX" in plan, plan
        assert "TEMP B-TREE FOR ORDER BY" not in plan, plan


def test_statistics_are_gathered_of_large_tables_only(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_prediction(version)
    assert not gather_statistics()
    monkeypatch.setattr(statistics, "WORTHWHILE", 0)
    assert gather_statistics()
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM sqlite_stat1 WHERE tbl = 'recognition_prediction'")
        assert cursor.fetchone()[0] > 0


def test_statistics_are_gathered_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[int] = []
    monkeypatch.setattr(statistics, "gather_statistics", lambda: gathered.append(1))
    monday = datetime(2026, 5, 11, 12, tzinfo=UTC)
    for hours in (0, 1, 11, 13, 14):
        monkeypatch.setattr(statistics.timezone, "now", lambda h=hours: monday + timedelta(hours=h))
        statistics.gather_daily()
    assert len(gathered) == 2
