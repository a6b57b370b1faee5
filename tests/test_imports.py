"""What an import pulls in decides how much memory and time a process costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
FORBIDDEN = ("tensorflow", "keras", "django", "matplotlib")


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after `statement`."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(finished.stdout)}


@pytest.mark.parametrize(
    "module",
    [
        "ml.artifact",
        "ml.evaluation",
        "ml.explanation",
        "ml.images",
        "ml.inference",
        "ml.preprocessing",
        "ml.sandbox",
    ],
)
def test_serving_modules_pull_in_no_training_library_and_no_django(module: str) -> None:
    assert not modules_after(f"import {module}") & set(FORBIDDEN)


def test_decoder_process_pulls_in_no_network_runtime() -> None:
    assert "ai_edge_litert" not in modules_after("import ml.sandbox")


def test_whole_site_runs_without_training_libraries() -> None:
    statement = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "from classifier_site.wsgi import application\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns"
    )

    assert not modules_after(statement) & {"tensorflow", "keras", "matplotlib"}
