"""A pass: one application of a network to a batch, and what each of its layers is told of it.

>>> found = {}
>>> at = Pass(training=False, key=key, tap=lambda path, y: found.setdefault(path, y))
>>> y, statistics = network.apply(params, statistics, images, at)
>>> list(found)
['0_flatten', '1_classifier']
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import jax

# Takes the path and the output of a layer, and returns what the next layer is given: mostly the same output.
Tap = Callable[[str, jax.Array], jax.Array]

_NOTE: Final = "in the layer "


class Located(NamedTuple):
    """A layer's place in the YAML, as errors name it, and its path in the tree of parameters."""

    place: str  # `layers[3].repeat.layers[0].conv`: one for all copies of a repeated layer
    path: str  # `3_repeat.layers.2_conv`: one for each


TOP: Final = Located("model.layers", "")
"""The layer list of the model."""


@dataclass(frozen=True)
class Pass:
    """What a layer is told as it is applied. Each layer has a pass of its own, made of that of the layer around it.

    `side_outputs` and `tap` are shared by all layers of one pass, and take what is neither output nor statistic.
    """

    training: bool
    key: jax.Array  # the layer's own
    here: Located = TOP
    held: frozenset[str] = frozenset()  # paths of layers that work as in evaluation also while training
    side_outputs: dict[str, tuple[jax.Array, Any]] = field(default_factory=dict)  # by path: (n, k), weight of its loss
    tap: Tap | None = None

    def inside(self, here: Located, number: int) -> "Pass":
        """The pass of what lies at `here`, the layer or path `number` of those that this layer holds."""
        key = jax.random.fold_in(self.key, number)
        training = self.training and here.path not in self.held
        return dataclasses.replace(self, key=key, here=here, training=training)

    def tapped(self, y: jax.Array) -> jax.Array:
        """A layer's output as the next layer is given it."""
        return y if self.tap is None else self.tap(self.here.path, y)

    def note(self, error: Exception) -> None:
        """Notes on an error that it was raised in this layer, unless an inner layer is noted already."""
        if not layer_of(error):
            error.add_note(f"{_NOTE}{self.here.place}")


def layer_of(error: BaseException) -> str:
    """The place in the YAML of the innermost layer that raised an error; empty where none did."""
    notes: list[str] = getattr(error, "__notes__", [])
    return next((note.removeprefix(_NOTE) for note in notes if note.startswith(_NOTE)), "")
