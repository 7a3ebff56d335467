"""Which Python and which JAX `make test-versions` takes."""

import re
from pathlib import Path

import pytest
import versions


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    versions.python.cache_clear()


def a_python(folder: Path, version: str) -> None:
    """A program that says it is that Python."""
    program = folder / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)


def test_pyenv_is_searched_for_the_oldest_and_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for patch in ("3.11.7", "3.12.9", "3.12.10"):
        a_python(tmp_path / "versions" / patch, patch.rpartition(".")[0])
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere:/bin:/usr/bin")
    monkeypatch.setattr(versions.shutil, "which", lambda name: None)
    [oldest, *_] = versions.interpreters("oldest")
    [newest, *_] = versions.interpreters("newest")
    assert oldest == ("3.11", tmp_path / "versions" / "3.11.7" / "bin" / "python")
    assert newest == ("3.12", tmp_path / "versions" / "3.12.10" / "bin" / "python")
    assert capsys.readouterr().out.splitlines() == [
        f"{pair}: not found on this machine: Python 3.13" for pair in ("oldest", "newest")
    ]


def test_without_a_newer_python_nothing_is_tried_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(versions, "python", lambda version: Path("/python") if version == "3.11" else None)
    assert versions.tried("newest", [])
    assert "nothing is tried" in capsys.readouterr().out


def test_the_oldest_jax_is_the_lower_bound_and_the_newest_is_left_to_pip() -> None:
    dependencies = ["numpy>=2", "jax>=0.10.1,<0.13", "jaxtyping>=0.3"]
    assert versions.jax("oldest", dependencies) == "jax==0.10.1"
    assert versions.jax("newest", dependencies) == "jax>=0.10.1,<0.13"


def test_the_tests_that_ci_runs_on_the_newest_pair_are_there() -> None:
    named = re.findall(r"tests/\S+", (versions.ROOT / ".ci" / "run").read_text())
    assert len(named) > 3
    assert [name for name in named if not (versions.ROOT / name).exists()] == []
