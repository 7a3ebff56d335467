"""Kills trainings at random moments, goes on with them, and compares what comes of it with trainings nobody killed.

    python benchmarks/kill.py [--kills 100] [--minutes 60] [--only NAME ...] [--keep FOLDER]

Each kill is a SIGKILL of the whole process. Single runs go on by `runner resume`, sweeps by their own command, until
they finish. Then their runs in MLflow, every point of every metric and the parameters are compared with those of the
same command that nobody killed: 0 runs and 0 points may be lost or doubled, and every bit has to be equal, but for
times. Ends with status 1 if that is not so.

results/kill.json beside this file has every training, with the commit of the code; it is written after each, so that
the same command goes on where it was stopped. `--again` begins anew.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).resolve().parent
TIMES = ("images_per_second", "seconds_train", "seconds_compile", "peak_memory_mb", "energy_joules")

# A bit of everything that has a state: dropout, augmentation, batch normalisation, an average, the best epoch.
BUSY = (
    "model.name=busy",
    "model.input=null",
    "model.layers=[{conv: {filters: 4, kernel_size: 3, use_bias: false}}, batch_norm, relu, {max_pool: {size: 2}}, "
    "flatten, {dropout: {rate: 0.2}}, classifier]",
    "augment={random_crop: {padding: 1}}",
    "train.ema_decay=0.9",
    "train.keep=best",
    "train.batch_size=32",
    "figures.draw=[]",
)
GRID = ("-m", "train.epochs=20", "optimizer.learning_rate=0.003,0.01,0.03", "seed=0,1", "sweep.log_models=all")
SEARCH = (
    "-m", "optimizer.learning_rate=tag(log,interval(0.001,0.1))", "seed=range(1,9)", "sweep.log_models=all",
    "sweep.trials=6", "train.epochs=12", "train.save_every='1 epoch'",
)  # fmt: skip

# By name, the command, and its part of all kills.
SCENARIOS: dict[str, tuple[tuple[str, ...], float]] = {
    "single run": ((*BUSY, "train.epochs=40", "train.save_every='2 epochs'"), 0.2),
    "writing checkpoints": (("train.epochs=4", "train.save_every='1 step'", "figures.draw=[]"), 0.2),
    "sweep, loop": ((*BUSY, *GRID, "train.save_every='7 steps'", "sweep.strategy=loop"), 0.12),
    "sweep, parallel": ((*BUSY, *GRID, "train.save_every='7 steps'", "sweep.strategy=parallel"), 0.12),
    "sweep, vmap": ((*BUSY, *GRID, "train.save_every='2 epochs'", "sweep.strategy=vmap"), 0.12),
    "search, tpe": ((*BUSY, *SEARCH, "sweep.sampler=tpe", "sweep.batch=2", "sweep.strategy=loop"), 0.08),
    "search, cmaes": ((*BUSY, *SEARCH, "sweep.sampler=cmaes", "sweep.batch=2", "sweep.strategy=loop"), 0.04),
    "search, nsga2": ((*BUSY, *SEARCH, "sweep.sampler=nsga2", "sweep.batch=2", "sweep.strategy=loop"), 0.04),
    "search, pruned": (
        (*BUSY, *SEARCH, "sweep.sampler=random", "sweep.batch=3", "sweep.strategy=vmap",
         "sweep.pruner.name=successive_halving", "sweep.pruner.reduction_factor=2"),
        0.08,
    ),
}  # fmt: skip
COUNTS = ("runs_lost", "points_lost", "points_doubled", "values_changed", "parameters_changed")
Run = tuple[Counter[tuple[str, int]], dict[tuple[str, int], float], str]


@dataclass
class Training:
    """A training that was killed, and ended."""

    scenario: str
    number: int
    code: str  # the commit
    kills: int = 0
    before_it_began: int = 0  # of these kills
    runs_lost: int = 0
    points_lost: int = 0
    points_doubled: int = 0
    values_changed: int = 0
    parameters_changed: int = 0
    messages: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not any(getattr(self, name) for name in COUNTS)


class EndedBadlyError(Exception):
    """A command ended with another status than 0."""


def ended(folder: Path, arguments: tuple[str, ...], seconds: float | None = None) -> float | None:
    """Runs a command to its end, and returns its seconds; None if it was killed after so many seconds."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments],
        cwd=folder,
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        out, _ = process.communicate(timeout=seconds or 900)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    if process.returncode:
        raise EndedBadlyError(f"{' '.join(arguments)} ended with {process.returncode}:\n{out}")
    return time.monotonic() - began


def recorded(folder: Path) -> dict[str, Run]:
    """By what identifies a run: its points, how often each is there, its values, and a digest of its parameters."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow

    client: Any = mlflow.MlflowClient(f"sqlite:///{folder / 'outputs' / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    found: dict[str, Run] = {}
    for run in client.search_runs(experiments, max_results=1000):
        tags = run.data.tags
        if "sweep" in tags and "sweep.member" not in tags:
            continue  # the sweep's own
        varied = json.loads(tags["sweep.member"])["varied"] if "sweep.member" in tags else {}
        key = json.dumps(varied, sort_keys=True)
        if run.info.status not in ("FINISHED", "KILLED") or (run.info.status == "KILLED") != (
            tags.get("sweep.status") == "PRUNED"
        ):
            key += f" {run.info.status} {run.info.run_id}"
        points = [point for name in run.data.metrics for point in client.get_metric_history(run.info.run_id, name)]
        counted = Counter((point.key, point.step) for point in points)
        values = {(point.key, point.step): point.value for point in points if point.key not in TIMES}
        weights = Path(tags["runner.folder"]) / "weights.safetensors"
        digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else ""
        if key in found:
            key += f" again {run.info.run_id}"
        found[key] = counted, values, digest
    return found


def compare(result: Training, got: dict[str, Run], wanted: dict[str, Run]) -> None:
    """Counts what differs from what nobody killed."""
    result.runs_lost += len(set(wanted) ^ set(got))
    if set(wanted) ^ set(got):
        result.messages.append(f"runs {sorted(set(got) ^ set(wanted))}")
    for key in set(wanted) & set(got):
        (counts, values, digest), (whole_counts, whole_values, whole_digest) = got[key], wanted[key]
        result.points_lost += len(set(whole_counts) - set(counts))
        result.points_doubled += sum(counts.values()) - len(counts) + len(set(counts) - set(whole_counts))
        changed = [name for name, value in whole_values.items() if name in values and values[name] != value]
        result.values_changed += len(changed)
        result.parameters_changed += digest != whole_digest
        if set(whole_counts) ^ set(counts) or changed or digest != whole_digest or sum(counts.values()) > len(counts):
            doubled = [point for point, count in counts.items() if count > 1]
            lost = sorted(set(whole_counts) ^ set(counts))
            result.messages.append(f"{key}: {lost[:5]} {doubled[:5]} {changed[:5]} {digest == whole_digest}")


def killed(result: Training, folder: Path, most: int, seconds: float, chance: random.Random) -> None:
    """Starts a command, kills it, goes on, and kills again, at most so often; then lets it end."""
    arguments, _ = SCENARIOS[result.scenario]
    run = folder / "run"
    first = command = arguments if "-m" in arguments else (*arguments, f"hydra.run.dir={run}")
    while result.kills < most:
        if ended(folder, command, chance.uniform(0.1, 1.0) * seconds) is not None:
            return  # it was faster
        result.kills += 1
        has_begun = next((folder / "outputs").rglob("run.json"), None) or (run / "run.json").is_file()
        result.before_it_began += not has_begun
        if "-m" not in arguments and has_begun:
            # One that had ended is sent, if it was not yet.
            is_over = bool(json.loads((run / "run.json").read_text())["ended"])
            command = ("sync", f"folder={run}") if is_over else ("resume", f"run={run}")
        elif "-m" not in arguments:
            shutil.rmtree(run, ignore_errors=True)
            command = first
    ended(folder, command)


class Killing:
    """The trainings of one scenario; the first of them is not killed."""

    def __init__(self, name: str, place: Path) -> None:
        arguments, _ = SCENARIOS[name]
        self.name, self.place = name, place / name.replace(", ", "-").replace(" ", "-")
        whole, mark = self.place / "whole", self.place / "seconds"
        if not mark.is_file():
            shutil.rmtree(self.place, ignore_errors=True)
            (self.place / "warm").mkdir(parents=True)
            whole.mkdir()
            ended(whole, arguments if "-m" in arguments else (*arguments, f"hydra.run.dir={whole / 'run'}"))  # compiles
            mark.write_text(str(ended(self.place / "warm", arguments)))
            shutil.rmtree(self.place / "warm")
        self.seconds, self.whole = float(mark.read_text()), recorded(whole)

    def one(self, number: int, most: int, code: str, seed: int) -> Training:
        """Kills one training at most so often, and compares it."""
        chance = random.Random(f"{seed} {self.name} {number}")
        result = Training(self.name, number, code)
        folder = self.place / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            killed(result, folder, min(chance.randint(1, 4), most), self.seconds, chance)
            compare(result, recorded(folder), self.whole)
        except EndedBadlyError as error:
            result.runs_lost += 1
            result.messages.append(str(error))
        if result.is_good:
            shutil.rmtree(folder)
        return result


def commit() -> str:
    """The commit of this code, with a + if it was changed since."""
    asked = ["git", "-C", str(HERE.parent)]
    head = subprocess.run([*asked, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    changed = [*asked, "status", "--porcelain", "--", "runner", "conf", "hydra_plugins", "native"]
    return head.strip() + "+" * bool(subprocess.run(changed, capture_output=True, text=True, check=True).stdout)


def table(trainings: list[Training]) -> None:
    """Prints the sums of each scenario, and what went wrong."""
    print(f"{'':<20} kills  before it began  trainings  " + "  ".join(name.replace("_", " ") for name in COUNTS))
    for name in SCENARIOS:
        own = [one for one in trainings if one.scenario == name]
        sums = [sum(getattr(one, count) for one in own) for count in COUNTS]
        numbers = "  ".join(f"{value:>{len(count)}}" for value, count in zip(sums, COUNTS, strict=True))
        kills, before = (sum(getattr(one, count) for one in own) for count in ("kills", "before_it_began"))
        print(f"{name:<20} {kills:>5}  {before:>15}  {len(own):>9}  {numbers}")
    for one in trainings:
        for message in one.messages:
            print(f"  {one.scenario} {one.number} ({one.code}): {message}")
    codes = Counter[str]()
    for one in trainings:
        codes[one.code] += one.kills
    print(f"{codes.total()} kills: " + ", ".join(f"{kills} of {code}" for code, kills in codes.items()))


def main() -> None:
    """Kills, compares, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="with those that the results have")
    parser.add_argument("--minutes", type=float, default=60.0, help="after which no other training begins")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=[*SCENARIOS], default=[*SCENARIOS])
    parser.add_argument("--again", action="store_true", help="forgets the results")
    parser.add_argument("--keep", help="a folder that keeps the trainings nobody killed, and those that went wrong")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "kill.json")
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    known = [] if asked.again or not asked.results.exists() else json.loads(asked.results.read_text())["trainings"]
    trainings = [Training(**one) for one in known]
    share = sum(SCENARIOS[name][1] for name in asked.only)
    code = commit()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(asked.keep or scratch).resolve()
        ready: dict[str, Killing] = {}
        while time.monotonic() < end:
            had = {name: sum(one.kills for one in trainings if one.scenario == name) for name in asked.only}
            left = {name: max(1, round(asked.kills * SCENARIOS[name][1] / share)) - had[name] for name in asked.only}
            name = max(left, key=lambda name: left[name] / SCENARIOS[name][1])
            if left[name] <= 0:
                break
            ready[name] = ready.get(name) or Killing(name, root)
            number = sum(one.scenario == name for one in trainings)
            trainings.append(ready[name].one(number, left[name], code, asked.seed))
            asked.results.parent.mkdir(exist_ok=True)
            content = {**machine.facts(), "seed": asked.seed, "trainings": [asdict(one) for one in trainings]}
            asked.results.write_text(json.dumps(content, indent=1) + "\n")
            print(f"{name}: {had[name] + trainings[-1].kills} kills", file=sys.stderr, flush=True)
    table(trainings)
    sys.exit(not all(one.is_good for one in trainings))


if __name__ == "__main__":
    main()
