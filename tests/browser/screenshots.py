"""Pictures of the pages for the documents: `python -m tests.browser.screenshots [FOLDER]`.

A site of its own with the shipped digits, uploads that a made-up hand has drawn, reviews, and a
real training, seen by a real browser. Takes some minutes; `docs/screenshots/` unless told other.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import django
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM_FLAGS, CHROMIUM_NAMES
from tests.browser.digits import STROKES, draw

ROOT = Path(__file__).resolve().parents[2]
NAME, PASSWORD = "ada", "only-for-screenshots"
DESK = {"width": 1280, "height": 900}
TELEPHONE = {"width": 390, "height": 844}
WEEKS, UPLOADS_A_WEEK, WAITING = 10, 24, 30
DRAWN_A_CLASS = 40
DIGITS = [name for name in STROKES if name.isdigit()]
TRAINED_WITHIN_MS = 600_000
COLORS_KEPT = 256


def main() -> None:
    """Seed, serve, look, write."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lacewing-screenshots-") as directory:
        for name in [name for name in os.environ if name.startswith("LACEWING_")]:
            del os.environ[name]
        os.environ |= {"LACEWING_DATA_DIR": directory, "LACEWING_WORKERS": "1"}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "classifier_site.settings")
        seed(Path(directory))
        with serving() as url, sync_playwright() as playwright:
            found = (shutil.which(name) for name in CHROMIUM_NAMES)
            executable = os.environ.get("CHROMIUM") or next(filter(None, found), None)
            browser = playwright.chromium.launch(
                executable_path=executable, args=list(CHROMIUM_FLAGS)
            )
            Photographer(browser, url, target, Path(directory)).take_all()
            browser.close()


def seed(directory: Path) -> None:
    """Fill the data directory: ten weeks of uploads, most of them reviewed."""
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.utils import timezone

    from recognition import services
    from recognition.models import Prediction, Recognizer

    call_command("migrate", verbosity=0)
    services.register_shipped()
    ada = get_user_model().objects.create_superuser(NAME, password=PASSWORD)
    grace = get_user_model().objects.create_user("grace", is_staff=True)
    recognizer = Recognizer.objects.get(slug="digits")

    generator = np.random.default_rng(7)
    for digit in DIGITS:
        folder = directory / "drawn" / digit
        folder.mkdir(parents=True)
        for number in range(DRAWN_A_CLASS):
            (folder / f"{number}.png").write_bytes(draw(digit, generator, haste=4))
    recognizer.data_sources = [str(directory / "drawn")]
    recognizer.retention_days = 365
    recognizer.save()

    now = timezone.now()
    for number in range(WEEKS * UPLOADS_A_WEEK + WAITING):
        truth = str(generator.choice(DIGITS)) if generator.random() < 0.93 else "scrawl"
        picture = draw(truth, generator, haste=generator.uniform(1, 4))
        row = services.classify_upload(recognizer, picture, visitor_id=None)
        waits = number >= WEEKS * UPLOADS_A_WEEK
        age = timedelta(minutes=7 * number % 600)
        if not waits:
            age += timedelta(days=7 * (WEEKS - number / UPLOADS_A_WEEK))
        changes = {"created_at": now - age, "is_audit": not waits}
        Prediction.objects.filter(pk=row.pk).update(**changes)
        label = "" if truth == "scrawl" else truth
        if waits:
            if number % 6 == 0:
                services.suggest_label(row, label)
            continue
        services.review_predictions([row], label, ada)
        if number % 5 == 0:
            other = str(generator.choice(DIGITS)) if number % 60 == 0 else label
            services.review_predictions([row], other, grace)


@contextmanager
def serving() -> Iterator[str]:
    """Serve the data directory with its worker; yield the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "manage.py", "serve", "--port", url.rpartition(":")[2]]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        for _ in range(600):
            try:
                with urlopen(f"{url}/readyz", timeout=5):
                    break
            except (URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


class Photographer:
    """Goes through the site as a visitor and as a reviewer, and keeps what is seen."""

    def __init__(self, browser: Browser, url: str, target: Path, directory: Path) -> None:
        self.browser, self.url, self.target, self.directory = browser, url, target, directory

    def take_all(self) -> None:
        """Take every picture, in the order of the loop."""
        own_link = self.visitor()
        reviewer = self.signed_in()
        page = reviewer.new_page()
        self.reviewing(page)
        self.training(page)
        self.versions(page)
        self.deletion(page, own_link)

    def open(self, size: dict[str, int]) -> BrowserContext:
        """Return a profile that shows pages at a size."""
        context = self.browser.new_context(
            base_url=self.url,
            locale="en-GB",
            viewport={"width": size["width"], "height": size["height"]},
        )
        context.set_default_timeout(30_000)
        return context

    def signed_in(self) -> BrowserContext:
        """Return a profile of the reviewer."""
        context = self.open(DESK)
        page = context.new_page()
        page.goto("/admin/")
        page.get_by_label("Username").fill(NAME)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(re.compile(r"/admin/$"))
        page.close()
        return context

    def keep(self, page: Page, name: str, *, at: str = "body", telephone: bool = True) -> None:
        """Write what the page shows from the element `at` on: at a desk, and on a telephone."""
        sizes = {name: DESK} | ({f"{name}-phone": TELEPHONE} if telephone else {})
        for file_name, size in sizes.items():
            page.set_viewport_size({"width": size["width"], "height": size["height"]})
            page.wait_for_timeout(400)  # the layout settles
            page.locator(at).first.evaluate("element => element.scrollIntoView()")
            self.write(page, file_name)
        page.set_viewport_size({"width": DESK["width"], "height": DESK["height"]})

    def write(self, page: Page, name: str) -> None:
        """Write one picture, in few colours, for it stays in the repository for ever."""
        page.wait_for_load_state("networkidle")
        shot = Image.open(BytesIO(page.screenshot())).convert("RGB")
        shot.quantize(COLORS_KEPT).save(self.target / f"{name}.png", optimize=True)

    def visitor(self) -> str:
        """Upload, suggest, look back; return the uploader's own link."""
        page = self.open(DESK).new_page()
        file = self.directory / "five.png"
        file.write_bytes(draw("5", np.random.default_rng(3)))
        page.goto("/digits/")
        page.set_input_files("input[type=file]", file)
        page.wait_for_url("**/predictions/**")
        page.get_by_text("Show where it looked").click()
        self.keep(page, "prediction")
        own_link = page.get_by_label("Your own link").input_value()
        page.get_by_role("button", name="That is right").click()
        expect(page.locator("#verdict")).to_contain_text("Thank you")
        self.keep(page, "suggestion", at="#verdict-title")
        return own_link

    def reviewing(self, page: Page) -> None:
        """Show the queues, the card, the grid, the dashboard."""
        page.goto("/admin/recognition/prediction/queues/?recognizer=digits")
        self.keep(page, "queues")
        page.locator("a[href*='queue=suggested']").first.click()
        expect(page.locator(".review__choices")).to_be_visible()
        self.keep(page, "review")
        page.goto("/admin/recognition/prediction/queues/grid/?recognizer=digits")
        self.keep(page, "grid")
        page.goto("/admin/recognition/recognizer/")
        page.get_by_role("link", name="Handwritten digits", exact=True).click()
        self.recognizer_url = page.url
        page.goto(page.url.replace("/change/", "/dashboard/"))
        self.keep(page, "dashboard")

    def training(self, page: Page) -> None:
        """Ask for a training, follow it, wait for its end."""
        page.goto(self.recognizer_url)
        page.locator("select[name=promotion]").select_option("propose")
        page.get_by_role("button", name="Save and continue editing").click()
        page.get_by_role("link", name="Retrain…").click()
        page.get_by_label("Epochs").fill("20")
        where = page.get_by_text(str(self.directory), exact=False)
        where.evaluate("element => { element.textContent = '/srv/pictures/digits'; }")
        self.keep(page, "retrain", at="#lesson-title")
        page.get_by_role("button", name="Begin the training").click()
        page.wait_for_url("**/trainingrun/**")
        epochs = page.locator(".training-epochs tbody tr")
        expect(epochs.nth(9)).to_be_visible(timeout=TRAINED_WITHIN_MS)
        self.keep(page, "training")
        state = page.locator("#training-state")
        expect(state).to_contain_text("done", timeout=TRAINED_WITHIN_MS)

    def versions(self, page: Page) -> None:
        """Show the gate of the new version, activate it, show all versions and the record."""
        page.get_by_role("link", name="digits v2").first.click()
        page.get_by_role("link", name=re.compile("gate", re.IGNORECASE)).first.click()
        self.keep(page, "gate")
        if page.locator(".lacewing-flip").count():
            self.keep(page, "flips", at=".lacewing-flip")
        page.get_by_role("link", name=re.compile("^(Activate|Force it)")).click()
        reason = page.locator("form textarea")
        if reason.count():
            reason.first.fill("For the pictures of the documents.")
        page.get_by_role("button", name="Activate digits v2").click()
        page.goto("/admin/recognition/modelversion/of/" + self.recognizer_id() + "/")
        self.keep(page, "versions")
        page.goto("/admin/recognition/activation/of/" + self.recognizer_id() + "/")
        self.keep(page, "activations", telephone=False)

    def recognizer_id(self) -> str:
        """Return the id in the recognizer's address."""
        return self.recognizer_url.rstrip("/").split("/")[-2]

    def deletion(self, page: Page, own_link: str) -> None:
        """Show what is said before a deletion, and the receipt after it."""
        page.goto("/admin/recognition/prediction/?state__exact=agreed")
        page.locator("#result_list tbody th a, #result_list tbody td a").first.click()
        page.goto(page.url.split("?")[0].replace("/change/", "/delete/"))
        self.keep(page, "deletion")
        page.locator("form[method=post] [type=submit]:visible").last.click()
        page.get_by_role("link", name="Retrain without it…").click()
        self.keep(page, "receipt", telephone=False)
        visitor = self.open(DESK).new_page()
        visitor.goto(own_link)
        visitor.get_by_text("Delete this picture").click()
        visitor.get_by_role("button", name="Delete for good").click()
        visitor.get_by_role("link", name="Receipt").click()
        self.keep(visitor, "deleted", telephone=False)


if __name__ == "__main__":
    main()
