"""Window arithmetic along one axis: output size, padding, receptive field. Plain integers, no JAX.

    >>> Window(size=5, stride=1).output_size(32)
    28

Source: Dumoulin & Visin 2016, arXiv:1603.07285; Araujo, Norris & Sim 2019, doi:10.23915/distill.00021.
"""

from dataclasses import dataclass
from typing import Literal

Padding = Literal["valid", "same", "full", "causal"] | int | tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A window that slides along one axis whose padding is resolved; every quantity is in pixels.

    `low` and `high` are the padding before and after the axis; `extent` is what the dilated window spans.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    low: int = 0
    high: int = 0

    @property
    def extent(self) -> int:
        return self.dilation * (self.size - 1) + 1

    def fits(self, size: int) -> bool:
        """Whether the padded axis is at least as long as the dilated window."""
        return size + self.low + self.high >= self.extent

    def output_size(self, size: int) -> int:
        """Positions of the window: ⌊(size + low + high − extent) / stride⌋ + 1."""
        return (size + self.low + self.high - self.extent) // self.stride + 1


def window(
    size: int,
    *,
    axis_size: int,
    padding: Padding = "valid",
    stride: int = 1,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> Window:
    """The window over an axis of `axis_size` pixels, with its padding resolved to pixels before and after.

    `same` keeps ⌈axis_size / stride⌉ positions and puts the odd pixel after the axis (TensorFlow's rule); `full`
    pads by extent − 1 on both sides; `causal` pads by extent − 1 before, so that no position sees what comes later.
    With `ceil_mode` the axis is padded further, so that its last pixels are not dropped, unless the last window
    would start outside the axis and its padding before (PyTorch's rule).
    """
    unpadded = Window(size, stride, dilation)
    low, high = _amounts(padding, unpadded, axis_size)
    if ceil_mode:
        overhang = -(axis_size + low + high - unpadded.extent) % stride
        last_start = axis_size + low + high + overhang - unpadded.extent
        if overhang and last_start < axis_size + low:
            high += overhang
    return Window(size, stride, dilation, low, high)


def _amounts(padding: Padding, unpadded: Window, axis_size: int) -> tuple[int, int]:
    span = unpadded.extent - 1
    match padding:
        case "valid":
            return 0, 0
        case "same":
            positions = -(-axis_size // unpadded.stride)
            total = max((positions - 1) * unpadded.stride + unpadded.extent - axis_size, 0)
            return total // 2, total - total // 2
        case "full":
            return span, span
        case "causal":
            return span, 0
        case int():
            return padding, padding
        case _:
            low, high = padding
            return low, high


@dataclass(frozen=True)
class ReceptiveField:
    """What one position of a feature map sees of the input along one axis, in input pixels.

    `size` is how many pixels it sees, `stride` how far neighbours are apart, `padding` how far the first
    position's field reaches before the image.
    """

    size: int = 1
    stride: int = 1
    padding: int = 0

    def through(self, window: Window) -> "ReceptiveField":
        """The field of a position of the next feature map, which looks at this one through `window`."""
        return ReceptiveField(
            size=self.size + (window.extent - 1) * self.stride,
            stride=self.stride * window.stride,
            padding=self.padding + window.low * self.stride,
        )
