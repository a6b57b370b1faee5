"""A real server, started as `make run` starts it, on a data directory of its own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PROJECT: Final = Path(__file__).resolve().parent.parent
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 35.0


class RunningServer:
    """`manage.py serve` in a process group of its own; a context manager.

    Args:
        data_dir: where it keeps its data; a temporary directory where None is given.
        settings: further LACEWING_ variables, without the prefix.
    """

    def __init__(
        self, *, data_dir: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="lacewing-bench-")
        self.data_dir = data_dir or Path(self._temporary.name)
        self.host = "127.0.0.1"
        self.port = _free_port()
        self.log_file = Path(self._temporary.name) / "server.log"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LACEWING_", "DJANGO_"))
        }
        self.environment = kept | {
            "LACEWING_DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "HOST": self.host,
        }
        for name, value in (settings or {}).items():
            self.environment[f"LACEWING_{name}"] = value
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.manage("prepare")
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._temporary.cleanup()

    def manage(self, *arguments: str) -> str:
        """Run a management command on the same data; return what it printed."""
        return self._run("manage.py", *arguments)

    def run_module(self, module: str, *arguments: str) -> str:
        """Run a module as a command on the same data; return what it printed."""
        return self._run("-m", module, *arguments)

    def _run(self, *arguments: str) -> str:
        finished = subprocess.run(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} failed: {finished.stderr}")
        return finished.stdout

    def start(self) -> float:
        """Start, wait for the first page and return the seconds until it came."""
        with self.log_file.open("ab") as log:
            began_s = time.perf_counter()
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        while time.perf_counter() - began_s < START_TIMEOUT_S:
            if self.process.poll() is not None:
                raise RuntimeError(f"The server ended: {self.log()}")
            try:
                status, _ = self.get("/")
            except (OSError, HTTPException):
                time.sleep(0.005)
                continue
            if status != 200:
                raise RuntimeError(f"The first page answered {status}: {self.log()}")
            return time.perf_counter() - began_s
        raise TimeoutError(f"No answer within {START_TIMEOUT_S} s: {self.log()}")

    def stop(self) -> int | None:
        """End the server as Ctrl-C or systemd does; return its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        finally:
            self.process.kill()
            self.process = None

    def get(self, path: str, *, timeout_s: float = 10.0) -> tuple[int, bytes]:
        """Return status and body of a GET on a new connection."""
        connection = HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def log(self) -> str:
        """Return what the server has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def process_ids(self) -> list[int]:
        """Return the ids of the server's process and of all its descendants."""
        if self.process is None:
            return []
        children: dict[int, list[int]] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
        found = [self.process.pid]
        for process_id in found:
            found += children.get(process_id, [])
        return found

    def memory_bytes(self) -> dict[int, int]:
        """Return each process's proportional set size: shared pages are divided up."""
        sizes = {}
        for process_id in self.process_ids():
            rollup = Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii")
            line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
            sizes[process_id] = int(line.split()[1]) * 1024
        return sizes


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
