"""Work on many pictures on all cores: in threads, or in processes where there are very many.

Between two calls of Pillow or NumPy a thread waits for Python's lock, so that two threads read
photographs hardly faster than one; processes do, but take a third of a second to start.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ml.errors import DatasetError

Item = TypeVar("Item")
Result = TypeVar("Result")

VERY_MANY = 1_000
AT_ONCE = 16  # items for a process in one message


def on_all_cores(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `function` of each item in their order.

    Function, items and results must be such as can be sent to another process, and a script
    that calls this must be guarded by `if __name__ == "__main__"`. What the function raises
    is raised here, and what has not begun is given up.

    Raises:
        DatasetError: `readers_killed`, a process has gone, most likely for want of memory.
    """
    cores = os.cpu_count() or 1
    pool: Executor
    if len(items) < VERY_MANY or cores == 1:
        pool, at_once = ThreadPoolExecutor(cores), 1
    else:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(cores, mp_context=context, initializer=_follow_parent)
        at_once = AT_ONCE
    with pool:
        try:
            yield from pool.map(function, items, chunksize=at_once)
        except BrokenProcessPool:
            raise DatasetError(
                "readers_killed",
                "A process that read pictures has died, probably because memory ran out: close "
                "other programs, or use fewer pictures. In a script of your own, guard what it "
                'does with `if __name__ == "__main__":`.',
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C need not wait for the rest
            raise


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="parent-watch").start()
