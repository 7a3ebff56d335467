"""A sweep of a thousand members on the digits, most of which are pruned: its time and its memory.

    python benchmarks/thousand.py [--members 1000]

The whole command, in an empty folder, once. Writes results/thousand.json.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from typing import Final

import machine

_COMMAND: Final = (
    *("-m", "sweep.sampler=random", "sweep.batch=250", "sweep.pruner.name=successive_halving", "train.epochs=9"),
    *("optimizer.learning_rate=tag(log,interval(1e-4,3e-2))", "loss.label_smoothing=interval(0,0.2)"),
    "seed=range(0,10)",
)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--members", type=int, default=1000)
    members = parser.parse_args().members
    command = [sys.executable, "-m", "runner", *_COMMAND, f"sweep.trials={members}"]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        out.seek(0)
        said = out.read()
    if status:
        raise SystemExit(f"the sweep ended with status {os.waitstatus_to_exitcode(status)}")
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (finished|pruned|failed)\b", said)}
    compiled = re.search(r"(\d+) compiled", said)
    assert compiled is not None, said
    result = machine.facts() | {
        "command": command[1:],
        "members": members,
        **counts,
        "compiled": int(compiled[1]),
        "seconds": seconds,
        "minutes": seconds / 60,
        "peak_gb": used.ru_maxrss * 1024 / 1e9,
    }
    if members == 1000:
        machine.write("thousand", result)
    print(f"{members} members, {counts}: {seconds:.0f} s, {result['peak_gb']:.2f} GB")


if __name__ == "__main__":
    main()
