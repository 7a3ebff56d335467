"""Kills trainings at random moments, goes on with them, and compares what comes of it with trainings nobody killed.

    python benchmarks/kill.py [--kills 100] [--seed 0] [--only NAME ...]

Each kill is a SIGKILL of the whole process. Single runs go on by `runner resume`, sweeps by their own command, until
they finish. Then their runs in MLflow, every point of every metric and the parameters are compared with those of the
same command that nobody killed: 0 runs and 0 points may be lost or doubled, and every bit has to be equal, but for
times. Ends with status 1 if that is not so. Writes results/kill.json beside this file.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
SEARCH = ("-m", "optimizer.learning_rate=tag(log,interval(0.001,0.1))", "sweep.log_models=all", "sweep.trials=6")

# By name, the command, and its part of all kills.
SCENARIOS: dict[str, tuple[tuple[str, ...], float]] = {
    "single run": ((*BUSY, "train.epochs=40", "train.save_every='2 epochs'"), 0.25),
    "writing checkpoints": (("train.epochs=4", "train.save_every='1 step'", "figures.draw=[]"), 0.25),
    "sweep, loop": ((*BUSY, *GRID, "train.save_every='7 steps'", "sweep.strategy=loop"), 0.15),
    "sweep, parallel": ((*BUSY, *GRID, "train.save_every='7 steps'", "sweep.strategy=parallel"), 0.1),
    "sweep, vmap": ((*BUSY, *GRID, "train.save_every='2 epochs'", "sweep.strategy=vmap"), 0.1),
    "search, tpe": (
        (*BUSY, *SEARCH, "train.epochs=12", "train.save_every='1 epoch'", "sweep.sampler=tpe", "sweep.batch=2",
         "sweep.strategy=loop"),
        0.075,
    ),
    "search, pruned": (
        (*BUSY, *SEARCH, "train.epochs=12", "train.save_every='1 epoch'", "sweep.sampler=random", "sweep.batch=3",
         "sweep.strategy=vmap", "sweep.pruner.name=successive_halving", "sweep.pruner.reduction_factor=2"),
        0.075,
    ),
}  # fmt: skip


@dataclass
class Result:
    """What came of one scenario."""

    name: str
    trainings: int = 0  # that were killed, and ended
    kills: int = 0
    runs_lost: int = 0
    points_lost: int = 0
    points_doubled: int = 0
    values_changed: int = 0
    parameters_changed: int = 0
    messages: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        lost = self.runs_lost + self.points_lost + self.points_doubled
        return not (lost + self.values_changed + self.parameters_changed)


def started(arguments: tuple[str, ...], folder: Path) -> "subprocess.Popen[str]":
    """Starts `runner` in a folder."""
    command = [sys.executable, "-m", "runner", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=folder, text=True, start_new_session=True, **streams)  # type: ignore[call-overload,no-any-return]


def ended(folder: Path, arguments: tuple[str, ...], seconds: float = 600) -> float:
    """Runs a command to its end. Returns its seconds."""
    began = time.monotonic()
    process = started(arguments, folder)
    out, _ = process.communicate(timeout=seconds)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{out}")
    return time.monotonic() - began


def recorded(folder: Path) -> dict[str, tuple[Counter[tuple[str, int]], dict[tuple[str, int], float], str]]:
    """By what identifies a run: its points, how often each is there, its values, and a digest of its parameters."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow

    client: Any = mlflow.MlflowClient(f"sqlite:///{folder / 'outputs' / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    found = {}
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


def compare(result: Result, folder: Path, whole: Path) -> None:
    """Counts what differs from what nobody killed."""
    got, wanted = recorded(folder), recorded(whole)
    result.runs_lost += len(set(wanted) ^ set(got))
    if set(wanted) ^ set(got):
        result.messages.append(f"{folder.parent.name}/{folder.name}: runs {sorted(set(got) ^ set(wanted))}")
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
            where, is_same = f"{folder.parent.name}/{folder.name}", digest == whole_digest
            result.messages.append(f"{where} {key}: {lost[:5]} {doubled[:5]} {changed[:5]} {is_same}")


def killed(arguments: tuple[str, ...], folder: Path, most: int, seconds: float, chance: random.Random) -> int:
    """Starts a command, kills it, goes on, and kills again, at most so often; then lets it end. Returns the kills."""
    is_sweep, run = "-m" in arguments, folder / "run"
    first = arguments if is_sweep else (*arguments, f"hydra.run.dir={run}")
    kills, command = 0, first
    while kills < most:
        process = started(command, folder)
        try:
            out, _ = process.communicate(timeout=chance.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            if not is_sweep and (run / "run.json").is_file():
                command = ("resume", f"run={run}")
            elif not is_sweep and run.exists():  # killed before anything began
                subprocess.run(["rm", "-r", str(run)], check=True)
        else:
            if process.returncode:
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{out}")
            return kills  # it was faster
    ended(folder, command)
    return kills


def scenario(name: str, kills: int, root: Path, chance: random.Random) -> Result:
    """Kills trainings of one kind until there were so many kills."""
    arguments, _ = SCENARIOS[name]
    result = Result(name)
    place = root / name.replace(", ", "-").replace(" ", "-")
    whole = place / "whole"
    whole.mkdir(parents=True)
    first = arguments if "-m" in arguments else (*arguments, f"hydra.run.dir={whole / 'run'}")
    ended(whole, first)  # compiles
    warm = place / "warm"
    warm.mkdir()
    seconds = ended(warm, arguments)
    while result.kills < kills:
        folder = place / str(result.trainings)
        folder.mkdir()
        most = min(chance.randint(1, 4), kills - result.kills)
        result.kills += killed(arguments, folder, most, seconds, chance)
        result.trainings += 1
        compare(result, folder, whole)
        print(f"  {name}: {result.kills} of {kills} kills", file=sys.stderr, flush=True)
    return result


def main() -> None:
    """Kills, compares, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=[*SCENARIOS], default=[*SCENARIOS])
    parser.add_argument("--keep", help="a folder for what the trainings write, which then stays")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    share = sum(SCENARIOS[name][1] for name in asked.only)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(asked.keep or scratch)
        results = [
            scenario(name, max(1, round(asked.kills * SCENARIOS[name][1] / share)), root, chance) for name in asked.only
        ]
    print(f"{'':<20} kills  trainings  runs lost  points lost  doubled  values changed  parameters changed")
    for one in results:
        print(
            f"{one.name:<20} {one.kills:>5}  {one.trainings:>9}  {one.runs_lost:>9}  {one.points_lost:>11}  "
            f"{one.points_doubled:>7}  {one.values_changed:>14}  {one.parameters_changed:>18}"
        )
        for message in one.messages:
            print(f"  {message}")
    total = sum(one.kills for one in results)
    print(f"{total} kills in {time.monotonic() - began:.0f} s")
    (HERE / "results").mkdir(exist_ok=True)
    kept = {"seed": asked.seed, "kills": total, "scenarios": [asdict(one) for one in results]}
    (HERE / "results" / "kill.json").write_text(json.dumps(kept, indent=2) + "\n")
    sys.exit(not all(one.is_good for one in results))


if __name__ == "__main__":
    main()
