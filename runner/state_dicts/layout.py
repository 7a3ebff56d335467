"""The arrays of one layer in PyTorch's layout and in ours.

convolution    (out, in, height, width)  →  (height, width, in, out)
dense          (out, in)                 →  (in, out); inputs that were flattened from (c, h, w) are reordered
normalisation  weight, bias, running_mean, running_var  →  scale, bias, mean, variance
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from runner.errors import ConfigError, must
from runner.layers import places, sequence
from runner.layers.base import Array, Parameter, Shape, Statistic, shape_text
from runner.layers.base import Misfit as DoesNotFit
from runner.layers.composite import Composite, route_name
from runner.layers.passes import Located

_COUNTER: Final = "num_batches_tracked"  # stored by PyTorch beside running statistics, and not needed


@dataclass(frozen=True, eq=False)
class Slot:
    """A layer with parameters or statistics: the shapes of its arrays, in our layout, by name.

    `names` maps PyTorch's names to ours. `kernel` is our name of the array with another layout in PyTorch. `order` is
    PyTorch's index of each input feature, as it flattens channels first; None if the order is the same.
    """

    path: str
    place: str  # in the YAML, as errors name the layer
    shapes: Mapping[str, Shape]
    names: Mapping[str, str]
    kernel: str | None = None
    order: Array | None = None
    fresh: bool = False  # whether it keeps its initial values instead of those of the state dict


@dataclass(frozen=True, eq=False)
class Module:
    """The arrays of one module of a state dict, by their last name: weight, bias, running_mean, running_var."""

    name: str
    arrays: Mapping[str, Array]

    def described(self, last: str = "") -> str:
        """The name and shape of one array for errors, by default the weight: `features.3.weight 16×6×3×3`."""
        last = last or next((name for name in self.arrays if name == "weight"), next(iter(self.arrays)))
        return f"{self.name}.{last} {shape_text(self.arrays[last].shape)}".lstrip(".")


class Misfit(NamedTuple):
    """The reason why a module does not fit a layer: the wanted and the found array."""

    wanted: str
    got: str


def slots(layers: sequence.Layers, shape: Shape, *, fresh: tuple[str, ...] = ()) -> list[Slot]:
    """All layers with parameters or statistics, in order, for inputs of `shape`; `fresh` names layers not to load.

    Raises ConfigError if a layer merges, or groups, features that PyTorch has in different orders.
    """
    found: list[Slot] = []
    located = {path: place for place, path in sequence.located(layers, Located("layers", ""))}
    _Walk(fresh, found, located).along(layers, shape, "", None)
    return found


def modules(state: Mapping[str, Array]) -> list[Module]:
    """The modules of a state dict, in its order."""
    arrays: dict[str, dict[str, Array]] = {}
    for name, array in state.items():
        module, _, last = name.rpartition(".")
        if last != _COUNTER:
            arrays.setdefault(module, {})[last] = array
    return [Module(name, own) for name, own in arrays.items()]


def misfit(slot: Slot, module: Module) -> Misfit | None:
    """The first reason why a module does not fit a layer; None if it fits."""
    found = set()
    for theirs, array in module.arrays.items():
        ours = slot.names.get(theirs)
        if ours is None:
            return Misfit(f"{slot.place}, which has no {theirs}", module.described(theirs))
        oriented = _oriented(slot, ours, array)
        if oriented is None or oriented.shape != slot.shapes[ours]:
            return Misfit(_described(slot, ours), module.described(theirs))
        found.add(ours)
    missing = next((name for name in slot.shapes if name not in found), None)
    return Misfit(_described(slot, missing), f"{module.name} without it") if missing else None


def alike(slot: Slot, module: Module) -> bool:
    """Whether a module has the same kind as a layer, of any size."""
    theirs = {slot.names.get(name): array.ndim for name, array in module.arrays.items()}
    return theirs == {name: len(shape) for name, shape in slot.shapes.items()}


def likeness(slot: Slot, module: Module) -> tuple[bool, int]:
    """How well a module fits a layer: whether it has the same kind, and how many of its arrays fit."""
    fitting = 0
    for theirs, array in module.arrays.items():
        if ours := slot.names.get(theirs):
            oriented = _oriented(slot, ours, array)
            fitting += oriented is not None and oriented.shape == slot.shapes[ours]
    return alike(slot, module), fitting


def arranged(slot: Slot, module: Module) -> dict[str, Array]:
    """The arrays of a module that fits the layer, by our names and in our layout."""
    found = {}
    for theirs, array in module.arrays.items():
        ours = slot.names[theirs]
        oriented = _oriented(slot, ours, array)
        assert oriented is not None
        # One number for all features, the slope of a PReLU, has no order.
        along_input = slot.order is not None and slot.kernel in (None, ours) and len(oriented) == len(slot.order)
        found[ours] = np.asarray(oriented[slot.order] if along_input else oriented, order="C")
    return found


def _described(slot: Slot, name: str) -> str:
    return f"{slot.place}.{name} {shape_text(slot.shapes[name])}"


def _oriented(slot: Slot, ours: str, array: Array) -> Array | None:
    """A view of an array with its axes in our order; None if it has another number of axes."""
    if ours != slot.kernel:
        return array
    rank = len(slot.shapes[ours])
    if rank == 2 and array.ndim >= 2:
        # Some libraries store a dense layer as a convolution whose window is its whole input.
        return array.reshape(len(array), -1).T
    return np.moveaxis(array, (0, 1), (-1, -2)) if rank == array.ndim else None


@dataclass(frozen=True)
class _Walk:
    """Walks through layers with the shape and the feature order of each layer's input."""

    fresh: tuple[str, ...]
    found: list[Slot]
    places: Mapping[str, str]  # of the layers by their paths

    def along(self, layers: sequence.Layers, shape: Shape, above: str, order: Array | None) -> Array | None:
        """Adds the slots of consecutive layers; returns the feature order of their output."""
        for index, layer in enumerate(layers):
            path = above + sequence.name(index, layer)
            if isinstance(layer, Composite):
                order = self._into(layer, shape, path, order)
            else:
                if own := layer.parameters(shape) | layer.statistics(shape):
                    self.found.append(_slot(path, self.places[path], own, order, fresh=places.chosen(self.fresh, path)))
                try:
                    order = layer.feature_order(shape, order)
                except DoesNotFit as misfit:
                    raise ConfigError(must(f"model.{self.places[path]}", misfit.rule, misfit.got)) from misfit
            shape = layer.output_shape(shape)
        return order

    def _into(self, layer: Composite, shape: Shape, path: str, order: Array | None) -> Array | None:
        ends = [
            (sequence.output_shape(inner, shape), self.along(inner, shape, f"{path}.{route_name(place)}.", order))
            for place, inner in layer.routes()
        ]
        if len(layer.output_shape(shape)) > 1:
            return None
        try:
            return layer.merged_order(shape, order, ends)
        except DoesNotFit as misfit:
            rule = f"give the features that {self.places[path]} merges in one order"
            raise ConfigError(must("model.weights", rule, misfit.got)) from misfit


def _slot(path: str, place: str, own: Mapping[str, Parameter | Statistic], order: Array | None, *, fresh: bool) -> Slot:
    return Slot(
        path,
        place,
        shapes={name: each.shape for name, each in own.items()},
        names={each.torch: name for name, each in own.items()},
        kernel=next((name for name, each in own.items() if isinstance(each, Parameter) and each.kernel), None),
        order=order,
        fresh=fresh,
    )
