"""Files of parameters and statistics: saved under dotted names, loaded from our files or a PyTorch state dict.

    >>> save(Path("weights.safetensors"), params, statistics)     # 0_conv.kernel, 3_batch_norm.mean, …
    >>> load("weights.safetensors", network, fresh=("classifier",))

Our files are recognised by their names, which all begin with the number and kind of a layer.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from runner import atomic
from runner.data.npz import check_sizes
from runner.errors import ConfigError, DataError, Fault, must
from runner.layers import places
from runner.layers.base import Shape, Tree, shape_text
from runner.layers.passes import Located
from runner.network import Network
from runner.state_dicts import Array, slots, translated

_WHERE: Final = "model.weights"
_OURS: Final = re.compile(r"\d+_[^.]+\.")
_MOST_FAULTS: Final = 10
# By the names of the format; NumPy has no bfloat16.
_REAL: Final = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16}


class Loaded(NamedTuple):
    """Parameters and statistics, except those of layers that begin with fresh values."""

    params: Tree
    statistics: Tree


def save(path: Path, params: Tree, statistics: Tree) -> None:
    """Writes parameters and statistics to a .safetensors file, each under its dotted path."""
    atomic.write(path, serialized(params, statistics))


def serialized(params: Tree, statistics: Tree) -> bytes:
    """The content of the file that `save` writes."""
    leaves = places.dotted(jax.device_get(params)) | places.dotted(jax.device_get(statistics))
    # The format stores memory as it is, so arrays must be in C order.
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in leaves.items()}
    content: bytes = safetensors.numpy.save(arrays)
    return content


def load(file: str, network: Network, *, fresh: tuple[str, ...] = ()) -> Loaded:
    """Loads the values of a network, float32, except for the layers that `fresh` names.

    Raises ConfigError if the file cannot be read or does not fit this model.
    """
    path = Path(file).expanduser()
    stored = read(path)
    of_parameters, of_statistics = network.shapes()
    shapes = of_parameters | of_statistics
    if not shapes:
        raise ConfigError(must(_WHERE, "be null, as this model learns nothing", path.name))
    located = network.located()
    fresh = places.meant(fresh, "model.weights_except", located, [*shapes, *stored])
    # A name that selects nothing in the model selects arrays of the file to skip.
    foreign = tuple(name for name in fresh if not any(places.stands_for(name, path) for path in shapes))
    stored = {name: array for name, array in stored.items() if not places.chosen(foreign, name)}
    if stored and all(_OURS.match(name) for name in stored):
        found = _by_name(shapes, stored, fresh, located)
    else:
        found = translated(slots(network.layers, network.input_shape, fresh=fresh), stored, ordered=_is_npz(path))
    values = {name: _as_float32(path, name, array) for name, array in found.items()}
    params, statistics = (
        places.nested({name: values[name] for name in own if name in values}) for own in (of_parameters, of_statistics)
    )
    return Loaded(params, statistics)


def read(path: Path) -> dict[str, Array]:
    """The arrays of a .safetensors or .npz file by name; only an .npz keeps their order.

    Raises ConfigError if it is neither, is damaged, or contains other values than real numbers.
    """
    if path.suffix not in (".safetensors", ".npz"):
        raise ConfigError(must(_WHERE, "be a .safetensors or an .npz file", str(path)))
    if not path.is_file():
        raise ConfigError(must(_WHERE, "be a file that is there", str(path)))
    try:
        arrays = _npz(path) if _is_npz(path) else _safetensors(path)
    except DataError as error:
        raise ConfigError(*error.faults) from error
    except OSError as error:
        raise ConfigError(must(_WHERE, "be a file that can be read", f"{path} ({error.strerror or error})")) from error
    except Exception as error:  # any error of a reader on a damaged or foreign file, also MemoryError
        reason = str(error).split("\n")[0] or type(error).__name__
        raise ConfigError(must(_WHERE, f"be a whole {path.suffix} file", f"{path.name} ({reason})")) from error
    for name, array in arrays.items():
        # Single integers are allowed: PyTorch counts batches in them.
        if array.size > 1 and not jnp.issubdtype(array.dtype, jnp.floating):
            raise ConfigError(must(_WHERE, "hold real numbers alone", f"{name} of {array.dtype}"))
    return arrays


def _as_float32(path: Path, name: str, array: Array) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = np.asarray(array, np.float32)
    if not np.isfinite(values).all():
        worst = np.asarray(array)[~np.isfinite(values)].ravel()[0]
        raise ConfigError(must(_WHERE, "hold finite numbers that fit float32", f"{path.name}: {name} with {worst:g}"))
    return values


def _is_npz(path: Path) -> bool:
    return path.suffix == ".npz"


def _npz(path: Path) -> dict[str, Array]:
    if not zipfile.is_zipfile(path):
        raise ValueError("no archive")
    # Opened here, because NumPy leaves a file open that it cannot read.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        check_sizes(path, stored.zip.infolist())
        arrays = dict(stored)
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy returns an entry that is not an .npy as bytes
            raise ValueError(f"{name} is no array")
    return arrays


def _safetensors(path: Path) -> dict[str, Array]:
    found = {}
    for name, stored in safetensors.deserialize(path.read_bytes()):
        kind: Any = _REAL.get(stored["dtype"])
        if kind is None:
            # Only its name and number of axes are used.
            found[name] = np.zeros(stored["shape"], np.int64)
        else:
            found[name] = np.frombuffer(stored["data"], kind).reshape(stored["shape"])
    return found


def _by_name(
    shapes: Mapping[str, Shape], stored: Mapping[str, Array], fresh: tuple[str, ...], located: list[Located]
) -> dict[str, Array]:
    """The arrays of another run's file for this model. Raises ConfigError with all that do not fit."""
    wanted = {name: shape for name, shape in shapes.items() if not places.chosen(fresh, name)}
    held = {name: array for name, array in stored.items() if not places.chosen(fresh, name)}
    faults = []

    def printed(name: str) -> str:
        return f"{places.place_of(name, located)} {shape_text(shapes[name])}"

    for name, shape in wanted.items():
        if name not in held:
            faults.append(must(_WHERE, f"hold {printed(name)} as {name}", "nothing of that name"))
        elif held[name].shape != shape:
            faults.append(must(_WHERE, f"fit {printed(name)}", f"{name} {shape_text(held[name].shape)}"))
    faults += [
        must(_WHERE, "hold this model's layers alone", f"{name} {shape_text(array.shape)}")
        for name, array in held.items()
        if name not in wanted
    ]
    if len(faults) > _MOST_FAULTS:
        left = len(faults) - _MOST_FAULTS
        faults = [*faults[:_MOST_FAULTS], Fault(_WHERE, f"must fit the model, got {left} further arrays that do not")]
    if faults:
        raise ConfigError(*faults)
    return {name: held[name] for name in wanted}
