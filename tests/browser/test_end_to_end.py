"""The whole way: labelled pictures, one training command, an answer in the browser."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from tests.browser.test_uploading import PREDICTION

PICTURES_A_CLASS = 40
SIDE_PX = 48
TINTS = {"dusk": (40, 30, 200), "meadow": (30, 190, 40), "poppy": (220, 30, 30)}


def make_textures(tint: tuple[int, int, int], count: int, seed: int) -> list[bytes]:
    """Return pictures that share a tint and nothing else, so that none is another's twin."""
    generator = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        coarse = generator.integers(0, 256, (6, 6), np.uint8)
        texture = Image.fromarray(coarse).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        shade = 0.4 + 0.6 * np.asarray(texture, np.float32)[..., None] / 255
        file = BytesIO()
        Image.fromarray((shade * tint).astype(np.uint8)).save(file, "PNG")
        pictures.append(file.getvalue())
    return pictures


def test_a_folder_of_labelled_pictures_becomes_a_recognizer_that_answers(
    page: Page, site: Site, tmp_path: Path
) -> None:
    for seed, (label, tint) in enumerate(TINTS.items()):
        folder = tmp_path / "pictures" / label
        folder.mkdir(parents=True)
        for number, picture in enumerate(make_textures(tint, PICTURES_A_CLASS, seed)):
            (folder / f"{number}.png").write_bytes(picture)
    unseen = tmp_path / "unseen.png"
    unseen.write_bytes(make_textures(TINTS["poppy"], 1, seed=99)[0])

    printed = site.manage(
        "retrain",
        "tints",
        *("--data", str(tmp_path / "pictures")),
        *("--name", "Tints"),
        *("--architecture", "cnn"),
        *("--image-size", "32"),
        *("--epochs", "8"),
        *("--seed", "1"),
    )
    assert "tints v1 is active" in printed

    page.goto("/")
    expect(page.get_by_role("heading", name="Tints")).to_be_visible()
    page.goto("/tints/")
    expect(page.locator(".accuracy")).to_contain_text("test pictures it had never seen")
    with page.expect_navigation(url=PREDICTION):
        page.set_input_files("input[type=file]", unseen)
    expect(page.locator("h1")).to_contain_text("poppy")
    expect(page.locator(".facts")).to_contain_text("(cnn)")
