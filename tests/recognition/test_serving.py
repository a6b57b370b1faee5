import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from django.db import OperationalError
from django.utils import timezone

from ml.errors import ArtifactError
from recognition import decoding, services, serving
from recognition.errors import NoActiveVersionError
from recognition.models import ModelVersion, Recognizer
from recognition.serving import Registry, ServedVersion

AddVersion = Callable[..., ModelVersion]


@pytest.fixture
def registry(foreground_registry: Registry) -> Registry:
    return foreground_registry


@pytest.fixture
def background_registry(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Follow the rows only when woken, so that no two threads use the database at once."""
    settings.SERVING_POLL_S = 3600
    registry = Registry()
    monkeypatch.setattr(serving, "registry", registry)
    yield registry
    registry.stop()


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail("the condition never held")
        time.sleep(0.005)


def test_active_version_serves(registry: Registry, served: Recognizer) -> None:
    version = registry.classifier("colors")
    assert (version.slug, version.number, version.recognizer_id) == ("colors", 1, served.pk)
    assert version.classifier.labels == ("blue", "green", "red")
    assert registry.state() == {
        "status": "ready",
        "degraded": False,
        "database": True,
        "recognizers": {"colors": {"active_version": 1, "serving_version": 1}},
    }


def test_version_is_loaded_once(registry: Registry, served: Recognizer) -> None:
    assert registry.classifier("colors") is registry.classifier("colors")


def test_newly_activated_version_takes_over(
    registry: Registry, served: Recognizer, add_version: AddVersion
) -> None:
    before = registry.classifier("colors")
    add_version(labels=("x", "y", "z"))
    after = registry.classifier("colors")
    assert (before.number, after.number) == (1, 2)
    # Whoever still holds the older one goes on with the labels that belong to it.
    assert before.classifier.labels == ("blue", "green", "red")
    assert after.classifier.labels == ("x", "y", "z")


def test_recognizer_that_nothing_serves_is_named(
    registry: Registry, recognizer: Recognizer
) -> None:
    with pytest.raises(NoActiveVersionError, match="colors"):
        registry.classifier("colors")
    assert registry.state()["status"] == "ready"  # nothing is expected to serve


def test_deactivated_recognizer_no_longer_serves(registry: Registry, served: Recognizer) -> None:
    registry.classifier("colors")
    ModelVersion.objects.update(is_active=False)
    with pytest.raises(NoActiveVersionError):
        registry.classifier("colors")


def test_folder_that_vanishes_under_the_active_version_changes_nothing(
    registry: Registry, served: Recognizer
) -> None:
    registry.classifier("colors")
    shutil.rmtree(ModelVersion.objects.get().path)
    assert registry.classifier("colors").number == 1


def force_active(version: ModelVersion) -> None:
    """Make a version active as a restored backup might: without trying to load it."""
    ModelVersion.objects.update(is_active=False)
    ModelVersion.objects.filter(pk=version.pk).update(
        is_active=True, activated_at="2026-11-22T12:00:00Z"
    )


def test_broken_active_version_leaves_the_last_good_one_serving(
    registry: Registry,
    served: Recognizer,
    add_version: AddVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry.classifier("colors")
    broken = add_version(activate=False)
    shutil.rmtree(broken.path)
    force_active(broken)

    for _ in range(3):
        assert registry.classifier("colors").number == 1

    state = registry.state()
    assert (state["status"], state["degraded"]) == ("degraded", True)
    assert state["recognizers"] == {"colors": {"active_version": 2, "serving_version": 1}}
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1, "told once, not at every look"
    assert "colors v2" in errors[0].message


def test_after_a_restart_the_version_that_last_served_stands_in(
    registry: Registry, served: Recognizer, add_version: AddVersion
) -> None:
    add_version()
    never_served = add_version(activate=False)
    broken = add_version()
    shutil.rmtree(broken.path)
    assert registry.classifier("colors").number == 2
    assert registry.state()["status"] == "degraded"
    assert not never_served.is_active


def test_nothing_that_loads_means_unavailable(registry: Registry, served: Recognizer) -> None:
    shutil.rmtree(ModelVersion.objects.get().path)
    with pytest.raises(NoActiveVersionError):
        registry.classifier("colors")
    assert registry.state()["status"] == "unavailable"


def test_mended_folder_is_taken_at_the_next_look(
    registry: Registry, served: Recognizer, add_version: AddVersion
) -> None:
    version = add_version()
    aside = version.path.with_name("aside")
    version.path.rename(aside)
    assert registry.classifier("colors").number == 1
    aside.rename(version.path)
    assert registry.classifier("colors").number == 2
    assert registry.state()["status"] == "ready"


def test_broken_version_is_tried_again_after_a_while(
    registry: Registry,
    served: Recognizer,
    add_version: AddVersion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = add_version()
    load_version = serving.load_version
    attempts = []

    def fail_on_newest(tried: ModelVersion) -> Any:
        if tried.pk == version.pk:
            attempts.append(tried.pk)
            raise MemoryError
        return load_version(tried)

    monkeypatch.setattr(serving, "load_version", fail_on_newest)
    for _ in range(3):
        assert registry.classifier("colors").number == 1
    assert len(attempts) == 1
    later_s = time.monotonic() + serving.BROKEN_RETRY_S + 1
    monkeypatch.setattr(serving.time, "monotonic", lambda: later_s)
    registry.refresh()
    assert len(attempts) == 2


def test_one_broken_recognizer_does_not_keep_the_others_from_serving(
    registry: Registry, served: Recognizer
) -> None:
    other = Recognizer.objects.create(slug="aaa", name="Aaa")
    ModelVersion.objects.create(
        recognizer=other,
        number=1,
        directory="aaa/v1",
        labels=[],
        is_active=True,
        activated_at="2026-11-22T12:00:00Z",
    )
    assert registry.classifier("colors").number == 1
    assert registry.state()["status"] == "degraded"


def test_database_that_does_not_answer_leaves_what_serves(
    registry: Registry, served: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.classifier("colors")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(ModelVersion.objects, "filter", fail)
    assert registry.classifier("colors").number == 1
    assert registry.state()["status"] == "unavailable"
    monkeypatch.undo()
    assert registry.state()["status"] == "ready"


def test_folder_that_is_not_the_registered_one_is_not_loaded(served: Recognizer) -> None:
    version = ModelVersion.objects.get()
    version.metadata_sha256 = "0" * 64
    with pytest.raises(ArtifactError, match="not the one that was registered") as refusal:
        serving.load_version(version)
    assert refusal.value.code == "altered_file"


@pytest.mark.django_db(transaction=True)
def test_thread_follows_an_activation(
    background_registry: Registry, served: Recognizer, add_version: AddVersion
) -> None:
    assert background_registry.classifier("colors").number == 1
    add_version()
    wait_until(lambda: background_registry.classifier("colors").number == 2)


@pytest.mark.django_db(transaction=True)
def test_a_first_version_serves_before_the_thread_has_looked(
    background_registry: Registry, recognizer: Recognizer, add_version: AddVersion
) -> None:
    with pytest.raises(NoActiveVersionError):
        background_registry.classifier("colors")
    version = add_version(activate=False)
    # As another process activates it: nobody wakes this one's thread.
    ModelVersion.objects.filter(pk=version.pk).update(is_active=True, activated_at=timezone.now())
    assert background_registry.classifier("colors").number == 1


@pytest.mark.django_db(transaction=True)
def test_thread_survives_faults(
    background_registry: Registry, served: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    background_registry.start()
    faults = iter([OperationalError("gone"), RuntimeError("odd")])
    calls = []
    refresh = background_registry.refresh

    def fail_twice() -> None:
        calls.append(None)
        for fault in faults:
            raise fault
        refresh()

    monkeypatch.setattr(background_registry, "refresh", fail_twice)
    for expected in (1, 2, 3):
        background_registry.wake()
        wait_until(lambda expected=expected: len(calls) == expected)  # type: ignore[misc]
    wait_until(lambda: background_registry.state()["status"] == "ready")


def test_starting_twice_starts_one_thread(background_registry: Registry, db: None) -> None:
    background_registry.start()
    background_registry.start()
    assert [thread.name for thread in threading.enumerate()].count("serving") == 1
    background_registry.stop()
    assert "serving" not in [thread.name for thread in threading.enumerate()]


def test_forked_child_begins_anew(served: Recognizer, registry: Registry) -> None:
    registry.classifier("colors")
    serving.decoder()
    pid = os.fork()
    if pid == 0:  # the child tells by its exit code, without any of the parent's clean-up
        anew = decoding._decoder is None and not registry._served
        os._exit(0 if anew else 1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert registry._served


def test_swaps_under_load_never_mix_labels_of_two_versions(
    background_registry: Registry, served: Recognizer, add_version: AddVersion
) -> None:
    add_version(labels=("p", "q"), weights=np.ones((2, 3), np.float32))
    labels_by_number = {1: ("blue", "green", "red"), 2: ("p", "q")}
    background_registry.start()
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    seen: set[int] = set()
    faults: list[object] = []
    over = threading.Event()

    def classify(version: ServedVersion) -> None:
        result = version.classifier.classify(red)
        seen.add(version.number)
        if result.labels != labels_by_number[version.number] or len(result.probabilities) != len(
            result.labels
        ):
            faults.append((version.number, result.labels))

    def load() -> None:
        while not over.is_set():
            try:
                classify(background_registry.classifier("colors"))
            except Exception as error:
                faults.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            services.rollback(served)
            background_registry.refresh()
            services.activate_version(served.versions.get(number=2))
            background_registry.refresh()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert seen == {1, 2}
