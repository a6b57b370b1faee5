"""The dashboard says how a recognizer is used and how often it is right, in words and a chart."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recognition import services
from recognition.admin.charts import bars, trend
from recognition.audit import field_accuracy
from recognition.models import ModelVersion, Prediction, Recognizer, Review
from recognition.overview import reviewers_this_week, usage
from tests.recognition.predictions import make_prediction
from tests.recognition.test_audit import add


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version()


def url_of(recognizer: Recognizer) -> str:
    return reverse("admin:recognition_recognizer_dashboard", args=[recognizer.pk])


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def fill_weeks(version: ModelVersion, *, wrong_now: int) -> None:
    """Audit 30 pictures in each of some weeks, all right but for `wrong_now` of this week's."""
    now = timezone.now()
    for weeks_ago in range(1, 7):
        add(version, 30, created_at=now - timedelta(weeks=weeks_ago))
    add(version, 30 - wrong_now, created_at=now)
    add(version, wrong_now, created_at=now, reviewed_label="blue")


def test_it_shows_figures_and_the_same_as_tables(
    admin_client: Client, version: ModelVersion
) -> None:
    fill_weeks(version, wrong_now=1)

    page = admin_client.get(url_of(version.recognizer))

    assert page.status_code == 200
    text = text_of(page)
    assert "96.7%" in text  # 29 of 30
    assert "none of the classes" not in text
    html = page.content.decode()
    assert html.count("<circle") == 7
    assert re.search(r'<th scope="row">red</th>\s*<td[^>]*>209</td>\s*<td[^>]*>100.0%', html)
    assert re.search(r'<th scope="row">blue</th>\s*<td[^>]*>1</td>\s*<td[^>]*>0.0%', html)
    assert not page.context["field"].is_alarming
    assert "less often right" not in text


def test_a_fall_is_told_first_and_on_the_first_page(
    admin_client: Client, version: ModelVersion
) -> None:
    fill_weeks(version, wrong_now=15)

    page = admin_client.get(url_of(version.recognizer))
    index = admin_client.get(reverse("admin:index"))

    assert "In the latest week 50.0% of 30 audited pictures were answered rightly" in text_of(page)
    assert "does worse in the field than on its test pictures" in text_of(page)
    assert "less often right" in text_of(index)


def test_one_version_can_be_looked_at_alone(
    admin_client: Client, version: ModelVersion, add_version: Callable[..., ModelVersion]
) -> None:
    second = add_version()
    add(version, 5, created_at=timezone.now())
    add(second, 7, created_at=timezone.now())

    page = admin_client.get(url_of(version.recognizer), {"version": 2})

    assert page.context["field"].total.n == 7
    assert admin_client.get(url_of(version.recognizer), {"version": "9"}).status_code == 404
    assert admin_client.get(url_of(version.recognizer), {"version": "x"}).status_code == 404


@pytest.mark.parametrize("is_served", [True, False])
def test_nothing_there_is_said_without_figures(
    is_served: bool, admin_client: Client, recognizer: Recognizer, request: Any
) -> None:
    if is_served:
        request.getfixturevalue("version")
    page = admin_client.get(url_of(recognizer))
    assert page.status_code == 200
    assert "No audited picture has been reviewed yet" in text_of(page)
    assert "No uploads in this time." in text_of(page)


def test_answers_and_reviews_are_counted(
    admin_client: Client, admin_user: Any, version: ModelVersion
) -> None:
    make_prediction(version, answer="one", set_size=1, set_level=0.9)
    make_prediction(version, answer="none", novelty=2.0, novelty_threshold=1.0)
    services.review_predictions(Prediction.objects.filter(answer="one"), "red", admin_user)

    page = admin_client.get(url_of(version.recognizer))

    assert page.context["usage"].uploads == 2
    assert page.context["reviewed_share"] == "50.0%"
    rows = [(str(name), count) for name, count, _share in page.context["answer_rows"]]
    assert rows == [("one class", 1), ("none of its classes", 1)]
    assert page.context["reviewers"] == [("admin", 1)]
    waiting = {queue.key: count for queue, count in page.context["queues"]}
    assert waiting["none"] == (1, False)


def test_labels_of_people_are_escaped(admin_client: Client, version: ModelVersion) -> None:
    add(version, 1, created_at=timezone.now(), reviewed_label="<script>alert(1)</script>")
    page = admin_client.get(url_of(version.recognizer))
    assert "<script>alert(1)" not in page.content.decode()
    assert "&lt;script&gt;alert(1)" in page.content.decode()


def test_numbers_in_the_chart_have_no_decimal_comma(
    admin_client: Client, version: ModelVersion
) -> None:
    fill_weeks(version, wrong_now=1)
    page = admin_client.get(url_of(version.recognizer), headers={"accept-language": "de"})
    svg = re.findall(r"<svg class=\"dashboard.*?</svg>", page.content.decode(), re.DOTALL)
    assert len(svg) == 2
    assert not re.search(r' (?:x|y|x1|y1|cx|cy|width|height)="[^"]*,', " ".join(svg))


def test_only_those_who_may_see_recognizers_see_it(
    client: Client, django_user_model: Any, recognizer: Recognizer
) -> None:
    assert client.get(url_of(recognizer)).status_code == 302
    user = django_user_model.objects.create_user("rita", is_staff=True)
    client.force_login(user)
    assert client.get(url_of(recognizer)).status_code == 403
    assert "tiles" not in (client.get(reverse("admin:index")).context or {})
    user.groups.add(Group.objects.get(name="reviewers"))
    assert client.get(url_of(recognizer)).status_code == 200
    assert "Colours" in text_of(client.get(reverse("admin:index")))


def test_a_recognizer_that_does_not_exist_is_not_found(admin_client: Client, db: None) -> None:
    url = reverse("admin:recognition_recognizer_dashboard", args=[99])
    assert admin_client.get(url).status_code == 404


def test_days_are_those_of_utc_and_end_today(version: ModelVersion) -> None:
    now = datetime(2026, 5, 13, 0, 30, tzinfo=UTC)
    add(version, 2, created_at=now)
    add(version, 1, created_at=now - timedelta(hours=1))
    add(version, 1, created_at=now - timedelta(days=3))

    used = usage(version.recognizer, days=3, now=now)

    assert [day.uploads for day in used.days] == [0, 1, 2]
    assert used.uploads == 3
    assert usage(Recognizer(pk=99), days=3, now=now).reviewed_share is None


def test_reviewers_of_this_week_are_counted_without_retractions(
    version: ModelVersion, django_user_model: Any
) -> None:
    anna, ben = (django_user_model.objects.create_user(name) for name in ("anna", "ben"))
    monday = datetime(2026, 5, 11, tzinfo=UTC)
    prediction = make_prediction(version)
    for reviewer, moment in ((anna, 0), (ben, 1), (ben, 2), (ben, -1)):
        Review.objects.create(
            prediction=prediction,
            reviewer=reviewer,
            label="red",
            created_at=monday + timedelta(hours=moment),
        )
    Review.objects.create(
        prediction=prediction, reviewer=anna, is_retraction=True, created_at=monday
    )
    now = monday + timedelta(days=2)
    assert reviewers_this_week(version.recognizer, now) == [("ben", 2), ("anna", 1)]


def test_the_chart_keeps_everything_within_its_frame(version: ModelVersion) -> None:
    fill_weeks(version, wrong_now=30)
    field = field_accuracy(version.recognizer)
    laid = trend(field, version.recognizer.activations.all(), 0.9)
    for point in laid.points:
        assert laid.left < point.x < laid.right
        assert laid.top <= point.high_y <= point.y <= point.low_y <= laid.bottom
    assert laid.rows[0].text == "0"
    assert laid.rows[-1].at == laid.top
    assert [mark.text for mark in laid.changes] == ["v1"]
    assert laid.test_y is not None


def test_bars_of_no_days_are_none() -> None:
    assert bars([]) == ()
