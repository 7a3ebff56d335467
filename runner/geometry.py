"""Window arithmetic along one axis: output size, padding, receptive field. Plain integers, no JAX.

    >>> Window(size=5, stride=1).output_size(32)
    28

Source: Dumoulin & Visin 2016, arXiv:1603.07285; Araujo, Norris & Sim 2019, doi:10.23915/distill.00021.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from runner.limits import FIELD_PERIOD

Padding = Literal["valid", "same", "full", "causal"] | int | tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis, with its padding in pixels.

    `low` and `high` are the padding before and after the axis; `extent` is the length of the dilated window.
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
    """The window over an axis of `axis_size` pixels, with its padding converted to pixels before and after.

    `same` gives ⌈axis_size / stride⌉ positions and puts an odd pixel after the axis (TensorFlow's rule). `full` pads by
    extent − 1 on both sides. `causal` pads by extent − 1 before the axis, so that no position sees later pixels.
    `ceil_mode` pads the end so that the last pixels are used too, unless the last window would then start in the
    padding after the axis (PyTorch's rule).
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
class Transposed:
    """The transpose of a sliding window along one axis: each position of the input adds a filter to the output.

    `window` leads from the output back to the input. Its padding is cut off from the output, at whose end `added`
    positions follow, fewer than its stride.
    """

    window: Window
    added: int = 0

    def output_size(self, size: int) -> int:
        """Positions of the output: (size − 1) · stride + extent − low − high + added."""
        window = self.window
        return (size - 1) * window.stride + window.extent - window.low - window.high + self.added

    def taps(self) -> list[range]:
        """For each position of one stride of the output, the positions of the input whose filters reach it."""
        size, stride, dilation = self.window.size, self.window.stride, self.window.dilation
        shared = math.gcd(stride, dilation)
        found = []
        for place in range(self.window.low, self.window.low + stride):  # in the output before it is cut
            # Value t of the filter of input i is added at place i · stride + t · dilation.
            first = place // shared * pow(dilation // shared, -1, stride // shared) % (stride // shared)
            values = range(first, 0 if place % shared else size, stride // shared)
            inputs = [(place - value * dilation) // stride for value in values[:: max(len(values) - 1, 1)]]
            found.append(range(inputs[-1], inputs[0] + 1, dilation // shared) if inputs else range(0))
        return found


def bins(axis_size: int, count: int) -> list[range]:
    """Bins of nearly equal size over an axis; bin i ends before pixel ⌈(i + 1) · axis_size / count⌉.

    It begins with pixel ⌊i · axis_size / count⌋, so that two bins can share a pixel. Source: PyTorch,
    ATen/native/AdaptivePooling.h.
    """
    return [range(i * axis_size // count, -(-(i + 1) * axis_size // count)) for i in range(count)]


@dataclass(frozen=True)
class ReceptiveField:
    """The input pixels that the positions of a feature map depend on, along one axis.

    Position `i` depends on pixels `first(i)` to `last(i)`; pixels outside the image are padding. `firsts` and `lasts`
    hold both for positions 0, 1, … of one period; each further period is shifted by `advance` pixels. The period is 1
    until an upsampling gives several positions the same pixels: after an upsampling by 2, the positions of a 2×2
    convolution depend on one and on two positions of the smaller map alternately.
    """

    firsts: tuple[int, ...] = (0,)
    lasts: tuple[int, ...] = (0,)
    advance: int = 1

    @property
    def period(self) -> int:
        return len(self.firsts)

    @property
    def size(self) -> int:
        """The largest number of pixels of a position, ignoring the edges of the map unless it has only one position."""
        return max(last - first for first, last in zip(self.firsts, self.lasts, strict=True)) + 1

    @property
    def stride(self) -> Fraction:
        """The mean distance of neighbours in pixels: 1/2 if two positions share each pixel."""
        return Fraction(self.advance, self.period)

    @property
    def padding(self) -> int:
        """The number of pixels by which the field of position 0 extends before the image."""
        return -self.firsts[0]

    def first(self, position: int) -> int:
        """The first pixel of a position."""
        return self.pixels(self.firsts, (position,))[0]

    def last(self, position: int) -> int:
        """The last pixel of a position."""
        return self.pixels(self.lasts, (position,))[0]

    def pixels(self, ends: tuple[int, ...], positions: Iterable[int]) -> tuple[int, ...]:
        """The first or last pixels of these positions; `ends` is `firsts` or `lasts`."""
        period, advance = self.period, self.advance
        return tuple(ends[position % period] + position // period * advance for position in positions)

    def through(self, window: Window, axis_size: int | None = None) -> "ReceptiveField":
        """The field of the next feature map, made by `window` from this one.

        `axis_size` is the number of positions of this map; None means that it has no edges.
        """
        taps = range(-window.low, window.extent - window.low, window.dilation)
        field = self.over([taps], window.stride)
        alone = axis_size is not None and window.output_size(axis_size) == 1
        return field.at_first(field) if alone else field

    def upsampled(self, factor: int) -> "ReceptiveField":
        """The field of a map that repeats every position of this one `factor` times."""
        return self.over([range(1)] * factor, 1)

    def transposed(self, by: Transposed, axis_size: int) -> "ReceptiveField":
        """The field of a map made by a transposed window from this one, which has `axis_size` positions."""
        field = self.over(by.taps(), 1)
        return field.at_first(field) if by.output_size(axis_size) == 1 else field

    def binned(self, axis_size: int, count: int) -> "ReceptiveField":
        """The field of a map of `count` positions, each made from one of the `bins` of this one."""
        shared = math.gcd(axis_size, count)
        field = self.over(bins(axis_size, count)[: count // shared], axis_size // shared)
        return field if count > 1 else ReceptiveField(field.firsts[:1], field.lasts[:1], field.advance)

    def over(self, taps: Sequence[range], advance: int) -> "ReceptiveField":
        """The field of a map whose positions 0, 1, … of one period each depend on these positions of this map.

        The positions of each further period depend on positions that are `advance` further on. A position that depends
        on none lies between its neighbours: from the first pixel of the next one to the last pixel of the one before.
        """
        copies = self.period // math.gcd(self.period, advance)
        firsts: list[int | None] = []
        lasts: list[int | None] = []
        for copy, own in itertools.product(range(copies), taps):
            at = range(own.start + copy * advance, own.stop + copy * advance, own.step)
            # After a period the same pixels come again, further on: one period of taps has the first, or the last.
            firsts.append(min(self.pixels(self.firsts, at[: self.period]), default=None))
            lasts.append(max(self.pixels(self.lasts, at[-self.period :]), default=None))
        shift = self.advance * advance * copies // self.period
        return ReceptiveField(_filled(firsts, shift), _filled(lasts[::-1], -shift)[::-1], shift)

    def at_first(self, like: "ReceptiveField") -> "ReceptiveField":
        """The field of position 0, shifted for each position by the stride of `like`, rounded down."""
        moves = [position * like.advance // like.period for position in range(like.period)]
        firsts, lasts = (tuple(each[0] + move for move in moves) for each in (self.firsts, self.lasts))
        return ReceptiveField(firsts, lasts, like.advance)


def _filled(ends: Sequence[int | None], shift: int) -> tuple[int, ...]:
    """These ends of one period, a missing one as the next; the next period is moved by `shift`."""
    coming = next(end for end in ends if end is not None) + shift
    filled = []
    for end in reversed(ends):
        coming = coming if end is None else end
        filled.append(coming)
    return tuple(reversed(filled))


def union(fields: Sequence[ReceptiveField]) -> ReceptiveField:
    """The field of parallel paths that are merged: from the first pixel of any path to the last pixel of any path.

    With a period of 1, padding = max(p) and size = max(p) + max(size − p). If the strides of the paths differ, their
    fields drift apart along the axis; the result is then the field of position 0, shifted by the largest stride. The
    same holds if the periods have no common multiple up to `FIELD_PERIOD`.
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
