"""Sources of every kind become one dataset, or are refused by name."""

import csv
import gzip
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from ml.dataset import (
    Dataset,
    LabelledFile,
    load_dataset,
    read_known_splits,
    read_pixels,
    write_examples_csv,
)
from ml.errors import DatasetError
from tests.ml.dataset_pictures import file_of, photo, png, write_classes, write_zip

TWO_CLASSES = {"ants": range(20), "bees": range(20, 40)}


@pytest.fixture
def unpack_dir(tmp_path: Path) -> Path:
    return tmp_path / "unpacked"


@pytest.fixture
def pests(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "pests", TWO_CLASSES)


def load(*sources: Path, unpack_dir: Path, reviewed: tuple[LabelledFile, ...] = ()) -> Dataset:
    return load_dataset(sources, unpack_dir=unpack_dir, reviewed=reviewed, progress=False)


def refusal(*sources: Path, unpack_dir: Path) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        load(*sources, unpack_dir=unpack_dir)
    return caught.value


class TestFolders:
    def test_every_picture_of_every_class_is_an_example(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        dataset = load(pests, unpack_dir=unpack_dir)
        assert dataset.labels == ("ants", "bees")
        assert len(dataset.examples) == 40
        assert dataset.examples[0].name == "pests/ants/0.png"
        assert dataset.skipped == ()
        assert {e.label for e in dataset.examples if "/bees/" in e.name} == {"bees"}

    def test_examples_are_sorted_by_label_and_name(self, pests: Path, unpack_dir: Path) -> None:
        examples = load(pests, unpack_dir=unpack_dir).examples
        assert list(examples) == sorted(examples, key=lambda e: (e.label, e.name))

    def test_counts_cover_every_label_and_split(self, pests: Path, unpack_dir: Path) -> None:
        dataset = load(pests, unpack_dir=unpack_dir)
        counts = dataset.counts()
        assert {label: sum(splits.values()) for label, splits in counts.items()} == {
            "ants": 20,
            "bees": 20,
        }
        assert len(dataset.of_split("test")) == counts["ants"]["test"] + counts["bees"]["test"]
        assert all(count for splits in counts.values() for count in splits.values())

    def test_pixels_are_those_of_the_file(self, pests: Path, unpack_dir: Path) -> None:
        example = load(pests, unpack_dir=unpack_dir).examples[0]
        pixels = read_pixels(example)
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, np.asarray(photo(0)))

    def test_hidden_files_are_ignored_without_a_word(self, pests: Path, unpack_dir: Path) -> None:
        (pests / "ants" / ".DS_Store").write_bytes(b"x")
        (pests / "ants" / "Thumbs.db").write_bytes(b"x")
        (pests / "__MACOSX" / "ants").mkdir(parents=True)
        (pests / ".git").mkdir()
        dataset = load(pests, unpack_dir=unpack_dir)
        assert dataset.labels == ("ants", "bees")
        assert dataset.skipped == ()

    def test_files_that_are_no_pictures_are_skipped_and_listed(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        (pests / "ants" / "notes.txt").write_text("ants are small")
        (pests / "ants" / "half.png").write_bytes(png(0)[:200])
        (pests / "bees" / "gone.png").symlink_to(pests / "nowhere.png")
        (pests / "labels.csv").write_text("a,b")
        dataset = load(pests, unpack_dir=unpack_dir)
        assert len(dataset.examples) == 40
        assert [file.name for file in dataset.skipped] == [
            "pests/ants/half.png",
            "pests/ants/notes.txt",
            "pests/bees/gone.png",
            "pests/labels.csv",
        ]
        assert all(file.reason for file in dataset.skipped)
        assert dataset.skipped[2].reason == "the file does not exist"
        assert any("4 files skipped" in line for line in dataset.health.lines())

    def test_a_missing_folder_is_refused_by_name(self, tmp_path: Path, unpack_dir: Path) -> None:
        error = refusal(tmp_path / "nowhere", unpack_dir=unpack_dir)
        assert error.code == "missing_source"
        assert "nowhere" in error.message

    def test_another_kind_of_file_is_refused_by_name(
        self, tmp_path: Path, unpack_dir: Path
    ) -> None:
        (tmp_path / "pests.tar.gz").write_bytes(b"x")
        error = refusal(tmp_path / "pests.tar.gz", unpack_dir=unpack_dir)
        assert error.code == "unsupported_source"
        assert "pests.tar.gz" in error.message

    def test_pictures_without_class_folders_are_refused(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        error = refusal(pests / "ants", unpack_dir=unpack_dir)
        assert error.code == "no_class_folders"
        assert "<class>" in error.message

    def test_a_wrapping_folder_is_refused_naming_what_to_pass(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        error = refusal(pests.parent, unpack_dir=unpack_dir)
        assert error.code == "nested_folders"
        assert f"Pass {pests} instead" in error.message

    def test_folders_by_split_are_refused_naming_what_to_pass(
        self, tmp_path: Path, unpack_dir: Path
    ) -> None:
        root = tmp_path / "data"
        for part in ("train", "val"):
            write_classes(root / part, {"ants": range(3), "bees": range(3, 6)})
        error = refusal(root, unpack_dir=unpack_dir)
        assert error.code == "nested_folders"
        assert f"Pass one or more of {root / 'train'}, {root / 'val'}" in error.message

    def test_a_class_with_folders_inside_is_refused_by_name(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        (pests / "bees" / "queens").mkdir()
        error = refusal(pests, unpack_dir=unpack_dir)
        assert error.code == "nested_folders"
        assert "pests/bees contains folders (queens)" in error.message
        assert "queens" in error.message.split(". ")[1]

    def test_one_class_is_refused(self, tmp_path: Path, unpack_dir: Path) -> None:
        error = refusal(write_classes(tmp_path / "x", {"ants": range(5)}), unpack_dir=unpack_dir)
        assert error.code == "too_few_classes"
        assert "ants" in error.message

    def test_a_class_without_a_readable_picture_is_refused_with_the_reason(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        (pests / "slugs").mkdir()
        (pests / "slugs" / "slug.jpg").write_bytes(b"not a picture")
        error = refusal(pests, unpack_dir=unpack_dir)
        assert error.code == "empty_class"
        assert "'slugs'" in error.message
        assert "pests/slugs/slug.jpg" in error.message

    def test_accents_composed_and_decomposed_are_one_class(
        self, tmp_path: Path, unpack_dir: Path
    ) -> None:
        composed = unicodedata.normalize("NFC", "käfer")
        decomposed = unicodedata.normalize("NFD", "käfer")
        one = write_classes(tmp_path / "one", {composed: range(10), "bees": range(10, 20)})
        two = write_classes(tmp_path / "two", {decomposed: range(20, 30)})
        dataset = load(one, two, unpack_dir=unpack_dir)
        assert dataset.labels == ("bees", composed)

    def test_a_file_name_that_is_not_unicode_can_be_listed(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        raw = os.path.join(os.fsencode(pests / "ants"), b"caf\xe9\n.png")  # noqa: PTH118 (bytes)
        with open(raw, "wb") as file:  # noqa: PTH123
            file.write(png(500))
        dataset = load(pests, unpack_dir=unpack_dir)
        assert "pests/ants/caf\ufffd\ufffd.png" in {e.name for e in dataset.examples}
        assert write_examples_csv(dataset)


class TestMerging:
    def test_a_zip_gives_the_same_pictures_as_the_folder(
        self, pests: Path, tmp_path: Path, unpack_dir: Path
    ) -> None:
        entries = [
            (path.relative_to(tmp_path).as_posix(), path.read_bytes())
            for path in sorted(pests.rglob("*.png"))
        ]
        zipped = write_zip(tmp_path / "pests.zip", [*entries, ("__MACOSX/pests/._x", b"x")])
        from_zip = load(zipped, unpack_dir=unpack_dir)
        assert from_zip.fingerprint == load(pests, unpack_dir=unpack_dir).fingerprint
        assert from_zip.examples[0].name == "pests.zip/pests/ants/0.png"
        assert load(zipped, unpack_dir=unpack_dir).examples == from_zip.examples

    def test_a_zip_without_a_wrapping_folder_is_read_too(
        self, tmp_path: Path, unpack_dir: Path
    ) -> None:
        entries = [(f"{label}/{i}.png", png(i)) for label in ("a", "b") for i in range(6)]
        entries = [(name, png(n)) for n, (name, _) in enumerate(entries)]
        dataset = load(write_zip(tmp_path / "x.zip", entries), unpack_dir=unpack_dir)
        assert dataset.labels == ("a", "b")
        assert dataset.examples[0].name == "x.zip/a/0.png"

    def test_a_zip_nested_deeper_is_refused(self, tmp_path: Path, unpack_dir: Path) -> None:
        zipped = write_zip(tmp_path / "x.zip", [("w/v/a/1.png", png(1)), ("w/v/b/2.png", png(2))])
        error = refusal(zipped, unpack_dir=unpack_dir)
        assert error.code == "nested_folders"
        assert error.message.startswith("x.zip/w/v contains folders")
        assert "Make x.zip again" in error.message
        assert str(unpack_dir) not in error.message

    def test_sources_are_merged_by_label(
        self, pests: Path, tmp_path: Path, unpack_dir: Path
    ) -> None:
        more = write_classes(tmp_path / "more", {"bees": range(40, 50), "slugs": range(50, 60)})
        dataset = load(pests, more, unpack_dir=unpack_dir)
        assert dataset.labels == ("ants", "bees", "slugs")
        assert sum(e.label == "bees" for e in dataset.examples) == 30

    def test_neither_order_of_sources_nor_repeats_matter(
        self, pests: Path, tmp_path: Path, unpack_dir: Path
    ) -> None:
        more = write_classes(tmp_path / "more", {"bees": range(35, 50), "slugs": range(50, 60)})
        one = load(pests, more, unpack_dir=unpack_dir)
        other = load(more, pests, more, unpack_dir=unpack_dir)
        assert one == other

    def test_names_of_files_do_not_decide_the_split(
        self, pests: Path, tmp_path: Path, unpack_dir: Path
    ) -> None:
        renamed = tmp_path / "elsewhere"
        for path in pests.rglob("*.png"):
            target = renamed / path.parent.name / f"x{1000 - int(path.stem)}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        one, other = (load(root, unpack_dir=unpack_dir) for root in (pests, renamed))
        assert one.fingerprint == other.fingerprint
        assert {e.sha256: e.split for e in one.examples} == {
            e.sha256: e.split for e in other.examples
        }

    def test_the_fingerprint_changes_with_a_label(self, pests: Path, unpack_dir: Path) -> None:
        before = load(pests, unpack_dir=unpack_dir).fingerprint
        (pests / "ants" / "0.png").rename(pests / "bees" / "0.png")
        assert load(pests, unpack_dir=unpack_dir).fingerprint != before

    def test_reviewed_predictions_join_in(self, pests: Path, unpack_dir: Path) -> None:
        stored = pests.parent / "stored.jpg"
        stored.write_bytes(file_of(photo(300), "JPEG", quality=90))
        gone = LabelledFile(path=pests.parent / "gone.jpg", label="moths", name="prediction 2")
        dataset = load(
            pests,
            unpack_dir=unpack_dir,
            reviewed=(LabelledFile(path=stored, label="bees", name="prediction 1"), gone),
        )
        assert "prediction 1" in {e.name for e in dataset.examples if e.label == "bees"}
        assert [file.name for file in dataset.skipped] == ["prediction 2"]
        assert dataset.labels == ("ants", "bees")


class TestCopies:
    def test_exact_copies_count_once_and_are_listed(self, pests: Path, unpack_dir: Path) -> None:
        shutil.copy(pests / "ants" / "3.png", pests / "ants" / "copy.png")
        dataset = load(pests, unpack_dir=unpack_dir)
        assert len(dataset.examples) == 40
        (copies,) = dataset.health.exact_duplicates
        assert (copies.kept.name, copies.left_out) == ("pests/ants/3.png", ("pests/ants/copy.png",))
        assert any("pests/ants/copy.png = pests/ants/3.png" in x for x in dataset.health.lines())

    def test_one_picture_under_two_labels_is_refused_with_both_paths(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        shutil.copy(pests / "ants" / "3.png", pests / "bees" / "same.png")
        error = refusal(pests, unpack_dir=unpack_dir)
        assert error.code == "conflicting_labels"
        assert "pests/ants/3.png (ants) = pests/bees/same.png (bees)" in error.message

    def test_one_picture_under_three_labels_is_refused_with_all_paths(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        write_classes(pests, {"bees": [3], "wasps": [3]})
        message = refusal(pests, unpack_dir=unpack_dir).message
        assert "pests/ants/3.png (ants) = pests/bees/3.png (bees)" in message
        assert "pests/ants/3.png (ants) = pests/wasps/3.png (wasps)" in message

    def test_at_most_twenty_conflicts_are_told(self, pests: Path, unpack_dir: Path) -> None:
        write_classes(pests, {"wasps": range(20), "bees": range(17, 20), "ants": range(20, 22)})
        error = refusal(pests, unpack_dir=unpack_dir)
        assert error.message.count(" = ") == 20
        assert "and 5 more" in error.message

    def test_a_recompressed_copy_shares_group_and_split(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        for seed in range(20):
            smaller = photo(seed).resize((48, 36))
            (pests / "ants" / f"small{seed}.jpg").write_bytes(file_of(smaller, "JPEG", quality=70))
        dataset = load(pests, unpack_dir=unpack_dir)
        by_name = {e.name.removeprefix("pests/ants/"): e for e in dataset.examples}
        for seed in range(20):
            original, copy = by_name[f"{seed}.png"], by_name[f"small{seed}.jpg"]
            assert original.group == copy.group == min(original.sha256, copy.sha256)
            assert original.split == copy.split
        assert len(dataset.health.near_duplicate_groups) == 20
        assert dataset.health.groups_across_labels == ()

    def test_near_duplicates_under_two_labels_are_reported_not_refused(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        (pests / "bees" / "ant.jpg").write_bytes(file_of(photo(3), "JPEG", quality=80))
        dataset = load(pests, unpack_dir=unpack_dir)
        (group,) = dataset.health.groups_across_labels
        assert {(p.name, p.label) for p in group} == {
            ("pests/ants/3.png", "ants"),
            ("pests/bees/ant.jpg", "bees"),
        }
        assert any("under different labels" in line for line in dataset.health.lines())

    def test_flat_and_tiny_pictures_are_reported(self, pests: Path, unpack_dir: Path) -> None:
        (pests / "ants" / "black.png").write_bytes(file_of(photo(0).point(lambda _: 0)))
        (pests / "bees" / "tiny.png").write_bytes(png(77, size=(40, 12)))
        health = load(pests, unpack_dir=unpack_dir).health
        assert [picture.name for picture in health.flat] == ["pests/ants/black.png"]
        assert [picture.name for picture in health.tiny] == ["pests/bees/tiny.png"]

    def test_labels_that_differ_in_case_only_are_reported(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        write_classes(pests, {"Ants": range(60, 70)})
        lines = load(pests, unpack_dir=unpack_dir).health.lines()
        assert "labels that differ in upper and lower case only: Ants, ants" in lines


class TestExamplesFile:
    def test_known_splits_come_back_as_they_were_written(
        self, pests: Path, unpack_dir: Path, tmp_path: Path
    ) -> None:
        dataset = load(pests, unpack_dir=unpack_dir)
        path = tmp_path / "examples.csv.gz"
        path.write_bytes(write_examples_csv(dataset))
        assert read_known_splits(path) == {e.sha256: e.split for e in dataset.examples}

    def test_the_same_dataset_gives_the_same_bytes(
        self, pests: Path, unpack_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = write_examples_csv(load(pests, unpack_dir=unpack_dir))
        monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
        assert write_examples_csv(load(pests, unpack_dir=unpack_dir)) == first

    def test_cells_that_look_like_formulas_are_defused(
        self, tmp_path: Path, unpack_dir: Path
    ) -> None:
        root = write_classes(tmp_path / "+x", {"=1+1": range(5), '-a,"b': range(5, 10)})
        dataset = load(root, unpack_dir=unpack_dir)
        content = gzip.decompress(write_examples_csv(dataset)).decode()
        rows = list(csv.reader(content.splitlines()))[1:]
        assert {row[1] for row in rows} == {"'=1+1", "'-a,\"b"}
        assert all(row[4].startswith("'+x/") for row in rows)
        assert len(rows) == 10

    @pytest.mark.parametrize(
        "content",
        [b"", b"not gzip", b"sha256,label,split,group,name\n"],
        ids=["empty", "plain", "not packed"],
    )
    def test_a_broken_file_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "examples.csv.gz"
        path.write_bytes(content)
        with pytest.raises(DatasetError) as caught:
            read_known_splits(path)
        assert caught.value.code == "bad_examples_file"

    def test_an_unknown_split_is_refused_with_its_line(self, tmp_path: Path) -> None:
        path = tmp_path / "examples.csv.gz"
        path.write_bytes(
            gzip.compress(b"sha256,label,split,group,name\naa,x,train,aa,n\nbb,x,dev,bb,n\n")
        )
        with pytest.raises(DatasetError, match="line 3"):
            read_known_splits(path)


class TestKnownSplits:
    def test_a_known_picture_keeps_its_split_and_its_near_duplicate_follows(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        before = load(pests, unpack_dir=unpack_dir)
        known = {e.sha256: e.split for e in before.examples}
        tested = before.of_split("test")
        for number, example in enumerate(tested):
            seed = int(example.path.stem)
            copy = file_of(photo(seed), "JPEG", quality=75)
            (pests / example.label / f"copy{number}.jpg").write_bytes(copy)
        write_classes(pests, {"ants": range(100, 130), "moths": range(130, 140)})
        after = load_dataset([pests], unpack_dir=unpack_dir, known_splits=known, progress=False)
        splits = {e.sha256: e.split for e in after.examples}
        assert {sha256: splits[sha256] for sha256 in known} == known
        copies = [e for e in after.examples if "copy" in e.name]
        assert len(copies) == len(tested)
        assert {e.split for e in copies} == {"test"}
        assert after.health.changed_split == ()

    def test_merging_groups_go_where_the_strongest_is_and_say_so(
        self, pests: Path, unpack_dir: Path
    ) -> None:
        (pests / "ants" / "copy.jpg").write_bytes(file_of(photo(0), "JPEG", quality=75))
        loaded = load(pests, unpack_dir=unpack_dir)
        pair = [e for e in loaded.examples if e.path.name in ("copy.jpg", "0.png")]
        dataset = load_dataset(
            [pests],
            unpack_dir=unpack_dir,
            known_splits={pair[0].sha256: "train", pair[1].sha256: "test"},
            progress=False,
        )
        assert {e.split for e in dataset.examples if e.group == pair[0].group} == {"test"}
        assert [p.name for p in dataset.health.changed_split] == [pair[0].name]
