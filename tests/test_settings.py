"""Settings from the environment: typed, refused in one line, safe by default, documented."""

import multiprocessing
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given
from hypothesis import strategies as st

from classifier_site.environment import Environment, SettingError
from classifier_site.logs import OneLineFormatter, escape_control_characters
from classifier_site.machine import usable_cores
from classifier_site.secret_key import read_or_create_secret_key

PROJECT = Path(__file__).resolve().parent.parent
PRODUCTION = {
    "LACEWING_ALLOWED_HOSTS": "lacewing.example.org",
    "LACEWING_HTTPS": "true",
    "LACEWING_TRUSTED_PROXY": "127.0.0.1",
}


def manage(
    *arguments: str, data_dir: Path, settings: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if "LACEWING" not in name}
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=kept | {"LACEWING_DATA_DIR": str(data_dir)} | (settings or {}),
        capture_output=True,
        text=True,
        check=False,
    )


# Reading


def test_unset_and_empty_variables_mean_the_default() -> None:
    env = Environment("X_", {"X_EMPTY": " "})

    assert env.integer("EMPTY", 7, minimum=0, maximum=9) == 7
    assert env.flag("UNSET", default=True) is True
    assert env.strings("UNSET", ("a",)) == ["a"]
    assert env.decimal("UNSET", 0.5, minimum=0, maximum=1) == 0.5
    assert env.choice("UNSET", "INFO", choices=("INFO",)) == "INFO"


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("Yes", True), ("1", True), ("off", False)]
)
def test_flag_reads_words(value: str, expected: bool) -> None:
    assert Environment("X_", {"X_A": value}).flag("A", default=not expected) is expected


def test_strings_are_split_at_commas() -> None:
    assert Environment("", {"A": " a, b,,c "}).strings("A") == ["a", "b", "c"]


def test_choice_is_found_whatever_its_case() -> None:
    assert Environment("", {"A": "debug"}).choice("A", "INFO", choices=("INFO", "DEBUG")) == "DEBUG"


@given(st.text())
def test_integer_is_in_range_or_refused_with_the_value_received(value: str) -> None:
    env = Environment("X_", {"X_N": value})
    try:
        number = env.integer("N", 5, minimum=1, maximum=10)
    except SettingError as error:
        assert error.variable == "X_N"
        assert repr(value.strip()) in str(error)
        assert "1 to 10" in str(error)
    else:
        assert 1 <= number <= 10


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "six"])
def test_decimal_refuses_what_is_not_in_range(value: str) -> None:
    with pytest.raises(SettingError, match="from 0 to 5"):
        Environment("", {"A": value}).decimal("A", 1, minimum=0, maximum=5)


def test_directory_must_exist_and_be_writable(tmp_path: Path) -> None:
    given = {"A": str(tmp_path), "B": str(tmp_path / "missing"), "C": __file__}
    env = Environment("", given)

    assert env.directory("A", Path("/unused")) == tmp_path
    for name in ("B", "C"):
        with pytest.raises(SettingError, match="an existing directory"):
            env.directory(name, Path("/unused"))


def test_unknown_name_is_refused_with_the_one_meant() -> None:
    env = Environment("X_", {"X_WORKER": "2", "OTHER": "fine"})
    env.integer("WORKERS", 1, minimum=1, maximum=2)

    with pytest.raises(SettingError, match="did you mean X_WORKERS"):
        env.refuse_unknown()


def test_usable_cores_follow_the_quota_of_a_container(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    every_core = usable_cores(tmp_path / "missing")

    quota.write_text("max 100000\n")
    assert usable_cores(quota) == every_core
    quota.write_text("50000 100000\n")
    assert usable_cores(quota) == 1
    quota.write_text("150000 100000\n")
    assert usable_cores(quota) == min(2, every_core)


# The start


@pytest.mark.parametrize("command", [("check",), ("serve",)])
@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("LACEWING_WORKERS", "many", "a whole number from 1 to 256"),
        ("LACEWING_MAX_UPLOAD_BYTES", "-5", "a whole number from 1024"),
        ("LACEWING_DATA_DIR", "/nowhere/at/all", "an existing directory"),
        ("LACEWING_LOG_LEVEL", "LOUD", "one of DEBUG, INFO"),
        ("LACEWING_HTTPS", "perhaps", "true or false"),
        ("LACEWING_WORKRES", "2", "did you mean LACEWING_WORKERS"),
        ("LACEWING_TRUSTED_PROXY", "my-proxy", "an IP address"),
    ],
)
def test_wrong_setting_stops_the_start_with_one_line(
    tmp_path: Path, command: tuple[str, ...], variable: str, value: str, allowed: str
) -> None:
    finished = manage(*command, data_dir=tmp_path, settings={variable: value})

    assert finished.returncode == 2
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert variable in line
    assert value in line
    assert allowed in line


def test_short_secret_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    finished = manage("check", data_dir=tmp_path, settings={"LACEWING_SECRET_KEY": "hunter2"})

    assert finished.returncode == 2
    assert "hunter2" not in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_wrong_port_stops_the_start_with_one_line(tmp_path: Path) -> None:
    finished = manage("serve", data_dir=tmp_path, settings={"PORT": "abc"})

    assert finished.returncode == 2
    assert finished.stderr == "PORT is 'abc'; allowed: a whole number from 1 to 65535.\n"


@pytest.mark.parametrize("port", ["-1", "0", "65536", "1e3"])
def test_port_must_be_one_that_exists(port: str) -> None:
    with pytest.raises(SettingError, match="PORT"):
        call_command("serve", port=port)


def test_host_that_is_not_this_machine_is_refused() -> None:
    with pytest.raises(CommandError, match=r"Port 8000 on 192\.0\.2\.1 cannot be used"):
        call_command("serve", host="192.0.2.1", port="8000")


def test_port_in_use_is_told_with_another_to_choose() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=f"is in use.*PORT={port + 1}"):
            call_command("serve", host="127.0.0.1", port=str(port))


def test_deployment_check_is_clean_under_the_documented_settings(tmp_path: Path) -> None:
    finished = manage(
        "check", "--deploy", "--fail-level", "WARNING", data_dir=tmp_path, settings=PRODUCTION
    )

    assert finished.returncode == 0, finished.stderr
    assert "no issues (0 silenced)" in finished.stdout


# The secret key


def test_secret_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret_key"

    key = read_or_create_secret_key(path)

    assert read_or_create_secret_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"]


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        keys = pool.map(read_or_create_secret_key, [path] * 16)

    assert set(keys) == {path.read_text().strip()}


def test_damaged_secret_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    path.write_text("short\n")

    with pytest.raises(SettingError, match="at least 50 characters"):
        read_or_create_secret_key(path)


# Logs and documents


@given(st.text())
def test_log_lines_cannot_be_broken(text: str) -> None:
    assert escape_control_characters(text).isprintable()


def test_traceback_stays_on_the_line_of_its_record(caplog: Any) -> None:
    import logging

    logger = logging.getLogger("tests.one_line")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logger.exception("it failed\r\nfor %s", "a\nname")

    line = OneLineFormatter("%(levelname)s %(message)s").format(caplog.records[0])
    assert "\n" not in line
    assert line.startswith(r"ERROR it failed\r\nfor a\nname\nTraceback")


def test_every_setting_is_documented() -> None:
    from classifier_site.settings import env

    documented = set(re.findall(r"`(LACEWING_\w+)`", (PROJECT / "docs/settings.md").read_text()))

    assert documented == env.known
