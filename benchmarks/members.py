"""How fast the stores of a sweep take members from many processes, and whether they lose any.

    python benchmarks/members.py [--members 10000] [--processes 50] [--epochs 5] [--minutes 4]
                                 [--uri sqlite:///FILE] [--storage postgresql+psycopg://…]
    python benchmarks/members.py --page

Nothing is trained. First each process records stand-in members in MLflow as the runner does, one after another, below
one parent run. Then each is a worker of a search (`sweep.engine=workers`), which claims 8 members of a grid at a time
and stores their results. After `--minutes` no process begins another member of either part. The stores are new SQLite
files unless URIs are given; a file of SQLite serves one machine. Writes results/members.json beside this file and
prints members and points a second, the latency of a member from its first message to the answer of the store, what the
store has in the end beside what was sent, and members that the search's storage took in a second.

`--page` measures nothing: it reckons of the results which part of a sweep is saturated first, in docs/scale.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import machine
import optuna
from mlflow import MlflowClient

from runner import tracking
from runner.composition.reading import read
from runner.records import frozen
from runner.sweep.search import Suggestion, open_study
from runner.sweep.settings import Sweep
from runner.tracking.messages import Opening
from runner.tracking.settings import absolute_uri
from runner.training.outcome import Outcome

EXPERIMENT: Final = "members"
PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
RESULTS: Final = Path(__file__).resolve().parent / "results"
MARKS: Final = ("<!-- saturation -->\n", "<!-- end of saturation -->")
BATCH: Final = 8  # members that a worker claims at a time
SECONDS: Final = (10, 60, 600)  # which a member takes, for the reckoning
JPEG_BYTES: Final = 31_000  # of a photograph of 400×350
LINK_BYTES: Final = 10e9 / 8  # a second, of a network of 10 Gbit/s
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


def search(uri: str, members: int, minutes: float) -> dict[str, Any]:
    """Is a worker of a search. Returns the seconds that each of its members took, from the claim to the result."""
    settings = Sweep.model_validate(frozen({"name": "members", "engine": "workers", "batch": BATCH}))
    space = read([f"seed=range(0,{members})"], settings)
    seconds: list[float] = []
    with ExitStack() as hold:
        study = open_study(space, settings, base={}, storage=uri, epochs=1, hold=hold)
        first = time.time()
        while time.time() < first + 60 * minutes:
            began = time.perf_counter()
            if not (asked := study.ask()):
                break
            for one in asked:
                if study.is_waiting_for(one.number):
                    study.tell(_outcome(one))
            seconds += [(time.perf_counter() - began) / len(asked)] * len(asked)
    return {"seconds": seconds, "first": first, "last": time.time()}


def _outcome(one: Suggestion) -> Outcome:
    history = tuple(dict.fromkeys(METRICS, 0.5 + epoch / 100) for epoch in range(5))
    return Outcome(
        number=one.number,
        name=f"seed={one.varied['seed']}",
        overrides=one.overrides,
        varied=one.varied,
        status="FINISHED",
        run_id=uuid.uuid4().hex,
        metrics=history[-1],
        history=history,
    )


def reckoned(found: dict[str, Any], decoding: float | None) -> str:
    """The table of what is saturated first; `decoding` are photographs a second that one core decodes, if measured."""
    store, storage = found["members_per_second"], found["search"]["members_per_second"]
    at = f"{found['processes']} processes, {found['epochs']} epochs"
    rows = [
        (f"the search's storage ({found['search']['store']})", storage, f"{storage:,.1f} members a second, {at}"),
        (f"MLflow's store ({found['store']})", store, f"{store:,.1f} members a second, {at}"),
    ]
    lines = [
        "| part | measured | "
        + " | ".join(f"workers, if a member takes {_time(seconds)}" for seconds in SECONDS)
        + " |",
        "|---|---|" + "---:|" * len(SECONDS),
    ]
    for name, rate, measured in sorted(rows, key=lambda row: row[1]):
        lines.append(f"| {name} | {measured} | " + " | ".join(f"{rate * each:,.0f}" for each in SECONDS) + " |")
    if decoding:
        cores = f"{LINK_BYTES / JPEG_BYTES / decoding:,.0f} cores that only decode"
        lines.append(
            f"| input by a network of 10 Gbit/s | photographs of 31 kB; a core decodes {decoding:,.0f} a second | "
            + " | ".join([cores] * len(SECONDS))
            + " |"
        )
    first = min(rows, key=lambda row: row[1])[0]
    small = "" if found["members"] >= 10_000 else "Fewer than 10,000 members were recorded. "
    machine_text = f"{found['machine']['processor']}, {found['machine']['cores']} cores"
    return "\n".join(
        [
            *lines,
            "",
            f"So {first} is saturated first. {small}Measured: {found['members']:,} members, one machine "
            f"({machine_text}), "
            "which all processes shared; servers on machines of their own take more. A member is recorded in MLflow in "
            f"{found['latency']['median']:.1f} s (95th percentile {found['latency']['p95']:.1f} s); training does not "
            "wait for it.",
            "",
        ]
    )


def _time(seconds: float) -> str:
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"


def page() -> None:
    """Writes the reckoning to the page of users."""
    found = json.loads((RESULTS / "members.json").read_text())
    file = RESULTS / "streaming.json"
    streamed = json.loads(file.read_text()) if file.exists() else None
    decoding = streamed["decoding_alone"] / streamed["machine"]["cores"] if streamed else None
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}{reckoned(found, decoding)}{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    """Measures, prints and writes; with `--numbers` or `--search`, is one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--uri", default="")
    parser.add_argument("--storage", default="")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--search", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--numbers", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parent", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.page:
        page()
        return
    if asked.search:
        print(json.dumps(search(asked.storage, asked.members, asked.minutes)))
        return
    if asked.numbers:
        print(
            json.dumps(record(asked.uri, asked.parent, range(*asked.numbers), asked.epochs, asked.folder, asked.until))
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        result = measured(asked, Path(folder)) | {"search": searched(asked, Path(folder))}
    machine.write("members", machine.facts() | result)
    print(
        f"{result['members']:,} members by {asked.processes} processes: {result['members_per_second']:.1f} members and "
        f"{result['points_per_second']:.0f} points a second; a member {result['latency']['median']:.2f} s, "
        f"{result['latency']['p95']:.2f} s at the 95th percentile; lost {result['lost_members']} members and "
        f"{result['lost_points']} points; the search's storage took "
        f"{result['search']['members_per_second']:.1f} members a second, and lost {result['search']['lost_members']}"
    )


def together(commands: Sequence[Sequence[str]], folder: Path) -> tuple[list[Any], int]:
    """Runs processes side by side. Returns what they print, and how many failed."""
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) for command in commands]
    answers = [process.communicate()[0] for process in processes]
    found = [json.loads(answer.splitlines()[-1]) for answer in answers if answer]
    return found, sum(process.returncode != 0 for process in processes)


def searched(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs the workers of a search, and reads from its storage what it has."""
    uri = asked.storage or f"sqlite:///{folder / 'sweeps.db'}"
    command = [sys.executable, __file__, "--search", "--storage", uri, "--members", str(asked.members)]
    answers, failed = together([[*command, "--minutes", str(asked.minutes)]] * asked.processes, folder)
    seconds = [each for answer in answers for each in answer["seconds"]]
    wall = max(answer["last"] for answer in answers) - min(answer["first"] for answer in answers)
    trials = optuna.load_study(study_name="members", storage=uri).get_trials(deepcopy=False)
    return {
        "store": uri.partition(":")[0].partition("+")[0],
        "members": len(seconds),
        "failed_processes": failed,
        "seconds": wall,
        "members_per_second": len(seconds) / wall,
        "latency": {"median": statistics.median(seconds), "most": max(seconds)},
        "lost_members": len(seconds) - len(trials),
        "copies": len(trials) - len({trial.params["seed"] for trial in trials}),
    }


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
    own = [
        [*command, "--numbers", str(first), str(min(first + size, asked.members))]
        for first in range(0, asked.members, size)
    ]
    answers, failed = together(own, folder)
    seconds = [each for answer in answers for each in answer]
    wall = time.perf_counter() - began
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
        "store": uri.partition(":")[0].partition("+")[0],
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
