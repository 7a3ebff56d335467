"""The training program compiled for a device, once for each structure of programs.

    >>> functions = compiled(program, placement)
    >>> state = functions.init(leaves(program))

The functions take the leaves of a program in place of the program. Programs that differ only in traced values, such as
the learning rate, the seed or a strength, share them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from runner import train
from runner.experiment import Program
from runner.ops.lowering import lowered
from runner.ops.spreading import over, spread
from runner.placement import Placement


class Compiled(NamedTuple):
    """The functions of `runner.train` for one structure of programs."""

    init: Any
    advance: Any
    evaluate: Any
    predict: Any
    activations: Any


def leaves(program: Program) -> tuple[Any, ...]:
    """A program's traced values as they enter the compiled functions: float32, and uint32 for the seed."""
    return tuple(np.uint32(leaf) if isinstance(leaf, int) else np.float32(leaf) for leaf in jax.tree.leaves(program))


def compiled(program: Program, placement: Placement, *, donate: bool = True) -> Compiled:
    """The compiled functions of a program's structure on a device.

    With `donate`, `advance` takes the memory of the state that it is given. The search for a NaN runs a step again, and
    so cannot donate it.
    """
    return _compiled(jax.tree.structure(program), placement, donate)


def compiler_options(placement: Placement) -> dict[str, str]:
    """On a CPU, convolutions by XLA itself: of what jax 0.10 hands to YNN, several take half as long so.

    The option replaces the whole list of what YNN is given, so that what it is good at has to be named.
    """
    if placement.platform != "cpu" or jax.__version_info__ >= (0, 11):
        return {}
    kept = ("INDIVIDUAL_DOT", "REDUCE")
    return {"xla_cpu_experimental_ynn_fusion_type": ",".join(f"LIBRARY_FUSION_TYPE_{name}" for name in kept)}


@functools.lru_cache(maxsize=64)
def _compiled(structure: Any, placement: Placement, donate: bool) -> Compiled:
    return Compiled(
        init=_jitted(structure, placement, train.init),
        advance=_jitted(structure, placement, train.advance, donate_argnums=1 if donate else ()),
        evaluate=_jitted(structure, placement, train.evaluate),
        predict=_jitted(structure, placement, train.predict),
        activations=_jitted(structure, placement, train.activations),
    )


def special(program: Program, placement: Placement, function: Callable[..., Any], static: tuple[Any, ...] = ()) -> Any:
    """`function(program, *static, …)`, compiled for a structure; it takes the leaves in place of the program."""
    return _special(jax.tree.structure(program), placement, function, static)


@functools.lru_cache(maxsize=64)
def _special(structure: Any, placement: Placement, function: Callable[..., Any], static: tuple[Any, ...]) -> Any:
    def call(program: Program, *args: Any) -> Any:
        return function(program, *static, *args)

    call.__name__ = function.__name__
    return _jitted(structure, placement, call)


class Mapped(NamedTuple):
    """`init`, `advance` and `evaluated_sums` of many members at once, each with members as the first axis of arrays."""

    init: Any
    advance: Any
    evaluate: Any


@functools.lru_cache(maxsize=16)
def mapped(structure: Any, placement: Placement, *, shared: bool, weighted: bool = False) -> Mapped:
    """The functions of a structure for members that advance together.

    `shared` says that all read the same images, each in an order of its own; else each is fed its own. What is
    evaluated is the same for all. `weighted`: each has class weights of its own.
    """
    feed: Any = (*((None, None, 0) if shared else (0, 0, None)), 0 if weighted else None)
    return Mapped(
        init=_jitted(structure, placement, train.init, in_axes=0),
        advance=_jitted(
            structure, placement, train.advance, in_axes=(0, 0, train.Feed(*feed), 0, None, None), donate_argnums=1
        ),
        evaluate=_jitted(structure, placement, train.evaluated_sums, in_axes=(0, 0, None, None, None)),
    )


def _jitted(
    structure: Any, placement: Placement, function: Callable[..., Any], *, in_axes: Any = None, **options: Any
) -> Any:
    def call(values: tuple[Any, ...], *args: Any) -> Any:
        program = jax.tree.unflatten(structure, values)
        mesh = placement.mesh if in_axes is None else None  # members together are divided, not their batches
        with lowered(placement.lowering(program.lowering)), over(mesh):
            return function(program, *args)

    call.__name__ = call.__qualname__ = function.__name__
    if in_axes is None:
        if placement.mesh is not None:
            options["out_shardings"] = placement.everywhere
        return jax.jit(call, compiler_options=compiler_options(placement), **options)
    mapped_call = jax.vmap(call, in_axes=in_axes)

    def over_members(values: tuple[Any, ...], state: Any, *args: Any) -> Any:
        with over(placement.mesh):
            values, state = jax.tree.map(spread, (values, state))
        return mapped_call(values, state, *args)

    over_members.__name__ = over_members.__qualname__ = function.__name__
    several = mapped_call if placement.mesh is None or function is train.init else over_members
    return jax.jit(several, compiler_options=compiler_options(placement), **options)
