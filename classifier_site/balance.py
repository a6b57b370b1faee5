"""How busy each worker process is, in memory that all of them see."""

import mmap
from typing import Final

ABSENT: Final = 0xFFFFFFFF


class LoadBoard:
    """One number per worker: the requests it holds that are whole and not yet answered.

    Made before the workers are forked, it lies in anonymous shared memory. A slot has one
    writer, so no lock is needed; a number read a moment late costs some balance only.
    """

    def __init__(self, slots: int) -> None:
        self._memory = mmap.mmap(-1, 4 * slots)
        self._loads = memoryview(self._memory).cast("I")
        for slot in range(slots):
            self._loads[slot] = ABSENT

    def take_slot(self) -> int:
        """Return a free slot, now taken with a load of 0. Called before a fork, in one process."""
        for slot, load in enumerate(self._loads):
            if load == ABSENT:
                self._loads[slot] = 0
                return slot
        raise ValueError(f"All {len(self._loads)} slots for workers are taken.")

    def release_slot(self, slot: int) -> None:
        """Free the slot of a worker that has ended."""
        self._loads[slot] = ABSENT

    def publish(self, slot: int, load: int) -> None:
        """Let the other workers see the load of this one."""
        self._loads[slot] = load

    def someone_is_less_busy(self, slot: int) -> bool:
        """Return whether another worker holds fewer requests than the one in `slot`."""
        return min(self._loads) < self._loads[slot]
