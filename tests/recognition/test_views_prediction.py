"""The page of a prediction, its pictures, what its uploader may say of it, its deletion."""

import uuid
from collections.abc import Callable
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from recognition.models import ModelVersion, Prediction, Recognizer
from tests.recognition.pictures import make_picture
from tests.recognition.predictions import make_prediction

HOSTILE_LABEL = '"><script>alert(1)</script>'
MANY_LABELS = [f"class_{number}" for number in range(7)]
MANY_PROBABILITIES = [0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02]


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


@pytest.fixture
def prediction(add_version: Callable[..., ModelVersion]) -> Prediction:
    return make_prediction(add_version())


@pytest.fixture
def of_many(prediction: Prediction) -> Prediction:
    """Return a prediction of a version with seven classes."""
    prediction.model_version.labels = MANY_LABELS
    prediction.model_version.save()
    return make_prediction(
        prediction.model_version,
        probabilities=MANY_PROBABILITIES,
        label="class_0",
        probability=0.4,
        margin=0.2,
    )


@pytest.fixture
def uploaded(client: Client, served: Recognizer) -> Prediction:
    """Return a prediction that `client` itself uploaded."""
    client.post("/colors/", {"image": SimpleUploadedFile("x.jpg", make_picture())})
    return Prediction.objects.get()


def test_it_shows_the_answer_with_its_version_time_and_size(
    client: Client, prediction: Prediction
) -> None:
    response = client.get(prediction.get_absolute_url())
    page = text_of(response)
    assert response.status_code == 200
    assert 'red <span class="answer__probability">70.0%</span>' in page
    assert "12 ms" in page
    assert "16 × 12 px" in page
    assert response["Cache-Control"] == "private, no-cache"


def test_bars_are_a_list_by_probability_with_widths_free_of_inline_style(
    client: Client, prediction: Prediction
) -> None:
    page = text_of(client.get(prediction.get_absolute_url()))
    positions = [page.index(f'width="{width}"') for width in ("70.00%", "20.00%", "10.00%")]
    assert positions == sorted(positions)
    assert "style=" not in page


def test_german_pages_keep_the_decimal_point_in_widths(
    client: Client, prediction: Prediction
) -> None:
    page = text_of(client.get(prediction.get_absolute_url(), headers={"Accept-Language": "de"}))
    assert '<rect width="70.00%"' in page
    assert "70,0\N{NO-BREAK SPACE}%" in page


@pytest.mark.parametrize(("query", "shown"), [("", 5), ("2", 2), ("7", 7), ("99", 7)])
def test_top_k_says_how_many_classes_are_shown(
    client: Client, of_many: Prediction, query: str, shown: int
) -> None:
    page = text_of(client.get(of_many.get_absolute_url(), {"top_k": query} if query else {}))
    assert page.count('<li class="class"') == shown
    assert ("Show all 7 classes" in page) is (shown < 7)


@pytest.mark.parametrize("query", ["0", "-1", "three", "1.5"])
def test_a_top_k_that_is_no_count_is_refused_by_name(
    client: Client, prediction: Prediction, query: str
) -> None:
    response = client.get(prediction.get_absolute_url(), {"top_k": query})
    assert response.status_code == 400
    assert f'"top_k" must be a whole number from 1, received "{query}"' in text_of(response)


def test_an_unknown_prediction_is_not_found(client: Client, db: None) -> None:
    for page in ("", "picture.jpg", "activation.png"):
        assert client.get(f"/predictions/{uuid.uuid4()}/{page}").status_code == 404


def test_hostile_labels_are_text_on_every_page(client: Client, prediction: Prediction) -> None:
    version = prediction.model_version
    version.labels = [HOSTILE_LABEL, "green", "red"]
    version.save()
    Prediction.objects.update(
        label=HOSTILE_LABEL,
        suggested_label=HOSTILE_LABEL,
        suggested_at=timezone.now(),
        state="suggested",
    )
    for address in ("/", "/colors/", prediction.get_absolute_url()):
        page = client.get(address).content
        assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert b"<script>alert" not in page


def test_the_picture_is_inert(client: Client, prediction: Prediction) -> None:
    response = client.get(f"/predictions/{prediction.pk}/picture.jpg")
    assert b"".join(response) == prediction.picture_path.read_bytes()  # type: ignore[call-overload]
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["Cache-Control"] == "private, max-age=31536000, immutable"


def test_a_picture_whose_file_is_gone_is_not_found(client: Client, prediction: Prediction) -> None:
    prediction.picture_path.unlink()
    assert client.get(f"/predictions/{prediction.pk}/picture.jpg").status_code == 404
    assert client.get(prediction.get_absolute_url()).status_code == 200


def test_the_activation_map_fits_the_picture_and_is_inert(
    client: Client, prediction: Prediction
) -> None:
    prediction.width_px, prediction.height_px = 1024, 768
    prediction.save()
    response = client.get(f"/predictions/{prediction.pk}/activation.png")
    overlay = Image.open(BytesIO(response.content))
    assert (overlay.format, overlay.size) == ("PNG", (512, 384))
    assert overlay.has_transparency_data
    assert response["Content-Type"] == "image/png"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_a_prediction_without_an_activation_map_offers_none(
    client: Client, prediction: Prediction
) -> None:
    prediction.activation_map = None
    prediction.save()
    assert "activation" not in text_of(client.get(prediction.get_absolute_url()))
    assert client.get(f"/predictions/{prediction.pk}/activation.png").status_code == 404


@pytest.mark.parametrize(
    ("data", "label", "thanks"),
    [
        ({"label": "red"}, "red", "<strong>red</strong> is right"),
        ({"label": "blue"}, "blue", "it is <strong>blue"),
        ({"none": "1"}, "", "You said that it is none of the classes"),
    ],
)
def test_a_suggestion_is_kept_and_thanked_for(
    client: Client, uploaded: Prediction, data: dict[str, str], label: str, thanks: str
) -> None:
    address = uploaded.get_absolute_url()
    response = client.post(f"{address}suggestion/", data)
    uploaded.refresh_from_db()
    assert (response.status_code, response["Location"]) == (303, address)
    assert (uploaded.state, uploaded.suggested_label) == ("suggested", label)
    assert uploaded.suggested_at is not None
    assert thanks in text_of(client.get(address))


@pytest.mark.parametrize("data", [{"label": "purple"}, {"label": ""}, {}])
def test_a_suggestion_that_is_no_label_is_refused(
    client: Client, uploaded: Prediction, data: dict[str, str]
) -> None:
    response = client.post(f"{uploaded.get_absolute_url()}suggestion/", data)
    uploaded.refresh_from_db()
    assert response.status_code == 400
    assert uploaded.state == "predicted"
    if data.get("label"):
        assert "Choose one of: blue, green, red." in text_of(response)


def test_who_uploaded_may_delete(
    client: Client, uploaded: Prediction, django_capture_on_commit_callbacks: Any
) -> None:
    path, address = uploaded.picture_path, uploaded.get_absolute_url()
    assert "Delete this picture" in text_of(client.get(address))
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(f"{address}deletion/", follow=True)
    assert "The picture and its prediction are deleted." in text_of(response)
    assert not Prediction.objects.exists()
    assert client.get(address).status_code == 410
    assert not path.exists()


def test_nobody_else_may_delete(client: Client, uploaded: Prediction) -> None:
    stranger = Client()
    stranger.cookies["visitor"] = str(uploaded.visitor_id)  # not signed
    address = uploaded.get_absolute_url()
    assert "Delete this picture" not in text_of(stranger.get(address))
    response = stranger.post(f"{address}deletion/")
    assert response.status_code == 403
    assert "Only who uploaded this picture may do that" in text_of(response)
    assert Prediction.objects.count() == 1


def test_a_prediction_of_nobody_belongs_to_nobody(client: Client, prediction: Prediction) -> None:
    assert prediction.visitor_id is None
    assert client.post(f"{prediction.get_absolute_url()}deletion/").status_code == 403
    assert Prediction.objects.count() == 1


def test_reading_changes_nothing(client: Client, prediction: Prediction) -> None:
    address = prediction.get_absolute_url()
    for action in ("suggestion/", "deletion/"):
        assert client.get(address + action).status_code == 405
    assert Prediction.objects.filter(state="predicted").count() == 1


def test_it_needs_few_queries(
    client: Client, prediction: Prediction, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(3):
        client.get(prediction.get_absolute_url())
