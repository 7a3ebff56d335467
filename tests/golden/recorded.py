"""What a run left behind, reduced to what must stay the same: weights, metrics and the contents of MLflow."""

import hashlib
import json
import os
import platform
import sqlite3
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
from safetensors.numpy import load_file

from runner.ops import native

# Values that depend on the clock, or on what this process did before.
MEASURED = ("seconds_", "images_per_second", "compiles", "peak_memory_mb")
TAGS_OF_A_PLACE = (
    "jax",
    "version",
    "device",
    "processor",
    "runner.process",
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.log-model.history",
)


def machine() -> dict[str, Any]:
    """What decides the last bits: the processor, the number of threads, the versions, the native convolutions."""
    return {
        "processor": _processor(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "native": native.available(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    facts = dict(line.partition(":")[::2] for line in lines if ":" in line)
    names = {key.strip(): value for key, value in facts.items()}
    flags = hashlib.sha256(" ".join(sorted(names.get("flags", "").split())).encode()).hexdigest()[:12]
    return f"{names.get('model name', '').strip()} {flags}"


def weights(path: Path) -> dict[str, Any]:
    """A digest of the bits of a weights file, and the norm of every array, which another machine comes near to."""
    arrays = load_file(path)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    norms = {name: float(np.linalg.norm(arrays[name].astype(np.float64))) for name in sorted(arrays)}
    return {"digest": digest.hexdigest()[:16], "norms": norms}


def store(database: Path) -> list[dict[str, Any]]:
    """Every run of an MLflow database, in order of names: params, tags, metrics with their steps, data sets."""
    with sqlite3.connect(database) as connection:
        runs = connection.execute(
            "select run_uuid, name, status, artifact_uri from runs where lifecycle_stage = 'active'"
        )
        found = [_run(connection, *run) for run in runs.fetchall()]
    connection.close()
    return sorted(found, key=lambda run: (run["name"], json.dumps(run["params"], sort_keys=True)))


def _run(connection: sqlite3.Connection, uuid: str, name: str, status: str, artifacts: str) -> dict[str, Any]:
    def pairs(query: str) -> dict[str, str]:
        return dict(connection.execute(query, (uuid,)).fetchall())

    tags = pairs("select key, value from tags where run_uuid = ?")
    rows = connection.execute("select key, step, value from metrics where run_uuid = ? order by key, step", (uuid,))
    metrics: dict[str, dict[str, float | None]] = {}
    for key, step, value in rows.fetchall():
        if key == "energy_joules":  # not on every machine
            continue
        metrics.setdefault(key, {})[str(step)] = None if key.startswith(MEASURED) else value
    sets = connection.execute(
        "select d.name, d.digest from datasets d join inputs i on i.source_id = d.dataset_uuid"
        " where i.destination_id = ?",
        (uuid,),
    )
    folder = Path(artifacts.removeprefix("file://"))
    return {
        "name": name,
        "status": status,
        "params": pairs("select key, value from params where run_uuid = ?"),
        "tags": {key: _tag(key, value) for key, value in sorted(tags.items()) if key not in TAGS_OF_A_PLACE},
        "metrics": metrics,
        "inputs": sorted(sets.fetchall()),
        "artifacts": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()),
    }


def names_alone(found: dict[str, Any]) -> dict[str, Any]:
    """What is recorded, without the numbers: what another machine, whose last bits differ, must record as well."""
    return {
        "weights": [sorted(one["norms"]) for one in found["weights"]],
        "store": [
            {
                "params": run["params"],
                "tags": sorted(run["tags"]),
                "metrics": sorted(run["metrics"]),
                "inputs": [list(pair) for pair in run["inputs"]],
                "artifacts": run["artifacts"],
            }
            for run in found["store"]
        ],
    }


def _tag(key: str, value: str) -> str:
    """A tag's value where it is the same for every run of the configuration, else only that it is there."""
    places = (
        "sweep",
        "sweep.member",
        "mlflow.parentRunId",
        "best.run_id",
        "group",
        "runner.identity",
        "sweep.identity",
        "mlflow.runColor",  # of members side by side, by which begins first
    )
    return "…" if key in places or "outputs" in value else value
