"""The arrays of one layer, as PyTorch has them and as we have them.

convolution    (out, in, height, width)  →  (height, width, in, out)
dense          (out, in)                 →  (in, out), its inputs reordered where they were (c, h, w) in one row
normalisation  weight, bias, running_mean, running_var  →  scale, bias, mean, variance
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from runner.errors import ConfigError, must
from runner.layers import places, sequence
from runner.layers.base import Array, Parameter, Shape, Statistic, by_product
from runner.layers.base import Misfit as DoesNotFit
from runner.layers.composite import Composite, route_name
from runner.layers.passes import Located

_COUNTER: Final = "num_batches_tracked"  # what PyTorch keeps beside running statistics


@dataclass(frozen=True, eq=False)
class Slot:
    """A layer that learns or measures something: the shape of each of its arrays, in our layout, by its name.

    `names` gives our name for each of PyTorch's, and `kernel` ours of the array that PyTorch lays out otherwise.
    `order` is where each feature of its input lies for PyTorch, which flattens channels first; None: at its place.
    """

    path: str
    place: str  # in the YAML, as errors name the layer
    shapes: Mapping[str, Shape]
    names: Mapping[str, str]
    kernel: str | None = None
    order: Array | None = None
    fresh: bool = False  # whether it begins with values of its own, whatever the state dict has for it


@dataclass(frozen=True, eq=False)
class Module:
    """The arrays of one module of a state dict, by what follows its name: weight, bias, running_mean, running_var."""

    name: str
    arrays: Mapping[str, Array]

    def described(self, last: str = "") -> str:
        """One of its arrays, the weight if there is one, as errors name it: `features.3.weight 16×6×3×3`."""
        last = last or next((name for name in self.arrays if name == "weight"), next(iter(self.arrays)))
        return f"{self.name}.{last} {by_product(self.arrays[last].shape)}".lstrip(".")


class Misfit(NamedTuple):
    """Why a module is not a layer: what it should fit, and what it has."""

    wanted: str
    got: str


def slots(layers: sequence.Layers, shape: Shape, *, fresh: tuple[str, ...] = ()) -> list[Slot]:
    """Every layer that learns or measures, in order, for inputs of `shape`; `fresh` names those to leave as drawn.

    Raises ConfigError where the layers merge features that PyTorch has in several orders.
    """
    found: list[Slot] = []
    located = {path: place for place, path in sequence.located(layers, Located("layers", ""))}
    _Walk(fresh, found, located).along(layers, shape, "", None)
    return found


def modules(state: Mapping[str, Array]) -> list[Module]:
    """A state dict by its modules, in its order."""
    arrays: dict[str, dict[str, Array]] = {}
    for name, array in state.items():
        module, _, last = name.rpartition(".")
        if last != _COUNTER:
            arrays.setdefault(module, {})[last] = array
    return [Module(name, own) for name, own in arrays.items()]


def misfit(slot: Slot, module: Module) -> Misfit | None:
    """The first reason why a module is not a layer; None where it can be."""
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
    """Whether a module is of the kind of a layer, of whatever size."""
    theirs = {slot.names.get(name): array.ndim for name, array in module.arrays.items()}
    return theirs == {name: len(shape) for name, shape in slot.shapes.items()}


def likeness(slot: Slot, module: Module) -> tuple[bool, int]:
    """How near a module is to being a layer: whether it is of its kind, and how many of its arrays fit."""
    fitting = 0
    for theirs, array in module.arrays.items():
        if ours := slot.names.get(theirs):
            oriented = _oriented(slot, ours, array)
            fitting += oriented is not None and oriented.shape == slot.shapes[ours]
    return alike(slot, module), fitting


def arranged(slot: Slot, module: Module) -> dict[str, Array]:
    """A module's arrays, which fit the layer, by our names and in our layout."""
    found = {}
    for theirs, array in module.arrays.items():
        ours = slot.names[theirs]
        oriented = _oriented(slot, ours, array)
        assert oriented is not None
        along_input = slot.order is not None and slot.kernel in (None, ours)
        found[ours] = np.asarray(oriented[slot.order] if along_input else oriented, order="C")
    return found


def _described(slot: Slot, name: str) -> str:
    return f"{slot.place}.{name} {by_product(slot.shapes[name])}"


def _oriented(slot: Slot, ours: str, array: Array) -> Array | None:
    """A view of an array with its axes in our order; None where it has others."""
    if ours != slot.kernel:
        return array
    rank = len(slot.shapes[ours])
    if rank == 2 and array.ndim >= 2:
        # A convolution whose window is its whole input is a dense layer, and some libraries write it so.
        return array.reshape(len(array), -1).T
    return np.moveaxis(array, (0, 1), (-1, -2)) if rank == array.ndim else None


@dataclass(frozen=True)
class _Walk:
    """Goes through layers with the shape, and the order of the features, that reach each of them."""

    fresh: tuple[str, ...]
    found: list[Slot]
    places: Mapping[str, str]  # of the layers by their paths

    def along(self, layers: sequence.Layers, shape: Shape, above: str, order: Array | None) -> Array | None:
        """Notes the slots of layers one after another; returns the order of the features that come of them."""
        for index, layer in enumerate(layers):
            path = above + sequence.name(index, layer)
            if isinstance(layer, Composite):
                order = self._into(layer, shape, path, order)
            else:
                if own := layer.parameters(shape) | layer.statistics(shape):
                    self.found.append(_slot(path, self.places[path], own, order, fresh=places.chosen(self.fresh, path)))
                order = layer.feature_order(shape, order)
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
