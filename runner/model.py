"""The description of a network in YAML, before its data are known; `bind` makes the network.

>>> model = Model(name="tiny", layers=(Flatten(), Classifier()))
>>> model.survey((8, 8, 1), classes=10).faults
[]
>>> network = model.bind((8, 8, 1), classes=10)
"""

import math
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field

from runner import limits
from runner.data.fit import Fit, fitted_shape
from runner.errors import ConfigError, Fault, must
from runner.geometry import ReceptiveField
from runner.layers import LayerList, places, sequence
from runner.layers.base import FeatureMap, Precision, Shape, Step, Survey, shape_text
from runner.layers.passes import TOP, Located
from runner.layers.places import LayerNames
from runner.layers.sequence import Layers
from runner.network import Network
from runner.records import Record


class InputSize(Record):
    """The size that images are fitted to, in pixels. Channels come from the data."""

    height: Annotated[int, Ge(1)] = Field(examples=[32], description="Rows of the fitted image, in pixels.")
    width: Annotated[int, Ge(1)] = Field(examples=[32], description="Columns of the fitted image, in pixels.")
    fit: Fit = Field(
        "resize",
        description="How images are brought to this size: resized, padded with zeros, or cropped at the centre.",
    )


class Model(Record):
    """A network: the layers that images pass through, in order."""

    name: Annotated[str, MinLen(1)] = Field(description="Name of the network in tables and in MLflow.")
    input: InputSize | None = Field(
        None, description="The size that images are fitted to; null: images keep their size."
    )
    layers: Annotated[LayerList, MinLen(1)] = Field(description="The layers, in order.")
    width: Annotated[float, Gt(0), Le(limits.WIDTH)] = Field(
        1.0, description="Factor on the filters of every convolution and the units of every dense layer."
    )
    weights: Annotated[str, MinLen(1)] | None = Field(
        None,
        description="A .safetensors or .npz file of initial parameters and statistics: of another run, or a PyTorch "
        "state dict.",
    )
    weights_except: LayerNames = Field(
        (),
        description="Layers that are not loaded from the file, by kind (classifier), path (3_dense) or place "
        "(layers[3]). A name that only the file has leaves out these arrays.",
    )

    def bind(
        self, data_shape: Shape, classes: int, vocabulary: int | None = None, precision: Precision = "float32"
    ) -> Network:
        """The network for inputs of `data_shape`, this number of classes and, for texts, this number of tokens."""
        return Network(
            layers=self._bound(classes, vocabulary, precision),
            fit=self.input.fit if self.input else None,
            data_shape=data_shape,
            input_shape=self.input_shape(data_shape),
            classes=classes,
            vocabulary=vocabulary,
        )

    def input_shape(self, data_shape: Shape) -> Shape:
        """The shape of the first layer's input, for data of `data_shape`: `(h, w, c)`, or `(length, c)`."""
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
        """A row for every layer, and every fault between the layers, the data and a training step."""
        shape = self.input_shape(data_shape)
        found = Survey(input_size=max(shape[:-1], default=1), guessed=guessed, step=step)
        found.faults.extend(self._input_faults(data_shape))
        if fault := self._size_fault(shape):
            found.faults = [fault]  # a survey would take too long, or find only consequences of this fault
            return found
        if step is not None:
            located = list(sequence.located(self.layers, Located("layers", "")))
            found.step = step._replace(freeze=places.resolved(step.freeze, located))
        start = FeatureMap(shape, (ReceptiveField(),) * (len(shape) - 1), vocabulary)
        end = sequence.survey(self._bound(classes, vocabulary), start, TOP, found)
        if not (found.faults or guessed) and end.shape != (classes,):
            last = f"model.layers[{len(self.layers) - 1}]"
            rule = f"give one output for each of {classes} classes (end with classifier)"
            found.faults.append(must(last, rule, shape_text(end.shape)))
        return found

    def _bound(self, classes: int, vocabulary: int | None, precision: Precision = "float32") -> Layers:
        wide = self.layers if self.width == 1 else (layer.widened(self.width) for layer in self.layers)
        return tuple(layer.bind(classes, vocabulary, precision) for layer in wide)

    def _size_fault(self, input_shape: Shape) -> Fault | None:
        """The fault of an input that is too large, or of too many layers (at the first beyond the limit)."""
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
            return (must("model.input", f"be null for data of one axis ({shape_text(data_shape)})", "a size"),)
        try:
            fitted_shape(data_shape, (self.input.height, self.input.width), self.input.fit)
        except ConfigError as error:
            return error.faults
        return ()
