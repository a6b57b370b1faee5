"""What is wrong with pictures is found, said in a line, and shown on a page."""

import html
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from ml.dataset import Dataset, load_dataset
from ml.health import NAMES_SHOWN, Copies, HealthReport, LabelledName, SkippedFile
from ml.health_page import PICTURES_SHOWN, render_health
from ml.images import Pixels
from ml.quality import SIDE_PX, judge
from tests.ml.dataset_pictures import file_of, photo, write_classes

LARGE = (320, 240)


def sharp(seed: int) -> Image.Image:
    """Return a scene with edges: rectangles before a soft background."""
    picture = photo(seed, LARGE)
    draw = ImageDraw.Draw(picture)
    generator = np.random.default_rng(seed)
    for _ in range(4):
        x, y = generator.integers(0, 240), generator.integers(0, 160)
        color = tuple(int(level) for level in generator.integers(0, 256, 3))
        draw.rectangle((x, y, x + 60, y + 60), fill=color)
    return picture


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB"))


def drawing(seed: int) -> Image.Image:
    picture = Image.new("RGB", LARGE, "white")
    generator = np.random.default_rng(seed)
    ends = [(int(generator.integers(0, 320)), int(generator.integers(0, 240))) for _ in range(3)]
    ImageDraw.Draw(picture).line(ends, fill="black", width=3)
    return picture


def save(folder: Path, pictures: Iterable[Image.Image]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, start=len(list(folder.iterdir()))):
        (folder / f"{number}.png").write_bytes(file_of(picture))


def load(root: Path) -> Dataset:
    return load_dataset([root], unpack_dir=root / "unpacked", progress=False)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two classes of sharp scenes with one of each kind of bad picture."""
    root = tmp_path_factory.mktemp("scenes")
    save(root / "ants", [sharp(seed) for seed in range(12)])
    save(root / "bees", [sharp(seed) for seed in range(20, 32)])
    blurred = sharp(40).filter(ImageFilter.GaussianBlur(8))
    save(root / "ants", [blurred, drawing(1)])
    (root / "bees" / "copy.png").write_bytes((root / "bees" / "0.png").read_bytes())
    (root / "bees" / "alike.jpg").write_bytes(file_of(sharp(0), "JPEG", quality=80))
    (root / "bees" / "note.txt").write_text("<b>no picture</b>")
    return load(root)


# Quality


@pytest.mark.parametrize("seed", range(5))
def test_a_scene_is_sharp_until_it_is_blurred(seed: int) -> None:
    picture = sharp(seed)
    assert not judge(pixels(picture)).is_blurred
    assert judge(pixels(picture.filter(ImageFilter.GaussianBlur(8)))).is_blurred


def test_a_sharp_subject_before_a_blurred_background_is_not_blurred() -> None:
    picture = sharp(0).filter(ImageFilter.GaussianBlur(12))
    ImageDraw.Draw(picture).rectangle((150, 100, 190, 140), fill="black", outline="white", width=4)
    assert not judge(pixels(picture)).is_blurred


def test_paleness_is_not_blur() -> None:
    pale = Image.blend(sharp(3), Image.new("RGB", LARGE, "white"), 0.8)
    assert not judge(pixels(pale)).is_blurred


def test_a_small_picture_is_never_called_blurred() -> None:
    small = photo(0, (SIDE_PX - 1, SIDE_PX - 1)).filter(ImageFilter.GaussianBlur(9))
    assert judge(pixels(small)).sharpness is None
    assert not judge(pixels(small)).is_blurred


@pytest.mark.parametrize("side_px", [(1, 1), (1, 400), (400, 2), (300, 300)])
def test_any_size_and_one_colour_can_be_judged(side_px: tuple[int, int]) -> None:
    quality = judge(np.full((*side_px, 3), 200, np.uint8))
    assert (quality.sharpness, quality.blank_share) == (None, 1.0)


def test_blank_is_the_share_of_the_commonest_colour_in_the_noise_of_a_camera() -> None:
    paper = np.random.default_rng(0).normal((200, 180, 160), 2, (240, 320, 3))
    canvas = paper.clip(0, 255).astype(np.uint8)
    canvas[:60] = 0
    assert judge(canvas).blank_share == pytest.approx(0.75, abs=0.02)


# What load_dataset reports


def test_blurred_and_blank_pictures_are_found(scenes: Dataset) -> None:
    assert [Path(p.name).name for p in scenes.health.blurred] == ["12.png"]
    assert [Path(p.name).name for p in scenes.health.blank] == ["13.png"]
    lines = scenes.health.lines()
    assert any("1 picture blurred all over" in line for line in lines)
    assert any("1 picture mostly blank" in line for line in lines)


def test_among_drawings_blank_paper_is_normal(tmp_path: Path) -> None:
    save(tmp_path / "a", [drawing(seed) for seed in range(6)])
    save(tmp_path / "b", [drawing(seed) for seed in range(10, 16)])
    assert load(tmp_path).health.blank == ()


def test_arrays_say_what_was_not_searched_and_which_rows_are_flat(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    rows[5] = 7
    rows[30] = rows[2]
    labels = np.arange(40) % 2
    np.savez(
        tmp_path / "d.npz",
        x_train=rows[:30], y_train=labels[:30], x_test=rows[30:], y_test=labels[30:],
        class_names=np.array(["käfer", "moth"]),
    )  # fmt: skip
    dataset = load_dataset([tmp_path / "d.npz"], unpack_dir=tmp_path, progress=False)
    assert dataset.labels == ("käfer", "moth")
    assert [picture.name for picture in dataset.health.flat] == ["d.npz[train 5]"]
    told = "\n".join(dataset.health.lines())
    assert "39 pictures of .npz files were searched for exact copies only" in told
    assert "1 picture for testing also among those for training" in told


# Lines


def named(number: int, label: str = "ants") -> LabelledName:
    return LabelledName(name=f"{number}.jpg", label=label, sha256=str(number))


def test_a_flawless_data_set_has_one_line() -> None:
    report = HealthReport(pictures=100, class_counts={"ants": 50, "bees": 50})
    assert report.findings() == []
    assert report.lines() == ["100 pictures: ants: 50; bees: 50"]


def test_each_finding_is_one_line_with_the_first_names_and_the_number_of_the_rest() -> None:
    report = HealthReport(
        pictures=405,
        class_counts={"ants": 400, "bees": 5},
        skipped=(SkippedFile(name="x.txt", reason="no picture"),),
        exact_duplicates=(Copies(kept=named(1), left_out=("2.jpg", "3.jpg")),),
        blurred=tuple(map(named, range(NAMES_SHOWN + 2))),
    )
    assert report.lines()[1:] == [
        "fewer than 30 pictures, so that its figures say little: bees: 5",
        "unbalanced: ants has more than 10 times as many pictures as bees",
        "1 file skipped: x.txt (no picture)",
        "2 exact copies left out: 2.jpg = 3.jpg = 1.jpg",
        "7 pictures blurred all over: 0.jpg; 1.jpg; 2.jpg; 3.jpg; 4.jpg; and 2 more",
    ]


# The page


def test_the_page_shows_counts_findings_and_their_pictures(scenes: Dataset) -> None:
    page = render_health(scenes, title="scenes").decode()
    assert "<title>Health of scenes" in page
    for finding in scenes.health.findings():
        assert html.escape(finding.summary[1:], quote=False) in page.replace("&#39;", "'")
    shown = sum(
        len(instance.pictures)
        for finding in scenes.health.findings()
        for instance in finding.instances
    )
    assert page.count("data:image/jpeg;base64,") == shown
    for label, total in scenes.health.class_counts.items():
        assert re.search(rf'{label}</th>\s*<td class="number">{total}<', page)


def test_the_page_fetches_nothing_and_runs_nothing(scenes: Dataset) -> None:
    page = render_health(scenes, title="scenes").decode()
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:image/jpeg;base64,|#)', page)
    assert "default-src 'none'" in page


def test_names_and_labels_are_escaped(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "x", {"<i>a": range(5), "b": range(5, 10)})
    (root / "b" / "<script>.txt").write_text("x")
    page = render_health(load(root), title="<b>").decode()
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;i&gt;a" in page
    assert "Health of &lt;b&gt;" in page


def test_at_most_so_many_pictures_are_shown_and_the_total_is_said(tmp_path: Path) -> None:
    save(tmp_path / "a", [photo(seed, (40, 20)) for seed in range(20)])
    save(tmp_path / "b", [photo(seed, (40, 20)) for seed in range(20, 40)])
    dataset = load(tmp_path)
    assert len(dataset.health.tiny) == 40
    page = render_health(dataset, title="x").decode()
    assert page.count("data:image/jpeg") == PICTURES_SHOWN
    assert f"The first {PICTURES_SHOWN} of 40 are shown" in page


def test_a_picture_that_has_gone_leaves_a_note(tmp_path: Path) -> None:
    save(tmp_path / "a", [photo(seed, (40, 20)) for seed in range(5)])
    save(tmp_path / "b", [photo(seed, (40, 20)) for seed in range(5, 10)])
    dataset = load(tmp_path)
    dataset.examples[0].path.unlink()
    page = render_health(dataset, title="x").decode()
    assert page.count("data:image/jpeg") == 9
    assert page.count("can no longer be read") == 1
