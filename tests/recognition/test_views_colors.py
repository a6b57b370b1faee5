"""Colours of the pages: text stands out from what it is on, by light and by dark."""

import re
from pathlib import Path

import pytest
from django.conf import settings

AA_TEXT = 4.5
AA_PARTS = 3.0  # borders of fields, bars and their like

SHEET = (Path(settings.BASE_DIR) / "static" / "lacewing" / "lacewing.css").read_text("utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
)
TEXT_ON = [
    (text, ground)
    for text in ("ink", "ink-soft", "accent")
    for ground in ("paper", "surface", "sunken", "accent-wash")
] + [
    ("accent-strong", "surface"),
    ("accent-ink", "accent"),
    ("accent-ink", "accent-strong"),
    ("ink", "gold-wash"),
    ("gold", "gold-wash"),
    ("ink", "danger-wash"),
    ("ink-soft", "danger-wash"),
    ("danger", "danger-wash"),
    ("danger", "paper"),
]
PARTS_ON = [("line-strong", "surface"), ("bar", "track"), ("accent", "surface")]


def luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_is_the_largest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_can_be_read_on_its_ground(scheme: dict[str, str]) -> None:
    faint = {
        pair: round(contrast(scheme[pair[0]], scheme[pair[1]]), 2)
        for pair in TEXT_ON
        if contrast(scheme[pair[0]], scheme[pair[1]]) < AA_TEXT
    }
    assert faint == {}


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_parts_that_mean_something_stand_out(scheme: dict[str, str]) -> None:
    faint = {
        pair: round(contrast(scheme[pair[0]], scheme[pair[1]]), 2)
        for pair in PARTS_ON
        if contrast(scheme[pair[0]], scheme[pair[1]]) < AA_PARTS
    }
    assert faint == {}


def test_both_schemes_name_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()
