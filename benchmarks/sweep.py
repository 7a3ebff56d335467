"""Configurations a minute: 32 trainings of LeNet-5, 8 learning rates by 4 seeds, as users would sweep them.

    python benchmarks/sweep.py digits [--peers-python PYTHON] [--rounds 3]
    python benchmarks/sweep.py mnist --root FOLDER

Ours is `runner -m …`, with a run in MLflow for every member; against it (a) the same project as 32 processes, of which
some are timed and the rest reckoned, (b) Hydra's basic launcher over a plain PyTorch loop without any tracking, and (c)
Optuna over the same loop in two processes, both as PyTorch comes and with settings of malloc that keep its memory
(`+kept`). Whole commands, start-up included, in turn (A B C A B C …). Our compiled
programs are in the cache, as they are from the second command on. Writes results/sweep_NAME.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import numpy as np
from hydra import compose, initialize_config_dir

from runner import composition, data
from runner.configuration import parse

HERE = Path(__file__).resolve().parent
RATES = [0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.01]
SEEDS = [0, 1, 2, 3]
EPOCHS = {"digits": 5, "mnist": 1}


def seconds(command: list[str], folder: Path, **environment: str) -> float:
    """What a command takes, in a folder."""
    began = time.perf_counter()
    subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


class Contest:
    """The four ways of one workload."""

    def __init__(self, name: str, root: str, peers: str, processes: int, folder: Path) -> None:
        self.name, self.peers, self.processes, self.folder = name, peers, processes, folder
        self.ours = [f"data={name}", *([f"data.root={root}"] if root else []), f"train.epochs={EPOCHS[name]}"]
        self.arrays = folder / "data.npz"
        with initialize_config_dir(version_base="1.3", config_dir=str(composition.shipped())):
            config = composition.plain(compose("config", overrides=composition.for_hydra(self.ours)))
        found = data.load(parse(config).experiment.data)
        np.savez(
            self.arrays,
            **{"x_train": found.train.inputs, "y_train": found.train.labels},
            **{"x_val": found.val.inputs, "y_val": found.val.labels},
        )
        self.count = 0

    def fresh(self) -> Path:
        """A folder without a store, as every command finds it."""
        self.count += 1
        place = self.folder / str(self.count)
        place.mkdir()
        return place

    def fused(self) -> float:
        rates, seeds = (",".join(map(str, values)) for values in (RATES, SEEDS))
        command = [
            sys.executable,
            "-m",
            "runner",
            "-m",
            *self.ours,
            f"optimizer.learning_rate={rates}",
            f"seed={seeds}",
        ]
        return seconds(command, self.fresh())

    def separate(self) -> float:
        """Seconds of all, reckoned from those of some, which share one store as they would."""
        place, spent = self.fresh(), []
        for index in range(self.processes):
            own = [f"optimizer.learning_rate={RATES[index % 8]}", f"seed={SEEDS[index % 4]}"]
            spent.append(seconds([sys.executable, "-m", "runner", *self.ours, *own], place))
        # The first makes the store.
        return spent[0] + statistics.fmean(spent[1:]) * (len(RATES) * len(SEEDS) - 1)

    def hydra(self, **memory: str) -> float:
        rates, seeds = (",".join(map(str, values)) for values in (RATES, SEEDS))
        command = [self.peers, str(HERE / "peers" / "hydra_torch.py"), "-m", f"learning_rate={rates}", f"seed={seeds}"]
        return seconds(command, self.fresh(), **self.peers_data(), **memory)

    def peers_data(self) -> dict[str, str]:
        """The environment that tells a peer what to train on."""
        return {"BENCH_DATA": str(self.arrays), "BENCH_EPOCHS": str(EPOCHS[self.name])}

    def optuna(self, **memory: str) -> float:
        place, space = self.fresh(), json.dumps({"learning_rate": RATES, "seed": SEEDS})
        command = [self.peers, str(HERE / "peers" / "optuna_torch.py"), f"sqlite:///{place}/study.db", space]
        environment = os.environ | self.peers_data() | memory
        began = time.perf_counter()
        first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        time.sleep(2.5)  # the one makes the study that the other finds
        second = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        for process in (first, second):
            process.wait()
        return time.perf_counter() - began


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=sorted(EPOCHS))
    parser.add_argument("--root", default="", help="where the data lie")
    parser.add_argument("--peers-python", default=sys.executable, help="an interpreter that has the extra `bench`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=4, help="of the 32 separate ones, how many are timed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(options.name, options.root, options.peers_python, options.processes, Path(folder))
        contest.fused()  # compiles
        ways = {
            "fused": contest.fused,
            "separate": contest.separate,
            "hydra_torch": contest.hydra,
            "optuna_torch": contest.optuna,
            "hydra_torch+kept": lambda: contest.hydra(**machine.KEEP_MEMORY),
            "optuna_torch+kept": lambda: contest.optuna(**machine.KEEP_MEMORY),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, run in ways.items():
                spent[name].append(run())
    count = len(RATES) * len(SEEDS)
    result = machine.facts(options.peers_python) | {
        "what": f"{count} trainings of LeNet-5 on {options.name}, {EPOCHS[options.name]} epochs, batch 32",
        "rounds": options.rounds,
        "processes_timed": options.processes,
        "seconds": spent,
        "configurations_per_minute": {name: count * 60 / statistics.median(values) for name, values in spent.items()},
        "times_as_fast_as": {
            name: statistics.median(other / own for other, own in zip(values, spent["fused"], strict=True))
            for name, values in spent.items()
        },
    }
    machine.write(f"sweep_{options.name}", result)
    for name, values in spent.items():
        print(f"{name:<20}{count * 60 / statistics.median(values):>8.1f} a minute")


if __name__ == "__main__":
    main()
