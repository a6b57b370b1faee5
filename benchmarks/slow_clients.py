"""`python -m benchmarks.slow_clients`: is anybody served beside 200 who upload a byte a second.

Prints the slowest of the normal uploads meanwhile (bar: 2 s) and when the server had cut
the slow ones off (bar: 30 s), each with an answer.
"""

import argparse
import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.client import Client, upload_request
from benchmarks.photos import make_photo
from benchmarks.server import RunningServer

SLOW_CLIENTS = 200
UPLOADS = 20
CUT_OFF_BAR_S = 40.0


@dataclass(kw_only=True)
class SlowClientsResult:
    """What the normal and the slow clients saw."""

    uploads_s: list[float] = field(default_factory=list)
    upload_statuses: Counter[int] = field(default_factory=Counter)
    cut_s: list[float] = field(default_factory=list)
    cut_statuses: Counter[str] = field(default_factory=Counter)


async def measure(
    server: RunningServer, slug: str, picture: bytes, *, slow_clients: int, uploads: int
) -> SlowClientsResult:
    """Upload `uploads` pictures, half a second apart, beside `slow_clients` slow clients."""
    path = f"/api/v1/recognizers/{slug}/predictions"
    request = upload_request(server.host, server.port, path, picture)
    result = SlowClientsResult()
    async with asyncio.TaskGroup() as group:
        for _ in range(slow_clients):
            group.create_task(_send_slowly(server, request, result))
        await asyncio.sleep(2.0)
        for _ in range(uploads):
            async with Client(server.host, server.port) as client:
                began_s = time.perf_counter()
                answer = await client.send(request)
                result.uploads_s.append(time.perf_counter() - began_s)
                result.upload_statuses[answer.status] += 1
            await asyncio.sleep(0.5)
    return result


async def _send_slowly(server: RunningServer, request: bytes, result: SlowClientsResult) -> None:
    """Send the headers, then a byte a second, until the server answers or hangs up."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    began_s = time.perf_counter()
    head_end = request.index(b"\r\n\r\n") + 4
    writer.write(request[:head_end])
    answering = asyncio.create_task(reader.read(4096))
    position = head_end
    with contextlib.suppress(OSError):
        while not answering.done() and time.perf_counter() - began_s < CUT_OFF_BAR_S:
            writer.write(request[position : position + 1])
            await writer.drain()
            position += 1
            await asyncio.wait([answering], timeout=1.0)
    if answering.done():
        with contextlib.suppress(OSError):
            answer = answering.result()
            result.cut_statuses[answer[9:12].decode() or "closed"] += 1
        result.cut_s.append(time.perf_counter() - began_s)
    else:
        answering.cancel()
        result.cut_statuses["never"] += 1
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recognizer", default="pests")
    arguments = parser.parse_args()
    with RunningServer() as server:
        result = asyncio.run(
            measure(
                server,
                arguments.recognizer,
                make_photo(0),
                slow_clients=SLOW_CLIENTS,
                uploads=UPLOADS,
            )
        )
    print(
        f"{UPLOADS} uploads beside {SLOW_CLIENTS} slow ones: {dict(result.upload_statuses)}, "
        f"slowest {max(result.uploads_s):.2f} s (bar ≤ 2 s); slow ones cut after "
        f"{min(result.cut_s):.0f} to {max(result.cut_s):.0f} s (bar ≤ 30 s), answered "
        f"{dict(result.cut_statuses)}"
    )


if __name__ == "__main__":
    main()
