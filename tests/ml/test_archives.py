"""Zips are unpacked whole and safely, or refused by entry name with nothing left on disk."""

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml import archives
from ml.archives import unpack_zip
from ml.errors import DatasetError
from tests.ml.dataset_pictures import files_under, png, write_zip


@pytest.fixture
def unpack_dir(tmp_path: Path) -> Path:
    return tmp_path / "unpacked"


def refusal(archive: Path, unpack_dir: Path) -> DatasetError:
    """Return why a zip is refused, having checked that nothing was written anywhere."""
    around = set(archive.parent.rglob("*")) | {unpack_dir, unpack_dir / ".lock"}
    with pytest.raises(DatasetError) as caught:
        unpack_zip(archive, unpack_dir)
    assert set(archive.parent.rglob("*")) <= around
    return caught.value


def test_entries_are_written_once_and_found_again(tmp_path: Path, unpack_dir: Path) -> None:
    zipped = write_zip(tmp_path / "x.zip", [("ants/", b""), ("ants/1.png", png(1))])
    root = unpack_zip(zipped, unpack_dir)
    assert files_under(unpack_dir) == [f"{root.name}/ants/1.png"]
    assert (root / "ants" / "1.png").read_bytes() == png(1)
    (root / "ants" / "1.png").write_bytes(b"marked")
    assert unpack_zip(zipped, unpack_dir) == root
    assert (root / "ants" / "1.png").read_bytes() == b"marked"


def test_hidden_files_are_not_written(tmp_path: Path, unpack_dir: Path) -> None:
    entries = [
        ("ants/1.png", png(1)),
        ("__MACOSX/ants/._1.png", b"x"),
        ("__MACOSX/._data.zip", b"x"),
        ("ants/.DS_Store", b"x"),
        ("Thumbs.db", b"x"),
    ]
    root = unpack_zip(write_zip(tmp_path / "x.zip", entries), unpack_dir)
    assert files_under(root) == ["ants/1.png"]


def test_names_in_utf8_without_the_flag_are_read_as_such(tmp_path: Path, unpack_dir: Path) -> None:
    zipped = write_zip(tmp_path / "x.zip", [("käfer/1.png", png(1))])
    content = zipped.read_bytes()
    zipped.write_bytes(content.replace(b"\x00\x08\x08\x00", b"\x00\x00\x08\x00"))
    with zipfile.ZipFile(zipped) as opened:
        for entry in opened.infolist():
            assert not entry.flag_bits & 0x800
    assert files_under(unpack_zip(zipped, unpack_dir)) == ["käfer/1.png"]


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "ants/../../evil.png",
        "ants/..",
        "/etc/evil.png",
        "//server/evil.png",
        "C:/evil.png",
        "c:evil.png",
        "..\\evil.png",
        "ants\\1.png",
        "ants//1.png",
        "./1.png",
        "ants/" + "x" * 256,
        "__MACOSX/../../evil.png",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(
    name: str, tmp_path: Path, unpack_dir: Path
) -> None:
    error = refusal(write_zip(tmp_path / "x.zip", [("a/1.png", b"1"), (name, b"2")]), unpack_dir)
    assert error.code == "unsafe_entry"
    assert repr(name) in error.message


def test_a_name_with_a_nul_is_refused(tmp_path: Path, unpack_dir: Path) -> None:
    zipped = write_zip(tmp_path / "x.zip", [("ants/1.pngX../evil", png(1))])
    zipped.write_bytes(zipped.read_bytes().replace(b"1.pngX", b"1.png\0"))
    assert refusal(zipped, unpack_dir).code == "unsafe_entry"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(kind: int, tmp_path: Path, unpack_dir: Path) -> None:
    link = zipfile.ZipInfo("ants/link.png")
    link.create_system = 3
    link.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr(link, "/etc/passwd")
    error = refusal(tmp_path / "x.zip", unpack_dir)
    assert error.code == "special_entry"
    assert "'ants/link.png'" in error.message


def test_encrypted_entries_are_refused(tmp_path: Path, unpack_dir: Path) -> None:
    zipped = write_zip(tmp_path / "x.zip", [("ants/1.png", png(1))])
    content = bytearray(zipped.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    zipped.write_bytes(content)
    error = refusal(zipped, unpack_dir)
    assert error.code == "encrypted_entry"
    assert "'ants/1.png'" in error.message


@pytest.mark.parametrize(
    "names",
    [
        ("ants/1.png", "ants/1.png"),
        ("ants/1.png", "ants/1.PNG"),
        ("ants/1.png", "Ants/2.png"),
        ("ants", "ants/2.png"),
        ("ants/2.png", "ants"),
        ("ants/", "ants/"),
        ("STRASSE/1.png", "straße/1.png"),
        ("caf\u00e9/1.png", "cafe\u0301/2.png"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_clash_are_refused(
    names: tuple[str, str], tmp_path: Path, unpack_dir: Path
) -> None:
    error = refusal(write_zip(tmp_path / "x.zip", [(n, b"") for n in names]), unpack_dir)
    assert error.code == "clashing_entries"


def test_a_folder_entry_after_its_files_is_no_clash(tmp_path: Path, unpack_dir: Path) -> None:
    entries = [("ants/1.png", b"1"), ("ants/", b""), ("ants/2.png", b"2")]
    root = unpack_zip(write_zip(tmp_path / "x.zip", entries), unpack_dir)
    assert files_under(root) == ["ants/1.png", "ants/2.png"]


@pytest.mark.parametrize("name", ["inner.zip", "ants/more.ZIP", "data.tar.gz", "x.npz", "y.7z"])
def test_nested_archives_are_refused(name: str, tmp_path: Path, unpack_dir: Path) -> None:
    error = refusal(write_zip(tmp_path / "x.zip", [("ants/1.png", b"1"), (name, b"2")]), unpack_dir)
    assert error.code == "nested_archive"
    assert repr(name) in error.message


def test_one_entry_over_the_limit_is_refused(
    tmp_path: Path, unpack_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert archives.MAX_ENTRIES == 100_000
    monkeypatch.setattr(archives, "MAX_ENTRIES", 4)
    entries = [(f"ants/{number}.png", b"") for number in range(5)]
    assert unpack_zip(write_zip(tmp_path / "y.zip", entries[:4]), unpack_dir).is_dir()
    shutil.rmtree(unpack_dir)
    error = refusal(write_zip(tmp_path / "x.zip", entries), unpack_dir)
    assert error.code == "too_many_entries"
    assert "has 5 entries" in error.message
    assert "'ants/4.png'" in error.message


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path, unpack_dir: Path) -> None:
    entries = [("ants/1.png", png(1)), ("ants/bomb.png", bytes(64 << 20))]
    error = refusal(write_zip(tmp_path / "x.zip", entries), unpack_dir)
    assert error.code == "zip_bomb"
    assert "'ants/bomb.png'" in error.message


def test_a_blank_drawing_is_no_bomb(tmp_path: Path, unpack_dir: Path) -> None:
    entries = [("ants/blank.bmp", bytes(archives.RATIO_FROM_BYTES))]
    assert unpack_zip(write_zip(tmp_path / "x.zip", entries), unpack_dir).is_dir()


def test_the_total_is_counted_in_bytes_that_come_out(
    tmp_path: Path, unpack_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The declared sizes say 1 byte each; what is written still stops at the limit."""
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 3000)
    entries = [(f"ants/{n}.png", os.urandom(900)) for n in range(5)]
    zipped = write_zip(tmp_path / "x.zip", entries)
    error = refusal(zipped, unpack_dir)
    assert error.code == "zip_bomb"
    assert "3,000 bytes" in error.message
    assert "'ants/3.png'" in error.message


def test_a_declared_size_that_lies_is_refused(tmp_path: Path, unpack_dir: Path) -> None:
    zipped = write_zip(tmp_path / "x.zip", [("ants/1.png", bytes(5000))])
    content = bytearray(zipped.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    zipped.write_bytes(content)
    assert refusal(zipped, unpack_dir).code == "bad_zip"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(method: int, tmp_path: Path, unpack_dir: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as zipped:
        zipped.writestr("ants/1.png", png(1))
    assert refusal(tmp_path / "x.zip", unpack_dir).code == "unsupported_entry"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"not a zip",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"IDAT", b"IDAX"),
    ],
    ids=["empty", "text", "half", "altered"],
)
def test_a_damaged_zip_is_refused(
    damage: Callable[[bytes], bytes], tmp_path: Path, unpack_dir: Path
) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as zipped:
        zipped.writestr("ants/1.png", png(1))
    path.write_bytes(damage(path.read_bytes()))
    error = refusal(path, unpack_dir)
    assert error.code == "bad_zip"
    assert "x.zip" in error.message


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_altered_byte_gives_a_refusal_or_the_files(
    tmp_path: Path, unpack_dir: Path, data: st.DataObject
) -> None:
    path = write_zip(tmp_path / "x.zip", [("ants/1.png", b"12345" * 9), ("bees/2.png", b"1")])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        unpack_zip(path, unpack_dir)
    except DatasetError:
        assert files_under(unpack_dir) == []
    shutil.rmtree(unpack_dir)


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, unpack_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*args: object) -> None:
        raise OSError(28, "No space left on device")

    zipped = write_zip(tmp_path / "x.zip", [("ants/1.png", png(1))])
    monkeypatch.setattr(archives, "_check_growth", no_space)
    error = refusal(zipped, unpack_dir)
    assert error.code == "cannot_unpack"
    assert "No space left on device" in error.message


def test_what_a_killed_run_left_is_cleared(tmp_path: Path, unpack_dir: Path) -> None:
    zipped = write_zip(tmp_path / "x.zip", [("ants/1.png", png(1))])
    script = (
        "import os, sys; from pathlib import Path; from ml import archives\n"
        "archives._check_growth = lambda *_: os.kill(os.getpid(), 9)\n"
        "archives.unpack_zip(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    killed = subprocess.run([sys.executable, "-c", script, zipped, unpack_dir], check=False)
    assert killed.returncode == -9
    assert files_under(unpack_dir) != []
    root = unpack_zip(zipped, unpack_dir)
    assert files_under(unpack_dir) == [f"{root.name}/ants/1.png"]
