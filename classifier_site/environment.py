"""Settings read from environment variables: each typed, checked, and refused in one line."""

import difflib
import ipaddress
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off")


class SettingError(ValueError):
    """A variable whose value cannot be used; reads as one line for the person who set it."""

    def __init__(self, variable: str, received: str, allowed: str) -> None:
        super().__init__(f"{variable} is {received!r}; allowed: {allowed}.")
        self.variable = variable
        self.received = received


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a `SettingError` into one line on stderr and exit code 2."""
    try:
        yield
    except SettingError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


class Environment:
    """Typed reading of the variables that begin with `prefix`.

    An unset or empty variable means its default. Each reader raises `SettingError` naming
    the variable, the value received and what is allowed. `refuse_unknown` at the end finds
    the variables that nobody read: a misspelt name must not be silently ignored.
    """

    def __init__(self, prefix: str, variables: Mapping[str, str] | None = None) -> None:
        self._prefix = prefix
        self._variables = os.environ if variables is None else variables
        self._known: set[str] = set()

    def text(self, name: str, default: str = "") -> str:
        """Return the value as it stands."""
        variable = self._prefix + name
        self._known.add(variable)
        return self._variables.get(variable, "").strip() or default

    def flag(self, name: str, *, default: bool) -> bool:
        """Return True or False; the words allowed are those of `TRUE_WORDS`, `FALSE_WORDS`."""
        value = self.text(name).lower()
        if not value:
            return default
        if value in TRUE_WORDS + FALSE_WORDS:
            return value in TRUE_WORDS
        raise self.refusal(name, "true or false")

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """Return a whole number in [minimum, maximum]; `1_000` may stand for 1000."""
        value = self.text(name)
        if not value:
            return default
        try:
            number = int(value)
        except ValueError:
            number = None
        if number is None or not minimum <= number <= maximum:
            raise self.refusal(name, f"a whole number from {minimum} to {maximum}")
        return number

    def decimal(self, name: str, default: float, *, minimum: float, maximum: float) -> float:
        """Return a number in [minimum, maximum]."""
        value = self.text(name)
        if not value:
            return default
        try:
            number = float(value)
        except ValueError:
            number = None
        if number is None or not minimum <= number <= maximum:
            raise self.refusal(name, f"a number from {minimum:g} to {maximum:g}")
        return number

    def choice(self, name: str, default: str, *, choices: Sequence[str]) -> str:
        """Return one of `choices`, whatever the case it is written in."""
        value = self.text(name, default)
        for choice in choices:
            if choice.lower() == value.lower():
                return choice
        raise self.refusal(name, f"one of {', '.join(choices)}")

    def strings(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Return the comma-separated parts."""
        parts = [part.strip() for part in self.text(name).split(",")]
        return [part for part in parts if part] or list(default)

    def address(self, name: str) -> str:
        """Return an IP address, or "" where none is given."""
        value = self.text(name)
        try:
            return str(ipaddress.ip_address(value)) if value else ""
        except ValueError:
            raise self.refusal(name, "an IP address such as 127.0.0.1") from None

    def directory(self, name: str, default: Path) -> Path:
        """Return an absolute directory: the default, or an existing one that can be written."""
        value = self.text(name)
        if not value:
            return default
        path = Path(value).expanduser().absolute()
        if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
            raise self.refusal(name, "an existing directory that can be written to")
        return path

    def refuse_unknown(self) -> None:
        """Raise `SettingError` for a variable with the prefix that no reader asked for."""
        for variable in sorted(self._variables):
            if not variable.startswith(self._prefix) or variable in self._known:
                continue
            alike = difflib.get_close_matches(variable, self._known, n=1)
            allowed = f"did you mean {alike[0]}? " if alike else ""
            allowed += "the known variables are " + ", ".join(sorted(self._known))
            raise SettingError(variable, self._variables[variable], allowed)

    @property
    def known(self) -> frozenset[str]:
        """Full names of the variables read so far."""
        return frozenset(self._known)

    def refusal(self, name: str, allowed: str, *, secret: bool = False) -> SettingError:
        """Return the error for the present value of `name`, hiding it when it is `secret`."""
        received = self.text(name)
        shown = f"a secret of {len(received)} characters" if secret else received
        return SettingError(self._prefix + name, shown, allowed)
