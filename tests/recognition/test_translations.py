"""The German texts: one for every text of the site, none left over, compiled as written."""

import ast
import gettext
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation.template import templatize

PROJECT = Path(settings.BASE_DIR)
MESSAGES = PROJECT / "recognition" / "locale" / "de" / "LC_MESSAGES"
SAYING = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
LITERAL = r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
IN_TEMPLATE = re.compile(rf"\b(?:n?gettext|_)\({LITERAL}")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|\{\w*\}|<[^>]+>")


class Text(NamedTuple):
    """One entry of django.po."""

    texts: tuple[str, ...]
    """As the code says it: one, or singular and plural."""
    german: tuple[str, ...]
    flags: str


def _read(source: str) -> Iterator[Text]:
    """Yield the entries after the header."""
    for block in source.strip().split("\n\n")[1:]:
        said: dict[str, str] = {}
        flags = keyword = ""
        for line in block.splitlines():
            if line.startswith("#"):
                flags += line if line.startswith("#,") else ""
                continue
            if not line.startswith('"'):
                keyword, line = line.split(" ", 1)
                said[keyword] = ""
            said[keyword] += ast.literal_eval(line)
        yield Text(
            tuple(text for keyword, text in said.items() if keyword.startswith("msgid")),
            tuple(text for keyword, text in said.items() if keyword.startswith("msgstr")),
            flags,
        )


@pytest.fixture(scope="module")
def written() -> list[Text]:
    return list(_read((MESSAGES / "django.po").read_text("utf-8")))


def _said_in_python(source: str) -> Iterator[str]:
    """Yield the texts that a module gives to gettext, plurals by their singular."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in SAYING and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def _said_in_template(source: str) -> Iterator[str]:
    """Yield the texts of a template, plurals by their singular."""
    for match in IN_TEMPLATE.finditer(templatize(source)):
        yield ast.literal_eval(match[1])


@pytest.fixture(scope="module")
def said() -> set[str]:
    """Return every text that the site gives to gettext."""
    texts: set[str] = set()
    for folder in ("recognition", "classifier_site"):
        for path in (PROJECT / folder).rglob("*.py"):
            texts.update(_said_in_python(path.read_text("utf-8")))
    for path in (PROJECT / "templates").rglob("*.html"):
        texts.update(_said_in_template(path.read_text("utf-8")))
    return texts


def test_every_text_of_the_site_is_in_german(said: set[str], written: list[Text]) -> None:
    ours = {text.texts[0] for text in written}
    assert len(ours) > 500
    with translation.override("de"):
        missing = {text for text in said - ours if translation.gettext(text) == text}
    assert missing == set(), "Translate them in recognition/locale/de and run msgfmt."


def test_no_german_text_is_left_over(said: set[str], written: list[Text]) -> None:
    assert {text.texts[0] for text in written} - said == set()


def test_no_text_stands_twice(written: list[Text]) -> None:
    texts = [text.texts for text in written]
    assert sorted(texts) == sorted(set(texts))


def test_every_german_text_is_there_and_sure(written: list[Text]) -> None:
    unfinished = [text.texts for text in written if not all(text.german) or "fuzzy" in text.flags]
    assert unfinished == []
    assert [text.texts for text in written if len(text.texts) != len(text.german)] == []


def test_german_texts_keep_the_placeholders_and_tags(written: list[Text]) -> None:
    for text in written:
        for source, german in zip(text.texts, text.german, strict=True):
            wanted = sorted(PLACEHOLDER.findall(source))
            assert sorted(PLACEHOLDER.findall(german)) == wanted, text.texts


def test_the_compiled_texts_are_the_written_ones(written: list[Text]) -> None:
    compiled_file = MESSAGES / "django.mo"
    with compiled_file.open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for text in written:
        if len(text.texts) == 1:
            assert compiled.gettext(text.texts[0]) == text.german[0]
        else:
            plurals = [compiled.ngettext(*text.texts, n) for n in (1, 2)]
            assert plurals == list(text.german)
    (count,) = struct.unpack_from("<I", compiled_file.read_bytes(), 8)
    assert count == len(written) + 1, "django.mo has other texts: run msgfmt."
