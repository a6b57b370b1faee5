"""Options and fixtures that every test may use."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--corpora",
        type=Path,
        metavar="DIR",
        help="a directory of awkward pictures: each file in it must be decoded or refused",
    )


@pytest.fixture(scope="session")
def corpora(request: pytest.FixtureRequest) -> Path:
    """Return the directory given by --corpora; without it the test is skipped."""
    directory: Path | None = request.config.getoption("--corpora")
    if directory is None:
        pytest.skip("needs --corpora DIR")
    return directory.resolve(strict=True)
