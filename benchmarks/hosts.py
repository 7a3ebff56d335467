"""Images a second of one process and of two over loopback, each on a core of its own.

    python benchmarks/hosts.py [--turns 3] [--epochs 4]            about six minutes on two cores

Each run is started as a user starts it, on the digits, in turns: one process on one core, two processes on a core each,
and one process on both cores. The batch is the same for all, and so are the convolutions (portable). The speed of a
run is the median of its epochs after the first, as it records them. Writes results/hosts.json beside this file.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import machine

NETWORKS = {"lenet5": 128, "resnet20": 128}  # with the size of a batch
CONTESTANTS = {
    "one process, one core": ("0",),
    "two processes, a core each": ("0", "1"),
    "one process, two cores": ("0,1",),
}


def speed(network: str, cores: tuple[str, ...], epochs: int) -> float:
    """Images a second of a run of as many processes as there are sets of cores."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"CONVRUNNER_CACHE": str(Path(folder) / "cache"), "JAX_PLATFORMS": "cpu"}
        started = []
        for index, own in enumerate(cores):
            command = [
                "taskset",
                "-c",
                own,
                sys.executable,
                "-m",
                "runner",
                f"model={network}",
                f"train.epochs={epochs}",
            ]
            command += [f"train.batch_size={NETWORKS[network]}", "train.lowering=portable", "tracking.enabled=false"]
            command += ["figures=off", "hydra.run.dir=run", "schedule=constant", "train.save_every=null"]
            if len(cores) > 1:
                command += [f"distributed.coordinator=127.0.0.1:{port}", f"distributed.processes={len(cores)}"]
                command.append(f"distributed.index={index}")
            started.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL))
        if any(process.wait() for process in started):
            raise SystemExit(f"a run of {network} on the cores {', '.join(cores)} failed")
        found = json.loads((Path(folder) / "run" / "reproduce.json").read_text(encoding="utf-8"))
    return statistics.median(epoch["images_per_second"] for epoch in found["history"][1:])


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    asked = parser.parse_args()
    if shutil.which("taskset") is None:
        raise SystemExit("taskset must be installed, which gives each process its core")
    speeds: dict[str, dict[str, list[float]]] = {}
    for network in asked.networks.split(","):
        own = speeds[network] = {name: [] for name in CONTESTANTS}
        for _ in range(asked.turns):
            for name, cores in CONTESTANTS.items():
                own[name].append(speed(network, cores, asked.epochs))
    medians = {
        network: {name: statistics.median(all_) for name, all_ in own.items()} for network, own in speeds.items()
    }
    result = machine.facts() | {
        "what": "images a second in training on the digits; seed 0, the same batch for all, portable convolutions",
        "batch_sizes": NETWORKS,
        "turns": asked.turns,
        "epochs": asked.epochs,
        "images_per_second": speeds,
        "medians": medians,
    }
    machine.write("hosts", result)
    for network, own in medians.items():
        print(network)
        base = own["one process, one core"]
        for name, median in own.items():
            spread = f"{min(speeds[network][name]):,.0f}–{max(speeds[network][name]):,.0f}"
            print(f"  {name:<28}{median:>10,.0f}  {spread:>18}  {median / base:.2f}")


if __name__ == "__main__":
    main()
