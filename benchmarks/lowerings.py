"""One convolution at a time, by each way: milliseconds of its output and of both its gradients, once and in a loop.

    python benchmarks/lowerings.py

Batch 128, float32, the shapes of LeNet-5, vgg6_cifar and resnet20_cifar; the least of three rounds. Writes
results/lowerings.json beside this file.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import machine
import numpy as np
from jax import lax

from runner.compiling import compiler_options
from runner.geometry import Window
from runner.ops import conv, native
from runner.placement import Placement, choose

BATCH, TURNS = 128, 4
# pixels along each axis, input channels, kernel size, filters, padding
SHAPES = [(32, 1, 5, 6, 0), (14, 6, 5, 16, 0), (32, 3, 3, 16, 1), (32, 16, 3, 16, 1), (16, 32, 3, 32, 1)]
SHAPES += [(8, 64, 3, 64, 1), (32, 32, 3, 32, 1), (16, 64, 3, 64, 1), (8, 128, 3, 128, 1)]


def milliseconds(
    function: Callable[..., jax.Array], arrays: tuple[jax.Array, ...], here: Placement, *, looped: bool
) -> float:
    """How long a call takes; `looped`, one of several turns of a loop within a program."""

    def turns(first: jax.Array, *others: jax.Array) -> jax.Array:
        def turn(_: Any, total: jax.Array) -> jax.Array:
            return total + function(first + 1e-30 * total, *others).ravel()[0]  # each waits for the one before

        return lax.fori_loop(0, TURNS, turn, np.float32(0))

    program = jax.jit(turns if looped else function, compiler_options=compiler_options(here))
    jax.block_until_ready(program(*arrays))
    took = []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(5):
            done = program(*arrays)
        jax.block_until_ready(done)
        took.append((time.perf_counter() - began) / 5 / (TURNS if looped else 1))
    return round(1e3 * min(took), 3)


def main() -> None:
    """Measures, prints and writes."""
    here = choose("cpu", keep_memory=True)
    rng, results = np.random.default_rng(0), []
    ways = {"portable": conv.PORTABLE} | ({"native": conv.NATIVE} if native.available() else {})
    for size, channels, taps, filters, padding in SHAPES:
        windows = (Window(taps, low=padding, high=padding),) * 2
        count = windows[0].output_size(size)
        shapes = [(BATCH, size, size, channels), (taps, taps, channels, filters), (BATCH, count, count, filters)]
        x, kernel, g = (jax.device_put(rng.normal(size=shape).astype(np.float32)) for shape in shapes)
        plain = functools.partial(conv._reference, windows=windows, groups=1)
        functions: dict[str, dict[str, tuple[Callable[..., jax.Array], tuple[jax.Array, ...]]]] = {
            "reference": {
                "output": (plain, (x, kernel)),
                "input": (lambda g, k, x=x, plain=plain: jax.vjp(lambda x: plain(x, k), x)[1](g)[0], (g, kernel)),
                "kernel": (lambda x, g, k=kernel, plain=plain: jax.vjp(lambda k: plain(x, k), k)[1](g)[0], (x, g)),
            }
        }
        for name, way in ways.items():
            asked = {"windows": windows, "groups": 1}
            functions[name] = {
                "output": (functools.partial(way.forward, **asked), (x, kernel)),
                "input": (
                    lambda g, k, way=way, shape=x.shape, asked=asked: way.input_gradient(g, k, shape, *asked.values()),
                    (g, kernel),
                ),
                "kernel": (
                    lambda x, g, way=way, shape=kernel.shape, asked=asked: way.kernel_gradient(
                        x, g, shape, *asked.values()
                    ),
                    (x, g),
                ),
            }
        print(f"{size}×{size}×{channels} under {filters} of {taps}×{taps}", flush=True)
        found: dict[str, Any] = {"size": size, "channels": channels, "taps": taps, "filters": filters}
        for part in ("output", "input", "kernel"):
            found[part] = {
                name: [milliseconds(*each[part], here, looped=looped) for looped in (False, True)]
                for name, each in functions.items()
            }
            said = "   ".join(f"{name} {once:7.2f} ({loop:.2f})" for name, (once, loop) in found[part].items())
            print(f"  {part:<8}{said}", flush=True)
        results.append(found)
    machine.write("lowerings", machine.facts() | {"shapes": results})


if __name__ == "__main__":
    main()
