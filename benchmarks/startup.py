"""From the command to the first training step: where the time goes.

    python benchmarks/startup.py [--runs 7]

Each run is a process of its own, started as a user starts it (`python -m runner`), in an empty folder. Stamps are
taken when the functions that end each part return. `cold` has no compiled programs and no MLflow store to find;
`warm` has both from the run before. Writes results/startup.json beside this file and prints medians in seconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import machine

Stamp = Callable[[str], None]
HERE = Path(__file__).resolve().parent


def child(stamps: Path, started: float) -> None:
    """Runs the default experiment in this process and writes down when each part was over."""
    found = {"python": time.time() - started}

    def stamp(name: str) -> None:
        found.setdefault(name, time.time() - started)

    def stamped(owner: object, function: str, name: str) -> None:
        original = getattr(owner, function)

        def call(*args: object, **kwargs: object) -> object:
            result = original(*args, **kwargs)
            stamp(name)
            return result

        setattr(owner, function, call)

    from runner import memory

    with memory.rare_collections():
        _run(stamps, stamp, stamped, found)


def _run(stamps: Path, stamp: Stamp, stamped: Callable[[object, str, str], None], found: dict[str, float]) -> None:
    from runner import cli, data, run
    from runner.tracking.store import Store
    from runner.training.alone import Chunk
    from runner.training.member import Member
    from runner.training.observer import Events

    stamp("imports")
    stamped(cli, "parse", "configuration")
    stamped(data, "load", "data")
    stamped(Store, "begin", "store")
    original = Events.chunk

    def chunk(self: Events, member: Member, chunk: Chunk) -> None:
        if "step" not in found:
            chunk.wait()
            stamp("step")
        original(self, member, chunk)

    Events.chunk = chunk  # type: ignore[method-assign]
    assert run
    sys.argv = ["runner", "train.epochs=1"]
    try:
        cli.main()
    except SystemExit:
        stamp("end")
    stamps.write_text(json.dumps(found))


def measured(folder: Path) -> dict[str, float]:
    """One run in `folder`, as seconds from the command to the end of each part."""
    stamps = folder / "stamps.json"
    environment = os.environ | {"CONVRUNNER_CACHE": str(folder / "cache")}
    began = time.time()
    command = [sys.executable, str(HERE / "startup.py"), "--child", str(stamps), str(began)]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, float] = json.loads(stamps.read_text())
    return found | {"exit": time.time() - began}


def main() -> None:
    """Measures, prints and writes."""
    if "--child" in sys.argv:
        place = sys.argv.index("--child")
        child(Path(sys.argv[place + 1]), float(sys.argv[place + 2]))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="warm runs that are counted")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        cold = measured(Path(name))
        warm = [measured(Path(name)) for _ in range(runs)]
    medians = {key: statistics.median(run[key] for run in warm) for key in warm[0]}
    spread = {key: [min(run[key] for run in warm), max(run[key] for run in warm)] for key in warm[0]}
    result = machine.facts() | {
        "what": "seconds from the command to the end of each part; LeNet-5 on the digits, one epoch",
        "runs": runs,
        "cold": cold,
        "warm_median": medians,
        "warm_min_max": spread,
    }
    machine.write("startup", result)
    print(f"{'seconds from the command to':<34}{'cold':>8}{'warm':>8}")
    for key in ("python", "imports", "configuration", "data", "step", "store", "end", "exit"):
        print(f"{key:<34}{cold[key]:>8.2f}{medians[key]:>8.2f}")


if __name__ == "__main__":
    main()
