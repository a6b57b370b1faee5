"""Connected parts of a mask, in NumPy and two passes over its runs."""

import numpy as np
import numpy.typing as npt


def connected_parts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return the number, from 1, of each pixel's part of `mask` (h, w); 0 where there is none.

    Pixels that touch by a side or a corner belong together. The runs of all rows are found at
    once; those that touch a run of the row above are united.
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    stops = np.nonzero(steps == -1)[1]
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    begins = np.searchsorted(rows, np.arange(height + 1)).tolist()
    firsts, ends = starts.tolist(), stops.tolist()
    for row in range(1, height):
        above, above_end = begins[row - 1], begins[row]
        for run in range(begins[row], begins[row + 1]):
            while above < above_end and ends[above] < firsts[run]:
                above += 1
            other = above
            while other < above_end and firsts[other] <= ends[run]:
                parents[root(other)] = root(run)
                other += 1
    roots = np.array([root(run) for run in range(len(rows))], np.int64)
    numbers = np.unique(roots, return_inverse=True)[1].astype(np.int32) + 1
    marks = np.zeros((height, width + 1), np.int32)
    marks[rows, starts] = numbers
    marks[rows, stops] -= numbers
    return marks.cumsum(axis=1, dtype=np.int32)[:, :-1]
