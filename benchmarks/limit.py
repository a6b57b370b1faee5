"""What the cores could do without a server: decode, resize and infer in one process each."""

import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from ml.images import decode_image
from ml.inference import Classifier


def pictures_per_s(
    version_dir: Path, pictures: list[bytes], *, processes: int, duration_s: float
) -> float:
    """Return how many pictures per second `processes` processes classify together."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes)
    counts = context.Array("L", processes)
    workers = [
        context.Process(
            target=_classify_for, args=(version_dir, pictures, duration_s, ready, counts, number)
        )
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(int(count) for count in counts[:]) / duration_s


def _classify_for(
    version_dir: Path,
    pictures: list[bytes],
    duration_s: float,
    ready: Barrier,
    counts: "multiprocessing.sharedctypes.SynchronizedArray[int]",
    number: int,
) -> None:
    """Classify without pause, beginning when every process is ready."""
    classifier = Classifier.load(version_dir)
    classifier.classify_picture(decode_image(pictures[0]).pixels)
    ready.wait()
    end_s = time.perf_counter() + duration_s
    count = 0
    while time.perf_counter() < end_s:
        classifier.classify_picture(decode_image(pictures[count % len(pictures)]).pixels)
        count += 1
    counts[number] = count
