"""`make bench`: the whole server measured in one run, next to what its cores could do.

Prints requests/s with p50 and p99 of the upload API, the in-process limit measured in
between, the memory of all server processes and the seconds until the first answer.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.client import BOUNDARY, upload_load, upload_request
from benchmarks.limit import pictures_per_s
from benchmarks.photos import make_photo
from benchmarks.server import PROJECT, RunningServer
from classifier_site.machine import usable_cores

CLIENTS = (1, 8, 64)
PHOTOS = 8
MIB = 1024 * 1024
BARS = {"ratio": 0.5, "memory_mb": 300.0, "first_answer_s": 1.5}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="per measurement (5)")
    parser.add_argument("--recognizer", default="pests", help="which one to upload to (pests)")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="lacewing-photos-") as folder:
        photos = [Path(folder) / f"photo-{seed}.jpg" for seed in range(PHOTOS)]
        for seed, photo in enumerate(photos):
            photo.write_bytes(make_photo(seed))
        _print_circumstances(photos)
        with RunningServer() as server:
            _measure_start(server, arguments.recognizer)
            _measure_uploads(server, arguments.recognizer, photos, arguments.seconds)
            _measure_memory(server, arguments.recognizer, photos[0].read_bytes())
            _check_stored(server)


def _print_circumstances(photos: list[Path]) -> None:
    sizes = [photo.stat().st_size for photo in photos]
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {usable_cores()} usable cores; "
        f"{len(photos)} JPEGs of 1600×1200, {statistics.mean(sizes) / 1000:.0f} kB on average; "
        f"load average {os.getloadavg()[0]:.1f}"
    )


def _measure_start(server: RunningServer, slug: str) -> None:
    """Restart some times, so that the figure is that of a warm page cache."""
    seconds = []
    for _ in range(3):
        server.stop()
        seconds.append(server.start())
    median_s = statistics.median(seconds)
    print(
        f"first answer after start: {median_s:.2f} s "
        f"(of {', '.join(f'{s:.2f}' for s in seconds)}; bar ≤ {BARS['first_answer_s']} s)"
    )
    picture = make_photo(99)
    answer = _upload(server, slug, picture)
    print(f"first upload: {answer['recognizer']}, {answer['duration_ms']:.0f} ms in the server")


def _measure_uploads(
    server: RunningServer, slug: str, photos: list[Path], duration_s: float
) -> None:
    """Interleave the server and the limit, so that a noisy machine disturbs both alike."""
    version_dir = PROJECT / "ml" / "pretrained" / slug
    pictures = [photo.read_bytes() for photo in photos]
    cores = usable_cores()

    def limit() -> float:
        return pictures_per_s(version_dir, pictures, processes=cores, duration_s=duration_s)

    path = f"/api/v1/recognizers/{slug}/predictions"
    upload_load(server.host, server.port, path, photos, clients=4, duration_s=1.0)  # warm up
    print("clients  requests/s   p50 ms   p99 ms   in-process/s   ratio   answers")
    before = limit()
    for clients in CLIENTS:
        load = upload_load(
            server.host, server.port, path, photos, clients=clients, duration_s=duration_s
        )
        after = limit()
        ratio = load.requests_per_s / statistics.mean((before, after))
        bar = f" (bar ≥ {BARS['ratio']})" if clients == 8 else ""
        print(
            f"{clients:>7}  {load.requests_per_s:>10.1f}  {load.percentile_ms(50):>7.1f}  "
            f"{load.percentile_ms(99):>7.1f}   {statistics.mean((before, after)):>12.1f}   "
            f"{ratio:>5.2f}   {load.statuses}{bar}"
        )
        before = after


def _measure_memory(server: RunningServer, slug: str, picture: bytes) -> None:
    _upload(server, slug, picture)
    sizes = server.memory_bytes()
    total_mb = sum(sizes.values()) / 1e6
    print(
        f"memory of {len(sizes)} processes: {total_mb:.0f} MB PSS "
        f"({', '.join(f'{size / 1e6:.0f}' for size in sizes.values())}; "
        f"bar ≤ {BARS['memory_mb']:.0f} MB)"
    )


def _check_stored(server: RunningServer) -> None:
    pictures = list((server.data_dir / "media" / "pictures").rglob("*.jpg"))
    size_mb = sum(picture.stat().st_size for picture in pictures) / 1e6
    print(f"stored: {len(pictures)} pictures with their rows, {size_mb:.0f} MB")


def _upload(server: RunningServer, slug: str, picture: bytes) -> dict[str, float]:
    """Upload one picture and return the API's answer."""
    path = f"/api/v1/recognizers/{slug}/predictions"
    body = upload_request(server.host, server.port, path, picture).partition(b"\r\n\r\n")[2]
    connection = HTTPConnection(server.host, server.port, timeout=30)
    connection.request(
        "POST", path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    )
    response = connection.getresponse()
    content = response.read()
    connection.close()
    if response.status != 201:
        raise RuntimeError(f"The upload answered {response.status}: {content!r}")
    answer: dict[str, float] = json.loads(content)
    return answer


if __name__ == "__main__":
    main()
