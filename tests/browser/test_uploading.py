"""Pictures come in by picking, dropping and pasting, one or several, with progress."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from recognition.errors import FileTooLargeError
from tests.browser.files import copy, drop, transfer_of

PREDICTION = re.compile(r"/predictions/[0-9a-f-]{36}/$")
COLORS_FORM = 'form[action="/colors/"]'


def expect_answer(page: Page, answer: str) -> None:
    page.wait_for_url(PREDICTION)
    expect(page.locator("h1")).to_contain_text(answer)


@pytest.mark.parametrize("address", ["/", "/colors/"])
def test_a_picked_picture_leads_to_its_prediction(
    page: Page, colors: dict[str, Path], address: str
) -> None:
    page.goto(address)
    page.set_input_files(f"{COLORS_FORM} input[type=file]", colors["dark_green"])
    expect_answer(page, "dark green")


@pytest.mark.parametrize("address", ["/", "/colors/"])
def test_a_dropped_picture_leads_to_its_prediction(
    page: Page, colors: dict[str, Path], address: str
) -> None:
    page.goto(address)
    drop(page, f"{COLORS_FORM} .drop", [colors["blue"]])
    expect_answer(page, "blue")


def test_the_area_shows_that_a_picture_hovers_over_it(page: Page, colors: dict[str, Path]) -> None:
    page.goto("/")
    area = page.locator(f"{COLORS_FORM} .drop")
    detail = {"dataTransfer": transfer_of(page, [colors["red"]])}
    page.dispatch_event(f"{COLORS_FORM} .drop", "dragover", detail)
    expect(area).to_have_class(re.compile("drop--over"))
    page.dispatch_event("h1", "dragover", detail)
    expect(area).not_to_have_class(re.compile("drop--over"))


def test_a_picture_dropped_beside_the_cards_does_not_replace_the_page(
    page: Page, colors: dict[str, Path]
) -> None:
    page.goto("/")
    drop(page, "h1", [colors["red"]])
    expect(page.locator(".upload")).to_have_count(0)
    expect(page.locator("h1")).to_have_text("What is in your picture?")


def test_a_picture_pasted_anywhere_leads_to_its_prediction(
    page: Page, colors: dict[str, Path]
) -> None:
    page.goto("/colors/")
    copy(page, colors["red"])
    page.keyboard.press("Control+V")
    expect_answer(page, "red")


def test_at_home_a_picture_is_pasted_where_the_pointer_is(
    page: Page, colors: dict[str, Path]
) -> None:
    page.goto("/")
    copy(page, colors["blue"])
    page.hover("h1")
    page.keyboard.press("Control+V")
    expect(page.locator("[data-paste-hint]")).to_be_visible()
    page.hover(f"{COLORS_FORM} .drop")
    page.keyboard.press("Control+V")
    expect_answer(page, "blue")


def test_several_pictures_are_answered_in_rows_and_all_stand_in_the_history(
    page: Page, colors: dict[str, Path]
) -> None:
    page.goto("/colors/")
    page.set_input_files(f"{COLORS_FORM} input[type=file]", list(colors.values()))
    rows = page.locator(".upload[data-label]")
    expect(rows).to_have_count(3)
    for row, (label, file) in zip(rows.all(), colors.items(), strict=True):
        expect(row).to_have_attribute("data-label", label)
        expect(row.locator(".upload__name")).to_have_text(file.name)
        expect(row.locator(".upload__percent")).to_contain_text("%")
    assert page.url.endswith("/colors/")
    rows.nth(1).get_by_role("link").click()
    expect_answer(page, "dark green")
    page.goto("/history/")
    expect(page.locator(".pictures li")).to_have_count(3)


def test_progress_is_shown_while_a_picture_is_sent(page: Page, colors: dict[str, Path]) -> None:
    page.goto("/colors/")
    page.route("**/colors/", lambda route: None)  # never answered
    page.set_input_files(f"{COLORS_FORM} input[type=file]", colors["red"])
    row = page.locator(".upload")
    expect(row.get_by_role("progressbar")).to_be_visible()
    expect(row.locator(".upload__message")).to_have_text(re.compile("Sending|Recognizing"))
    assert row.locator("canvas").evaluate("canvas => canvas.width") == 112


def test_a_file_over_the_limit_is_not_sent_and_the_message_is_the_servers(
    page: Page, tmp_path: Path
) -> None:
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.method))
    page.goto("/colors/")
    big = tmp_path / "big.jpg"
    with big.open("wb") as file:
        file.truncate(20 * 1024 * 1024 + 1)
    page.set_input_files(f"{COLORS_FORM} input[type=file]", big)
    expect(page.locator(".upload__message")).to_have_text(FileTooLargeError().message)
    assert "POST" not in posts


def test_a_refused_file_says_why_in_its_row_and_spoils_no_other(
    page: Page, colors: dict[str, Path], tmp_path: Path
) -> None:
    page.goto("/colors/")
    text = tmp_path / "<img src=x onerror=alert(1)>.txt"
    text.write_text("no picture")
    page.set_input_files(f"{COLORS_FORM} input[type=file]", [text, colors["red"]])
    failed = page.locator(".upload--failed")
    expect(failed.locator(".upload__name")).to_have_text(text.name)
    expect(failed.locator(".upload__message")).to_contain_text("JPEG")
    expect(failed.get_by_role("button")).to_be_hidden()
    expect(page.locator('.upload[data-label="red"]')).to_have_count(1)


def test_an_upload_that_lost_its_connection_can_be_tried_again(
    page: Page, colors: dict[str, Path]
) -> None:
    page.goto("/colors/")
    page.route("**/colors/", lambda route: route.abort("connectionreset"))
    page.set_input_files(f"{COLORS_FORM} input[type=file]", colors["red"])
    failed = page.locator(".upload--failed")
    expect(failed.locator(".upload__message")).to_contain_text("connection was lost")
    page.unroute("**/colors/")
    failed.get_by_role("button", name="Try again").click()
    expect_answer(page, "red")
