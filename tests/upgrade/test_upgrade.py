"""What the version before the change of the house left on a disk is still of use: `make.py` says how it was made."""

import csv
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Runner
from safetensors.numpy import load_file
from sweep.swept import found, store, varied
from upgrade import make

from runner.tracking.summaries import own_name
from runner.tracking.view import view_link

BEFORE = Path(__file__).parent / "before.tar.xz"
WEIGHTS = "outputs/run/weights.safetensors"
MEASURED = ("seconds/", "images_per_second", "peak_memory_mb", "energy_joules")
ADDED = ("parameters", "multiply_adds", "receptive_field")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # from MLflow's use of SQLAlchemy
]


@pytest.fixture(autouse=True)
def _laid_out(tmp_path: Path) -> None:
    """The old files in this test's folder, as if they had been made there."""
    with tarfile.open(BEFORE) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            data = file.read().replace(make.FOLDER.encode(), str(tmp_path).encode())
            path = tmp_path / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".sql":
                with closing(sqlite3.connect(path.with_suffix(""))) as connection:
                    connection.executescript(data.decode())
            else:
                path.write_bytes(data)


def renamed(lines: tuple[str, ...]) -> tuple[str, ...]:
    """An old command line with the key that was renamed since."""
    return tuple("figures=off" if line == "tracking.figures=false" else line for line in lines)


def old_run() -> Any:
    """The run of `make.RUN` in the store."""
    [run] = [run for run in found()[0] if "sweep" not in run.data.tags]
    return run


def results(run: Any) -> dict[str, float]:
    """A run's metrics by their old names, without those that were added since, or that a clock gave."""
    found = {own_name(name): value for name, value in run.data.metrics.items() if name not in ADDED}
    return {name: value for name, value in found.items() if not name.startswith(MEASURED)}


def finished(runner: Runner, *arguments: str) -> str:
    """What a command printed that ended well."""
    done = runner(*arguments)
    assert done.status == 0, done.err
    return done.out


@pytest.mark.slow
def test_the_configuration_of_an_old_run_trains_it_again(runner: Runner) -> None:
    old = old_run()
    folder = Path(old.info.artifact_uri.removeprefix("file://"))
    again = ("--config-name=config", "hydra.run.dir=outputs/again")
    done = runner(f"--config-dir={folder}", *again)
    assert (done.status, done.err) == (2, "tracking.figures: must be given as figures.draw, got false\n")
    finished(runner, f"--config-dir={folder}", *again, "~tracking.figures", "+figures.draw=[]")
    now, before = load_file("outputs/again/weights.safetensors"), load_file(WEIGHTS)
    assert now.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_allclose(now[name], value, atol=1e-4)
    [new] = [run for run in found()[0] if "sweep" not in run.data.tags and run.info.run_id != old.info.run_id]
    assert {name: results(new)[name] for name in results(old)} == pytest.approx(results(old), abs=1e-3)


def test_the_command_of_an_old_run_gives_what_it_gave(runner: Runner) -> None:
    """In the old store: the new run stands beside the old one, with its parameters and tags, and further ones."""
    old = old_run()
    folder = "hydra.run.dir=outputs/again"
    finished(runner, *(line for line in renamed(make.RUN) if not line.startswith("hydra")), folder)
    runs = [run for run in found()[0] if "sweep" not in run.data.tags]
    [new] = [run for run in runs if run.info.run_id != old.info.run_id]
    assert new.info.experiment_id == old.info.experiment_id
    assert {name: results(new)[name] for name in results(old)} == pytest.approx(results(old), abs=1e-3)
    gone = {"tracking.figures", "train.mirrored_evaluation"}
    known = {name: text for name, text in old.data.params.items() if text != "null" and name not in gone}
    assert known.items() <= new.data.params.items()
    added = [name for name in new.data.params if name not in known and not name.startswith(("optimizer", "schedule"))]
    since = {"train.metrics", "train.save_every", "train.keep_checkpoints.last", "train.keep_checkpoints.best"}
    since |= {"train.sampling", "loss.class_weights", "loss.effective_number_beta", "data.fold", "data.on_leakage"}
    since |= {"train.test_time.views", "task.name", "data.residence", "train.device_count"}
    assert set(added) == {"data.class_names", "data.mean", "data.std"} | since
    assert set(new.data.tags) >= set(old.data.tags)


def test_the_view_of_an_old_store_opens_under_its_key_and_has_the_columns_of_now(runner: Runner) -> None:
    before = store().get_experiment(old_run().info.experiment_id)
    finished(runner, *renamed(make.TINY), "tracking.log_model=false")
    after = store().get_experiment(before.experiment_id)
    key = view_link("http://host", before.experiment_id).partition("viewStateShareKey=")[2]
    assert "`test_accuracy`" in after.tags[f"mlflow.sharedViewState.{key}"]
    assert "`test_accuracy`" not in before.tags[f"mlflow.sharedViewState.{key}"]


def test_a_run_begins_from_old_weights(runner: Runner) -> None:
    still = ("optimizer=sgd", "optimizer.learning_rate=0.0", f"model.weights={WEIGHTS}", "hydra.run.dir=outputs/still")
    finished(runner, *renamed(make.TINY), *still)
    now, before = load_file("outputs/still/weights.safetensors"), load_file(WEIGHTS)
    assert now.keys() == before.keys()
    learnt = [name for name in before if not name.endswith(("mean", "variance"))]
    assert len(learnt) >= 6
    for name in learnt:
        np.testing.assert_array_equal(now[name], before[name])


def test_an_old_sweep_that_was_interrupted_trains_what_it_lacks_and_keeps_what_it_had(runner: Runner) -> None:
    def of_seeds() -> tuple[Any, dict[int, Any]]:
        parents, members = found()
        [parent] = [run for run in parents if run.info.run_name.endswith(": seed")]
        own = [run for run in members if run.data.tags["mlflow.parentRunId"] == parent.info.run_id]
        return parent, {varied(run)["seed"]: run for run in own}

    parent, before = of_seeds()
    assert (parent.info.status, before[0].info.status, before[1].info.status) == ("KILLED", "FINISHED", "KILLED")
    assert " goes on: 1 member was trained before" in finished(runner, *renamed(make.INTERRUPTED))
    again, members = of_seeds()
    assert (again.info.run_id, again.info.status) == (parent.info.run_id, "FINISHED")
    assert {seed: run.info.status for seed, run in members.items()} == {0: "FINISHED", 1: "FINISHED"}
    assert members[0].info.run_id == before[0].info.run_id
    assert members[0].data.metrics == before[0].data.metrics
    tables = [table.read_text(encoding="utf-8") for table in Path("outputs/sweeps").glob("*/*/members.csv")]
    [own] = [text for text in tables if "seed" in text.splitlines()[0].split(",")]
    rows = {row["seed"]: row for row in csv.DictReader(own.splitlines())}
    for seed, run in members.items():
        assert float(rows[str(seed)]["val/accuracy"]) == pytest.approx(run.data.metrics["val/accuracy"])
    # The second member is what its configuration gives alone.
    finished(runner, *renamed(make.TINY), "seed=1", "tracking.run_name=alone")
    [alone] = [run for run in found()[0] if run.info.run_name == "alone"]
    assert results(alone) == results(members[1])


def test_an_old_sweep_that_ended_trains_nothing_again(runner: Runner) -> None:
    before = {run.info.run_id for runs in found() for run in runs}
    out = finished(runner, *renamed(make.SWEEP))
    assert " goes on: 2 members were trained before, in outputs/sweeps/" in out
    assert "1/2" not in out
    assert {run.info.run_id for runs in found() for run in runs} == before
