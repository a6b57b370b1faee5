"""The loop from end to end: uploads, reviews by keyboard, a real training, the gate, and back."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import Site
from tests.browser.seed import ADMIN_NAME, ADMIN_PASSWORD
from tests.browser.test_uploading import PREDICTION

TRAINED_WITHIN_MS = 240_000
PICTURES_A_CLASS = 60
SIDE_PX = 48
SHOWN = ("across", "across", "down", "down", "slanted")


def make_stripes(label: str, count: int, seed: int) -> list[bytes]:
    """Return pictures of stripes that only their direction tells apart.

    Colours, width and phase are random, so that a linear network has nothing to go by.
    """
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    along = {"across": y, "down": x, "slanted": (x + y) / np.sqrt(2)}[label]
    pictures = []
    for _ in range(count):
        wave = np.sin(along * generator.uniform(0.5, 1.1) + generator.uniform(0, 2 * np.pi))
        share = 0.5 + 0.5 * wave[..., None]
        first, second = generator.integers(0, 256, (2, 3))
        noise = generator.normal(0, 10, (SIDE_PX, SIDE_PX, 3))
        pixels = share * first + (1 - share) * second + noise
        file = BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
        pictures.append(file.getvalue())
    return pictures


@pytest.fixture
def poor_recognizer(site: Site, tmp_path: Path) -> None:
    """Train a first version with a network that cannot tell the classes apart."""
    for seed, label in enumerate(sorted(set(SHOWN))):
        folder = tmp_path / "pictures" / label
        folder.mkdir(parents=True)
        for number, picture in enumerate(make_stripes(label, PICTURES_A_CLASS, seed)):
            (folder / f"{number}.png").write_bytes(picture)
    site.manage(
        "retrain",
        "story",
        *("--data", str(tmp_path / "pictures")),
        *("--name", "Story"),
        *("--architecture", "linear"),
        *("--image-size", "32"),
        *("--epochs", "3"),
        *("--seed", "1"),
    )


def upload(page: Page, file: Path) -> str:
    """Upload one picture; return the path of its page."""
    page.goto("/story/")
    with page.expect_navigation(url=PREDICTION):
        page.set_input_files("input[type=file]", file)
    return page.url


def expect_to_answer(page: Page, file: Path, version: str) -> None:
    """Upload until the version answers: every process takes it over within seconds."""
    for _attempt in range(20):
        upload(page, file)
        answering = page.locator(".facts dd").first.inner_text().split()[0]
        if answering == version:
            return
        page.wait_for_timeout(500)
    pytest.fail(f"Version {answering} answers, not {version}.")


def sign_in(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill(ADMIN_NAME)
    page.get_by_label("Password").fill(ADMIN_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile(r"/admin/$"))


def review_by_keyboard(admin: Page, label_of: dict[str, str]) -> list[str]:
    """Answer every card with its label's key; return the ids in the order they came."""
    reviewed: list[str] = []
    card = admin.locator(".review__choices input[name=card]")
    while card.count():
        prediction_id = card.get_attribute("value") or ""
        assert prediction_id not in reviewed, "a card comes once"
        label = label_of[prediction_id]
        key = admin.locator(f".review__choices button[value={label}]").get_attribute("data-key")
        assert key, f"{label} has a key"
        admin.keyboard.press(key)
        reviewed.append(prediction_id)
        gone = f".review__choices input[name=card][value='{prediction_id}']"
        expect(admin.locator(gone)).to_have_count(0)
    return reviewed


def number_in(locator: Locator) -> int:
    found = re.search(r"\d+", locator.inner_text())
    assert found
    return int(found[0])


@pytest.mark.usefixtures("poor_recognizer")
def test_corrections_become_a_better_version_that_can_be_taken_back(
    page: Page, new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    # Five pictures are uploaded at once.
    files = []
    for number, label in enumerate(SHOWN):
        files.append(tmp_path / f"{number} {label}.png")
        files[-1].write_bytes(make_stripes(label, 1, seed=100 + number)[0])
    page.goto("/story/")
    page.set_input_files("input[type=file]", files)
    links = page.locator(".upload__link")
    expect(links).to_have_count(len(files))
    label_of, address_of = {}, {}
    for row in page.locator("li.upload").all():
        name = row.locator(".upload__name").inner_text()
        address = row.locator(".upload__link").get_attribute("href") or ""
        prediction_id = address.strip("/").split("/")[-1]
        label_of[prediction_id] = name.split()[1].removesuffix(".png")
        address_of[name] = address
    assert sorted(label_of.values()) == sorted(SHOWN)

    # Their uploader says of one what it shows.
    own_address = address_of[files[-1].name]
    page.goto(own_address)
    own_link = page.get_by_label("Your own link").input_value()
    if page.locator("h1").inner_text().startswith("slanted"):
        page.get_by_role("button", name="That is right").click()
    else:
        page.locator("#suggested-label").select_option("slanted")
        page.get_by_role("button", name="Send").click()
    expect(page.locator("#verdict")).to_contain_text("a reviewer will look at it")

    # A reviewer goes through all five by keyboard; the uploader reads the verdict elsewhere.
    admin = new_context(viewport={"width": 1280, "height": 900}).new_page()
    sign_in(admin)
    admin.goto("/admin/recognition/prediction/queues/?recognizer=story")
    newest = admin.locator("a[href*='queue=newest']")
    newest.focus()
    admin.keyboard.press("Enter")
    expect(admin.locator(".review__choices")).to_be_visible()
    assert sorted(review_by_keyboard(admin, label_of)) == sorted(label_of)
    expect(admin.locator("#review-question")).to_have_text("Nothing waits here")
    elsewhere = new_context().new_page()
    elsewhere.goto(own_link)
    expect(elsewhere.locator("#verdict")).to_contain_text(re.compile("this is slanted"))

    # A person, not the gate, shall decide here; then a training is begun and followed.
    admin.goto("/admin/recognition/recognizer/")
    admin.get_by_role("link", name="Story", exact=True).click()
    admin.locator("select[name=promotion]").select_option("propose")
    admin.get_by_role("button", name="Save and continue editing").click()
    admin.get_by_role("link", name="Retrain…").click()
    new_pictures = admin.locator(".lacewing-figures div").filter(has_text="New reviewed pictures")
    assert number_in(new_pictures.locator("dd")) == len(SHOWN)
    admin.get_by_label("Architecture").select_option("cnn")
    admin.get_by_label("Epochs").fill("12")
    admin.get_by_role("button", name="Begin the training").click()
    admin.wait_for_url("**/trainingrun/**")
    admin.evaluate("window.neverReloaded = true")
    epochs = admin.locator(".training-epochs tbody tr")
    expect(epochs.nth(1)).to_be_visible(timeout=TRAINED_WITHIN_MS)
    expect(admin.locator("#training-state")).to_contain_text("done", timeout=TRAINED_WITHIN_MS)
    assert admin.evaluate("window.neverReloaded") is True
    assert epochs.count() == 12

    # The gate has proposed it, and shows what flipped.
    admin.get_by_role("link", name="story v2").click()
    admin.get_by_role("link", name=re.compile("gate", re.IGNORECASE)).first.click()
    expect(admin.locator(".lacewing-note").first).to_contain_text("It waits for your decision.")
    gate_address = admin.url
    flips = admin.locator(".lacewing-flip")
    expect(flips.first.locator("img").first).to_be_visible()
    gained = admin.locator(".lacewing-figures div").filter(has_text="newly right").locator("dd")
    assert number_in(gained) > 0
    admin.get_by_role("link", name="Activate…").click()
    admin.get_by_role("button", name="Activate story v2").click()
    expect(admin.locator("body")).to_contain_text("story v2")

    # The new version answers.
    expect_to_answer(page, files[0], "2")
    expect(page.locator("h1")).to_contain_text("across")

    # The uploader takes a picture back: its old address names the version that learned from it.
    elsewhere.goto(own_link)
    elsewhere.get_by_text("Delete this picture").click()
    elsewhere.get_by_role("button", name="Delete for good").click()
    elsewhere.wait_for_url("**/history/")
    elsewhere.get_by_role("link", name="Receipt").click()
    expect(elsewhere.locator("h1")).to_have_text("Deleted")
    expect(elsewhere.locator("main")).to_contain_text("Version 2 had learned from it before.")

    # And back to the first version.
    admin.goto(gate_address)
    admin.get_by_role("link", name="All versions").click()
    admin.get_by_role("link", name="Roll back to v1…").click()
    admin.get_by_role("button", name="Activate story v1").click()
    expect_to_answer(page, files[0], "1")
