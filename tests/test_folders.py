"""Folders that many ask for at once: each gets its own, from one process, from many, and from the command line."""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Runner
from configurations import TINY

from runner import folders
from runner.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Hydra leaves its log files open
ONCE = (*TINY, "model.name=folders", "train.epochs=1", "train.steps=1")


def made_by(path: Path) -> str:
    """The name of a new folder, in which a file says that it was used once."""
    folder = folders.make(path)
    with (folder / "used").open("x"):
        return folder.name


def test_threads_that_ask_for_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(50) as pool:
        names = list(pool.map(made_by, [tmp_path / "day" / "05-12-33"] * 50))
    assert sorted(names) == ["05-12-33", *(f"05-12-33-{count:02}" for count in range(2, 51))]


@pytest.mark.slow
def test_processes_that_ask_for_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        names = list(pool.map(made_by, [tmp_path / "day" / "05-12-33"] * 50))
    assert sorted(names) == ["05-12-33", *(f"05-12-33-{count:02}" for count in range(2, 51))]


def test_one_sweep_gets_a_folder_that_many_ask_for(tmp_path: Path) -> None:
    def claimed(number: int) -> bool:
        try:
            folders.claim_for_sweep(tmp_path / "mine", f"# sweep {number:02}\n")
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        won = [number for number, has in enumerate(pool.map(claimed, range(50))) if has]
    assert len(won) == 1
    assert (tmp_path / "mine" / "multirun.yaml").read_text() == f"# sweep {won[0]:02}\n"
    folders.claim_for_sweep(tmp_path / "mine", f"# sweep {won[0]:02}\n")  # its own, once more
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["multirun.yaml"]


def test_what_marks_a_sweeps_folder_can_be_read_by_all_who_can_read_the_folder(tmp_path: Path) -> None:
    folders.claim_for_sweep(tmp_path / "sweep", "# sweep a\n")
    (tmp_path / "usual").touch()
    assert (tmp_path / "sweep" / folders.MULTIRUN).stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == [folders.MULTIRUN]


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops Hydra's clock."""

    class Stopped:
        @staticmethod
        def now() -> Any:
            from datetime import datetime

            return datetime(2026, 11, 25, 5, 12, 33)

    monkeypatch.setattr("hydra.core.utils.datetime", Stopped)


@pytest.mark.usefixtures("one_second")
def test_runs_of_one_second_write_to_folders_of_their_own(runner: Runner) -> None:
    for seed in range(3):
        done = runner(*ONCE, f"seed={seed}")
        assert done.status == 0, done.err
        assert f"outputs/2026-11-25/05-12-33{['', '-02', '-03'][seed]}" in done.out
    found = sorted(Path("outputs/2026-11-25").iterdir())
    assert [folder.name for folder in found] == ["05-12-33", "05-12-33-02", "05-12-33-03"]
    for seed, folder in enumerate(found):
        assert yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())["seed"] == seed


@pytest.mark.usefixtures("one_second")
@pytest.mark.parametrize(
    "own",
    [
        (),
        pytest.param(("hydra/sweeper=basic",), marks=pytest.mark.slow),
        pytest.param(("hydra/sweeper=basic", "hydra/launcher=basic"), marks=pytest.mark.slow),
    ],
)
def test_sweeps_of_one_second_write_to_folders_of_their_own(runner: Runner, own: tuple[str, ...]) -> None:
    for first in (1, 3):
        assert runner("-m", *own, *ONCE, f"seed={first},{first + 1}").status == 0
    for name, first in (("05-12-33", 1), ("05-12-33-02", 3)):
        folder = Path("outputs/sweeps/2026-11-25") / name
        assert (folder / "multirun.yaml").is_file()
        members = [yaml.safe_load((folder / str(number) / ".hydra/config.yaml").read_text()) for number in (0, 1)]
        assert [member["seed"] for member in members] == [first, first + 1]


def test_a_folder_that_is_named_holds_one_run(runner: Runner) -> None:
    named = "hydra.run.dir=mine"
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    assert runner(*ONCE, named, "train.batch_size=0").status == 2  # it never began, so the folder is given back
    assert runner(*ONCE, named, "seed=1").status == 0
    done = runner(*ONCE, named, "seed=2")
    assert (done.status, done.err) == (2, "hydra.run.dir: must be a folder that holds no other run, got mine\n")
    assert yaml.safe_load(Path("mine/.hydra/config.yaml").read_text())["seed"] == 1
    assert Path("mine/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("own", [(), pytest.param(("hydra/sweeper=basic",), marks=pytest.mark.slow)])
def test_a_folder_that_is_named_holds_one_sweep(runner: Runner, own: tuple[str, ...]) -> None:
    named = ("-m", *own, *ONCE, "hydra.sweep.dir=mine")
    assert runner(*named, "seed=1,2").status == 0
    done = runner(*named, "seed=3,4")
    assert done.status == 2
    assert done.err == "hydra.sweep.dir: must be a folder that holds no other sweep, got mine\n"
    assert yaml.safe_load(Path("mine/0/.hydra/config.yaml").read_text())["seed"] == 1


@pytest.mark.slow  # eight processes that import JAX
def test_eight_commands_of_one_second_write_to_eight_folders(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", *ONCE]
    running = [
        subprocess.Popen([*command, f"seed={seed}"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for seed in range(8)
    ]
    said = [process.communicate()[0].decode() for process in running]
    assert [process.returncode for process in running] == [0] * 8, said
    configs = [yaml.safe_load(file.read_text()) for file in tmp_path.glob("outputs/*/*/.hydra/config.yaml")]
    assert sorted(config["seed"] for config in configs) == list(range(8))
