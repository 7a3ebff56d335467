"""How parameters begin: the initialisers of `jax.nn.initializers` by their names and argument names, and known filters.

Drawing a tensor costs a compilation for every shape. So an initialiser here names a distribution of independent
unit draws and a function of them; a whole model is then drawn in one flat stream (see `draw`).
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from pydantic import BeforeValidator, WithJsonSchema

from runner.errors import shown, unknown
from runner.layers import known_filters
from runner.layers.known_filters import Numbers
from runner.records import Record, frozen

# Standard deviation of the unit normal cut off at two deviations: dividing by it restores unit variance.
_CUT_DEVIATION = 0.87962566103423978

# variance_scaling(scale, mode, distribution) under the names of their authors.
_SCALED: dict[str, tuple[float, str, str]] = {
    "glorot_uniform": (1.0, "fan_avg", "uniform"),
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
}
_ALIASES = {
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "kaiming_uniform": "he_uniform",
    "kaiming_normal": "he_normal",
}
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "zeros": {},
    "ones": {},
    "constant": {"value": 0.0},
    "normal": {"stddev": 1e-2},
    "truncated_normal": {"stddev": 1e-2},
    "uniform": {"scale": 1e-2},
    "variance_scaling": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
    "orthogonal": {"scale": 1.0},
    "delta_orthogonal": {"scale": 1.0},
    "partial_identity": {"scale": 1 / 3},
    "whitening": {"epsilon": 5e-4},
    **{name: {} for name in (*_SCALED, *_ALIASES, *known_filters.NAMES)},
}
_WRITTEN = "numbers"  # the name of a record of numbers that are written in YAML
_CHOICES = {
    "mode": ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"),
    "distribution": ("truncated_normal", "normal", "uniform"),
}

_UNIT_DRAWS: dict[str, Callable[[jax.Array, int], jax.Array]] = {
    "normal": lambda key, n: jax.random.normal(key, (n,)),
    "truncated_normal": lambda key, n: jax.random.truncated_normal(key, -2.0, 2.0, (n,)),
    "uniform": lambda key, n: jax.random.uniform(key, (n,), minval=-1.0),
}


class InitializerRecord(Record):
    """An initialiser by name, with every argument it takes."""

    name: str
    arguments: tuple[tuple[str, float | str | Numbers], ...] = ()

    def __str__(self) -> str:
        if self.name == _WRITTEN:
            return shown(self.known)
        return shown({self.name: dict(self.arguments)}) if self.arguments else self.name

    @property
    def known(self) -> str | Numbers | None:
        """The known filter by its name, or the numbers that are written; None for a distribution or a constant."""
        if self.name == _WRITTEN:
            values: Numbers = dict(self.arguments)["values"]  # type: ignore[assignment]
            return values
        return self.name if self.name in known_filters.NAMES else None

    @property
    def distribution(self) -> str | None:
        """The distribution of this initialiser's unit draws; none for a constant."""
        match self.name:
            case "zeros" | "ones" | "constant" | "whitening":
                return None
            case _ if self.known is not None:
                return None
            case "normal" | "orthogonal" | "delta_orthogonal":
                return "normal"
            case "truncated_normal" | "uniform":
                return self.name
            case "partial_identity":
                return "uniform"
            case _:
                return self._variance_scaling()[2]

    def place(self, draws: jax.Array | None, shape: tuple[int, ...]) -> jax.Array:
        """The parameter of `shape`, float32, from unit draws `(n,)`, one for each element."""
        given: dict[str, Any] = dict(self.arguments)
        if self.name == "whitening":  # replaced when the images are known
            return jnp.zeros(shape, jnp.float32)
        if self.known is not None:
            return jnp.asarray(known_filters.values(self.known, shape), jnp.float32)
        if draws is None:
            value: float = {"zeros": 0.0, "ones": 1.0}[self.name] if not given else given["value"]
            return jnp.full(shape, value, jnp.float32)
        match self.name:
            case "normal" | "truncated_normal":
                return jnp.asarray(given["stddev"], jnp.float32) * draws.reshape(shape)
            case "uniform":
                # Draws lie in [−1, 1); jax.nn.initializers.uniform lies in [0, scale).
                return jnp.asarray(given["scale"], jnp.float32) * (draws.reshape(shape) + 1.0) / 2.0
            case "orthogonal":
                return jnp.asarray(given["scale"], jnp.float32) * _orthogonal(draws, shape)
            case "delta_orthogonal":
                centre = tuple((size - 1) // 2 for size in shape[:-2])
                square = _orthogonal(draws[: math.prod(shape[-2:])], shape[-2:])
                return jnp.zeros(shape, jnp.float32).at[centre].set(jnp.asarray(given["scale"], jnp.float32) * square)
            case "partial_identity":
                drawn = jnp.asarray(math.sqrt(3 * given["scale"] / fans(shape)[0]), jnp.float32) * draws.reshape(shape)
                return _passing_on(drawn)
            case _:
                return jnp.asarray(self._deviation(shape), jnp.float32) * draws.reshape(shape)

    def _deviation(self, shape: tuple[int, ...]) -> float:
        """The factor on unit draws that gives the variance of `variance_scaling`."""
        scale, mode, distribution = self._variance_scaling()
        fan_in, fan_out = fans(shape)
        averages = {"fan_avg": (fan_in + fan_out) / 2, "fan_geo_avg": math.sqrt(fan_in * fan_out)}
        fan = {"fan_in": fan_in, "fan_out": fan_out, **averages}[mode]
        factor = {"normal": 1.0, "truncated_normal": 1.0 / _CUT_DEVIATION, "uniform": math.sqrt(3.0)}[distribution]
        return factor * math.sqrt(scale / max(fan, 1.0))

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        """The rule that a parameter of `shape` breaks, if there is one."""
        if self.name in ("orthogonal", "delta_orthogonal") and len(shape) < 2:
            return f"not be {self.name} for a vector"
        if self.name == "delta_orthogonal" and (len(shape) < 3 or shape[-2] > shape[-1]):
            return "have a window and at least as many filters as input channels under delta_orthogonal"
        if self.name in ("partial_identity", "whitening") and len(shape) < 3:
            return f"have a window under {self.name}"
        return None if self.known is None else known_filters.refuses(self.known, shape)

    def _variance_scaling(self) -> tuple[float, str, str]:
        if self.name == "variance_scaling":
            given: dict[str, Any] = dict(self.arguments)
            return given["scale"], given["mode"], given["distribution"]
        return _SCALED[_ALIASES.get(self.name, self.name)]


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """The fan-in and fan-out of a kernel `(..., in, out)`."""
    if len(shape) < 2:
        return float(math.prod(shape)), float(math.prod(shape))
    window = math.prod(shape[:-2])
    return float(window * shape[-2]), float(window * shape[-1])


def draw(key: jax.Array, wanted: Sequence[tuple[InitializerRecord, tuple[int, ...]]]) -> list[jax.Array]:
    """Draws every parameter of a model, float32: one flat stream for each distribution, split in order."""
    sizes: dict[str, int] = {}
    for initializer, shape in wanted:
        if initializer.distribution:
            sizes[initializer.distribution] = sizes.get(initializer.distribution, 0) + math.prod(shape)
    streams = {
        name: _UNIT_DRAWS[name](jax.random.fold_in(key, position), sizes[name])
        for position, name in enumerate(_UNIT_DRAWS)
        if name in sizes
    }
    taken = dict.fromkeys(streams, 0)
    parameters = []
    for initializer, shape in wanted:
        name, draws = initializer.distribution, None
        if name:
            draws = streams[name][taken[name] : taken[name] + math.prod(shape)]
            taken[name] += math.prod(shape)
        parameters.append(initializer.place(draws, shape))
    return parameters


def _orthogonal(draws: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A kernel whose rows or columns are orthonormal. Source: Saxe, McClelland & Ganguli 2014, arXiv:1312.6120."""
    columns, rows = shape[-1], math.prod(shape[:-1])
    square, triangle = jnp.linalg.qr(draws.reshape(max(rows, columns), min(rows, columns)))
    # The signs make the distribution uniform over the orthogonal matrices.
    square = square * jnp.sign(jnp.diagonal(triangle)).reshape(1, -1)
    return (square.T if rows < columns else square).reshape(shape)


def _passing_on(kernel: jax.Array) -> jax.Array:
    """A kernel whose first filters each copy one input channel; the others are unchanged.

    Source: Jordan 2024, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, arXiv:2404.00498, §3.3.
    """
    *window, channels, filters = kernel.shape
    count = min(channels, filters)
    centre = tuple(size // 2 for size in window)
    passing = jnp.zeros((*window, channels, count), jnp.float32).at[centre].set(jnp.eye(channels, count))
    return jnp.concatenate([passing, kernel[..., count:]], axis=-1)


def _parse(value: Any) -> Any:
    """A bare name, a mapping from one name to its arguments, or numbers, as a record."""
    if isinstance(value, InitializerRecord):
        return value
    value = frozen(value)
    if isinstance(value, tuple):
        return InitializerRecord(name=_WRITTEN, arguments=(("values", known_filters.written(value)),))
    if isinstance(value, str):
        name, given = value, None
    elif isinstance(value, dict) and len(value) == 1:
        name, given = next(iter(value.items()))
    else:
        raise ValueError(f"must be the name of an initialiser or numbers, got {shown(value)}")
    if name not in _ARGUMENTS:
        raise ValueError(unknown("", "initialiser", str(name), _ARGUMENTS).text)
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise ValueError(f"must name the arguments of {name}, got {shown(given)}")
    arguments = dict(_ARGUMENTS[name])
    for argument, number in given.items():
        if argument not in arguments:
            raise ValueError(unknown("", f"argument of {name}", str(argument), arguments).text)
        arguments[argument] = _argument(argument, number)
    return InitializerRecord(name=name, arguments=tuple(arguments.items()))


def _argument(name: str, value: Any) -> float | str:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ValueError(f"must give {name} as one of {', '.join(_CHOICES[name])}, got {shown(value)}")
        return str(value)
    if not known_filters.is_number(value):
        raise ValueError(f"must give {name} as a number, got {shown(value)}")
    if name in ("stddev", "scale", "epsilon") and value < 0:
        raise ValueError(f"must give {name} as a number ≥ 0, got {shown(value)}")
    return float(value)


Initializer = InitializerRecord
_ROW: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "minItems": 1}

InitializerField = Annotated[
    InitializerRecord,
    BeforeValidator(_parse),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": sorted(_ARGUMENTS)},
                _ROW,
                {"type": "array", "items": _ROW, "minItems": 1},
                {
                    "type": "object",
                    "properties": {
                        name: {
                            "type": "object",
                            "properties": {
                                argument: {"enum": list(_CHOICES[argument])}
                                if argument in _CHOICES
                                else {"type": "number"}
                                for argument in arguments
                            },
                            "additionalProperties": False,
                        }
                        for name, arguments in _ARGUMENTS.items()
                    },
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


def initializer(name: str, **arguments: float | str) -> InitializerRecord:
    """An initialiser record, for use in code."""
    record: InitializerRecord = _parse({name: arguments} if arguments else name)
    return record
