"""What people do with a prediction; every page narrow and wide, with and without scripts."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.seed import ADMIN_NAME, ADMIN_PASSWORD, HOSTILE
from tests.browser.test_uploading import PREDICTION


def upload(page: Page, file: Path, slug: str = "colors") -> str:
    """Upload without scripts or with; return the address of the prediction."""
    page.goto(f"/{slug}/")
    page.set_input_files(f'form[action="/{slug}/"] input[type=file]', file)
    if page.get_by_role("button", name="Recognize", exact=True).is_visible():
        page.get_by_role("button", name="Recognize", exact=True).click()
    page.wait_for_url(PREDICTION)
    return page.url


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def visitor(request: pytest.FixtureRequest, new_context: Callable[..., BrowserContext]) -> Page:
    """Return a page of a browser with and without scripts."""
    return new_context(java_script_enabled=request.param).new_page()


def test_the_map_is_laid_over_the_picture_and_taken_away(
    visitor: Page, colors: dict[str, Path]
) -> None:
    upload(visitor, colors["red"])
    overlay, photo = visitor.locator(".picture__activation"), visitor.locator(".picture__photo")
    expect(overlay).to_be_hidden()
    visitor.get_by_text("Show where it looked").click()
    expect(overlay).to_be_visible()
    assert overlay.bounding_box() == photo.bounding_box()
    visitor.get_by_label("Show where it looked").press("Space")
    expect(overlay).to_be_hidden()


def test_the_uploader_says_what_it_is(visitor: Page, colors: dict[str, Path]) -> None:
    address = upload(visitor, colors["red"])
    visitor.get_by_label("Wrong, it is").select_option("dark_green")
    visitor.get_by_role("button", name="Send").click()
    expect(visitor.locator("#verdict")).to_contain_text("You said that it is dark green")
    expect(visitor.locator("#prediction-state")).to_have_text("To be reviewed")
    assert visitor.url == address
    visitor.get_by_text("Change your answer").click()
    visitor.get_by_role("button", name="That is right").click()
    expect(visitor.locator("#verdict")).to_contain_text("You said that red is right")


def test_all_classes_are_shown_on_request(visitor: Page, colors: dict[str, Path]) -> None:
    upload(visitor, colors["red"])
    visitor.goto(f"{visitor.url}?top_k=1")
    expect(visitor.locator(".class")).to_have_count(1)
    visitor.get_by_role("link", name="Show all 3 classes").click()
    expect(visitor.locator(".class")).to_have_count(3)
    assert visitor.url.endswith("?top_k=3")


def test_who_uploaded_deletes(visitor: Page, colors: dict[str, Path]) -> None:
    upload(visitor, colors["red"])
    visitor.get_by_text("Delete this picture").click()
    visitor.get_by_role("button", name="Delete for good").click()
    visitor.wait_for_url("**/history/")
    expect(visitor.get_by_role("status")).to_contain_text("are deleted")
    expect(visitor.locator("h1")).to_have_text("No pictures yet")


def test_a_refused_upload_without_scripts_keeps_the_form(
    new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/colors/")
    text = tmp_path / "text.txt"
    text.write_text("no picture")
    page.set_input_files("input[type=file]", text)
    with page.expect_response("**/colors/") as answered:
        page.get_by_role("button", name="Recognize", exact=True).click()
    assert answered.value.status == 415
    expect(page.get_by_role("alert")).to_contain_text("JPEG")
    expect(page.locator("input[type=file]")).to_be_visible()


def test_the_link_is_copied(page: Page, colors: dict[str, Path]) -> None:
    address = upload(page, colors["red"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("[data-copy=share-link]").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == address


def test_the_keyboard_reaches_everything(page: Page) -> None:
    page.goto("/colors/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("input[type=file]")).to_be_focused()
    outline = page.locator(".drop").evaluate("area => getComputedStyle(area).outlineStyle")
    assert outline == "solid"


def test_no_page_is_wider_than_a_small_telephone(
    new_context: Callable[..., BrowserContext], colors: dict[str, Path]
) -> None:
    page = new_context(viewport={"width": 320, "height": 640}).new_page()
    prediction = upload(page, colors["dark_green"])
    hostile = upload(page, colors["red"], "hostile")
    for address in ("/", "/colors/", "/hostile/", prediction, hostile, "/history/", "/nothing/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address


def test_hostile_texts_stay_texts_on_every_page(page: Page, colors: dict[str, Path]) -> None:
    prediction = upload(page, colors["red"], "hostile")
    expect(page.locator("h1")).to_contain_text(HOSTILE)
    page.get_by_label("Wrong, it is").select_option(f"{HOSTILE} 2")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#verdict")).to_contain_text(f"{HOSTILE} 2")
    page.goto("/hostile/")
    page.set_input_files("input[type=file]", [colors["red"], colors["blue"]])
    expect(page.locator(".upload[data-label]")).to_have_count(2)
    for address in ("/", "/hostile/", "/history/", prediction, "/api/v1/docs"):
        page.goto(address)
        page.wait_for_load_state("networkidle")


def test_hostile_texts_stay_texts_in_the_admin(page: Page, colors: dict[str, Path]) -> None:
    prediction = upload(page, colors["red"], "hostile")
    page.goto("/admin/")
    page.get_by_label("Username").fill(ADMIN_NAME)
    page.get_by_label("Password").fill(ADMIN_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile(r"/admin/$"))
    identifier = prediction.rstrip("/").rsplit("/", 1)[-1]
    for address in (
        "recognizer/",
        "modelversion/",
        "modelversion/?is_active__exact=1",
        "prediction/",
        f"prediction/?q={identifier}",
        f"prediction/{identifier}/change/",
        "review/",
    ):
        response = page.goto(f"/admin/recognition/{address}")
        assert response is not None
        assert response.status == 200, address
        page.wait_for_load_state("networkidle")
