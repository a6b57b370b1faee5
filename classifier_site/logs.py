"""Log records that stay on one line, whatever a client managed to put into them."""

import logging


def escape_control_characters(text: str) -> str:
    r"""Return `text` with each line break and other unprintable character as an escape (`\n`)."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


class OneLineFormatter(logging.Formatter):
    """Format a record, its traceback included, as a single line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of printable characters."""
        return escape_control_characters(super().format(record))
