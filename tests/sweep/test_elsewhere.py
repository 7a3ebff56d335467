"""Sweeps whose members train in other processes: the results of one process, also if a process is killed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from swept import TRACKED, UNTRACKED, found, varied

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]
TRAINS = tuple(line for line in TRACKED if not line.startswith("tracking"))
ENGINES = {
    "ray": (b"ray::train_work", ()),
    "submitit": (b"submitit.core._submit", ("sweep.engine_address=local",)),
}


def workers(driver: int, name: bytes) -> list[int]:
    """The processes below `driver` that train, by a part of their command lines."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            names[int(path.name)] = path.joinpath("cmdline").read_bytes()
        except OSError:
            continue

    def is_below(pid: int) -> bool:
        while pid in parents:
            if parents[pid] == driver:
                return True
            pid = parents[pid]
        return False

    return sorted(pid for pid in names if name in names[pid] and is_below(pid))


def results() -> list[tuple[Any, ...]]:
    _, members = found()
    names = ("val/accuracy", "val/loss", "train/loss")
    return [(varied(run)["seed"], run.info.status, *(run.data.metrics[name] for name in names)) for run in members]


@pytest.mark.slow  # two sweeps, one of them in two more processes
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize(
    ("library", "engine", "strategy", "count"),
    [("ray", "ray", "loop", 64), ("ray", "ray", "vmap", 16), ("submitit", "slurm", "loop", 24)],
    ids=["ray-loop", "ray-vmap", "slurm-loop"],
)
def test_a_killed_process_costs_no_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, engine: str, strategy: str, count: int
) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install 'convrunner[{engine}]'")
    name, address = ENGINES[library]
    command = [sys.executable, "-m", "runner", "-m", *TRAINS, f"seed=range(0,{count})", f"sweep.strategy={strategy}"]
    (tmp_path / "local").mkdir()
    (tmp_path / "other").mkdir()
    subprocess.run(command, cwd=tmp_path / "local", check=True, capture_output=True, timeout=600)
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(
        [*command, f"sweep.engine={engine}", "sweep.engine_workers=2", *address],
        cwd=tmp_path / "other",
        stdout=log,
        stderr=log,
    )
    try:
        killed = 0
        while not killed and process.poll() is None:
            runs = list((tmp_path / "other").glob("outputs/sweeps/*/*/*/run.json"))
            ended = list((tmp_path / "other").glob("outputs/sweeps/*/*/*/outcome.json"))
            wanted = len(ended) >= 2 if strategy == "loop" else len(runs) >= count * 5 // 8
            if wanted and (pids := workers(process.pid, name)):
                os.kill(pids[0], signal.SIGKILL)
                killed = pids[0]
            time.sleep(0.05)
        assert process.wait(timeout=600) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        log.close()
    said = (tmp_path / "log").read_text()
    assert killed, said
    assert f"a process of sweep.engine={engine} has died (" in said
    monkeypatch.chdir(tmp_path / "local")
    expected = results()
    monkeypatch.chdir(tmp_path / "other")
    here = results()
    [parent], members = found()
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}
    assert [row[:2] for row in here] == [(seed, "FINISHED") for seed in range(count)]
    for ours, theirs in zip(here, expected, strict=True):
        numbers = theirs[2:] if strategy == "loop" else pytest.approx(theirs[2:], rel=2e-3, abs=2e-3)
        assert ours[2:] == numbers
    [folder] = Path("outputs/sweeps").glob("*/*")
    assert len((folder / "members.csv").read_text().splitlines()) == count + 1
    assert (folder / "best.yaml").is_file()
    assert (folder / "report.html").is_file()


def test_an_engine_that_is_not_installed_is_named(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not
    done = runner("-m", *UNTRACKED, "seed=1,2", "sweep.engine=ray")
    assert done.status == 2
    assert done.err == ("sweep.engine: must be an engine that is installed: pip install 'convrunner[ray]', got ray\n")


def test_processes_that_do_not_compare_members_cannot_prune_them(runner: Runner) -> None:
    done = runner("-m", *UNTRACKED, "seed=1,2", "sweep.engine=ray", "sweep.pruner.name=median")
    assert done.status == 2
    assert done.err == (
        "sweep.pruner.name: must be none with sweep.engine=ray, whose processes do not compare members, got median\n"
    )
    done = runner("-m", *UNTRACKED, "seed=1,2", "sweep.engine_address=auto")
    assert done.err == "sweep.engine_address: must be null with sweep.engine=local, got auto\n"
    done = runner("-m", *UNTRACKED, "seed=1,2", "sweep.engine=slurm", "sweep.engine_gpus=0.5")
    assert done.err == "sweep.engine_gpus: must be whole with sweep.engine=slurm, got 0.5\n"
