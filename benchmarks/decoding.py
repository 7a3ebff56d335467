"""Decoding and cutting random windows out of JPEGs: ours beside PyTorch's DataLoader with torchvision, and grain.

    python benchmarks/decoding.py [--images 3000] [--runs 5] [--peers-python PYTHON]

The images are those of streaming.py. The contestants of peers/decoding.py are processes of their own that take turns.
Images a second depend on what else the machine does; images a second of processor time hardly. `PYTHON` has this
project, torch, torchvision and grain; without it ours alone is measured. Writes results/decoding.json and prints it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Final

import machine
import streaming

PEERS: Final = ("torchvision", "torchvision_in_process", "grain")
_ASK: Final = "from importlib import metadata; print(*(metadata.version(n) for n in ('torch', 'torchvision', 'grain')))"


def turn(python: str, contestant: str, folder: Path) -> list[float]:
    """Images a second, and images a second of processor time, of one contestant."""
    script = Path(__file__).resolve().parent / "peers" / "decoding.py"
    done = subprocess.run([python, str(script), contestant, str(folder)], check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()[-2:]]


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=3_000, help="JPEGs that are drawn")
    parser.add_argument("--runs", type=int, default=5, help="turns")
    parser.add_argument("--peers-python", default="", help="the interpreter of the peers")
    given = parser.parse_args()
    contestants = {"ours": sys.executable} | (dict.fromkeys(PEERS, given.peers_python) if given.peers_python else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        streaming.drawn(folder, given.images)
        turns = [{who: turn(python, who, folder) for who, python in contestants.items()} for _ in range(given.runs)]
    result = machine.facts() | {
        "what": "JPEGs of 400×350 as random windows of 224×224: images a second, and of processor time; medians",
        "pillow": metadata.version("pillow"),
        "images": given.images,
        "seed": streaming.SEED,
        "runs": given.runs,
        "medians": {who: [statistics.median(one[who][at] for one in turns) for at in range(2)] for who in contestants},
        "turns": turns,
    }
    if given.peers_python:
        asked = subprocess.run([given.peers_python, "-c", _ASK], check=True, capture_output=True, text=True).stdout
        result["peers"] = dict(zip(("torch", "torchvision", "grain"), asked.split(), strict=True))
    machine.write("decoding", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
