"""How a command ends that an error stopped: a line, a status, and the traceback where it can be found."""

import logging
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from commands import Runner
from configurations import TINY

from runner import data, endings
from runner.endings import report_error
from runner.errors import ConfigError, must


def raised(error: BaseException) -> BaseException:
    """The error with a traceback, as it comes out of a command."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - any
        return caught


def test_a_users_mistake_prints_only_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(raised(ConfigError(must("seed", "be ≥ 0", -1)))) == 2
    assert capsys.readouterr().err == "seed: must be ≥ 0, got -1\n"


def test_a_bug_is_written_to_the_log_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(logging.FileHandler(tmp_path / "run.log", encoding="utf-8")) as handler:
        monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
        assert report_error(raised(RuntimeError("the ×\nis lost"))) == 1
    line = f"unexpected error, please report it with {tmp_path / 'run.log'}: RuntimeError: the ×\n"
    assert capsys.readouterr().err == line
    kept = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert kept.startswith("Traceback")
    assert "in raised" in kept


def test_without_a_log_the_traceback_is_in_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(endings.tempfile, "tempdir", str(tmp_path))
    assert report_error(raised(KeyError("x"))) == 1
    found = re.fullmatch(r"unexpected error, please report it with (.*): KeyError: 'x'\n", capsys.readouterr().err)
    assert found
    assert "KeyError" in Path(found[1]).read_text(encoding="utf-8")
    monkeypatch.setattr(endings.tempfile, "tempdir", str(tmp_path / "no folder"))
    assert report_error(raised(KeyError("x"))) == 1
    assert capsys.readouterr().err.startswith("Traceback"), "what can be kept nowhere is shown"


def test_the_whole_traceback_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONVRUNNER_TRACEBACK", "1")
    assert report_error(raised(ConfigError(must("seed", "be ≥ 0", -1)))) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith("\nseed: must be ≥ 0, got -1\n")


def test_a_file_that_cannot_be_used_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(raised(OSError(28, "No space left on device", "outputs/x"))) == 1
    line = "outputs/x: must be readable and writable, but: No space left on device\n"
    assert capsys.readouterr().err == line


def test_a_failed_allocation_names_its_size_and_its_module(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*args: object, **kwargs: object) -> np.ndarray:
        return np.zeros((2**40, 2**20), np.uint8)

    monkeypatch.setattr(data, "load", load)
    done = runner(*TINY)
    assert done.status == 1
    line = r"memory: must be enough \(Unable to allocate 1.00 EiB for an array .*, in runner\.run\)"
    assert re.fullmatch(line, done.err.strip()), done.err


def test_options_can_be_anywhere_among_overrides(runner: Runner) -> None:
    for arguments in (("experiment=x", "-m", "seed=1,2"), ("-m", "experiment=x", "seed=1,2")):
        done = runner(*arguments)
        assert done.status == 2
        assert done.err.startswith('experiment: unknown experiment "x"')
    done = runner("seed=3", "--cfg", "job", "train.epochs=7")
    assert done.status == 0
    assert "seed: 3\n" in done.out
    assert "  epochs: 7\n" in done.out


def test_a_run_continues_if_a_file_cannot_be_written(tmp_path: Path) -> None:
    overrides = [*TINY, "data.limit=100", "train.epochs=1", f"hydra.run.dir={tmp_path}/run", "tracking.enabled=false"]
    (tmp_path / "run").mkdir()
    # A folder stands where a file is to be written, which is the same to the program as a disk that is full.
    (tmp_path / "run" / "weights.safetensors").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "runner", *overrides],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING weights.safetensors was not written: Is a directory" in done.stderr
    assert "test accuracy" in done.stdout
