"""What pages cost when a million predictions are there: `python -m benchmarks.pages DIR`.

DIR is what `benchmarks.million` made. Each page is asked for as a reviewer's browser would,
through Django alone, and p50, p95 and the number of SQL queries are printed beside the bar.
The processor's time stands beside the clock's: on a machine that is busy otherwise only the
former says what a page costs. Pages that this version does not have are left out.
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

BAR_MS: Final = 150.0
NEVER: Final = "1999-01-01"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--times", type=int, default=30, help="how often each page (30)")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    arguments = parser.parse_args()
    os.environ["LACEWING_DATA_DIR"] = str(arguments.directory.resolve())
    os.environ["LACEWING_ALLOWED_HOSTS"] = "testserver"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "classifier_site.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("prepare", verbosity=0)
    _print_circumstances()
    print(f"{'p50 ms':>8} {'p95 ms':>8} {'CPU ms':>8} {'SQL':>4}  page (n = {arguments.times})")
    slow = [
        name
        for name, url in _pages()
        if arguments.only in name and _measure(name, url, arguments.times) > BAR_MS
    ]
    print(f"above {BAR_MS:.0f} ms: {', '.join(slow) or 'none'}")


def _measure(name: str, url: str, times: int) -> float:
    """Ask for the page once and then `times` more, print, and return p95 in ms."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = _client()
    with CaptureQueriesContext(connection) as queries:
        status = client.get(url).status_code
        count = len(queries)
    durations_ms = []
    processor_s = time.process_time()
    for _time in range(times):
        started_s = time.perf_counter()
        client.get(url)
        durations_ms.append((time.perf_counter() - started_s) * 1000)
    processor_ms = (time.process_time() - processor_s) * 1000 / times
    durations_ms.sort()
    p50, p95 = (durations_ms[int(share * (times - 1) + 0.5)] for share in (0.5, 0.95))
    trouble = "" if status == 200 else f"  answers {status}!"
    print(f"{p50:8.1f} {p95:8.1f} {processor_ms:8.1f} {count:4}  {name}{trouble}", flush=True)
    return p95


def _client() -> Any:
    """Return a client with a reviewer's session and the cookie of a visitor with many uploads."""
    from django.contrib.auth import get_user_model
    from django.http import HttpResponse
    from django.test import Client

    from benchmarks.million import HEAVY_VISITOR
    from recognition.visitors import COOKIE_NAME, COOKIE_SALT

    client = Client()
    client.force_login(get_user_model()._default_manager.get(username="admin"))
    response = HttpResponse()
    response.set_signed_cookie(COOKIE_NAME, str(HEAVY_VISITOR), salt=COOKIE_SALT)
    client.cookies.update(response.cookies)
    return client


def _pages() -> Iterator[tuple[str, str]]:
    """Yield name and address of each page to measure."""
    from django.urls import NoReverseMatch, reverse

    from recognition.models import ModelVersion, Prediction, Recognizer, Review

    pests, digits = Recognizer.objects.get(slug="pests"), Recognizer.objects.get(slug="digits")
    newest = Prediction.objects.filter(recognizer=pests).order_by("-created_at")[0]
    version = ModelVersion.objects.filter(recognizer=pests, is_active=True)[0]
    yield "home", reverse("recognition:home")
    yield "recognizer", reverse("recognition:recognizer", args=["pests"])
    yield "result", newest.get_absolute_url()
    yield "history", reverse("recognition:history")
    yield "history, page 100", f"{reverse('recognition:history')}?page=100"
    yield "admin index", reverse("admin:index")

    predictions = reverse("admin:recognition_prediction_changelist")
    filters = {
        "": "",
        "page 2": "p=2",
        "page 1,000": "p=1000",
        "of pests": f"recognizer__id__exact={pests.pk}",
        "of digits": f"recognizer__id__exact={digits.pk}",
        "predicted": "state__exact=predicted",
        "suggested": "state__exact=suggested",
        "reviewed": "state__exact=reviewed",
        "disputed": "state__exact=disputed",
        "one label": "label=slug",
        "unsure": "margin_band=narrow",
        "one version": f"version={version.pk}",
        "answer none": "answer__exact=none",
        "of pests, one label, unsure": (
            f"recognizer__id__exact={pests.pk}&label=slug&margin_band=narrow"
        ),
        "of pests, disputed, one version": (
            f"recognizer__id__exact={pests.pk}&state__exact=disputed&version={version.pk}"
        ),
        "of digits, a label of pests": f"recognizer__id__exact={digits.pk}&label=slug",
        "search a label": "q=slug",
        "search part of a label": "q=ee",
        "search nothing known": "q=unicorn",
        "by margin": "o=5",
        "by probability": "o=-4",
    }
    for name, query in filters.items():
        yield f"predictions{name and ': ' + name}", f"{predictions}?{query}"
    yield "prediction", reverse("admin:recognition_prediction_change", args=[newest.pk])
    reviews = reverse("admin:recognition_review_changelist")
    yield "reviews", reviews
    yield "reviews: search", f"{reviews}?q=slug"
    yield "review", reverse("admin:recognition_review_change", args=[Review.objects.last().pk])  # type: ignore[union-attr]
    yield "recognizers", reverse("admin:recognition_recognizer_changelist")
    yield "recognizer's row", reverse("admin:recognition_recognizer_change", args=[pests.pk])
    yield "versions", reverse("admin:recognition_modelversion_changelist")
    yield "version", reverse("admin:recognition_modelversion_change", args=[version.pk])
    yield "dashboard", reverse("admin:recognition_recognizer_dashboard", args=[pests.pk])

    def maybe(name: str, url_name: str, *arguments: object, query: str = "") -> Iterator[Any]:
        try:
            yield name, reverse(f"admin:recognition_{url_name}", args=arguments) + query
        except NoReverseMatch:
            return

    yield from maybe("queues", "prediction_queues")
    for queue in (
        "uncertain", "suggested", "disputed", "none", "audit", "shadow", "second", "newest",
    ):  # fmt: skip
        query = f"?recognizer=pests&queue={queue}"
        yield from maybe(f"review card: {queue}", "prediction_review", query=query)
    yield from maybe("review grid", "prediction_grid", query="?recognizer=pests&label=slug")
    yield from maybe("versions of a recognizer", "modelversion_overview", pests.pk)
    yield from maybe("gate", "modelversion_gate", version.pk)
    yield from maybe("challenger", "modelversion_challenger", pests.pk)
    yield from maybe("activations", "activation_changelist")
    yield from maybe("retrain", "recognizer_retrain", pests.pk)
    yield from maybe("training runs", "trainingrun_changelist")
    yield from maybe("erasure receipts", "erasurereceipt_changelist")


def _print_circumstances() -> None:
    import platform

    from classifier_site.machine import usable_cores
    from recognition.models import Prediction, Review

    print(
        f"{Prediction.objects.count():,} predictions, {Review.objects.count():,} reviews; Python "
        f"{platform.python_version()}, {platform.machine()}, {usable_cores()} usable cores; load "
        f"average {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
