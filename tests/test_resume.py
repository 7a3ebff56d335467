"""A run that was killed goes on where its last checkpoint is, and ends with the bits of the run that nobody killed."""

import errno
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import mlflow
import pytest
from commands import Runner
from configurations import TINY

from runner.observers.checkpointer import Checkpointer
from runner.training import checkpoints
from runner.training.alone import Training
from runner.training.ledger import Epoch
from runner.training.observer import Point

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]
TRACKED = (
    *(line for line in TINY if not line.startswith(("tracking", "train.epochs"))),
    "figures.draw=[]", "train.epochs=6", "train.lowering=reference",
)  # fmt: skip
TIMES = ("images_per_second", "seconds_train", "seconds_compile", "peak_memory_mb", "energy_joules")


def store() -> Any:
    return mlflow.MlflowClient(f"sqlite:///{Path('outputs/mlflow.db').absolute()}")


def runs() -> list[Any]:
    client = store()
    found: list[Any] = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return found


def points(run: Any) -> tuple[Counter[tuple[str, int]], dict[tuple[str, int], float]]:
    """How often a run has each point, and the values of those that are no times."""
    found = [point for name in run.data.metrics for point in store().get_metric_history(run.info.run_id, name)]
    values = {(one.key, one.step): one.value for one in found if one.key not in TIMES}
    return Counter((one.key, one.step) for one in found), values


def weights(folder: str) -> str:
    return hashlib.sha256((Path(folder) / "weights.safetensors").read_bytes()).hexdigest()


def interrupt(patch: pytest.MonkeyPatch, step: int, error: BaseException | None = None) -> None:
    """Interrupts the training after so many steps, once."""
    reaches, done = Checkpointer.reaches, list[int]()

    def interrupting(self: Checkpointer, point: Point) -> None:
        reaches(self, point)
        if point.steps >= step and not done:
            done.append(point.steps)
            raise error or KeyboardInterrupt

    patch.setattr(Checkpointer, "reaches", interrupting)


def assert_as_if_whole(run: Any, folder: str) -> None:
    """The run has the points and the parameters of the one in `whole`."""
    [whole] = [one for one in runs() if one.data.tags["runner.folder"] == str(Path("whole").absolute())]
    counts, values = points(run)
    assert set(counts.values()) == {1}
    assert (set(counts), values) == (set(points(whole)[0]), points(whole)[1])
    assert run.info.status == "FINISHED"
    assert weights(folder) == weights("whole")


def test_an_interrupted_run_goes_on_to_the_bits_of_the_whole(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runner(*TRACKED, "hydra.run.dir=whole").status == 0
    with monkeypatch.context() as patch:
        interrupt(patch, 13)
        done = runner(*TRACKED, "hydra.run.dir=mine")
    assert (done.status, done.err) == (130, "interrupted\n")
    assert done.out.endswith("interrupted, with a checkpoint; go on with: python -m runner resume run=mine\n")
    [path] = checkpoints.found(Path("mine/checkpoints"))
    assert path.name == "step-000000013.checkpoint"  # in the third epoch
    [killed] = [run for run in runs() if run.info.status == "KILLED"]
    assert killed.data.tags["end_reason"] == "interrupted"
    assert re.fullmatch(r"1, 0\.\d MB", killed.data.tags["checkpoints"])
    shown = runner("runs", "status=killed").out
    assert f"the killed run goes on with: python -m runner resume run={killed.info.run_id[:8]}" in shown
    done = runner("resume", f"run={killed.info.run_id[:8]}")
    assert done.status == 0
    assert "goes on after step 13 of 30, epoch 2 of 6 was the last whole one" in done.out
    again = store().get_run(killed.info.run_id)
    assert_as_if_whole(again, "mine")
    assert "end_reason" not in again.data.tags
    assert len(runs()) == 2
    refused = runner("resume", "run=mine")
    assert (refused.status, refused.err) == (
        2, "run: must not have finished; train.epochs=NUMBER trains it for longer, got mine\n",
    )  # fmt: skip


def test_damaged_and_foreign_checkpoints_are_named_and_passed_over(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner(*TRACKED, "hydra.run.dir=whole", "train.save_every=1 epoch").status == 0
    with monkeypatch.context() as patch:
        interrupt(patch, 13)
        runner(*TRACKED, "hydra.run.dir=mine", "train.save_every=1 epoch")
    newest, _ = checkpoints.found(Path("mine/checkpoints"))
    newest.write_bytes(newest.read_bytes()[:-1])
    foreign = Path("mine/checkpoints/step-000000999.checkpoint")
    foreign.write_bytes(checkpoints.found(Path("whole/checkpoints"))[0].read_bytes())
    done = runner("resume", "run=mine")
    assert done.status == 0
    assert f"{foreign} is passed over: it is of another run" in done.err
    assert f"{newest} is passed over: it is incomplete or was changed" in done.err
    assert "goes on after step 10 of 30" in done.out
    [mine] = [run for run in runs() if run.data.tags["runner.folder"] == str(Path("mine").absolute())]
    assert_as_if_whole(mine, "mine")


@pytest.mark.slow
def test_a_run_without_a_checkpoint_begins_again_in_the_same_run(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner(*TRACKED, "hydra.run.dir=whole").status == 0
    with monkeypatch.context() as patch:
        interrupt(patch, 13)
        done = runner(*TRACKED, "hydra.run.dir=mine", "train.save_every=null")
    assert done.out.endswith("interrupted; begin again with: python -m runner resume run=mine\n")
    assert not Path("mine/checkpoints").exists()
    done = runner("resume", "run=mine")
    assert "goes on from the beginning, as it has no checkpoint" in done.out
    [mine] = [run for run in runs() if run.data.tags["runner.folder"] == str(Path("mine").absolute())]
    assert_as_if_whole(mine, "mine")


def test_a_run_can_be_made_longer_and_says_that_it_is_not_exact(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (*TRACKED, "tracking.log_model=false")
    assert runner(*own, "hydra.run.dir=mine", "train.save_every=1 epoch", "train.epochs=2").status == 0
    refused = runner("resume", "run=mine", "train.epochs=1")
    assert refused.err == "train.epochs: must be at least 2, which the run began with, got 1\n"
    done = runner("resume", "run=mine", "train.epochs=4")
    assert done.status == 0
    assert "train.epochs: 2 → 4. Learning rates are computed anew" in done.out
    [run] = runs()
    counts, values = points(run)
    assert {step for _, step in counts} == {0, 1, 2, 3, 4}
    best = max(values["val/accuracy", step] for step in range(1, 5))
    assert run.data.metrics["best_val_accuracy"] == best  # not of its first end
    assert counts["parameters", 0] == counts["val/loss", 1] == 1
    assert run.data.tags["resumed.exact"] == "no: train.epochs was 2"
    assert "4 of 4" in runner("runs").out
    assert runner("resume", "run=mine").err.startswith("run: must not have finished; ")


def test_a_disk_without_room_for_checkpoints_costs_no_training_and_is_named_once(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints, "write", full)
    done = runner(*TRACKED, "tracking.enabled=false", "hydra.run.dir=mine", "train.save_every=1 epoch")
    assert done.status == 0
    log = Path("mine/runner.log").read_text()
    assert log.count("no checkpoint was written to mine/checkpoints: No space left on device") == 1


def test_another_configuration_is_refused_with_the_difference(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    own = (*TRACKED, "tracking.enabled=false")
    with monkeypatch.context() as patch:
        interrupt(patch, 13)
        runner(*own, "hydra.run.dir=mine")
    config = Path("mine/config.yaml")
    config.write_text(config.read_text().replace("filters: 4", "filters: 5").replace("seed: 0", "seed: 1"))
    refused = runner("resume", "run=mine")
    assert refused.status == 2
    assert refused.err.splitlines() == [
        "seed: must be 0 as in the checkpoint, got 1",
        "model.layers[0].conv.filters: must be 4 as in the checkpoint, got 5",
    ]


def test_what_cannot_go_on_is_refused(runner: Runner) -> None:
    Path("empty").mkdir()
    assert runner("resume", "run=empty").err == (
        "run: must be a run that this version began, with its run.json and config.yaml, got empty\n"
    )
    command = ("-m", *TRACKED, "seed=0,1", "tracking.enabled=false", "train.epochs=1", "hydra.sweep.dir=swept")
    assert runner(*command).status == 0
    refused = runner("resume", "run=swept/1").err
    assert refused.startswith("run: must be a single run; a sweep goes on by the same command: runner -m ")


# Real processes, really killed


def started(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "runner", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition: Any) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


LONG = (*(line for line in TRACKED if not line.startswith("train.epochs")), "train.epochs=60")


@pytest.mark.slow  # four processes
def test_a_run_that_is_killed_twice_ends_as_the_whole(tmp_path: Path) -> None:
    save = "train.save_every=7 steps"
    _, error = started(*LONG, save, "hydra.run.dir=whole").communicate(timeout=300)
    assert not error
    for command, steps in (((*LONG, save, "hydra.run.dir=mine"), 40), (("resume", "run=mine"), 160)):
        process = started(*command)
        until(
            lambda steps=steps: any(
                path.stem >= f"step-{steps:09}" for path in checkpoints.found(Path("mine/checkpoints"))
            )
        )
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    out, error = started("resume", "run=mine").communicate(timeout=300)
    assert "goes on after step" in out, error
    [mine] = [run for run in runs() if run.data.tags["runner.folder"] == str(Path("mine").absolute())]
    assert_as_if_whole(mine, "mine")
    assert len(runs()) == 2


@pytest.mark.slow  # two processes
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends_within_seconds(number: signal.Signals, status: int) -> None:
    process = started(*LONG, "train.epochs=2000", "hydra.run.dir=mine")
    until(
        lambda: (
            Path("outputs/mlflow.db").exists()
            and runs()
            and store().get_metric_history(runs()[0].info.run_id, "train/loss")
        )
    )
    began = time.monotonic()
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert (process.returncode, error) == (status, {130: "interrupted\n", 143: "terminated\n"}[status])
    assert out.splitlines()[-1].endswith("with a checkpoint; go on with: python -m runner resume run=mine")
    assert len(checkpoints.found(Path("mine/checkpoints"))) == 1
    assert runs()[0].info.status == "KILLED"


_BEFORE_MLFLOW = """
import os, signal, sys
import importlib.abc
class Killing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "mlflow":
            os.kill(os.getpid(), signal.SIGKILL)
sys.meta_path.insert(0, Killing())
from runner import cli
cli.main()
"""


@pytest.mark.slow  # two processes
def test_a_run_that_is_killed_before_mlflow_is_imported_is_listed_and_goes_on(runner: Runner) -> None:
    own = (*TRACKED, "tracking.log_model=false", "hydra.run.dir=mine")
    done = subprocess.run([sys.executable, "-c", _BEFORE_MLFLOW, *own], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    assert not Path("outputs/mlflow.db").exists()
    shown = runner("runs").out
    [identity] = [path.name for path in Path("outputs/.begun").iterdir()]
    assert identity[:8] in shown
    assert "(MLflow does not have it)" in shown.replace("\n", " ") or "MLflow" in shown
    assert runner("resume", f"run={identity[:8]}").status == 0
    [run] = runs()
    assert (run.info.status, run.data.tags["runner.identity"]) == ("FINISHED", identity)
    assert not list(Path("outputs/.begun").iterdir())


@pytest.mark.slow  # three processes
def test_of_two_processes_that_resume_a_run_at_once_one_is_refused() -> None:
    own = (*TRACKED, "train.epochs=300", "train.save_every=1 epoch", "hydra.run.dir=mine")
    process = started(*own)
    until(lambda: list(Path("mine/checkpoints").glob("*.checkpoint")))
    process.kill()
    process.communicate()
    both = [started("resume", "run=mine") for _ in range(2)]
    ended = [(process.communicate()[1], process.returncode) for process in both]
    assert sorted(status for _, status in ended) == [0, 2]
    [refused] = [err.splitlines() for err, status in ended if status == 2]
    assert len(refused) == 1
    counts, _ = points(runs()[0])
    assert set(counts.values()) == {1}


@pytest.mark.slow  # a process
def test_a_run_that_trains_is_not_resumed_by_another_process(runner: Runner) -> None:
    process = started(
        *LONG, "train.epochs=2000", "tracking.enabled=false", "train.save_every=1 epoch", "hydra.run.dir=mine"
    )
    until(lambda: checkpoints.found(Path("mine/checkpoints")))
    refused = runner("resume", "run=mine")
    assert (refused.status, refused.err) == (2, "run: must be a run that no other process trains, got mine\n")
    process.kill()
    process.communicate()


def test_the_epochs_before_are_told_to_observers_once(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    own = (*TRACKED, "tracking.enabled=false")
    advanced: list[int] = []
    advance = Training.advance

    def noted(self: Training, *rest: Any) -> Epoch:
        epoch = advance(self, *rest)
        advanced.append(epoch.number)
        return epoch

    monkeypatch.setattr(Training, "advance", noted)
    with monkeypatch.context() as patch:
        interrupt(patch, 13)
        runner(*own, "hydra.run.dir=mine")
    assert advanced == [1, 2]
    runner("resume", "run=mine")
    assert advanced == [1, 2, 3, 4, 5, 6]
    log = Path("mine/runner.log").read_text()
    assert [int(number) for number in re.findall(r"epoch (\d+)/6", log)] == [1, 2, 1, 2, 3, 4, 5, 6]
