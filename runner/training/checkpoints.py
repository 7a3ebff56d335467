"""Checkpoints: files from which a training goes on bit for bit.

>>> saved = write(folder, training.snapshot, facts, value=0.98)      # folder/step-000000010.checkpoint
>>> for path in found(folder): print(path.name, read(path).facts == facts)
step-000000010.checkpoint True

A checkpoint is one sealed file: it is whole and unchanged, or `read` says that it is not. It holds a header of JSON and
after it the bytes of all arrays. Nothing in it is code, and it is read into the shapes of the training's plan.

orbax-checkpoint was measured beside it (`benchmarks/checkpoints.py`): many times slower to write, 13 files, and a
changed byte in one of them is restored as if nothing had happened.
"""

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from runner import atomic, compiling
from runner.data import sealed
from runner.errors import ConfigError, must
from runner.placement import Placement
from runner.training.alone import Snapshot
from runner.training.ledger import Ledger
from runner.training.mapped import MappedSnapshot
from runner.training.plan import Plan

FOLDER: Final = "checkpoints"
_ENDING: Final = ".checkpoint"
_SIZE: Final = struct.Struct("<Q")
_FORMAT: Final = 1


class DamagedError(ValueError):
    """A checkpoint that is incomplete, changed, or of another version of this program."""


@dataclass(frozen=True)
class Facts:
    """Whose checkpoint it is. With other facts a training does not go on from it."""

    owner: str  # the identity of the run, or of the runs that train together
    settings: dict[str, str]  # of the experiment, by path; of runs that train together, a digest of them all
    data: str  # the digest of the data
    versions: dict[str, str]  # of this program, JAX and Optax: with others, the last bits may differ


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read. `value` is that of `train.monitor` in its last epoch, if it has one."""

    facts: Facts
    steps: int
    value: float | None
    rows: tuple[int | None, ...] | None  # of members that train together, see `MappedSnapshot`
    ledgers: tuple[Ledger, ...]
    seconds: float
    best: tuple[int, ...]  # the indices of members with a state after their best epoch
    arrays: dict[str, np.ndarray]  # by path in the state


def write(folder: Path, snapshot: Snapshot | MappedSnapshot, facts: Facts, value: float | None = None) -> Path:
    """Writes a checkpoint, and returns its file. Raises OSError if it cannot be written."""
    if isinstance(snapshot, MappedSnapshot):
        best, rows, ledgers = snapshot.best, list(snapshot.rows), snapshot.ledgers
    else:
        best, rows, ledgers = {} if snapshot.best is None else {0: snapshot.best}, None, (snapshot.ledger,)
    leaves = {path: _on_host(leaf) for path, leaf in _named(_parts(snapshot.state, best))}
    steps = int(np.max(leaves["state.step"]))
    header = {
        "format": _FORMAT,
        "facts": asdict(facts),
        "steps": steps,
        "value": value,
        "rows": rows,
        "ledgers": [ledger.as_json() for ledger in ledgers],
        "seconds": snapshot.seconds,
        "best": sorted(best),
        "arrays": [[path, str(array.dtype), list(array.shape)] for path, array in leaves.items()],
    }
    text = json.dumps(header).encode()
    path = folder / f"step-{steps:09}{_ENDING}"
    sealed.write(path, _SIZE.pack(len(text)), text, *(_bytes(array) for array in leaves.values()))
    return path


def found(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the latest first."""
    return sorted(folder.glob(f"step-*{_ENDING}"), reverse=True)


def value_of(path: Path) -> float | None:
    """The value of a checkpoint, from its beginning alone; None if it has none, or cannot be read."""
    try:
        with path.open("rb") as file:
            [size] = _SIZE.unpack(file.read(_SIZE.size))
            value = json.loads(file.read(size))["value"]
            return None if value is None else float(value)
    except (OSError, ValueError, KeyError, TypeError, struct.error, MemoryError, OverflowError):
        return None


def read(path: Path) -> Checkpoint:
    """A checkpoint. Raises DamagedError if it is not whole."""
    content = sealed.read(path)
    if content is None:
        raise DamagedError("it is incomplete or was changed")
    try:
        [size] = _SIZE.unpack(content[: _SIZE.size].data)
        header = json.loads(content[_SIZE.size : _SIZE.size + size].tobytes())
        if header["format"] != _FORMAT:
            raise DamagedError("it is of another version of this program")
        return Checkpoint(
            facts=Facts(**header["facts"]),
            steps=header["steps"],
            value=header["value"],
            rows=None if header["rows"] is None else tuple(header["rows"]),
            ledgers=tuple(Ledger.from_json(text) for text in header["ledgers"]),
            seconds=header["seconds"],
            best=tuple(header["best"]),
            arrays=dict(_arrays(content[_SIZE.size + size :], header["arrays"])),
        )
    except (struct.error, KeyError, TypeError, ValueError) as error:
        raise DamagedError(str(error)) from error


def alone(checkpoint: Checkpoint, plan: Plan) -> Snapshot:
    """The state to go on from. Raises ConfigError, with the difference, if arrays do not fit the plan."""
    state, best = _restored(checkpoint, plan)
    [ledger] = checkpoint.ledgers
    return Snapshot(state, best.get(0), ledger, checkpoint.seconds)


def together(checkpoint: Checkpoint, plan: Plan) -> MappedSnapshot:
    """The state of members that train as one program; `plan` is that of one of them. Raises ConfigError."""
    state, best = _restored(checkpoint, plan)
    return MappedSnapshot(checkpoint.rows or (), state, best, checkpoint.ledgers, checkpoint.seconds)


def _restored(checkpoint: Checkpoint, plan: Plan) -> tuple[Any, dict[int, Any]]:
    functions = compiling.compiled(plan.program, plan.placement)
    one = jax.eval_shape(functions.init, plan.values, *plan.given)
    width = () if checkpoint.rows is None else (len(checkpoint.rows),)
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*width, *leaf.shape), leaf.dtype), one)
    template = _parts(state, dict.fromkeys(checkpoint.best, one))
    _check(template, checkpoint.arrays)
    leaves = [_on_device(checkpoint.arrays[path], leaf.dtype, plan.placement) for path, leaf in _named(template)]
    whole = jax.tree.unflatten(jax.tree.structure(template), leaves)
    return whole["state"], {index: whole[f"best{index}"] for index in checkpoint.best}


def thin_out(folder: Path, *, last: int, best: int, maximize: bool) -> None:
    """Removes checkpoints: all but the `last` latest, and besides them the `best` of the highest value, or lowest."""
    paths = found(folder)
    values = [(value_of(path), path) for path in paths[last:]] if best else []
    valued = [(value, path) for value, path in values if value is not None and math.isfinite(value)]
    ranked = sorted(valued, key=lambda pair: -pair[0] if maximize else pair[0])
    kept = {*paths[:last], *(path for _, path in ranked[:best])}
    for path in paths:
        if path not in kept:
            path.unlink(missing_ok=True)


def size_bytes(folder: Path) -> int:
    """What the checkpoints of a folder take on disk."""
    return sum(path.stat().st_size for path in found(folder))


def remove_partial(folder: Path) -> None:
    """Removes what a process left that was killed as it wrote a checkpoint."""
    for path in folder.glob(f"*{atomic.PARTIAL}"):
        path.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Removes all checkpoints of a folder."""
    remove_partial(folder)
    for path in found(folder):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _parts(state: Any, best: Mapping[int, Any]) -> dict[str, Any]:
    return {"state": state} | {f"best{index}": best[index] for index in sorted(best)}


def _named(parts: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Every leaf by its path: `state.params.0_conv.kernel`."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(dict(parts)):
        yield jax.tree_util.keystr(path, simple=True, separator="."), leaf


def _is_key(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


def _on_host(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf.dtype) else leaf)


def _on_device(array: np.ndarray, dtype: Any, placement: Placement) -> Any:
    # A copy: the step is given the memory of its state, and the file's is not to be written to.
    found = jnp.array(array) if placement.processes == 1 else placement.put(array.copy())
    return jax.random.wrap_key_data(found) if _is_key(dtype) else found


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _arrays(content: np.ndarray, described: Iterable[Sequence[Any]]) -> Iterable[tuple[str, np.ndarray]]:
    start = 0
    for path, dtype, shape in described:
        kind = jnp.dtype(dtype)
        end = start + kind.itemsize * int(np.prod(shape, dtype=np.int64))
        yield path, content[start:end].view(kind).reshape(shape)
        start = end
    if start != len(content):
        raise DamagedError("it has more bytes than arrays")


def _check(template: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raises ConfigError for the first array that the plan has not, or has in another shape."""
    wanted = {path: _shape(leaf) for path, leaf in _named(template)}
    got = {path: f"{array.dtype} {array.shape}" for path, array in arrays.items()}
    for path in (*wanted, *got):
        if wanted.get(path) != got.get(path):
            rule = f"be {wanted.get(path, 'nothing')} as in this program"
            raise ConfigError(must(f"checkpoint.{path}", rule, got.get(path, "nothing")))


def _shape(leaf: Any) -> str:
    stored = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf.dtype) else leaf
    return f"{stored.dtype} {stored.shape}"
