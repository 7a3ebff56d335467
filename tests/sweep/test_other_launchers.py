"""Hydra's own launchers: a member that is wrong, or dies, gives a status other than 0, its reason, and a report."""

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from swept import UNTRACKED

JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def swept(folder: Path, *overrides: str, program: str = "from runner import cli; cli.main()") -> tuple[int, str, str]:
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("the launcher is not installed: pip install hydra-joblib-launcher")
    command = [sys.executable, "-c", program, "-m", *UNTRACKED, *JOBLIB, *overrides]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout, done.stderr


def statuses(folder: Path) -> list[str]:
    [table] = folder.glob("outputs/sweeps/*/*/members.csv")
    with table.open() as file:
        return [row["status"] for row in csv.DictReader(file)]


@pytest.mark.slow  # processes that import JAX
def test_a_wrong_member_of_joblib_is_told_and_the_others_are_reported(tmp_path: Path) -> None:
    status, out, err = swept(tmp_path, "model.layers.0.conv.kernel_size=3,90")
    assert status == 2, err
    assert "model.layers[0].conv.kernel_size: must fit" in err
    assert sorted(statuses(tmp_path)) == ["FAILED", "FINISHED"]
    [folder] = tmp_path.glob("outputs/sweeps/*/*")
    assert (folder / "report.html").is_file()
    assert "kernel_size: 3" in (folder / "best.yaml").read_text()
    assert "report: " in out


@pytest.mark.slow  # processes that import JAX
def test_a_member_of_joblib_that_dies_fails_its_batch(tmp_path: Path) -> None:
    dying = """
import os, signal
from runner import cli
from runner.training.alone import Training

class Dying:
    def __init__(self, use): self.use = use
    def __call__(self, job):
        if job.configuration.experiment.seed == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.use(job)

from runner import composition
train = composition.train
composition.train = lambda command, use: train(command, Dying(use))
cli.main()
"""
    status, _, err = swept(tmp_path, "seed=1,2", program=dying)
    assert status == 1, err
    [line] = [line for line in err.splitlines() if line.startswith("hydra/launcher: ")]
    assert line.startswith("hydra/launcher: must run every member, but gave up (TerminatedWorkerError: ")
    assert line.endswith("; the same command trains this batch again")
    assert statuses(tmp_path) == ["FAILED", "FAILED"]
