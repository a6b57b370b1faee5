"""Every command of the README, run as it stands in a copy of the project.

What a newcomer cannot have in a test is changed, and named here: the port, which may be
taken, and the training, which would download a network and take minutes.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.recognition.pictures import make_picture

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", README, re.MULTILINE)
RUN_BY_CI = ("make test", "make test-browser", "make test-server", "make test-readme", "make lint")
QUICK_TRAINING = " --architecture cnn --image-size 32 --epochs 1 --activate force"
COLORS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 200)}
PICTURES_PER_CLASS = 30


def commands_with(text: str) -> list[str]:
    found = [command for command in COMMANDS if text in command]
    assert found, f"The README has no command with {text!r}"
    return found


def test_ci_runs_the_commands_that_check_the_project() -> None:
    script = (PROJECT / ".ci/run").read_text()

    for command in RUN_BY_CI:
        assert command in COMMANDS
        assert f"\n{command}\n" in script


def test_files_that_documents_link_to_exist() -> None:
    for document in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_make_commands_exist() -> None:
    rules = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))

    assert {command.split()[1] for command in commands_with("make ")} <= rules


class Copy:
    """A copy of the project, with a home directory and a server of its own."""

    def __init__(self, directory: Path) -> None:
        self.project = directory / "project"
        self.home = directory / "home"
        self.run_so_far: set[str] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        kept = {name: value for name, value in os.environ.items() if "LACEWING" not in name}
        kept.pop("DJANGO_SETTINGS_MODULE", None)
        self.environment = kept | {"HOME": str(self.home), "PORT": str(self.port)}

    def prepare(self) -> None:
        """Copy what git tracks or would track; borrow the virtual environment of the tests."""
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=PROJECT,
            capture_output=True,
            check=True,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            source, target = PROJECT / name, self.project / name
            if source.is_file():  # deleted files are listed until the deletion is committed
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        (self.project / ".venv").symlink_to(sys.prefix)
        (self.project / "photo.jpg").write_bytes(make_picture())
        unsorted = self.home / "photos" / "unsorted"
        unsorted.mkdir(parents=True)
        (unsorted / "one.jpg").write_bytes(make_picture())
        for label, color in COLORS.items():
            folder = self.home / "photos" / "flowers" / label
            folder.mkdir(parents=True)
            for number in range(PICTURES_PER_CLASS):
                (folder / f"{number}.png").write_bytes(speckled_picture(color, number))

    def run(self, command: str, *, added: str = "", typed: str = "") -> str:
        """Run one of the README's commands in bash; return its output."""
        self.run_so_far.add(command)
        line = command.replace(":8000", f":{self.port}") + added
        finished = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self.project,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, f"{line}: {finished.stdout}{finished.stderr}"
        return finished.stdout

    def serve(self, command: str) -> "subprocess.Popen[str]":
        """Start the server in the background and wait for its first page."""
        self.run_so_far.add(command)
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline_s = time.monotonic() + 120
        while time.monotonic() < deadline_s and server.poll() is None:
            if self.status("/") == 200:
                return server
            time.sleep(0.1)
        server.terminate()
        pytest.fail(f"No page within 120 s: {server.communicate()[0]}")

    def page(self, path: str) -> str:
        """Return a page's HTML."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as page:
            return str(page.read().decode())

    def status(self, path: str) -> int | None:
        """Return the status of a page, or None while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as page:
                return int(page.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None


def speckled_picture(color: tuple[int, int, int], seed: int) -> bytes:
    """Return a PNG of one colour with noise, so that no two pictures are alike."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng([seed, *color])
    coarse = np.array(color) + rng.integers(-40, 40, (6, 6, 3))
    pixels = np.clip(coarse, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    project = Copy(tmp_path_factory.mktemp("readme"))
    project.prepare()
    return project


@pytest.mark.readme
def test_readme_from_first_run_to_backup(copy: Copy) -> None:
    """Follow the README from top to bottom; nothing in it may be left out."""
    (serve,) = commands_with("make run")
    server = copy.serve(serve)
    try:
        style = re.search(r'href="(/static/[^"]+\.css)"', copy.page("/"))
        assert style
        assert copy.status(style[1]) == 200

        (upload,) = commands_with("curl")
        assert '"recognizer": "pests"' in copy.run(upload)

        (classify,) = commands_with(" classify ")
        copy.run(classify)
        assert (copy.project / "pests.csv").read_text().startswith("path,answer,label,probability")

        (inspect,) = commands_with(" inspect_data ")
        assert "red: 30" in copy.run(inspect)
        assert "Health of flowers" in (copy.project / "health.html").read_text("utf-8")
        train, explain = commands_with(" retrain ")
        assert "--architecture" in copy.run(explain)
        assert copy.status("/flowers/") == 404
        copy.run(train, added=QUICK_TRAINING)
        for _ in range(50):
            if copy.status("/flowers/") == 200:
                break
            time.sleep(0.1)
        assert copy.status("/flowers/") == 200
        copy.run(train, added=QUICK_TRAINING)
        (compare,) = commands_with(" compare ")
        # The networks of the README need weights that are downloaded.
        leaderboard = copy.run(compare, added=" --architectures linear cnn:depth=2 --epochs 1")
        assert "linear" in leaderboard

        (versions,) = commands_with(" recognizers")
        assert "flowers" in copy.run(versions)
        (rollback,) = commands_with(" rollback ")
        copy.run(rollback)
        (activate,) = commands_with(" activate ")
        copy.run(activate)
    finally:
        server.terminate()
        output = server.communicate(timeout=40)[0]
    assert f"http://127.0.0.1:{copy.port}" in output
    assert output.count("password “") == 1
    assert "Traceback" not in output

    (backup,) = commands_with("tar ")
    copy.run(backup)
    assert (copy.project / "lacewing-backup.tar.gz").stat().st_size > 0
    (check_storage,) = commands_with(" check_storage")
    copy.run(check_storage)
    (expired,) = commands_with(" delete_expired ")
    copy.run(expired)
    (check_settings,) = commands_with("check --deploy")
    copy.run(check_settings)

    (formatting,) = commands_with("make format")
    copy.run(formatting)
    (shell,) = commands_with("make shell")
    copy.run(shell, typed="print('recognizers:', Recognizer.objects.count())\n")
    (bench,) = commands_with("make bench")
    assert "requests/s" in copy.run(bench, added=" ARGS='--seconds 0.5'")

    assert copy.run_so_far | set(RUN_BY_CI) == set(COMMANDS)
