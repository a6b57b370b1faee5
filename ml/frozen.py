"""The part of a network that does not learn, run by LiteRT.

Training needs its outputs only, so it is converted once, in float32, and run on all cores, a
picture each: twice as fast as the same layers in TensorFlow on the machine it was made on.
"""

import os
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from ml.conversion import SIGNATURE, converted


class FrozenPart:
    """Maps uint8 pictures (n, height, width, channels) to what a frozen network gives."""

    def __init__(self, interpreters: list[Any], pool: ThreadPoolExecutor) -> None:
        """Take warm runners and a pool of as many threads; use `frozen`."""
        self._runners: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for interpreter in interpreters:
            self._runners.put(interpreter)
        self._pool = pool

    def __call__(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the outputs (n, …), n at least 1."""
        return np.stack(list(self._pool.map(self._run, pictures)))

    def _run(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        runner = self._runners.get()
        try:
            outputs: npt.NDArray[np.float32] = runner(image=picture[np.newaxis])["output"][0]
        finally:
            self._runners.put(runner)
        return outputs


@contextmanager
def frozen(network: keras.Model) -> Iterator[FrozenPart]:
    """Convert a network from uint8 pictures to one output, and run it while the block lasts.

    Raises TrainingError("cannot_export") when the converter refuses.
    """
    content = converted(
        lambda image: {"output": network(image, training=False)},
        network.input_shape[1:],
        name=network.name,
    )
    threads = os.cpu_count() or 1
    runners = []
    for _ in range(threads):
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        runners.append(interpreter.get_signature_runner(SIGNATURE))
    with ThreadPoolExecutor(threads) as pool:
        yield FrozenPart(runners, pool)
