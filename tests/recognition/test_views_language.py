"""Pages in German: chosen by the browser."""

from django.test import Client

from recognition.models import Recognizer


def test_a_german_browser_gets_german_pages(client: Client, served: Recognizer) -> None:
    page = client.get("/", headers={"Accept-Language": "de-AT,de;q=0.9"}).content.decode()
    assert '<html lang="de">' in page
    assert "Was ist auf deinem Bild?" in page


def test_other_browsers_get_english_pages(client: Client, served: Recognizer) -> None:
    page = client.get("/", headers={"Accept-Language": "fr"}).content.decode()
    assert '<html lang="en">' in page
    assert "What is in your picture?" in page
