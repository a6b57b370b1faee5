"""`manage.py serve`: prepare the data directory, then serve until Ctrl-C or SIGTERM."""

import errno
import os
import socket
import sys
from typing import Any, Final

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from classifier_site.environment import Environment

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000
WILDCARD_HOSTS: Final = ("0.0.0.0", "::")  # noqa: S104 - only compared with


class Command(BaseCommand):
    help = "Prepare the data directory, then serve until Ctrl-C or SIGTERM."
    requires_system_checks = ()  # `prepare` makes them, in a process of its own

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", help=f"default: $HOST or {DEFAULT_HOST}")
        parser.add_argument("--port", help=f"default: $PORT or {DEFAULT_PORT}")

    def handle(self, *args: Any, **options: Any) -> None:
        given = {"HOST": options["host"], "PORT": options["port"]}
        environment = Environment(
            "", dict(os.environ) | {name: value for name, value in given.items() if value}
        )
        host = environment.text("HOST", DEFAULT_HOST)
        port = environment.integer("PORT", DEFAULT_PORT, minimum=1, maximum=65535)
        listener = _listen(host, port)
        from classifier_site.server import LacewingServer, import_site

        def announce() -> None:
            self.stdout.write(f"Lacewing serves on http://{_address(host, port)} (Ctrl-C ends it).")
            if host in WILDCARD_HOSTS and set(settings.ALLOWED_HOSTS) <= set(
                settings.LOOPBACK_HOSTS
            ):
                self.stdout.write(
                    "Other machines are refused until LACEWING_ALLOWED_HOSTS names the host "
                    "name or address that they use for this one."
                )
            self.stdout.flush()

        import_site()
        # Before the application is loaded, which lists the static files once.
        _in_child_process("prepare")
        LacewingServer(listener, on_ready=announce).run()


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything else is done, so that a port in use is told at once."""
    from classifier_site.server import listen

    try:
        return listen(host, port)
    except socket.gaierror as error:
        raise CommandError(
            f"HOST is {host!r}; allowed: an address or name of this machine ({error.strerror}).",
            returncode=2,
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"is in use: stop the other server, or choose another port: PORT={port + 1}"
        else:
            reason = f"cannot be used: {error.strerror}"
        raise CommandError(f"Port {port} on {host} {reason}.", returncode=2) from None


def _in_child_process(command: str) -> None:
    """Run a management command in a forked child.

    The server's master process forks workers later and must hold no database connection,
    thread or interpreter then; what the child opened goes away with it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        returncode = 1
        try:
            call_command(command, skip_checks=False)
            returncode = 0
        except CommandError as error:
            sys.stderr.write(f"{error}\n")
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(returncode)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise SystemExit(1)


def _address(host: str, port: int) -> str:
    """Return host and port as a browser takes them."""
    shown = "127.0.0.1" if host in WILDCARD_HOSTS else host
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
