"""Tests of data leave the user's cache alone."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "cache"))
