"""Clients that upload without pause, over plain sockets, in one asyncio process.

`python -m benchmarks.client` reads one JSON job on stdin and writes one JSON result on
stdout, so that the load comes from a process of its own.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

BOUNDARY = "lacewing-benchmark-boundary"


@dataclass(kw_only=True)
class LoadResult:
    """What the clients saw. `server_pids` counts answers by... the connection is the client's."""

    duration_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    connections: int = 0

    @property
    def requests_per_s(self) -> float:
        """Answers, of any status, per second."""
        return len(self.latencies_ms) / self.duration_s

    def percentile_ms(self, percent: float) -> float:
        """Return the latency that `percent` of the requests do not exceed."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@dataclass
class Answer:
    """One response."""

    status: int
    body: bytes
    closes: bool


class Client:
    """One connection at a time, opened anew where the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.connections = 0

    async def send(self, request: bytes) -> Answer:
        """Send a whole request, return its answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
            self.connections += 1
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        closes = headers.get("connection", "").lower() == "close"
        if closes:
            await self.close()
        return Answer(status=int(status_line.split()[1]), body=body, closes=closes)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def upload_request(host: str, port: int, path: str, picture: bytes) -> bytes:
    """Return the bytes of a multipart POST of `picture` in the field `image`."""
    body = (
        (
            f"--{BOUNDARY}\r\n"
            'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + picture
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run_load(
    host: str, port: int, requests: Sequence[bytes], *, clients: int, duration_s: float
) -> LoadResult:
    """Keep `clients` clients sending the `requests` in turn for `duration_s`."""
    result = LoadResult()
    statuses: Counter[str] = Counter()
    began_s = time.perf_counter()
    end_s = began_s + duration_s

    async def keep_sending(number: int) -> None:
        async with Client(host, port) as client:
            turn = number
            while time.perf_counter() < end_s:
                sent_s = time.perf_counter()
                try:
                    answer = await client.send(requests[turn % len(requests)])
                    statuses[str(answer.status)] += 1
                except (OSError, EOFError, asyncio.IncompleteReadError) as error:
                    statuses[type(error).__name__] += 1
                    await client.close()
                result.latencies_ms.append((time.perf_counter() - sent_s) * 1000)
                turn += 1
            result.connections += client.connections

    await asyncio.gather(*(keep_sending(number) for number in range(clients)))
    result.duration_s = time.perf_counter() - began_s
    result.statuses = dict(statuses)
    return result


def upload_load(
    host: str, port: int, path: str, pictures: Sequence[Path], *, clients: int, duration_s: float
) -> LoadResult:
    """Run the load in a process of its own, return what it measured."""
    job = {
        "host": host,
        "port": port,
        "path": path,
        "pictures": [str(picture) for picture in pictures],
        "clients": clients,
        "duration_s": duration_s,
    }
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.client"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    return LoadResult(**json.loads(finished.stdout))


def main() -> None:
    """Run the job given on stdin."""
    job = json.load(sys.stdin)
    host, port = job["host"], job["port"]
    requests = [
        upload_request(host, port, job["path"], Path(picture).read_bytes())
        for picture in job["pictures"]
    ]
    result = asyncio.run(
        run_load(host, port, requests, clients=job["clients"], duration_s=job["duration_s"])
    )
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
