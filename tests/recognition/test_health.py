import shutil
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from recognition.models import ModelVersion, Recognizer


def test_process_that_lives_is_healthy_without_a_database(client: Client) -> None:
    response = client.get("/healthz")  # pytest-django refuses the database here
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_ready_while_the_active_versions_serve(client: Client, served: Recognizer) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert response.json()["degraded"] is False
    assert "no-store" in response["Cache-Control"]


def test_degraded_while_an_older_version_stands_in(
    client: Client, served: Recognizer, add_version: Any
) -> None:
    shutil.rmtree(add_version().path)
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["degraded"] is True
    assert response.json()["recognizers"]["colors"] == {"active_version": 2, "serving_version": 1}


def test_not_ready_while_nothing_can_serve(client: Client, served: Recognizer) -> None:
    shutil.rmtree(served.versions.get().path)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"


def test_not_ready_while_the_database_is_away(
    client: Client, served: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(ModelVersion.objects, "filter", fail)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["database"] is False


@pytest.mark.parametrize("url", ["/healthz", "/readyz"])
def test_probes_are_only_read(client: Client, url: str) -> None:
    assert client.post(url, headers={"accept": "application/json"}).status_code == 405
