"""A network is a model bound to its data: it has the number of classes and of tokens, and the shape of inputs.

>>> network = Model(name="tiny", layers=(Flatten(), Classifier())).bind((8, 8, 1), classes=10)
>>> params, statistics = network.init(jax.random.key(0))
>>> outputs, statistics = network.apply(params, statistics, images, Pass(training=False, key=key))   # (n, 10)
>>> network.totals.parameters
650
"""

import functools
import math
from fractions import Fraction
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from runner.data.fit import Fit, fit
from runner.geometry import ReceptiveField
from runner.layers import places, sequence
from runner.layers.base import FeatureMap, Layer, Row, Shape, Survey, Tree
from runner.layers.initializers import draw
from runner.layers.passes import TOP, Located, Pass
from runner.layers.whitening import whitening
from runner.records import Record

# The path of the first layer's filters, if it is a convolution.
FIRST_KERNEL: Final = "0_conv.kernel"
# What a batch may cost that is filled up: tenths of a second on two cores.
_FILLED_MULTIPLY_ADDS: Final = 2**34
_FILLED_BYTES: Final = 2**29


class Totals(Record):
    """Sums over a network's rows; receptive field, stride and padding are those of the last feature map."""

    parameters: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: tuple[int, ...]
    effective_stride: tuple[int | float, ...]
    effective_padding: tuple[int, ...]


class Network(Record):
    """A model bound to its data, made by `Model.bind`. Its leaves are the traced values of its layers.

    The layers must fit the data: `Model.survey` finds the faults of those that do not.
    """

    layers: tuple[Layer, ...]
    fit: Fit | None  # how images are fitted to `input_shape`; None: they are not
    data_shape: Shape  # of one input of the data
    input_shape: Shape  # of one input of the first layer
    classes: int
    vocabulary: int | None  # the number of tokens; None if inputs are not tokens

    # Computed once, not part of the structure ------------------------------------------------------------------

    @functools.cached_property
    def rows(self) -> tuple[Row, ...]:
        """The row of each layer for `describe`, in order."""
        found = Survey(input_size=max(self.input_shape[:-1], default=1))
        start = FeatureMap(self.input_shape, (ReceptiveField(),) * (len(self.input_shape) - 1), self.vocabulary)
        sequence.survey(self.layers, start, TOP, found)
        return tuple(found.rows)

    @functools.cached_property
    def totals(self) -> Totals:
        """The sums of the rows, and the receptive field of the last feature map."""
        fields = self.last_fields
        return Totals(
            parameters=sum(row.parameters for row in self.rows),
            multiply_adds=sum(row.multiply_adds for row in self.rows),
            activation_bytes=sum(row.activation_bytes for row in self.rows),
            receptive_field=tuple(field.size for field in fields),
            effective_stride=tuple(as_number(field.stride) for field in fields),
            effective_padding=tuple(field.padding for field in fields),
        )

    @property
    def last_fields(self) -> tuple[ReceptiveField, ...]:
        """The receptive field of the last feature map along each axis."""
        maps = [row.output for row in self.rows if len(row.output.shape) > 1]
        # If the first layer flattens, the input is the only feature map, and each pixel has the field of one pixel.
        return maps[-1].fields if maps else (ReceptiveField(),) * len(self.rows[0].output.fields)

    def evaluated_together(self, count: int, most: int) -> int:
        """The batch size of the program that evaluates so many inputs: `most`, to which a smaller batch is filled up.

        Of a network for which that would take long or fill the memory, the next power of two: few sizes, few programs.
        """
        values = self.totals.activation_bytes + 4 * math.prod(self.input_shape)
        if most * self.totals.multiply_adds <= _FILLED_MULTIPLY_ADDS and most * values <= _FILLED_BYTES:
            return most
        return min(most, 1 << max(count - 1, 0).bit_length())

    # Layers by name -----------------------------------------------------------------------------------------------

    def located(self) -> list[Located]:
        """The place in the YAML and the path in the tree of parameters of every layer, in order."""
        return list(sequence.located(self.layers, Located("layers", "")))

    def resolved(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names with each place in the YAML, `layers[3]`, replaced by the paths of the layers there."""
        return places.resolved(names, self.located()) if any(map(places.is_place, names)) else names

    def shapes(self) -> tuple[dict[str, Shape], dict[str, Shape]]:
        """The shape of every parameter by its dotted path (`0_conv.kernel`), and of every statistic, in order."""
        parameters, statistics = (
            {path: leaf.shape for path, leaf in places.dotted(tree).items()}
            for tree in (self._parameters(), self._statistics())
        )
        return parameters, statistics

    def kernels(self) -> dict[str, Shape]:
        """The shapes (h, w, c_in, c_out) or (w, c_in, c_out) of the filters of every convolution, by dotted path."""
        parameters = places.dotted(self._parameters())
        return {path: leaf.shape for path, leaf in parameters.items() if leaf.kernel and len(leaf.shape) > 2}

    # Arrays -------------------------------------------------------------------------------------------------------

    def fitted(self, images: jax.Array, black: ArrayLike, margin: int = 0) -> jax.Array:
        """Images of the data, uint8 or float `(n, h, w, c)`, fitted to the input: float32, bytes scaled to 0 … 1.

        Padding has the value `black`, one for each channel or one for all. They are fitted to `margin` rows and
        columns more than the input has.
        Tokens, int32 `(n, length, 1)`, are unchanged.
        """
        if self.fit is None:
            return fit(images, (images.shape[1] + margin, images.shape[2] + margin), black=black)
        height, width, _ = self.input_shape
        return fit(images, (height + margin, width + margin), self.fit, black=black)

    def init(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Parameters drawn from `key`, and statistics. float32."""
        wanted, structure = jax.tree.flatten(self._parameters())
        params = draw(key, [(parameter.init, parameter.shape) for parameter in wanted])
        statistics = jax.tree.map(
            lambda statistic: jnp.full(statistic.shape, statistic.value, jnp.float32), self._statistics()
        )
        return jax.tree.unflatten(structure, params), statistics

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        """The outputs for a batch `(n, h, w, c)`, and the updated statistics."""
        return sequence.apply(self.layers, params, statistics, x, at)

    def decays(self) -> Any:
        """For every parameter, whether weight decay applies to it: true for weights, false for biases."""
        return jax.tree.map(lambda parameter: parameter.decays, self._parameters())

    def whitened(self) -> list[str]:
        """The dotted paths of the kernels that are computed from images."""
        parameters = places.dotted(self._parameters())
        return [path for path, parameter in parameters.items() if parameter.init.name == "whitening"]

    def whitening(self, images: np.ndarray) -> Tree:
        """The parameters computed from inputs of the first layer, float32 `(n, h, w, c)`; usually none."""
        if not self.whitened():
            return {}
        kernel = places.dotted(self._parameters())[FIRST_KERNEL]
        return places.nested({FIRST_KERNEL: whitening(images, kernel.shape, **dict(kernel.init.arguments))})

    def _parameters(self) -> Tree:
        return sequence.parameters(self.layers, self.input_shape)

    def _statistics(self) -> Tree:
        return sequence.statistics(self.layers, self.input_shape)


def as_number(stride: Fraction) -> int | float:
    """A stride as a number for JSON, which has no fractions."""
    return int(stride) if stride.denominator == 1 else float(stride)
