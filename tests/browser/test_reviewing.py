"""Reviewing by keys alone, without scripts, by the page, and on a telephone."""

import re
from collections.abc import Callable
from itertools import count

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import Site
from tests.browser.seed import ADMIN_NAME, ADMIN_PASSWORD

PREDICTIONS = "/admin/recognition/prediction"
_numbers = count(1)


@pytest.fixture
def slug(site: Site) -> str:
    """Return a recognizer of its own whose four pictures wait."""
    name = f"shades-{next(_numbers)}"
    site.manage("shell", "-c", f"from tests.browser.seed import add_cards; add_cards({name!r})")
    return name


@pytest.fixture
def other_reviewer(site: Site) -> str:
    """Return the name of a second reviewer, whose password is their name."""
    name = f"otto-{next(_numbers)}"
    make = "from django.contrib.auth.models import User; User.objects.create_superuser"
    site.manage("shell", "-c", f"{make}({name!r}, password={name!r})")
    return name


def sign_in(page: Page, name: str = ADMIN_NAME, password: str = ADMIN_PASSWORD) -> None:
    """Sign in with the keyboard."""
    page.goto("/admin/")
    page.get_by_label("Username").press_sequentially(name)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"^[^?]*/admin/$"))


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"The keyboard does not reach {target}.")


def said(page: Page) -> Locator:
    return page.locator("#review-said")


def expect_card(page: Page, accepted: str) -> None:
    """Expect a card that takes keys, and what Enter says on it."""
    expect(page.locator("[data-accept]")).to_contain_text(accepted)
    expect(page.locator("#review-question")).to_be_focused()
    loaded = "img => img.complete && img.naturalWidth > 0"
    assert page.locator(".review__frame img").first.evaluate(loaded)


def test_a_queue_is_worked_off_by_the_keyboard_alone(page: Page, slug: str) -> None:
    sign_in(page)
    page.goto(f"{PREDICTIONS}/queues/?recognizer={slug}")
    tab_to(page, page.get_by_role("link", name="Review: Newest"))
    page.keyboard.press("Enter")

    expect_card(page, "red")
    overlay = page.locator(".review__activation")
    expect(overlay).to_be_hidden()
    page.keyboard.press("m")
    expect(overlay).to_be_visible()

    address = page.url
    page.keyboard.press("2")
    expect(said(page)).to_have_text("Saved: dark green.")
    expect(overlay).to_be_visible()  # it stays as the reviewer wants it
    expect_card(page, "blue")
    expect(page.get_by_text("The uploader says: blue")).to_be_visible()
    page.keyboard.press("Enter")
    expect(said(page)).to_have_text("Saved: blue.")

    page.keyboard.press("u")
    expect(said(page)).to_have_text("Taken back: here it is again.")
    expect_card(page, "blue")
    page.keyboard.press("n")
    expect(said(page)).to_have_text("Saved: none of the classes.")

    expect_card(page, "red")
    page.keyboard.press("/")
    expect(page.get_by_label("Another label")).to_be_focused()
    page.keyboard.type("mauve")
    page.keyboard.press("Enter")
    expect(said(page)).to_contain_text("“mauve”, which is no label here")
    tab_to(page, page.get_by_text("A class that is not there yet"))
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("mauve")
    page.keyboard.press("Enter")
    expect(said(page)).to_have_text("Saved: mauve.")

    expect_card(page, "blue")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Nothing waits here")).to_be_focused()
    page.keyboard.press("u")
    expect_card(page, "blue")
    assert page.url == address


def test_keys_are_explained_and_can_be_turned_off(page: Page, slug: str) -> None:
    sign_in(page)
    page.goto(f"{PREDICTIONS}/review/?recognizer={slug}&queue=newest")
    page.keyboard.press("?")
    help_dialog = page.get_by_role("dialog", name="Keys")
    expect(help_dialog).to_be_visible()
    page.keyboard.press("1")
    help_dialog.get_by_label("Use these keys").press("Space")
    page.keyboard.press("Escape")
    expect(help_dialog).to_be_hidden()

    page.keyboard.press("1")
    page.reload()
    page.keyboard.press("n")
    expect(said(page)).to_be_empty()
    page.keyboard.press("?")
    help_dialog.get_by_label("Use these keys").press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(said(page)).to_have_text("Saved: red.")


def test_an_answer_that_did_not_arrive_is_told_and_can_be_given_again(
    page: Page, slug: str
) -> None:
    sign_in(page)
    page.goto(f"{PREDICTIONS}/review/?recognizer={slug}&queue=newest")
    page.context.set_offline(True)
    page.keyboard.press("1")
    expect(said(page)).to_contain_text("Not saved")
    page.context.set_offline(False)
    page.keyboard.press("1")
    expect(said(page)).to_have_text("Saved: red.")


def test_two_reviewers_at_once_see_different_pictures(
    page: Page, new_context: Callable[..., BrowserContext], slug: str, other_reviewer: str
) -> None:
    other = new_context().new_page()
    sign_in(page)
    sign_in(other, other_reviewer, other_reviewer)
    pictures = []
    for reviewer in (page, other):
        reviewer.goto(f"{PREDICTIONS}/review/?recognizer={slug}&queue=newest")
        pictures += [
            picture.get_attribute("src")
            for picture in reviewer.locator("#review-card img[src$='picture.jpg']").all()
        ]
    assert len(pictures) == len(set(pictures)) == 4


def test_without_scripts_each_answer_is_a_button(
    new_context: Callable[..., BrowserContext], slug: str
) -> None:
    page = new_context(java_script_enabled=False).new_page()
    sign_in(page)
    page.goto(f"{PREDICTIONS}/review/?recognizer={slug}&queue=newest")
    page.get_by_role("button", name="dark green").click()
    expect(said(page)).to_contain_text("Saved: dark green.")
    page.get_by_role("button", name="Undo").click()
    expect(said(page)).to_contain_text("Taken back")
    page.get_by_label("Another label").fill("blue")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(said(page)).to_contain_text("Saved: blue.")
    page.get_by_role("button", name="None of the classes").click()
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="blue").click()
    expect(page.get_by_role("heading", name="Nothing waits here")).to_be_visible()


def test_the_grid_is_worked_off_by_the_keyboard_alone(page: Page, slug: str) -> None:
    sign_in(page)
    page.goto(f"{PREDICTIONS}/queues/grid/?recognizer={slug}&label=red")
    ticks = page.locator(".grid__tick")
    tab_to(page, ticks.first)
    page.keyboard.press("ArrowRight")
    expect(ticks.nth(1)).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator("#grid-count")).to_have_text("1 selected")
    page.keyboard.press("a")
    expect(page.locator("#grid-count")).to_have_text("3 selected")
    page.keyboard.press("Space")
    expect(page.locator("#grid-count")).to_have_text("2 selected")
    tab_to(page, page.get_by_role("button", name="Confirm: red"))
    page.keyboard.press("Enter")

    expect(page.get_by_text("2 reviews written.")).to_be_visible()
    expect(ticks).to_have_count(1)
    ticks.first.press("Space")
    page.get_by_label("Another label").press_sequentially("blue")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 review written.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_telephone(
    scheme: str, new_context: Callable[..., BrowserContext], slug: str
) -> None:
    page = new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme).new_page()
    sign_in(page)
    for address in (
        "queues/",
        f"review/?recognizer={slug}&queue=newest",
        f"review/?recognizer={slug}&queue=suggested",
        f"queues/grid/?recognizer={slug}&label=red",
    ):
        page.goto(f"{PREDICTIONS}/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
