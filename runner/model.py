"""A model is a left fold of layers over a shape.

>>> model = Model(name="tiny", layers=(Flatten(), Classifier())).bind(classes=10)
>>> params, statistics = model.init(jax.random.key(0), (8, 8, 1))
>>> outputs, statistics = model.apply(params, statistics, images, training=False, key=key)   # (n, 10)
"""

import math
from fractions import Fraction
from typing import Annotated, Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, Le, MinLen
from jax.typing import ArrayLike
from pydantic import Field

from runner import limits
from runner.data.fit import Fit, fit, fitted_shape
from runner.errors import ConfigError, Fault, must
from runner.geometry import ReceptiveField
from runner.layers import LayerList, places, sequence
from runner.layers.base import FeatureMap, Located, Precision, Row, Shape, Step, Survey, Tree, by_product
from runner.layers.initializers import draw
from runner.layers.places import Names
from runner.layers.whitening import whitening
from runner.records import Record

# Where the first layer of a network has its filters, if it is a convolution.
FIRST_KERNEL: Final = "0_conv.kernel"


class InputSize(Record):
    """The size that images are fitted to, in pixels. Channels come from the data."""

    height: Annotated[int, Ge(1)] = Field(description="Rows of the fitted image, in pixels.")
    width: Annotated[int, Ge(1)] = Field(description="Columns of the fitted image, in pixels.")
    fit: Fit = Field(
        "resize", description="How images come to this size: resized, padded with zeros, or cropped at the centre."
    )


class Model(Record):
    """A network: the layers that images pass through, in order."""

    name: Annotated[str, MinLen(1)] = Field(description="What the network is called in tables and in MLflow.")
    input: InputSize | None = Field(
        None, description="The size that images are fitted to; null: they stay as they are."
    )
    layers: Annotated[LayerList, MinLen(1)] = Field(description="The layers, in order.")
    width: Annotated[float, Gt(0), Le(limits.WIDTH)] = Field(
        1.0, description="Factor on the filters of every convolution and the units of every dense layer."
    )
    weights: Annotated[str, MinLen(1)] | None = Field(
        None,
        description="A .safetensors or .npz file of parameters and statistics to begin with: that of another run, or a "
        "PyTorch state dict.",
    )
    weights_except: Names = Field(
        (),
        description="Layers that begin with fresh values all the same, by kind (classifier), path (3_dense) or place "
        "(layers[3]); what is none of the model's is left out of the file.",
    )

    def bind(self, classes: int, vocabulary: int | None = None, precision: Precision = "float32") -> "Model":
        """The same model for data of so many classes, and of so many tokens where they are texts."""
        wide = self.layers if self.width == 1 else (layer.widened(self.width) for layer in self.layers)
        layers = (layer.bind(classes, vocabulary, precision) for layer in wide)
        return self.model_copy(update={"layers": tuple(layers), "width": 1.0})

    def located(self) -> list[Located]:
        """Every layer by its place in the YAML and its path in the tree of parameters, in order."""
        return list(sequence.located(self.layers, Located("layers", "")))

    def resolved(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names with each place in the YAML, `layers[3]`, replaced by the paths of the layers there."""
        return places.resolved(names, self.located()) if any(map(places.is_place, names)) else names

    def input_shape(self, data_shape: Shape) -> Shape:
        """What the first layer sees of inputs of `data_shape`: `(h, w, c)`, or `(length, c)`."""
        if self.input is None or len(data_shape) != 3:
            return data_shape
        return (self.input.height, self.input.width, data_shape[-1])

    def survey(
        self,
        data_shape: Shape,
        classes: int,
        *,
        vocabulary: int | None = None,
        guessed: bool = False,
        step: Step | None = None,
    ) -> Survey:
        """A row for every layer, and every fault of how the layers fit each other, the data and a training step."""
        shape = self.input_shape(data_shape)
        found = Survey(input_size=max(shape[:-1], default=1), guessed=guessed, step=step)
        found.faults.extend(self._input_faults(data_shape))
        if fault := self._size_fault(shape):
            found.faults = [fault]  # the layers would take too long, or have only faults that follow from this one
            return found
        if step is not None:
            found.step = step._replace(freeze=self.resolved(step.freeze))
        start = FeatureMap(shape, (ReceptiveField(),) * (len(shape) - 1), vocabulary)
        end = sequence.survey(self.layers, start, Located("model.layers", ""), found)
        if not (found.faults or guessed) and end.shape != (classes,):
            last = f"model.layers[{len(self.layers) - 1}]"
            rule = f"give one output for each of {classes} classes (end with classifier)"
            found.faults.append(must(last, rule, by_product(end.shape)))
        return found

    def _size_fault(self, input_shape: Shape) -> Fault | None:
        """The fault where the input is too large or the layers are too many: at the first layer beyond the limit."""
        if math.prod(input_shape) > limits.ARRAY_VALUES:
            return must("model.input", f"have at most {limits.ARRAY_VALUES} values", math.prod(input_shape))
        count = 0
        for index, layer in enumerate(self.layers):
            count += layer.layer_count()
            if count > limits.LAYERS:
                rule = f"come to at most {limits.LAYERS:,} layers with all before it"
                return must(f"model.layers[{index}].{layer.label}", rule, count)
        return None

    def _input_faults(self, data_shape: Shape) -> tuple[Fault, ...]:
        if self.input is None:
            return ()
        if len(data_shape) != 3:
            return (must("model.input", f"be null for data of one axis ({by_product(data_shape)})", "a size"),)
        try:
            fitted_shape(data_shape, (self.input.height, self.input.width), self.input.fit)
        except ConfigError as error:
            return error.faults
        return ()

    def fitted(self, images: jax.Array, black: ArrayLike) -> jax.Array:
        """Images as they come, uint8 or float `(n, h, w, c)`, at the size of the input: float32, bytes as 0 … 1.

        Padding has the value `black`, one for each channel or one for all.

        Tokens, int32 `(n, length, 1)`, stay what they are.
        """
        if self.input is None:
            return fit(images, (images.shape[1], images.shape[2]), black=black)
        return fit(images, (self.input.height, self.input.width), self.input.fit, black=black)

    def init(self, key: jax.Array, input_shape: Shape) -> tuple[Tree, Tree]:
        """Parameters drawn from `key`, and statistics, for inputs of `input_shape`. float32."""
        wanted, structure = jax.tree.flatten(sequence.parameters(self.layers, input_shape))
        params = draw(key, [(parameter.init, parameter.shape) for parameter in wanted])
        statistics = jax.tree.map(
            lambda statistic: jnp.full(statistic.shape, statistic.value, jnp.float32),
            sequence.statistics(self.layers, input_shape),
        )
        return jax.tree.unflatten(structure, params), statistics

    def paths(self, input_shape: Shape) -> tuple[list[str], list[str]]:
        """The dotted path of every parameter (`0_conv.kernel`) and of every statistic (`1_batch_norm.mean`)."""
        parameters = sequence.parameters(self.layers, input_shape)
        return list(places.dotted(parameters)), list(places.dotted(sequence.statistics(self.layers, input_shape)))

    def whitened(self, input_shape: Shape) -> list[str]:
        """The dotted paths of the kernels that are made of the images."""
        parameters = places.dotted(sequence.parameters(self.layers, input_shape))
        return [path for path, parameter in parameters.items() if parameter.init.name == "whitening"]

    def whitening(self, input_shape: Shape, images: np.ndarray) -> Tree:
        """The parameters that are made of what the first layer sees, float32 `(n, h, w, c)`; mostly there are none."""
        if not self.whitened(input_shape):
            return {}
        kernel = places.dotted(sequence.parameters(self.layers, input_shape))[FIRST_KERNEL]
        return places.nested({FIRST_KERNEL: whitening(images, kernel.shape, **dict(kernel.init.arguments))})

    def decays(self, input_shape: Shape) -> Any:
        """For every parameter, whether weight decay applies to it: to weights it does, to biases it does not."""
        return jax.tree.map(lambda parameter: parameter.decays, sequence.parameters(self.layers, input_shape))

    def apply(
        self, params: Tree, statistics: Tree, x: jax.Array, *, training: bool, key: jax.Array
    ) -> tuple[jax.Array, Tree]:
        """The outputs for a batch `(n, h, w, c)`, and the statistics after it."""
        return sequence.apply(self.layers, params, statistics, x, training=training, key=key)


class Totals(Record):
    """The sums over a model's rows; receptive field, stride and padding are those of its last feature map."""

    parameters: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: tuple[int, ...]
    effective_stride: tuple[int | float, ...]
    effective_padding: tuple[int, ...]


def totals(rows: list[Row]) -> Totals:
    """The sums of the rows, and the last receptive field."""
    fields = last_fields(rows)
    return Totals(
        parameters=sum(row.parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        receptive_field=tuple(field.size for field in fields),
        effective_stride=tuple(as_number(field.stride) for field in fields),
        effective_padding=tuple(field.padding for field in fields),
    )


def last_fields(rows: list[Row]) -> tuple[ReceptiveField, ...]:
    """The receptive field of the last feature map along each axis."""
    maps = [row.output for row in rows if len(row.output.shape) > 1]
    # A network that flattens at once has no feature map but its input, whose pixels see themselves.
    return maps[-1].fields if maps else (ReceptiveField(),) * len(rows[0].output.fields)


def as_number(stride: Fraction) -> int | float:
    """A stride for JSON, which has no fractions."""
    return int(stride) if stride.denominator == 1 else float(stride)
