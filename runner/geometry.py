"""Window arithmetic along one axis: output size, padding, receptive field. Plain integers, no JAX.

    >>> Window(size=5, stride=1).output_size(32)
    28

Source: Dumoulin & Visin 2016, arXiv:1603.07285; Araujo, Norris & Sim 2019, doi:10.23915/distill.00021.
"""

import math
from collections.abc import Iterable, Sequence
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
    forth. The period is 1 until an upsampling gives several positions the same pixels: after an upsampling by 2, a 2×2
    convolution sees one and two positions of the smaller map in turn.
    """

    firsts: tuple[int, ...] = (0,)
    lasts: tuple[int, ...] = (0,)
    advance: int = 1

    @property
    def period(self) -> int:
        return len(self.firsts)

    @property
    def size(self) -> int:
        """The most pixels, from the first to the last, that a position sees: as if the map had no edges, unless it has
        one position alone.
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
        return self.pixels(self.firsts, (position,))[0]

    def last(self, position: int) -> int:
        """The last pixel that a position sees."""
        return self.pixels(self.lasts, (position,))[0]

    def pixels(self, of_period: tuple[int, ...], positions: Iterable[int]) -> tuple[int, ...]:
        """The first or last pixels at these positions; `of_period` is `firsts` or `lasts`."""
        period, advance = self.period, self.advance
        return tuple(of_period[position % period] + position // period * advance for position in positions)

    def through(self, window: Window, axis_size: int | None = None) -> "ReceptiveField":
        """The field of the next feature map, whose positions look at this one, of `axis_size` positions, through
        `window`. A map of unknown size has no edges.
        """
        period = self.period // math.gcd(self.period, window.stride)
        starts = range(-window.low, period * window.stride - window.low, window.stride)
        through = ReceptiveField(
            self.pixels(self.firsts, starts),
            self.pixels(self.lasts, (start + window.extent - 1 for start in starts)),
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
    """What a position sees through several paths: from the first pixel that any path sees to the last.

    Where the period is 1: padding = max(p), size = max(p) + max(size − p). Where the strides of paths differ, what they
    see drifts apart along the axis: the field is then that of position 0, moved on by the largest stride. The same is
    done where the periods have no common multiple up to `FIELD_PERIOD`.
    """
    widest = max(fields, key=lambda field: (field.stride, field.period))
    period = math.lcm(*(field.period for field in fields))
    if period > FIELD_PERIOD or len({field.stride for field in fields}) > 1:
        fields, period = [field.at_first(widest) for field in fields], widest.period
    every_first = (field.pixels(field.firsts, range(period)) for field in fields)
    every_last = (field.pixels(field.lasts, range(period)) for field in fields)
    return ReceptiveField(
        tuple(map(min, zip(*every_first, strict=True))),
        tuple(map(max, zip(*every_last, strict=True))),
        widest.advance * period // widest.period,
    )
