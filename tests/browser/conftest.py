"""A real server over a data directory of its own, and a browser that watches what goes wrong."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    expect,
    sync_playwright,
)

from tests.recognition.pictures import BLUE, GREEN, RED, make_picture

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN_S = 120
ANSWERS_WITHIN_MS = 15_000  # slow machines, other tests beside
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder `browser`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass(frozen=True, slots=True)
class Site:
    """A running Lacewing."""

    url: str
    environment: dict[str, str]

    def manage(self, *arguments: str) -> str:
        """Run a management command on the site's data; return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the seeded recognizers as `manage.py serve` does, until the last test is done."""
    directory = tmp_path_factory.mktemp("site")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LACEWING_")}
    environment |= {"LACEWING_DATA_DIR": str(directory), "LACEWING_WORKERS": "1"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    seed = [sys.executable, "-m", "tests.browser.seed"]
    subprocess.run(seed, cwd=ROOT, env=environment, check=True)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = directory / "serve.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, server, log)
        yield Site(url, environment)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline_s and server.poll() is None:
        try:
            with urlopen(f"{url}/readyz", timeout=5):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"The server did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium: the one that $CHROMIUM names, or the system's."""
    found = (shutil.which(name) for name in CHROMIUM_NAMES)
    executable = os.environ.get("CHROMIUM") or next(filter(None, found), None)
    if executable is None:
        pytest.fail(f"Install Chromium, or set CHROMIUM; looked for {', '.join(CHROMIUM_NAMES)}.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        expect.set_options(timeout=ANSWERS_WITHIN_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def new_context(browser: Browser, site: Site) -> Iterator[Callable[..., BrowserContext]]:
    """Return a function that opens a watched browser profile of its own.

    Its pages may break no content security policy, open no dialog and raise no error.
    """
    wrongs: list[str] = []
    contexts: list[BrowserContext] = []

    def on_console(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            wrongs.append(message.text)

    def on_dialog(dialog: Dialog) -> None:
        wrongs.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open_context(**options: Any) -> BrowserContext:
        context = browser.new_context(base_url=site.url, locale="en-GB", **options)
        context.set_default_timeout(ANSWERS_WITHIN_MS)
        context.on("console", on_console)
        context.on("dialog", on_dialog)
        context.on("weberror", lambda error: wrongs.append(str(error.error)))
        contexts.append(context)
        return context

    yield open_context
    for context in contexts:
        context.close()
    assert wrongs == []


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    """Return a page of a fresh visitor."""
    return new_context(viewport={"width": 1280, "height": 900}).new_page()


@pytest.fixture
def colors(tmp_path: Path) -> dict[str, Path]:
    """Return picture files by the label that the colour recognizer gives them."""
    files = {}
    for label, color in (("red", RED), ("dark_green", GREEN), ("blue", BLUE)):
        files[label] = tmp_path / f"{label} picture.png"
        files[label].write_bytes(make_picture(color, file_format="PNG"))
    return files
