"""Every page of the admin, wide and narrow, light and dark, and what one does there."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.browser.seed import ADMIN_NAME, ADMIN_PASSWORD
from tests.browser.test_pages import upload

WIDTHS_PX = (1280, 390)
PAGES = (
    "",
    "recognition/prediction/",
    "recognition/review/",
    "recognition/recognizer/",
    "recognition/recognizer/add/",
    "recognition/recognizer/1/change/",
    "recognition/recognizer/1/history/",
    "recognition/recognizer/1/retrain/",
    "recognition/trainingrun/",
    "recognition/modelversion/",
    "recognition/modelversion/1/change/",
    "recognition/modelversion/3/change/",
    "recognition/modelversion/3/gate/",
    "recognition/modelversion/4/gate/",
    "recognition/modelversion/3/activate/",
    "recognition/modelversion/3/snapshot/",
    "recognition/modelversion/compare/1/3/",
    "recognition/modelversion/of/1/",
    "recognition/modelversion/of/2/",
    "recognition/modelversion/of/1/challenger/",
    "recognition/modelversion/of/2/challenger/",
    "recognition/activation/",
    "recognition/erasurereceipt/",
    "recognition/activation/of/1/",
    "auth/user/",
    "auth/user/add/",
    "auth/user/1/change/",
    "auth/user/1/password/",
    "auth/group/",
    "auth/group/1/change/",
    "password_change/",
)
DISPLAYED_COLOR = "element => getComputedStyle(element).backgroundColor"


def sign_in(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill(ADMIN_NAME)
    page.get_by_label("Password").fill(ADMIN_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile(r"/admin/$"))


@pytest.mark.parametrize("width_px", WIDTHS_PX)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_the_console_stays_empty(
    width_px: int,
    scheme: str,
    new_context: Callable[..., BrowserContext],
    colors: dict[str, Path],
) -> None:
    page = new_context(viewport={"width": width_px, "height": 844}, color_scheme=scheme).new_page()
    complaints: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{page.url}: {message.text}")

    page.on("console", on_console)
    prediction = upload(page, colors["red"]).rstrip("/").rsplit("/", 1)[-1]
    sign_in(page)
    own = f"recognition/prediction/{prediction}"
    for address in (*PAGES, f"{own}/change/", f"{own}/delete/"):
        response = page.goto(f"/admin/{address}")
        assert response is not None
        assert response.status == 200, address
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width_px, address
        assert ("dark" in (page.get_attribute("html", "class") or "")) == (scheme == "dark")
    assert complaints == []


def test_a_person_forces_a_version_with_the_keyboard_alone(page: Page) -> None:
    sign_in(page)
    page.goto("/admin/recognition/modelversion/4/gate/")
    overlay = page.locator(".lacewing-activation").first
    expect(overlay).to_be_visible()
    page.get_by_label("Show where they looked").press("Space")
    expect(overlay).to_be_hidden()
    page.get_by_role("link", name="Force it, with a reason…").press("Enter")
    page.get_by_label("Why it is to serve all the same").fill("A fair.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is active; every server process")).to_be_visible()
    page.goto("/admin/recognition/activation/of/2/")
    expect(page.get_by_role("row", name="forced past the gate")).to_contain_text("A fair.")
    page.get_by_label("Moment (UTC)").fill("2020-05-03T14:00")
    page.get_by_role("button", name="Ask").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("no version served yet")


def test_the_selected_are_given_a_label(page: Page, colors: dict[str, Path]) -> None:
    prediction = upload(page, colors["blue"]).rstrip("/").rsplit("/", 1)[-1]
    sign_in(page)
    page.goto(f"/admin/recognition/prediction/?q={prediction}")
    page.locator("input.action-select").check()
    page.locator("#changelist-actions select").select_option("set_label")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".lacewing-title")).to_contain_text("Set label")
    page.get_by_label("Label", exact=True).select_option("dark_green")
    page.get_by_role("button", name="Set label").click()
    expect(page.get_by_text("1 review written.")).to_be_visible()
    expect(page.locator("#result_list strong")).to_have_text("dark_green")


def test_the_filters_open_and_narrow_the_list(page: Page, colors: dict[str, Path]) -> None:
    upload(page, colors["blue"])
    sign_in(page)
    page.goto("/admin/recognition/prediction/")
    choice = page.locator("#changelist-filter").get_by_role("link", name="50 points and more")
    expect(choice).to_be_hidden()
    page.locator("#changelist a", has_text="Filters").first.click()
    choice.click()
    page.wait_for_url("**/?margin_band=wide")


def test_the_sidebar_opens_on_a_telephone(new_context: Callable[..., BrowserContext]) -> None:
    page = new_context(viewport={"width": 390, "height": 844}).new_page()
    sign_in(page)
    link = page.locator("#nav-sidebar-inner").get_by_role("link", name="Model versions")
    expect(link).not_to_be_in_viewport()
    page.get_by_text("dock_to_right").nth(1).click()
    link.click()
    page.wait_for_url("**/recognition/modelversion/")


def test_a_chosen_theme_stays(page: Page) -> None:
    sign_in(page)
    ground = page.locator("#main")
    light = ground.evaluate(DISPLAYED_COLOR)
    page.locator("#nav-sidebar-inner").get_by_text(ADMIN_NAME).click()
    page.locator("#nav-sidebar-inner").get_by_text("Dark", exact=True).click()
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    page.reload()
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    assert ground.evaluate(DISPLAYED_COLOR) != light


def test_a_page_can_be_read_without_scripts(new_context: Callable[..., BrowserContext]) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/admin/")
    page.locator("[name=username]").fill(ADMIN_NAME)
    page.locator("[name=password]").fill(ADMIN_PASSWORD)
    page.locator("#login-form button[type=submit]").click()
    page.goto("/admin/recognition/recognizer/")
    page.locator("#result_list").get_by_role("link", name="Colours").click()
    expect(page.get_by_label("Name")).to_be_visible()
