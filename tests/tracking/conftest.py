"""The store that the tests of tracking share."""

import logging
from typing import Any

import pytest

from runner.tracking.store import Store


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all these tests: a new one costs seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'outputs' / 'mlflow.db'}"


@pytest.fixture(scope="session")
def client(uri: str) -> Any:
    return Store(uri).client


@pytest.fixture(autouse=True)
def _warnings_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "runner")
