"""Sweeps from the command line to MLflow: what a user launches, what is found there, and what is gone on with."""

import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest
from commands import Runner
from configurations import TINY
from swept import TRACKED, UNTRACKED, found, store, varied

from runner import memory
from runner.sweep import session

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]


# One compile per structure


@pytest.mark.parametrize("seeds", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_members_of_two_structures_compile_two_programs(runner: Runner, seeds: int) -> None:
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **facts: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(str(facts.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        sweep = ("optimizer.learning_rate=0.001,0.003,0.01", f"seed=range(0,{seeds})", "model.width=1,2")
        # A batch size of its own: another test of this process may have compiled the program of another one.
        done = runner("-m", *UNTRACKED, *sweep, f"train.batch_size={20 + seeds}")
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert done.status == 0, done.err
    assert sum("advance" in name for name in compiled) == 2
    assert sum("evaluate" in name for name in compiled) == 2
    assert sum("init" in name for name in compiled) == 2
    assert len(list(Path("outputs/sweeps").rglob(".hydra/config.yaml"))) == 6 * seeds


# What is found in MLflow


def test_a_sweep_is_a_run_with_its_members_as_children(runner: Runner) -> None:
    # A batch size of its own: another test of this process may have compiled the program of the usual one.
    own = (*TRACKED, "train.batch_size=20", "optimizer.learning_rate=0.003,0.03")
    command = ("-m", *own, "seed=0,1", "sweep.name=rates")
    done = runner(*command)
    assert done.status == 0, done.err
    [parent], members = found()
    assert parent.info.run_name == "sweep tiny: learning_rate × seed"
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"space.optimizer.learning_rate": "0.003,0.03", "space.seed": "0,1"}
    assert parent.data.tags["sweep"] == "rates"
    assert [run.info.run_name for run in members] == [
        f"tiny learning_rate={rate} seed={seed}" for rate in (0.003, 0.03) for seed in (0, 1)
    ]
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}
    assert {run.data.tags["sweep"] for run in members} == {"rates"}
    assert {run.info.status for run in members} == {"FINISHED"}
    best = max(members, key=lambda run: (run.data.metrics["val/accuracy"], -members.index(run)))
    assert parent.data.tags["best.run_id"] == best.info.run_id
    assert not [name for name in parent.data.metrics if "/" in name]  # a dot among the curves of its members
    for name in ("best_val_accuracy", "test_accuracy", "parameters", "multiply_adds"):
        assert parent.data.metrics[name] == best.data.metrics[name]
    assert parent.data.metrics["compiles"] == parent.data.metrics["structures"] == 1
    client = store()
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} >= {"best.yaml", "members.csv", "report"}
    # The best member's model is there to be used; every member's parameters would fill a disk.
    kept = [run.info.run_id for run in members if run.outputs and run.outputs.model_outputs]
    assert kept == [best.info.run_id]

    # The best configuration can be launched as it is, and gives what it gave.
    folder = Path(client.download_artifacts(parent.info.run_id, "best.yaml")).parent
    assert runner(f"--config-dir={folder}", "--config-name=best").status == 0
    parents, _ = found()
    [alone] = [run for run in parents if run.info.run_id != parent.info.run_id]
    same = [name for name in best.data.metrics if name.startswith(("train/", "val/", "test_", "best_"))]
    assert {name: alone.data.metrics[name] for name in same} == {name: best.data.metrics[name] for name in same}

    # The same command has nothing left to do.
    again = runner(*command)
    assert again.status == 0
    parents, members = found()
    assert (len(parents), len(members)) == (2, 4)
    # Another space under the same name is refused.
    other = runner(*command[:-2], "seed=0,2", "sweep.name=rates")
    assert other.status == 2
    assert "sweep.space.seed: must be the value with which the sweep started (0,1), got 0,2" in other.err


def test_pruned_members_end_early_and_are_told_apart(runner: Runner) -> None:
    rates = "optimizer.learning_rate=0.01,0.02,0.015,0.00001,0.00002,0.00003"
    own = ("sweep.pruner.name=successive_halving", "sweep.strategy=loop", "train.epochs=6")
    done = runner("-m", *TRACKED[:-2], *own, rates, "figures=off")
    assert done.status == 0, done.err
    _, members = found()
    statuses = [run.data.tags["sweep.status"] for run in members]
    assert statuses[0] == "FINISHED"
    assert statuses[3:] == ["PRUNED"] * 3
    assert [run.info.status for run in members[3:]] == ["KILLED"] * 3
    assert "test_accuracy" not in members[3].data.metrics
    assert members[3].data.tags["end_reason"] == "pruned"


def test_a_sweep_over_models_is_not_named_after_one_of_them(runner: Runner) -> None:
    done = runner("-m", *UNTRACKED, "model.name=one,two", "sweep.strategy=loop")
    assert done.status == 0, done.err
    assert "the best of 2: sweep: name " in done.out


@pytest.mark.slow
def test_a_sweep_that_is_chosen_needs_no_flag(runner: Runner) -> None:
    done = runner("sweep=seeds", *UNTRACKED, "seed=range(0,3)")
    assert done.status == 0, done.err
    assert len(list(Path("outputs/sweeps").rglob("runner.log"))) == 3


@pytest.mark.parametrize("name", ["lr", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tune", "width"))])
def test_ready_made_sweeps_run(runner: Runner, name: str) -> None:
    own = {
        "lr": ["optimizer.learning_rate=0.001,0.01"],
        "tune": ["sweep.trials=4", "sweep.batch=4", "train.epochs=2"],
        "width": ["model.width=0.5,1"],
    }
    overrides = [line for line in TINY if not line.startswith(("train.batch_size", "train.epochs"))]
    done = runner(f"sweep={name}", *overrides, *own[name])
    assert done.status == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_after_its_seconds_no_member_begins_and_the_same_command_goes_on(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    # A clock so fast that the time is over before the first member begins.
    clock = SimpleNamespace(perf_counter=lambda: 1e9 * time.perf_counter())
    command = (
        "-m",
        *TRACKED,
        "seed=choice(0,1,2,3)",
        "sweep.strategy=loop",
        f"sweep.sampler={sampler}",
        "sweep.trials=4",
    )
    with monkeypatch.context() as patched:
        patched.setattr(session, "time", clock)
        done = runner(*command, "sweep.batch=2", "sweep.seconds=7200")
    assert done.status == 0, done.err
    left = int(re.findall(r"sweep.seconds=7200 are over: (\d) members? do", done.out)[0])
    parents, members = found()
    assert (len(members), left) == (1, 3 if sampler == "grid" else 1)
    assert [run.info.status for run in parents] == ["FINISHED"]
    done = runner(*command, "sweep.batch=2")
    assert done.status == 0, done.err
    parents, members = found()
    assert len(parents) == 1
    assert sorted(varied(run)["seed"] for run in members) == [0, 1, 2, 3]
    assert {run.info.status for run in members} == {"FINISHED"}


@pytest.mark.slow
def test_a_sweep_over_folds_validates_every_training_image_once(runner: Runner) -> None:
    done = runner("-m", *UNTRACKED, "data.folds=3", "data.fold=range(0,3)", "model.width=1,2")
    assert done.status == 0, done.err
    assert "val/accuracy over folds" in done.out
    assert "not distinguishable from the first" in done.out


# Where members train


def test_memory_is_kept_before_jax_starts(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    devices = jax.devices
    monkeypatch.setattr(memory, "keep", lambda: asked.append("keep"))
    monkeypatch.setattr(jax, "devices", lambda *platform: (asked.append("devices"), devices(*platform))[1])
    done = runner("-m", *UNTRACKED, "seed=0,1")
    assert done.status == 0, done.err
    assert asked[:2] == ["keep", "devices"]


@pytest.mark.slow
def test_members_with_a_file_of_weights_and_without_one_are_mapped_apart(runner: Runner) -> None:
    assert runner(*TRACKED, "train.epochs=1", "hydra.run.dir=first").status == 0
    done = runner("-m", *UNTRACKED, "model.weights=null,first/weights.safetensors", "sweep.strategy=vmap")
    assert done.status == 0, done.err
    assert done.out.count("val/accuracy") >= 2


@pytest.mark.slow
def test_a_profile_is_written_for_each_member(runner: Runner) -> None:
    done = runner("-m", *UNTRACKED, "seed=0,1", "debug=profile", "hydra.sweep.dir=mine")
    assert done.status == 0, done.err
    assert sorted(path.parent.name for path in Path("mine").rglob("trace.json.gz")) == ["0", "1"]
    done = runner("-m", *UNTRACKED, "seed=0,1", "debug=profile", "sweep.strategy=vmap")
    assert done.status == 2
    assert done.err.splitlines() == ["sweep.strategy: must be auto or loop with train.profile, got vmap"]
