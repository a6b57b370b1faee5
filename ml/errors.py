"""Errors that `ml` raises for bad input: each carries a stable code and a message for people."""

from typing import Literal

ImageErrorCode = Literal["bad_image", "unsupported_type", "too_many_pixels", "file_too_large"]


class LacewingError(ValueError):
    """Base of the errors that a person can mend.

    `code` is stable and for programs; the message says what was received, what is
    allowed and what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Pickle with both arguments, so that the error crosses process borders."""
        return type(self), (self.code, self.message)


class ImageError(LacewingError):
    """A picture that cannot be used; its code is one of `ImageErrorCode`."""

    def __init__(self, code: ImageErrorCode, message: str) -> None:
        super().__init__(code, message)


class DatasetError(LacewingError):
    """Labelled pictures that cannot be trained on, named entry by entry."""


class ArtifactError(LacewingError):
    """A model version on disk that must not be served."""


class TrainingError(LacewingError):
    """A training that cannot begin or go on as asked."""
