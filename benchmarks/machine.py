"""Where and with what a benchmark was measured; and malloc settings that keep memory, for the processes of peers."""

import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from runner import cores

# glibc returns freed memory to the system, and PyTorch then maps it anew at every step. This project keeps its own
# memory (`train.keep_memory`); with these settings a peer does the same.
KEEP_MEMORY: Final = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
_OURS: Final = ("convrunner", "jax", "optax", "mlflow", "hydra-core")
_PEERS: Final = ("torch", "lightning", "keras", "flax", "optuna")
_ASK = "import sys; from importlib import metadata; print(*(metadata.version(name) for name in sys.argv[1:]))"


def facts(peers_python: str = "") -> dict[str, object]:
    """The processor, the number of cores, and versions: of this interpreter, and of the peers in another one."""
    versions = {name: metadata.version(name) for name in _OURS}
    if peers_python:
        asked = [peers_python, "-c", _ASK, *_PEERS]
        found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
        versions |= dict(zip(_PEERS, found, strict=True))
    return {
        "machine": {"processor": processor(), "cores": cores.available(), "system": platform.system()},
        "versions": {"python": platform.python_version(), **versions},
    }


def processor() -> str:
    """The name of the processor, as Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    wide = any(" avx512f" in line for line in lines if line.startswith("flags"))
    return (names[0] if names else platform.machine()) + (", AVX-512" if wide else "")


def write(name: str, result: dict[str, object]) -> None:
    """Writes results/NAME.json."""
    path = Path(__file__).resolve().parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    json.dump(facts(*sys.argv[1:2]), sys.stdout, indent=2)
