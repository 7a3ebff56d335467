"""How fast a tracking store takes the members of a sweep from many processes, and whether it loses any.

    python benchmarks/members.py [--members 10000] [--processes 50] [--epochs 5] [--uri sqlite:///FILE] [--minutes 8]

Nothing is trained: each process records stand-in members as the runner does, one after another, below one parent run.
After `--minutes` no process begins another member. The store is a new SQLite file unless a URI is given. Writes
results/members.json beside this file and prints members and points a second, the latency of a member from its first
message to the answer of the store, and what the store has in the end beside what was sent.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Final

import machine
from mlflow import MlflowClient

from runner import tracking
from runner.tracking.messages import Opening
from runner.tracking.settings import absolute_uri

EXPERIMENT: Final = "members"
METRICS: Final = ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "learning_rate", "images_per_second")


def record(uri: str, parent_id: str, numbers: range, epochs: int, folder: Path, until: float) -> list[float]:
    """Records members, one after another. Returns the seconds that each took."""
    settings = tracking.Tracking(uri=uri, experiment=EXPERIMENT)
    opening = Opening(absolute_uri(uri), EXPERIMENT, "sweep", {}, int(time.time() * 1000), run_id=parent_id)
    parent = tracking.Run.of_another_process(opening, folder)
    seconds = []
    for number in numbers:
        if time.time() > until:
            break
        began = time.perf_counter()
        run = tracking.start(
            settings,
            run_name=f"member {number}",
            tags={"number": str(number)},
            params={"seed": number, "optimizer.learning_rate": 0.001},
            folder=folder / str(number),
            parent=parent,
        )
        for epoch in range(1, epochs + 1):
            run.log_metrics(dict.fromkeys(METRICS, number + epoch / 100), step=epoch)
        run.finish("FINISHED")
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Measures, prints and writes; with `--numbers`, is one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--uri", default="")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--numbers", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parent", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.numbers:
        print(
            json.dumps(record(asked.uri, asked.parent, range(*asked.numbers), asked.epochs, asked.folder, asked.until))
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        result = measured(asked, Path(folder))
    machine.write("members", machine.facts() | result)
    print(
        f"{result['members']:,} members by {asked.processes} processes: {result['members_per_second']:.1f} members and "
        f"{result['points_per_second']:.0f} points a second; a member {result['latency']['median']:.2f} s, "
        f"{result['latency']['p95']:.2f} s at the 95th percentile; lost {result['lost_members']} members and "
        f"{result['lost_points']} points"
    )


def measured(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs the processes, and reads from the store what it has."""
    uri = asked.uri or f"sqlite:///{folder / 'mlflow.db'}"
    settings = tracking.Tracking(uri=uri, experiment=EXPERIMENT)
    identity = uuid.uuid4().hex
    parent = tracking.start(
        settings, run_name="sweep", tags={"benchmark": identity}, params={}, folder=folder / "sweep"
    )
    parent_id = parent.run_id  # waits, so that the store is there
    size = -(-asked.members // asked.processes)
    until = time.time() + 60 * asked.minutes
    command = [sys.executable, __file__, "--uri", uri, "--epochs", str(asked.epochs), "--parent", parent_id]
    command += ["--folder", str(folder), "--until", str(until)]
    began = time.perf_counter()
    processes = [
        subprocess.Popen(
            [*command, "--numbers", str(first), str(min(first + size, asked.members))],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        for first in range(0, asked.members, size)
    ]
    answers = [process.communicate()[0] for process in processes]
    wall = time.perf_counter() - began
    failed = sum(process.returncode != 0 for process in processes)
    seconds = [each for answer in answers if answer for each in json.loads(answer.splitlines()[-1])]
    parent.finish("FINISHED")
    client = MlflowClient(tracking_uri=uri)
    [found] = client.search_experiments(filter_string=f"name = '{EXPERIMENT}'")
    token, runs = None, []
    while True:
        condition = f"tags.`mlflow.parentRunId` = '{parent_id}'"
        page = client.search_runs([found.experiment_id], condition, max_results=1000, page_token=token)
        runs += page
        if not (token := page.token):
            break
    ended = {run.data.params["seed"] for run in runs if run.info.status == "FINISHED"}
    points = sum(
        len(client.get_metric_history(run.info.run_id, name))
        for run in runs[:: max(1, len(runs) // 500)]
        for name in METRICS
    )
    looked_at = len(runs[:: max(1, len(runs) // 500)])
    sent = len(seconds)
    return {
        "what": "stand-in members reported to one MLflow store",
        "store": uri.partition(":")[0],
        "members": sent,
        "processes": asked.processes,
        "failed_processes": failed,
        "epochs": asked.epochs,
        "seconds": wall,
        "members_per_second": sent / wall,
        "points_per_second": sent * asked.epochs * len(METRICS) / wall,
        "latency": {
            "median": statistics.median(seconds),
            "p95": sorted(seconds)[int(0.95 * (sent - 1))],
            "most": max(seconds),
        },
        "lost_members": sent - len(ended),
        "copies": len(runs) - len(ended),
        "members_looked_at": looked_at,
        "lost_points": looked_at * asked.epochs * len(METRICS) - points,
    }


if __name__ == "__main__":
    main()
