"""What checkpoints cost: whole runs with and without them in turn, and one checkpoint beside orbax-checkpoint.

    python benchmarks/checkpoints.py --mnist FOLDER --cifar10 FOLDER_OR_ZIP [--pairs 3]

Each run is a process of its own. `train.save_every` is never, the default, and a second or two, which is over a hundred
times as often as the default. A sweep of 32 members, too short for a checkpoint by the default, shows what being ready
to write one costs. Where orbax-checkpoint is installed (`pip install orbax-checkpoint`), states of several sizes are
saved by both, a byte of what was written is changed, and it is restored. Takes about ten minutes. Writes
results/checkpoints.json beside this file.
"""

import argparse
import importlib.util
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).resolve().parent
EVERY = {"never": "null", "default": "5 minutes", "often": "2 seconds"}


def trained(folder: str, arguments: list[str], every: str) -> dict[str, float]:
    """Seconds of training, as a run says, of the whole command, which compiles nothing, and of processors."""
    command = [sys.executable, "-m", "runner", *arguments, f"train.save_every={every}", "tracking=off"]
    before, began = _processor_seconds(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    seconds = {"command": time.perf_counter() - began, "processor": _processor_seconds() - before}
    found = re.search(r"of which ([\d.]+) s training", done.stdout)
    return seconds | ({"training": float(found[1])} if found else {})


def _processor_seconds() -> float:
    """Of all processes that this one started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compared(name: str, arguments: list[str], pairs: int) -> dict[str, Any]:
    """Runs with each setting in turn: medians in seconds, and the ratios to a run without checkpoints."""
    with tempfile.TemporaryDirectory() as folder:
        trained(folder, arguments, "null")  # compiles
        rounds = [{label: trained(folder, arguments, every) for label, every in EVERY.items()} for _ in range(pairs)]
        saved = [path.stat().st_size for path in Path(folder).rglob("*.checkpoint")]
    found: dict[str, Any] = {"rounds": rounds, "bytes": max(saved, default=0)}
    for part in rounds[0]["never"]:
        medians = {label: statistics.median(one[label][part] for one in rounds) for label in EVERY}
        ratios = {label: statistics.median(one[label][part] / one["never"][part] for one in rounds) for label in EVERY}
        found[part] = {"medians": medians, "ratios": ratios}
        line = ", ".join(f"{label} {medians[label]:.2f} s ({ratios[label]:.3f})" for label in EVERY)
        print(f"{name:<16} {part:<9} {line}", flush=True)
    return found


def one_checkpoint(megabytes: float) -> dict[str, Any]:
    """Milliseconds to write and read so many MB, here and by orbax, and whether a changed byte is noticed."""
    import jax
    import numpy as np

    from runner.data import sealed

    count = int(megabytes * 1e6 / 4 / 60)
    state = {str(number): jax.random.normal(jax.random.key(number), (count,)) for number in range(60)}
    jax.block_until_ready(state)
    found: dict[str, Any] = {"megabytes": megabytes}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own"
        times = []
        for _ in range(5):
            began = time.perf_counter()
            sealed.write(path, *(np.asarray(leaf).view(np.uint8) for leaf in state.values()))
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        assert sealed.read(path) is not None
        found["own"] = {"write_ms": 1000 * statistics.median(times), "read_ms": 1000 * (time.perf_counter() - began)}
        found["own"] |= {"files": 1, "notices_a_changed_byte": _notices(path, lambda: sealed.read(path) is None)}
        if importlib.util.find_spec("orbax"):
            found["orbax"] = _orbax(Path(folder) / "orbax", state)
    return found


def _orbax(folder: Path, state: Any) -> dict[str, Any]:
    import jax
    import numpy as np

    began = time.perf_counter()
    import orbax.checkpoint as ocp

    imported = time.perf_counter() - began
    template = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)
    times = []
    with ocp.CheckpointManager(folder, options=ocp.CheckpointManagerOptions(max_to_keep=1)) as manager:
        for step in range(5):
            began = time.perf_counter()
            manager.save(step, args=ocp.args.StandardSave(state))
            manager.wait_until_finished()
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        manager.restore(4, args=ocp.args.StandardRestore(template))
        read = time.perf_counter() - began

        def notices() -> bool:
            try:
                again = manager.restore(4, args=ocp.args.StandardRestore(template))
            except Exception:  # noqa: BLE001 - any error is a notice
                return True
            equal = jax.tree.map(np.array_equal, again, state)
            return all(jax.tree.leaves(equal))  # nothing was changed that matters

        files = [path for path in folder.rglob("*") if path.is_file()]
        largest = max(files, key=lambda path: path.stat().st_size)
        noticed = _notices(largest, notices)
    return {
        "import_ms": 1000 * imported,
        "write_ms": 1000 * statistics.median(times),
        "read_ms": 1000 * read,
        "files": len(files),
        "notices_a_changed_byte": noticed,
    }


def _notices(path: Path, does: Any) -> bool:
    """Whether a byte in the middle of a file that is changed is noticed."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return bool(does())


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", help="folder of the MNIST files")
    parser.add_argument("--cifar10", help="class folders of CIFAR-10, or a .zip of them")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--lenet-epochs", type=int, default=6)
    parser.add_argument("--resnet-steps", type=int, default=60)
    parser.add_argument("--members", type=int, default=32)
    asked = parser.parse_args()
    found: dict[str, Any] = machine.facts() | {"pairs": asked.pairs, "one_checkpoint": []}
    for megabytes in (0.7, 12.0, 100.0):
        one = one_checkpoint(megabytes)
        found["one_checkpoint"].append(one)
        print(json.dumps(one), flush=True)
    members = ["-m", f"seed=range(0,{asked.members})", "train.epochs=2", "figures.draw=[]", "sweep.log_models=none"]
    members.append("sweep.resume=never")  # else the second command finds all members trained
    found[f"sweep of {asked.members} on digits"] = compared("sweep, digits", members, asked.pairs)
    if asked.mnist:
        root = f"data.root={Path(asked.mnist).resolve()}"
        arguments = ["data=mnist", root, f"train.epochs={asked.lenet_epochs}"]
        found["lenet5 on MNIST"] = compared("lenet5, MNIST", arguments, asked.pairs)
    if asked.cifar10:
        root = f"data.root={Path(asked.cifar10).resolve()}"
        arguments = ["model=resnet20_cifar", "data=folder", root, f"train.steps={asked.resnet_steps}"]
        arguments += ["train.batch_size=128", "data.limit=10000"]
        found["resnet20_cifar on CIFAR-10"] = compared("resnet20, CIFAR", arguments, asked.pairs)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "checkpoints.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
