"""The decoder process: same answers as in process, ceilings that hold, deaths that pass."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.errors import ImageError
from ml.images import decode_image, encode_jpeg
from ml.messages import MAX_HEADER_BYTES, BrokenMessageError, receive, send
from ml.preprocessing import Preprocessing, prepare
from ml.sandbox import DecoderBusyError, DecoderProcess, DecoderStartError
from tests.ml.pictures import encoded, quarters, raw_png, with_orientation

SMALL = Preprocessing(height_px=24, width_px=32)
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="needs Linux")


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    with DecoderProcess(wall_s=20) as decoder:
        yield decoder


def pid_of(decoder: DecoderProcess) -> int:
    decoder.start()
    pid = decoder.pid
    assert pid is not None
    return pid


def still_works(decoder: DecoderProcess) -> bool:
    return decoder.decode(encoded(quarters()), SMALL).width_px == 64


# Answers


@pytest.mark.parametrize(
    "preprocessing",
    [
        SMALL,
        Preprocessing(height_px=20, width_px=30, fit="letterbox"),
        Preprocessing(height_px=28, width_px=28, color="grey", ink=True),
    ],
    ids=["stretch", "letterbox", "ink"],
)
def test_answer_is_the_same_as_in_process(
    decoder: DecoderProcess, preprocessing: Preprocessing
) -> None:
    data = with_orientation(quarters(1500, 1000), 6)
    upload = decoder.decode(data, preprocessing)
    decoded = decode_image(data)
    expected = prepare(decoded.pixels, preprocessing)
    assert np.array_equal(upload.prepared.pixels, expected.pixels)
    assert upload.prepared.region == expected.region
    assert upload.copy_jpeg == encode_jpeg(decoded.pixels)
    assert (upload.width_px, upload.height_px) == (1000, 1500)
    assert (upload.copy_width_px, upload.copy_height_px) == (500, 750)


@pytest.mark.parametrize("image_format", ["WEBP", "AVIF", "HEIF", "GIF"])
def test_every_format_is_decoded_in_the_child(decoder: DecoderProcess, image_format: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    assert decoder.decode(encoded(quarters(), image_format), SMALL).height_px == 48


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "bad_image", "empty"),
        (b"<svg/>", "unsupported_type", "SVG"),
        (encoded(quarters())[:120], "bad_image", "a PNG picture"),
    ],
)
def test_refusals_come_back_with_code_and_message(
    decoder: DecoderProcess, data: bytes, code: str, words: str
) -> None:
    pid = pid_of(decoder)
    with pytest.raises(ImageError, match=words) as caught:
        decoder.decode(data, SMALL)
    assert caught.value.code == code
    assert decoder.pid == pid


def test_limits_of_size_are_the_decoder_s_own() -> None:
    data = encoded(quarters())
    with DecoderProcess(max_pixels=1000, max_file_bytes=len(data)) as decoder:
        with pytest.raises(ImageError) as caught:
            decoder.decode(data, SMALL)
        assert caught.value.code == "too_many_pixels"
        with pytest.raises(ImageError) as caught:
            decoder.decode(data + b"\0", SMALL)
        assert caught.value.code == "file_too_large"


def test_threads_share_one_child_and_get_their_own_answers(decoder: DecoderProcess) -> None:
    pid = pid_of(decoder)
    files = [encoded(Image.new("RGB", (10 + i, 20), (10 * i, 0, 0))) for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        uploads = list(pool.map(lambda data: decoder.decode(data, SMALL), files))
    assert [upload.width_px for upload in uploads] == [10 + i for i in range(16)]
    assert [int(upload.prepared.pixels[0, 0, 0]) for upload in uploads] == list(range(0, 160, 10))
    assert decoder.pid == pid


def test_caller_that_waited_long_enough_is_told_that_the_decoder_is_busy(
    decoder: DecoderProcess,
) -> None:
    pid = pid_of(decoder)
    os.kill(pid, signal.SIGSTOP)
    first = threading.Thread(target=still_works, args=(decoder,))
    first.start()
    try:
        time.sleep(0.05)
        with pytest.raises(DecoderBusyError) as caught:
            decoder.decode(encoded(quarters()), SMALL, wait_s=0.01)
    finally:
        os.kill(pid, signal.SIGCONT)
        first.join()
    assert caught.value.code == "busy"
    assert still_works(decoder)
    assert decoder.pid == pid


# Life and death


@pytest.mark.parametrize(
    ("how", "words"),
    [(signal.SIGKILL, "too much memory or is damaged"), (signal.SIGXCPU, "takes too long")],
)
def test_death_while_decoding_refuses_the_picture_and_the_next_one_works(
    decoder: DecoderProcess, how: signal.Signals, words: str
) -> None:
    pid = pid_of(decoder)
    os.kill(pid, signal.SIGSTOP)
    killer = threading.Timer(0.1, lambda: (os.kill(pid, how), os.kill(pid, signal.SIGCONT)))
    killer.start()
    with pytest.raises(ImageError, match=words) as caught:
        decoder.decode(encoded(quarters()), SMALL)
    killer.join()
    assert caught.value.code == "bad_image"
    assert still_works(decoder)
    assert decoder.pid != pid


def test_picture_that_takes_too_long_is_refused_and_the_next_one_works() -> None:
    with DecoderProcess(wall_s=20) as decoder:
        pid = pid_of(decoder)
        decoder._wall_s = 0.2
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ImageError, match="takes too long") as caught:
            decoder.decode(encoded(quarters()), SMALL)
        assert caught.value.code == "bad_image"
        decoder._wall_s = 20
        assert still_works(decoder)


@NEEDS_PROC
def test_picture_that_takes_too_much_memory_is_refused_and_the_next_one_works() -> None:
    large = raw_png((8000, 6000), bit_depth=8, color_type=6, rows=b"\0")
    with DecoderProcess(memory_bytes=300_000_000) as decoder:
        with pytest.raises(ImageError, match="memory") as caught:
            decoder.decode(large, SMALL)
        assert caught.value.code == "bad_image"
        assert still_works(decoder)


def test_child_killed_between_pictures_is_not_noticed(decoder: DecoderProcess) -> None:
    pid = pid_of(decoder)
    os.kill(pid, signal.SIGKILL)
    while decoder.pid is not None:
        time.sleep(0.01)
    assert still_works(decoder)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_child_leaves_signals_to_its_parent(decoder: DecoderProcess, name: str) -> None:
    pid = pid_of(decoder)
    os.kill(pid, getattr(signal, name))
    assert still_works(decoder)
    assert decoder.pid == pid


def test_interrupted_caller_does_not_hand_its_answer_to_the_next(
    decoder: DecoderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    pid_of(decoder)
    with monkeypatch.context() as patch:
        patch.setattr("ml.sandbox.receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            decoder.decode(encoded(Image.new("RGB", (5, 5))), SMALL)
    assert still_works(decoder)


def test_closing_ends_the_child_and_a_later_picture_starts_another() -> None:
    decoder = DecoderProcess()
    assert decoder.pid is None
    pid = pid_of(decoder)
    decoder.close()
    decoder.close()
    assert decoder.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert still_works(decoder)
    decoder.close()


@NEEDS_PROC
def test_child_ends_with_the_process_that_started_it() -> None:
    script = (
        "import os; from ml.sandbox import DecoderProcess; d = DecoderProcess(); d.start(); "
        "print(d.pid, flush=True); os._exit(0)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    deadline = time.monotonic() + 10
    while Path(f"/proc/{done.stdout.strip()}/limits").exists():
        status = Path(f"/proc/{done.stdout.strip()}/stat").read_text()
        if status.rpartition(")")[2].split()[0] == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_process_forked_in_the_midst_of_a_picture_gets_a_child_of_its_own(
    decoder: DecoderProcess,
) -> None:
    pid = pid_of(decoder)
    with decoder._lock:  # as if another thread were decoding
        forked = os.fork()
        if forked == 0:
            signal.alarm(10)
            try:
                works = still_works(decoder) and decoder.pid not in {None, pid}
                decoder.close()
            except BaseException:  # whatever happens, this copy of the test run must not go on
                works = False
            os._exit(0 if works else 1)
    assert os.waitpid(forked, 0)[1] == 0
    assert still_works(decoder)
    assert decoder.pid == pid


# Ceilings and secrets


@NEEDS_PROC
def test_child_has_ceilings_of_memory_and_of_time_that_move_with_each_picture() -> None:
    with DecoderProcess(memory_bytes=700_000_000, cpu_s=7) as decoder:
        pid = pid_of(decoder)
        still_works(decoder)
        limits = {
            line[:26].strip(): line[26:].split()[0]
            for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
        }
        assert limits["Max address space"] == "700000000"
        assert limits["Max core file size"] == "0"
        assert 8 <= int(limits["Max cpu time"]) <= 12


@NEEDS_PROC
def test_child_is_told_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LACEWING_SECRET_KEY", "planted")
    with DecoderProcess() as decoder:
        environment = Path(f"/proc/{pid_of(decoder)}/environ").read_bytes()
    assert b"planted" not in environment


def test_child_imports_neither_the_site_nor_the_trainer() -> None:
    script = "import sys, ml.decoder; print(*sys.modules)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    heavy = {"django", "tensorflow", "keras", "matplotlib", "ai_edge_litert", "recognition"}
    assert not heavy & set(done.stdout.split())


# A child that is not itself


@pytest.mark.parametrize(
    "answer",
    [
        "send(out, {'error': 'no_such_code', 'message': ''})",
        "send(out, {})",
        "send(out, {**good, 'region': [0, 0, float('inf'), 1]}, (jpeg, bytes(24 * 32 * 3)))",
        "send(out, {**good, 'region': [0, 0, 1]}, (jpeg, bytes(24 * 32 * 3)))",
        "send(out, {**good, 'width_px': 0}, (jpeg, bytes(24 * 32 * 3)))",
        "send(out, good, (b'<script>', bytes(24 * 32 * 3)))",
        "send(out, good, (jpeg, bytes(24 * 32)))",
        "out.write(b'PK\\3\\4 not a message')",
        "pass",
    ],
)
def test_answer_that_is_none_refuses_the_picture(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import io; from ml.messages import *; out = io.FileIO(1, 'wb'); jpeg = b'\\xff\\xd8\\xff';"
        "good = dict(copy_width_px=1, copy_height_px=1, width_px=1, height_px=1, "
        "region=[0, 0, 1, 1]);"
        f"send(out, {{}}); receive(io.FileIO(0), max_body_bytes=10**6); {answer}"
    )
    monkeypatch.setattr("ml.sandbox._COMMAND", (sys.executable, "-c", script))
    with DecoderProcess() as decoder:
        with pytest.raises(ImageError, match="cannot be decoded") as caught:
            decoder.decode(encoded(quarters()), SMALL)
        assert decoder.pid is None
    assert caught.value.code == "bad_image"


@pytest.mark.parametrize("command", [(sys.executable, "-c", "raise SystemExit(3)"), ("/absent",)])
def test_decoder_that_does_not_start_says_so(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml.sandbox._COMMAND", command)
    decoder = DecoderProcess()
    with pytest.raises(DecoderStartError, match="decoder process"):
        decoder.start()
    assert decoder.pid is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0",
        b"\0\0\0\x09not json!",
        b"\0\0\0\x02{}",
        b'\0\0\0\x0c{"sizes":3}\n',
        b'\0\0\0\x0e{"sizes":[-1]}',
        b'\0\0\0\x0f{"sizes":[999]}',
        b'\0\0\0\x0d{"sizes":[5]}abc',
        (MAX_HEADER_BYTES + 1).to_bytes(4, "big") + b" " * 100,
    ],
)
def test_malformed_message_is_refused(message: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    path.write_bytes(message)
    with io.FileIO(path) as pipe, pytest.raises(BrokenMessageError):
        receive(pipe, max_body_bytes=100)


def test_message_arrives_as_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    with io.FileIO(path, "wb") as pipe:
        send(pipe, {"a": "ü"}, (b"one", b"", b"three"))
    with io.FileIO(path) as pipe:
        header, bodies = receive(pipe, max_body_bytes=5)
    assert header["a"] == "ü"
    assert bodies == [b"one", b"", b"three"]
