"""Sweeps that are interrupted or killed, at any write: no member is lost, none is trained twice, one parent is left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from commands import Runner
from swept import TRACKED, found, varied

from runner.sweep.search import Study
from runner.sweep.tally import RUN_ID
from runner.tracking.store import Store
from runner.training.alone import Training
from runner.training.ledger import Epoch

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]


@pytest.mark.slow
def test_an_interrupt_keeps_what_ended(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Training.advance

    def interrupted(self: Training, *rest: Any) -> Epoch:
        if self.plan.experiment.seed == 2 and len(self.ledger.history) == 1:
            raise KeyboardInterrupt
        return advance(self, *rest)

    command = ("-m", *TRACKED, "seed=range(0,4)", "sweep.strategy=loop")
    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", interrupted)
        assert runner(*command).status == 130
    [parent], members = found()
    assert parent.info.status == "KILLED"
    assert [run.info.status for run in members] == ["FINISHED", "FINISHED", "KILLED"]
    assert len(list(Path("outputs/sweeps").rglob(".hydra/config.yaml"))) == 2
    assert runner(*command).status == 0
    [parent], members = found()
    assert parent.info.status == "FINISHED"
    assert [(varied(run)["seed"], run.info.status) for run in members] == [(seed, "FINISHED") for seed in range(4)]


@pytest.mark.slow
def test_a_sweep_whose_run_the_search_does_not_know_goes_on_with_it(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the making of the sweep's run in MLflow and the search's note of it."""
    advance, remember = Training.advance, Study.remember

    def interrupted(self: Training, *rest: Any) -> Epoch:
        if self.plan.experiment.seed == 1:
            raise KeyboardInterrupt
        return advance(self, *rest)

    def forgetful(self: Study, name: str, text: str) -> None:
        if name != RUN_ID:
            remember(self, name, text)

    command = ("-m", *TRACKED, "seed=range(0,2)", "sweep.strategy=loop")
    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", interrupted)
        patch.setattr(Study, "remember", forgetful)
        assert runner(*command).status == 130
    [before], members = found()
    # The store knows whose a member's run is from the moment in which it is made.
    assert all(run.data.tags["sweep.identity"] == before.data.tags["sweep.identity"] for run in members)
    assert runner(*command).status == 0
    [parent], members = found()
    assert (parent.info.run_id, parent.info.status) == (before.info.run_id, "FINISHED")
    assert [(varied(run)["seed"], run.info.status) for run in members] == [(0, "FINISHED"), (1, "FINISHED")]
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}


@pytest.mark.slow
def test_a_run_is_known_as_a_member_from_the_moment_it_is_made(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, str]] = []
    begin = Store.begin

    def noted(self: Store, opening: Any, *, seek: bool = False) -> tuple[str, str]:
        if opening.run_id is None:  # it is not gone on with
            made.append(opening.tags)
        return begin(self, opening, seek=seek)

    monkeypatch.setattr(Store, "begin", noted)
    assert runner("-m", *TRACKED, "seed=1,2", "tracking.log_model=false").status == 0
    assert len({tags["sweep.identity"] for tags in made}) == 1
    assert sorted(json.loads(tags["sweep.member"])["varied"]["seed"] for tags in made if "sweep.member" in tags) == [
        1,
        2,
    ]


@pytest.mark.slow
def test_a_sweep_of_another_store_or_folder_is_another_sweep(runner: Runner) -> None:
    command = ("-m", *TRACKED, "seed=1,2", "tracking.log_model=false")
    assert "goes on" not in runner(*command).out
    # How members share the device is no part of the sweep: what was trained is told, with the way to begin anew.
    again = runner(*command, "sweep.strategy=loop")
    [first] = Path("outputs/sweeps").glob("*/*")
    [line] = [line for line in again.out.splitlines() if "goes on" in line]
    assert line.endswith(
        f" goes on: 2 members were trained before, in {first}; sweep.resume=never or another sweep.name begins a new "
        "sweep"
    )
    assert f"sweep {found()[0][0].data.tags['sweep']} goes on" in line
    other = runner(*command, "tracking.uri=sqlite:///outputs/other.db")
    assert "goes on" not in other.out
    client = mlflow.MlflowClient(f"sqlite:///{Path('outputs/other.db').absolute()}")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert len(runs) == 3
    named = runner(*command, "hydra.sweep.dir=mine")
    assert "goes on" not in named.out
    assert {path.name for path in Path("mine").iterdir()} >= {"members.csv", "report.html", "best.yaml", "0", "1"}
    # A name that is given stands for one store and one folder.
    assert runner(*command, "sweep.name=rates").status == 0
    refused = runner(*command, "sweep.name=rates", "tracking.uri=sqlite:///outputs/other.db")
    assert refused.status == 2
    assert refused.err.splitlines()[-1] == (
        "sweep: a sweep with other settings exists; set sweep.resume=never or choose another sweep.name"
    )
    refused = runner(*command, "sweep.name=rates", "hydra.sweep.dir=yours")
    assert refused.status == 2
    assert refused.err.startswith("hydra.sweep.dir: must be the folder of sweep rates (")


@pytest.mark.slow  # four processes, three of them killed
def test_a_sweep_that_is_killed_trains_no_finished_member_twice_and_loses_none(tmp_path: Path) -> None:
    tiny = [line for line in TRACKED if not line.startswith("tracking")]
    command = [
        sys.executable,
        "-m",
        "runner",
        "-m",
        *tiny,
        "seed=range(0,12)",
        "train.epochs=60",
        "tracking.log_model=false",
    ]
    for patience in (2, 4, 3):  # members that end before the kill
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ | {"COLUMNS": "200"}
        )
        assert process.stdout is not None
        lines = 0
        for line in process.stdout:
            lines += " val/accuracy " in line
            if lines == patience:
                break
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    [parent], members = found()
    assert parent.info.status == "FINISHED"
    assert sorted(varied(run)["seed"] for run in members) == list(range(12))
    assert {run.info.status for run in members} == {"FINISHED"}
    assert all(len(set(run.data.metrics)) > 8 for run in members)
    again = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert not re.findall(r"\d+/12 ", again.stdout), "nothing was left to train"


_KILLED_AT = """
import os, signal, sys
from runner import cli
from runner.sweep.search import Study
from runner.tracking.store import Store

owner, name, when, of = sys.argv.pop(1).split()
owner = {"Store": Store, "Study": Study}[owner]
original = getattr(owner, name)

def dying(self, *arguments, **named):
    said = repr(arguments)
    is_meant = of == "any" or (of == "parent") == ("sweep.member" not in said) if name != "deliver" else "End(" in said
    if is_meant and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(self, *arguments, **named)
    if is_meant:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, name, dying)
cli.main()
"""


@pytest.mark.slow  # two processes each
@pytest.mark.parametrize(
    "point",
    [
        "Store begin before parent",
        "Store begin after parent",
        "Store begin after member",
        "Store deliver before any",
        "Store deliver after any",
        "Study remember before any",
        "Study remember after any",
        "Study tell before any",
        "Study tell after any",
    ],
)
def test_a_sweep_that_is_killed_at_any_write_comes_to_one_run_and_one_for_each_member(
    tmp_path: Path, point: str
) -> None:
    tiny = [line for line in TRACKED if not line.startswith("tracking")]
    command = ["-m", *tiny, "seed=range(0,3)", "tracking.log_model=false", "sweep.strategy=loop"]
    killed = subprocess.run([sys.executable, "-c", _KILLED_AT, point, *command], capture_output=True, cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    done = subprocess.run([sys.executable, "-m", "runner", *command], capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    [parent], members = found()
    assert parent.info.status == "FINISHED"
    assert [(varied(run)["seed"], run.info.status) for run in members] == [(seed, "FINISHED") for seed in range(3)]
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}
