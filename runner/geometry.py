"""Window arithmetic along one axis: output size, padding, receptive field. Plain integers, no JAX.

    >>> Window(size=5, stride=1).output_size(32)
    28

Source: Dumoulin & Visin 2016, arXiv:1603.07285; Araujo, Norris & Sim 2019, doi:10.23915/distill.00021.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from runner.limits import FIELD_PERIOD

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
    """What the positions of a feature map see of the input along one axis, in input pixels.

    Position `i` sees pixels `first(i)` to `last(i)`, which lie outside the image where it sees padding. `firsts` and
    `lasts` hold both for positions 0, 1, … of one period; the period after it sees `advance` pixels further on, and so
    forth. The period is 1 until an upsampling gives several positions the same pixels: after one by 2 and a 3×3
    convolution, positions see 2 or 3 of the pixels that the smaller map had, in turn.
    """

    firsts: tuple[int, ...] = (0,)
    lasts: tuple[int, ...] = (0,)
    advance: int = 1

    @property
    def period(self) -> int:
        return len(self.firsts)

    @property
    def size(self) -> int:
        """How many pixels a position sees, from the first to the last: the largest over all positions of a map without
        edges; of a map that has one position, what this one sees.
        """
        return max(last - first for first, last in zip(self.firsts, self.lasts, strict=True)) + 1

    @property
    def stride(self) -> Fraction:
        """How far neighbours are apart, in the mean: 1/2 where two positions share each pixel."""
        return Fraction(self.advance, self.period)

    @property
    def padding(self) -> int:
        """How far the field of position 0 reaches before the image."""
        return -self.firsts[0]

    def first(self, position: int) -> int:
        """The first pixel that a position sees."""
        periods, phase = divmod(position, self.period)
        return self.firsts[phase] + periods * self.advance

    def last(self, position: int) -> int:
        """The last pixel that a position sees."""
        periods, phase = divmod(position, self.period)
        return self.lasts[phase] + periods * self.advance

    def through(self, window: Window, axis_size: int | None = None) -> "ReceptiveField":
        """The field of the next feature map, whose positions look at this one, of `axis_size` positions, through
        `window`. A map of unknown size has no edges.
        """
        period = self.period // math.gcd(self.period, window.stride)
        starts = [position * window.stride - window.low for position in range(period)]
        through = ReceptiveField(
            tuple(self.first(start) for start in starts),
            tuple(self.last(start + window.extent - 1) for start in starts),
            self.advance * window.stride * period // self.period,
        )
        alone = axis_size is not None and window.output_size(axis_size) == 1
        return through.at_first(through) if alone else through

    def upsampled(self, factor: int) -> "ReceptiveField":
        """The field of the next feature map, in which every position of this one stands `factor` times."""
        firsts, lasts = (tuple(x for x in each for _ in range(factor)) for each in (self.firsts, self.lasts))
        return ReceptiveField(firsts, lasts, self.advance)

    def at_first(self, like: "ReceptiveField") -> "ReceptiveField":
        """What position 0 sees, moved on from position to position by the stride of `like`, rounded down."""
        moves = [position * like.advance // like.period for position in range(like.period)]
        firsts, lasts = (tuple(each[0] + move for move in moves) for each in (self.firsts, self.lasts))
        return ReceptiveField(firsts, lasts, like.advance)


def union(fields: Sequence[ReceptiveField]) -> ReceptiveField:
    """What a position sees through several paths: from the earliest of their first pixels to the latest of their last.

    Where the period is 1: padding = max(p), size = max(p) + max(size − p). Paths whose strides differ see things that
    drift apart along the axis: of these, the field is that of position 0, moved on by the largest stride. So it is
    where the periods have no common multiple up to `FIELD_PERIOD`.
    """
    widest = max(fields, key=lambda field: (field.stride, field.period))
    period = math.lcm(*(field.period for field in fields))
    if period > FIELD_PERIOD or any(field.stride != widest.stride for field in fields):
        fields, period = [field.at_first(widest) for field in fields], widest.period
    return ReceptiveField(
        tuple(min(field.first(position) for field in fields) for position in range(period)),
        tuple(max(field.last(position) for field in fields) for position in range(period)),
        widest.advance * period // widest.period,
    )
