"""Members are jobs as Hydra's own launchers make them: folders, logs, statuses, and commands that train them again."""

import subprocess
from pathlib import Path

import pytest
import yaml
from commands import Runner
from configurations import TINY
from swept import UNTRACKED

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]


def test_members_are_ordinary_jobs_of_hydra(runner: Runner) -> None:
    done = runner("-m", *UNTRACKED, "optimizer=adam,momentum", "seed=5", "train.clip={norm: 1.0}")
    assert done.status == 0, done.err
    [folder] = Path("outputs/sweeps").glob("*/*")
    assert (folder / "multirun.yaml").is_file()
    for number, name in enumerate(("adam", "momentum")):
        own = folder / str(number) / ".hydra"
        overrides = yaml.safe_load((own / "overrides.yaml").read_text())
        assert f"optimizer={name}" in overrides
        config = yaml.safe_load((own / "config.yaml").read_text())
        assert (config["seed"], config["train"]["clip"], config["train"]["epochs"]) == (5, {"norm": 1.0}, 1)
        hydra = yaml.safe_load((own / "hydra.yaml").read_text())["hydra"]
        assert hydra["job"]["num"] == number
        assert hydra["runtime"]["choices"]["optimizer"] == name
        assert (folder / str(number) / "runner.log").read_text().count(" epoch ") == 1


def test_hydras_own_launcher_and_sweeper_still_serve(runner: Runner) -> None:
    for own in ("hydra/launcher=basic", "hydra/sweeper=basic"):
        # In turn: side by side, either of the two may end first.
        done = runner("-m", own, *UNTRACKED, "seed=1,2", "sweep.metric=val/loss", "sweep.strategy=loop")
        assert done.status == 0, done.err
    assert "  1 of 2  #0  seed=1  val/loss " in done.out
    assert len(list(Path("outputs/sweeps").rglob("runner.log"))) == 4


def test_describing_several_is_no_sweep(runner: Runner) -> None:
    done = runner("describe", "-m", "model=lenet1,lenet5")
    assert done.status == 0
    assert "lenet1 on digits" in done.out
    assert "lenet5 on digits" in done.out


def test_the_printed_command_trains_the_best_member_again_bit_for_bit(runner: Runner) -> None:
    own = ("sweep=lr", "sweep.log_models=all", "optimizer.learning_rate=0.003,0.01")
    done = runner(*(line for line in TINY if not line.startswith("train.epochs")), *own, "tracking.run_name='a b'")
    assert done.status == 0, done.err
    [line] = [line for line in done.out.splitlines() if "the best again: " in line]
    # A real shell takes the line apart.
    shell = subprocess.run(["sh", "-c", f"runner() {{ printf '%s\\0' \"$@\"; }}; {line.partition(': ')[2]}"],
        capture_output=True, text=True, check=True)  # fmt: skip
    arguments = shell.stdout.split("\0")[:-1]
    swept = {path.read_bytes() for path in Path("outputs").rglob("weights.safetensors")}
    before = set(Path("outputs").rglob("weights.safetensors"))
    again = runner(*arguments)
    assert again.status == 0, again.err
    [new] = set(Path("outputs").rglob("weights.safetensors")) - before
    assert len(swept) == 2
    assert new.read_bytes() in swept
