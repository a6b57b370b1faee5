"""`novelty.npz` of a model version: plain arrays, read from bytes that nobody vouches for."""

import io
import struct
import zipfile
import zlib
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ml.errors import ArtifactError

MAX_BYTES = 32 * 1024 * 1024  # a thousand classes at a depth of 4096 take 9 MB

DTYPES = {
    "means": np.float16,
    "axes": np.float16,
    "variances": np.float32,
    "rest_variance": np.float32,
    "threshold": np.float32,
}
ENERGY_DTYPES = {"energy_weight": np.float32, "usual_energy": np.float32}
"""Left out of the files of versions whose score was the distance alone."""


# What zipfile and NumPy raise for damage; RuntimeError includes what zipfile cannot do.
_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    RuntimeError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def read_arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return exactly the arrays of a `NoveltyModel`, unpacked to `MAX_BYTES` at most."""
    whole = DTYPES | ENERGY_DTYPES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {entry.filename for entry in archive.infolist()}
            if names not in ({f"{name}.npy" for name in kind} for kind in (whole, DTYPES)):
                refuse(f"it must hold {', '.join(sorted(whole))}")
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                refuse(f"it is larger than {MAX_BYTES} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _DAMAGE as error:
        if isinstance(error, ArtifactError):
            raise
        refuse(f"it is no .npz of numbers ({error})")
    for name, array in arrays.items():
        if array.dtype != whole[name]:
            refuse(f"{name} must be {np.dtype(whole[name])}, received {array.dtype}")
    return arrays


def refuse(fault: str) -> NoReturn:
    """Raise ArtifactError("bad_novelty") that says what is wrong with the file."""
    raise ArtifactError(
        "bad_novelty",
        f"novelty.npz of the model version cannot be used: {fault}. Restore the folder from a "
        "backup or activate another version.",
    )
