"""Reads state dicts of PyTorch: matches their modules to layers and converts their arrays to our layout.

    >>> arrays = translated(slots(network.layers, network.input_shape), state)     # features.0.weight, features.0.bias
    >>> arrays["0_conv.kernel"].shape     # (height, width, in, out)
    (3, 3, 1, 6)

Modules are matched by order and shape, not by name, because every library uses other names.
"""

from collections.abc import Mapping, Sequence

from runner.layers.base import Array
from runner.state_dicts.layout import Slot, arranged, modules, slots
from runner.state_dicts.matching import matched

__all__ = ["Array", "Slot", "slots", "translated"]


def translated(wanted: Sequence[Slot], state: Mapping[str, Array], *, ordered: bool = False) -> dict[str, Array]:
    """The arrays of a state dict by our dotted paths, in our layout, without those of fresh layers.

    `ordered` means that the state dict is in its original order, which is then used for matching. Raises ConfigError if
    the modules do not fit the layers, or if their names allow several matches.
    """
    return {
        f"{slot.path}.{name}": array
        for slot, module in matched(wanted, modules(state), ordered=ordered)
        for name, array in arranged(slot, module).items()
    }
