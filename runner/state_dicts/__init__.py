"""State dicts of PyTorch: which of their modules is which layer of ours, and their arrays in our layout.

    >>> arrays = translated(slots(network.layers, network.input_shape), state)     # features.0.weight, features.0.bias
    >>> arrays["0_conv.kernel"].shape     # (height, width, in, out)
    (3, 3, 1, 6)

The match is by order and shape, not by name, since every library has names of its own.
"""

from collections.abc import Mapping, Sequence

from runner.layers.base import Array
from runner.state_dicts.layout import Slot, arranged, modules, slots
from runner.state_dicts.matching import matched

__all__ = ["Array", "Slot", "slots", "translated"]


def translated(wanted: Sequence[Slot], state: Mapping[str, Array], *, ordered: bool = False) -> dict[str, Array]:
    """The arrays of a state dict by our dotted paths, in our layout, but for those layers that stay fresh.

    `ordered` says that the state dict is in its own order, which then decides among siblings. Raises ConfigError
    where the modules are not those of the layers, or where their names do not tell which is which.
    """
    return {
        f"{slot.path}.{name}": array
        for slot, module in matched(wanted, modules(state), ordered=ordered)
        for name, array in arranged(slot, module).items()
    }
