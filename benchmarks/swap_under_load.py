"""`python -m benchmarks.swap_under_load`: activate and roll back while people upload.

Uploads come 50 a second, come what may. No request may fail, and the labels of each answer
must be those of the version it names.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.client import Client, upload_request
from benchmarks.photos import make_photo
from benchmarks.server import RunningServer
from benchmarks.versions import LABEL_PREFIX

RATE_PER_S = 50
SWAPS = 100


@dataclass(kw_only=True)
class SwapResult:
    """What the uploaders saw."""

    answers: Counter[str] = field(default_factory=Counter)  # by status, or by kind of failure
    versions: Counter[int] = field(default_factory=Counter)
    mismatches: int = 0  # answers whose labels are not those of their version

    @property
    def failed(self) -> int:
        """Requests that were not answered with 201."""
        return sum(count for status, count in self.answers.items() if status != "201")


async def measure(
    server: RunningServer, slug: str, picture: bytes, *, swaps: int, pause_s: float
) -> SwapResult:
    """Swap `swaps` times between two versions of `slug` under uploads; return the answers."""
    first = await asyncio.to_thread(_active_version, server, slug)
    await asyncio.to_thread(server.run_module, "benchmarks.versions", "relabel", slug)
    path = f"/api/v1/recognizers/{slug}/predictions?top_k=1000"
    request = upload_request(server.host, server.port, path, picture)
    result = SwapResult()
    swapping = asyncio.create_task(
        asyncio.to_thread(
            server.run_module, "benchmarks.versions", "alternate", slug, str(swaps), str(pause_s)
        )
    )
    async with asyncio.TaskGroup() as group:
        while not swapping.done():
            group.create_task(_upload(server, request, first, result))
            await asyncio.sleep(1 / RATE_PER_S)
    await swapping
    return result


async def _upload(server: RunningServer, request: bytes, first: int, result: SwapResult) -> None:
    try:
        async with Client(server.host, server.port) as client:
            answer = await client.send(request)
    except (OSError, EOFError) as error:
        result.answers[type(error).__name__] += 1
        return
    result.answers[str(answer.status)] += 1
    if answer.status == 201:
        content = json.loads(answer.body)
        result.versions[content["version"]] += 1
        is_second = content["version"] != first
        if any(c["label"].startswith(LABEL_PREFIX) != is_second for c in content["classes"]):
            result.mismatches += 1


def _active_version(server: RunningServer, slug: str) -> int:
    _, body = server.get("/api/v1/recognizers")
    return next(int(row["version"]) for row in json.loads(body) if row["slug"] == slug)


def main() -> None:
    """Measure and print; exit 1 where a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recognizer", default="pests")
    arguments = parser.parse_args()
    with RunningServer(settings={"SERVING_POLL_S": "0.2"}) as server:
        result = asyncio.run(
            measure(server, arguments.recognizer, make_photo(0), swaps=SWAPS, pause_s=0.3)
        )
    print(
        f"{SWAPS} swaps under {RATE_PER_S} uploads/s: {dict(result.answers)}, "
        f"by version {dict(result.versions)}, {result.failed} failed, "
        f"{result.mismatches} with labels of another version"
    )
    sys.exit(bool(result.failed or result.mismatches))


if __name__ == "__main__":
    main()
