"""Runs are listed with what a store knows of them; a run whose process was killed is noticed and ended."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import Runner

from runner.processes import Process
from runner.sweep.tags import STATUS, SWEEP
from runner.tracking import Run, Tracking, start
from runner.tracking.listing import GONE, Wanted, listed, size_of
from runner.tracking.store import PROCESS
from runner.tracking.summaries import recorded_name

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's affair with SQLAlchemy

# A process that begins a run, records two epochs, and trains on until it is killed.
_TRAINING = """
import sys, time
from pathlib import Path
from runner.tracking import Tracking, start
run = start(Tracking(uri=sys.argv[1]), run_name="lost", tags={}, params={"train.epochs": "9"}, folder=Path(sys.argv[2]))
for step in (1, 2):
    run.log_metrics({"train/loss": 1 / step, "val/accuracy": 0.5}, step=step)
print(run.run_id, flush=True)
time.sleep(100)
"""


def begun(uri: str, folder: Path, name: str = "run", parent: Run | None = None, **more: Any) -> Run:
    tags, params = more.pop("tags", {}), more.pop("params", {"model.name": name})
    return start(Tracking(uri=uri), run_name=name, tags=tags, params=params, folder=folder, parent=parent)


def by_name(uri: str, **wanted: Any) -> dict[str, Any]:
    return {run.name: run for run in listed(Tracking(uri=uri), Wanted(limit=1000, **wanted))}


def test_a_run_whose_process_was_killed_is_ended(uri: str, client: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TRAINING, uri, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        end = time.monotonic() + 30
        while len(client.get_metric_history(run_id, "train/loss")) < 2:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert by_name(uri)["lost"].status == "RUNNING"
        process.send_signal(signal.SIGKILL)
    run = by_name(uri)["lost"]
    assert (run.run_id, run.status, run.reason) == (run_id, "KILLED", GONE)
    assert (run.epochs, run.of_epochs, run.metric, run.value) == (2, 9, "val/accuracy", 0.5)
    assert client.get_run(run_id).info.status == "KILLED"


def test_a_run_of_another_machine_or_program_is_left_alone(uri: str, client: Any, tmp_path: Path) -> None:
    elsewhere = replace(Process.here(), host="elsewhere", pid=1, started="0")
    for name, text in (("far", elsewhere.text), ("foreign", "no process")):
        run = begun(uri, tmp_path, name)
        client.set_tag(run.run_id, PROCESS, text)
        assert by_name(uri)[name].status == "RUNNING"
        run.finish("FINISHED")


def test_a_process_has_ended_if_it_is_gone_or_its_host_was_started_again() -> None:
    here, now = Process.here(), time.time()
    assert not here.has_ended(now)
    assert replace(here, started="0").has_ended()
    before = replace(here, machine="another start of this host")
    assert before.has_ended(heard=0)
    assert not before.has_ended(now)
    assert not replace(before, host="elsewhere").has_ended(heard=0)


def test_a_sweep_is_listed_with_its_members_and_they_by_its_id(uri: str, tmp_path: Path) -> None:
    parent = begun(uri, tmp_path, "the sweep", tags={SWEEP: "mine"})
    for number in range(3):
        member = begun(uri, tmp_path, f"member {number}", parent, tags={STATUS: "PRUNED"} if number == 2 else {})
        member.finish("KILLED" if number == 2 else "FINISHED")
    parent.finish("FINISHED")
    runs = by_name(uri)
    assert (runs["the sweep"].members, runs["the sweep"].epochs) == (3, None)
    assert not any(name.startswith("member") for name in runs)
    members = by_name(uri, sweep=parent.run_id)
    assert {name: run.status for name, run in members.items()} == {
        "member 0": "FINISHED",
        "member 1": "FINISHED",
        "member 2": "PRUNED",
    }
    assert list(by_name(uri, sweep=parent.run_id, status="PRUNED")) == ["member 2"]


def test_runs_are_chosen_by_status_model_and_time(uri: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1234)
    for name, status in (("first", "FINISHED"), ("second", "FAILED")):
        begun(uri, tmp_path, name).finish(status)  # type: ignore[arg-type]
    assert by_name(uri, status="FAILED", model="second")["second"].bytes == size_of(tmp_path) == 1234
    assert by_name(uri, status="FINISHED", model="second") == {}
    assert by_name(uri, since=time.time() + 60) == {}
    assert {"first", "second"} <= by_name(uri, since=time.time() - 60).keys()
    [latest] = listed(Tracking(uri=uri), Wanted(limit=1))
    assert latest.name == "second"


# The verbs


def recorded(uri: str, name: str, status: str = "FINISHED") -> str:
    """A run of the model `shown`, with an output folder."""
    folder = Path("outputs", name)
    (folder / ".hydra").mkdir(parents=True)
    (folder / "weights").write_bytes(b"x" * 2000)
    run = begun(uri, folder, name, params={"model.name": "shown"})
    run.log_metrics({"train/loss": 0.1, "val/accuracy": 0.5}, step=1)
    run.log_metrics({recorded_name("best/val_accuracy"): 0.75}, step=0)
    run.finish(status)  # type: ignore[arg-type]
    assert run.run_id
    return run.run_id


def test_runs_prints_a_table_or_json_and_delete_asks_before_it_deletes(
    runner: Runner, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = recorded(uri, "one"), recorded(uri, "two", "FAILED")
    monkeypatch.setenv("COLUMNS", "120")
    own = (f"tracking.uri={uri}", "model=shown")
    lines = [line.split() for line in runner("runs", *own).out.splitlines()]
    assert lines[0] == ["run", "name", "status", "epochs", "best", "age", "size", "folder"]
    assert [line[:5] for line in lines[1:]] == [
        [second[:8], "two", "failed", "1", "75.00%"],
        [first[:8], "one", "finished", "1", "75.00%"],
    ]
    assert lines[1][-3:] == ["2.0", "kB", "outputs/two"]
    with monkeypatch.context() as terminal:  # too narrow for all columns: each run keeps one line
        terminal.setenv("COLUMNS", "60")
        terminal.setenv("TTY_COMPATIBLE", "1")
        shown = [line.split() for line in re.sub(r"\x1b\[\d*m", "", runner("runs", *own).out).splitlines()]
    assert shown[0] == ["run", "name", "status", "epochs", "best", "age", "size"]
    assert [line[0] for line in shown[1:]] == [second[:8], first[:8]]
    [run] = json.loads(runner("runs", *own, "status=finished", "format=json").out)
    assert (run["run_id"], run["value"], run["bytes"]) == (first, 0.75, 2000)
    assert runner("runs", *own, "since=2 hours", "limit=1").out.endswith("limit=1: there may be more\n")

    refused = runner("delete", own[0], f"run={first[:12]}")
    assert (refused.status, refused.err) == (2, "confirm: must be false where nobody can be asked, got true\n")
    assert Path("outputs/one").exists()
    done = runner("delete", own[0], f"run={first[:12]}", "confirm=false")
    assert done.out == f"{first} one\n1 run, 1 folder, 2.0 kB\ndeleted\n"
    assert not Path("outputs/one").exists()
    assert [run["name"] for run in json.loads(runner("runs", *own, "format=json").out)] == ["two"]
    assert runner("stop", own[0], f"run={second}").out == f"{second} has ended (failed)\n"


def test_a_folder_that_may_hold_something_else_is_kept(runner: Runner, uri: str, client: Any) -> None:
    here, again, elsewhere = Path.cwd(), Path("outputs/again"), Path("outputs/elsewhere")
    ids = []
    for number, folder in enumerate((here, again, elsewhere)):
        (folder / ".hydra").mkdir(parents=True)
        run = begun(uri, folder, f"kept {number}")
        run.finish("FINISHED")
        assert run.run_id
        ids.append(run.run_id)
    later = time.time() + 60  # as if a run of another store had made the folder again
    os.utime(again / ".hydra", (later, later))
    client.set_tag(ids[2], PROCESS, replace(Process.here(), host="elsewhere").text)
    done = runner("delete", f"tracking.uri={uri}", f"run={','.join(ids)}", "confirm=false")
    for folder in (here, again, elsewhere):
        assert f"kept, as it may hold something else: {folder.absolute()}\n" in done.out
        assert (folder / ".hydra").is_dir()
    assert done.out.endswith("3 runs, 0 folders, 0 bytes\ndeleted\n")


def test_the_folder_of_a_later_run_is_not_that_of_an_earlier_one(runner: Runner, uri: str) -> None:
    (Path("outputs/used") / ".hydra").mkdir(parents=True)
    first, second = begun(uri, Path("outputs/used"), "used first"), begun(uri, Path("outputs/used"), "used again")
    for run in (first, second):
        run.finish("FINISHED")
    done = runner("delete", f"tracking.uri={uri}", f"run={first.run_id}", "confirm=false")
    assert "1 run, 0 folders" in done.out
    assert Path("outputs/used/.hydra").is_dir()
    assert "1 run, 1 folder" in runner("delete", f"tracking.uri={uri}", f"run={second.run_id}", "confirm=false").out
    assert not Path("outputs/used").exists()


def test_a_run_that_trains_is_neither_deleted_nor_of_another_machine_stopped(
    runner: Runner, uri: str, client: Any
) -> None:
    run = begun(uri, Path("outputs"), "distant")
    assert run.run_id
    client.set_tag(run.run_id, PROCESS, replace(Process.here(), host="elsewhere").text)
    named = (f"tracking.uri={uri}", f"run={run.run_id}")
    assert runner("delete", *named).err == f"run: must have ended, got {run.run_id}; runner stop ends it\n"
    assert runner("stop", *named).err == (
        f"run: must train on this machine, got {run.run_id}, which trains on elsewhere\n"
    )
    run.finish("FINISHED")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("runs", "since=yesterday"),
            "since: must be a date such as 2026-11-20, or a time such as 3 days or 2 hours, got yesterday",
        ),
        (("runs", "status=done"), "status: must be one of running, finished, failed, killed, pruned, got done"),
        (("runs", "limit=0"), "limit: must be ≥ 1, got 0"),
        (("stop",), "run: must be given, got nothing"),
    ],
)
def test_a_mistake_is_one_line(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    done = runner(*arguments)
    assert (done.status, done.out, done.err) == (2, "", f"{line}\n")


def test_an_unknown_id_or_store_is_one_line(runner: Runner, uri: str, client: Any) -> None:
    for verb in ("stop", "delete"):
        done = runner(verb, "run=0123456789", f"tracking.uri={uri}")
        assert done.err == f"run: must be a run that {uri} has, got 0123456789\n"
        done = runner(verb, "run=lenet5", f"tracking.uri={uri}")
        assert done.err == "run: must be the id of an MLflow run, or its beginning, got lenet5\n"
    assert runner("runs").err.startswith("tracking.uri: must be a store that a run has been recorded in, got sqlite:")


@pytest.mark.slow
def test_stop_ends_a_training_and_keeps_what_it_measured(runner: Runner, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", "train.epochs=100000", "schedule=constant", "data.limit=100"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 90
    run: dict[str, Any] = {}
    while not run.get("epochs"):
        assert time.monotonic() < end
        time.sleep(0.5)
        done = runner("runs", "format=json")
        [run] = json.loads(done.out) if done.status == 0 and done.out != "[]\n" else [{}]
    assert "is being ended" in runner("stop", f"run={run['run_id']}").out
    assert process.communicate(timeout=60)[1] == "terminated\n"
    assert process.returncode == 143
    [run] = json.loads(runner("runs", "format=json").out)
    assert (run["status"], run["reason"]) == ("KILLED", "terminated")
