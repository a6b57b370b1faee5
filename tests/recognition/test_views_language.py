"""Pages in German: chosen by the browser, complete, compiled from what is written."""

import gettext
import json
import re
from pathlib import Path

from django.conf import settings
from django.test import Client

from recognition.models import Recognizer

MESSAGES = Path(settings.BASE_DIR) / "recognition" / "locale" / "de" / "LC_MESSAGES"
ENTRY = re.compile(
    r'^msgid (?P<text>".*")\n(?:msgid_plural ".*"\nmsgstr\[0\]|msgstr) (?P<translation>".*")$',
    re.MULTILINE,
)


def written_messages() -> dict[str, str]:
    """Return what django.po says, without its header, plurals by their singular."""
    source = (MESSAGES / "django.po").read_text("utf-8")
    entries = {
        json.loads(entry["text"]): json.loads(entry["translation"])
        for entry in ENTRY.finditer(source)
    }
    entries.pop("")
    return entries


def test_a_german_browser_gets_german_pages(client: Client, served: Recognizer) -> None:
    page = client.get("/", headers={"Accept-Language": "de-AT,de;q=0.9"}).content.decode()
    assert '<html lang="de">' in page
    assert "Was ist auf deinem Bild?" in page


def test_other_browsers_get_english_pages(client: Client, served: Recognizer) -> None:
    page = client.get("/", headers={"Accept-Language": "fr"}).content.decode()
    assert '<html lang="en">' in page
    assert "What is in your picture?" in page


def test_every_text_is_translated() -> None:
    untranslated = [text for text, translation in written_messages().items() if not translation]
    assert untranslated == []


def test_the_compiled_texts_are_the_written_ones() -> None:
    with (MESSAGES / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    written = written_messages()
    assert len(written) > 100
    assert {
        text: translation
        for text, translation in written.items()
        if translation not in (compiled.gettext(text), compiled.ngettext(text, text, 1))
    } == {}
