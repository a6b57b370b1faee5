"""Flips as a training writes them, made without one."""

from ml.comparison import Flip
from ml.flips import FlippedPicture, Flips, Look
from tests.recognition.pictures import make_picture

LOOK = Look(rows=((0, 255), (128, 0)), region=(0.0, 0.0, 1.0, 1.0))


def flipped(
    name: str, *, label: str = "red", old_label: str = "blue", new_label: str = "red"
) -> FlippedPicture:
    """Return a flip with a red picture; only the incumbent says where it looked."""
    flip = Flip(
        name=name, label=label, old_label=old_label, old_probability=0.6, new_label=new_label,
        new_probability=0.7,
    )  # fmt: skip
    return FlippedPicture(
        flip=flip, jpeg=make_picture(size_px=(32, 24)), width_px=32, height_px=24, old_look=LOOK,
        new_look=None,
    )  # fmt: skip


def many_flips(label: str = "blue", other: str = "red") -> Flips:
    """Return one picture newly right and 18 newly wrong, of which 15 were kept."""
    lost = [
        flipped(f"lost {n}.jpg", label=label, old_label=label, new_label=other) for n in range(15)
    ]
    return Flips(
        gained=(flipped("gained <1>.jpg", label=other, old_label=label, new_label=other),),
        lost=tuple(lost),
        gained_in_all=1,
        lost_in_all=18,
    )
