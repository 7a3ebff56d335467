"""Sweeps that are interrupted in the middle of their members: the same command goes on there, to the same bits."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from swept import found, store

from runner.observers.checkpointer import Checkpointer
from runner.training import checkpoints
from runner.training.observer import Point

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]
TIMES = ("images_per_second", "seconds_train", "seconds_compile")
OWN = (
    "model.name=tiny", "model.input=null", "data.limit=160", "train.batch_size=32", "figures.draw=[]",
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, batch_norm, relu, flatten, {dropout: {rate: 0.2}}, "
    "classifier]",
    "train.epochs=5", "train.lowering=reference", "sweep.log_models=all",
)  # fmt: skip
GRID = ("-m", *OWN, "optimizer.learning_rate=0.003,0.03", "seed=1,2")


def interrupt(patch: pytest.MonkeyPatch, number: int, step: int) -> None:
    """Interrupts the sweep once a member, or the group with it, has taken so many steps."""
    reaches = Checkpointer.reaches

    def interrupting(self: Checkpointer, point: Point) -> None:
        reaches(self, point)
        if not point.is_last and point.steps >= step and number in [member.number for member in point.members]:
            raise KeyboardInterrupt

    patch.setattr(Checkpointer, "reaches", interrupting)


def members() -> dict[str, tuple[Any, ...]]:
    """By what varies: the status, how often each point was recorded, its value, and a digest of the parameters."""
    result = {}
    for run in found()[1]:
        tags = run.data.tags
        key = json.dumps(json.loads(tags["sweep.member"])["varied"], sort_keys=True)
        assert key not in result, "a member has two runs"
        points = [point for name in run.data.metrics for point in store().get_metric_history(run.info.run_id, name)]
        values = {(one.key, one.step): one.value for one in points if one.key not in TIMES}
        weights = Path(tags["runner.folder"]) / "weights.safetensors"
        digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else ""
        counts = Counter((one.key, one.step) for one in points)
        result[key] = (run.info.status, tags["sweep.status"], sorted(counts.items()), values, digest)
    return result


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "number"), [("loop", 2), ("parallel", 1), ("vmap", 0)])
def test_members_go_on_in_the_middle(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, strategy: str, number: int
) -> None:
    command = (*GRID, f"sweep.strategy={strategy}", "train.save_every=1 epoch")
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert runner(*command).status == 0
    whole = members()
    assert len(whole) == 4
    assert not list(Path("outputs/sweeps").rglob("*.checkpoint"))  # they are of no use any more
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    with monkeypatch.context() as patch:
        interrupt(patch, number, 13)
        assert runner(*command).status == 130
    before = {run.info.run_id for run in found()[1]}
    paths = list(Path("outputs/sweeps").rglob("*.checkpoint"))
    assert any(path.stem == "step-000000013" for path in paths)
    if strategy == "vmap":
        assert {path.parts[4] for path in paths} == {"checkpoints"}  # of the whole group
    steps: list[int] = []
    reaches = Checkpointer.reaches
    with monkeypatch.context() as patch:
        patch.setattr(Checkpointer, "reaches", lambda self, point: (steps.append(point.steps), reaches(self, point))[1])
        assert runner(*command).status == 0
    assert len(steps) < 4 * 30
    if strategy == "vmap":
        assert min(steps) == 14
    assert members() == whole
    assert before <= {run.info.run_id for run in found()[1]}
    assert not list(Path("outputs/sweeps").rglob("*.checkpoint"))
    assert not list(Path("outputs/sweeps").glob("*/*/checkpoints"))


@pytest.mark.slow
def test_a_search_goes_on_with_the_batch_that_was_killed(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Members of the batch that had ended are not trained again, and the batches after it are the same too."""
    command = (
        "-m", *OWN, "optimizer.learning_rate=tag(log,interval(0.001,0.1))", "sweep.sampler=tpe", "sweep.trials=6",
        "sweep.batch=3", "sweep.strategy=loop",
    )  # fmt: skip
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert runner(*command).status == 0
    whole = members()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    with monkeypatch.context() as patch:
        interrupt(patch, 1, 13)
        assert runner(*command).status == 130
    assert len(found()[1]) == 2
    assert runner(*command).status == 0
    assert members() == whole
    numbers = [json.loads(run.data.tags["sweep.member"])["number"] for run in found()[1]]
    assert numbers == list(range(6))


@pytest.mark.slow  # two sweeps of six members
def test_a_mapped_group_goes_on_with_members_that_had_been_pruned(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its program has their rows until they ended, so that the others are rounded alike."""
    command = (
        "-m", *OWN, "optimizer.learning_rate=0.00001,0.003,0.01,0.03,0.00002", "sweep.strategy=vmap",
        "sweep.pruner.name=successive_halving", "sweep.pruner.reduction_factor=2", "train.save_every=3 epochs",
    )  # fmt: skip
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert runner(*command).status == 0
    whole = members()
    assert {status for _, status, *_ in whole.values()} == {"PRUNED", "FINISHED"}
    for step in (7, 17):  # after the first members were pruned: before the first checkpoint, and after it
        folder = tmp_path / str(step)
        folder.mkdir()
        monkeypatch.chdir(folder)
        with monkeypatch.context() as patch:
            interrupt(patch, 0, step)
            assert runner(*command).status == 130
        if step == 7:  # as if SIGKILL had come, which saves nothing
            for path in Path("outputs/sweeps").rglob("*.checkpoint"):
                path.unlink()
        assert runner(*command).status == 0
        assert members() == whole


@pytest.mark.slow  # three processes for each strategy
@pytest.mark.parametrize("strategy", ["loop", "parallel", "vmap"])
def test_a_sweep_that_is_killed_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    arguments = (*GRID, f"sweep.strategy={strategy}", "train.save_every=4 steps", "train.epochs=40")
    command = [sys.executable, "-m", "runner", *arguments]
    for name in ("whole", "mine"):
        (tmp_path / name).mkdir()
    subprocess.run(command, cwd=tmp_path / "whole", check=True, capture_output=True)
    monkeypatch.chdir(tmp_path / "whole")
    whole = members()
    monkeypatch.chdir(tmp_path / "mine")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not any(checkpoints.found(folder) for folder in Path("outputs").rglob("checkpoints*/**")):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert members() == whole
