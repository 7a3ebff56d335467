"""A pass: the arguments of one application of a network to a batch, for each of its layers.

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

# Called with the path and the output of a layer; returns the input of the next layer, usually the same array.
Tap = Callable[[str, jax.Array], jax.Array]

_NOTE: Final = "in the layer "


class Located(NamedTuple):
    """A layer's place in the YAML, for messages, and its path in the tree of parameters."""

    place: str  # `layers[3].repeat.layers[0].conv`: one for all copies of a repeated layer
    path: str  # `3_repeat.layers.2_conv`: one for each


TOP: Final = Located("model.layers", "")
"""The layer list of the model."""


@dataclass(frozen=True)
class Pass:
    """The arguments of a layer's `apply`. Each layer gets its own, derived from that of the enclosing layer.

    All layers of one pass share `side_outputs`, which they may add to, and `tap`, which sees every output.
    """

    training: bool
    key: jax.Array  # the layer's own
    here: Located = TOP
    held: frozenset[str] = frozenset()  # paths of layers that work as in evaluation during training too
    side_outputs: dict[str, tuple[jax.Array, Any]] = field(default_factory=dict)  # by path: (n, k), weight of its loss
    tap: Tap | None = None

    def inside(self, here: Located, number: int) -> "Pass":
        """The pass for the inner layer or path at `here`, which has this `number`."""
        key = jax.random.fold_in(self.key, number)
        training = self.training and here.path not in self.held
        return dataclasses.replace(self, key=key, here=here, training=training)

    def tapped(self, y: jax.Array) -> jax.Array:
        """The input of the next layer: the output `y`, passed through `tap` if there is one."""
        return y if self.tap is None else self.tap(self.here.path, y)

    def note(self, error: Exception) -> None:
        """Adds this layer's place to an error as a note, unless an inner layer has done so."""
        if not layer_of(error):
            error.add_note(f"{_NOTE}{self.here.place}")


def layer_of(error: BaseException) -> str:
    """The place in the YAML of the innermost layer that raised an error; empty if no layer did."""
    notes: list[str] = getattr(error, "__notes__", [])
    return next((note.removeprefix(_NOTE) for note in notes if note.startswith(_NOTE)), "")
