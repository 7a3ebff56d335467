"""Convolutions on the CPU by oneDNN, as targets of XLA's foreign function interface.

    for name, capsule in targets().items():
        jax.ffi.register_ffi_target(name, capsule, platform="cpu")

Importing this module loads the libraries; it raises ImportError or OSError where one is missing or fits no longer.
"""

import ctypes
import functools
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

__all__ = ["implementation", "multiplies_bfloat16", "serves", "target", "targets"]

PASSES = ("forward", "input_gradient", "kernel_gradient")
HANDLERS = (*PASSES, "moments")

# Part of every target's name, and raised when what a handler takes changes: programs are kept compiled, and must not be
# read back to call another handler than they were compiled for.
_INTERFACE = 1


def _load() -> ctypes.CDLL:
    # oneDNN's wheel puts its library beside Python's own, which no loader searches. Loaded first, it is known by name.
    try:
        candidates = [file for file in files("onednn-cpu-gomp") or () if file.name == "libdnnl.so.3"]
    except PackageNotFoundError as error:
        raise ImportError("onednn-cpu-gomp is not installed") from error
    for file in candidates:
        ctypes.CDLL(str(file.locate()))
    return ctypes.CDLL(str(Path(__file__).parent / "convrunner_native.so"))


_library = _load()
_library.convrunner_implementation.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64]
_library.convrunner_serves.argtypes = [ctypes.c_void_p]


def target(name: str) -> str:
    """What XLA knows a handler as: one of HANDLERS."""
    return f"convrunner_{name}_{_INTERFACE}"


def targets() -> dict[str, Any]:
    """The handlers, by what XLA is to know them as."""
    import jax

    return {target(name): jax.ffi.pycapsule(getattr(_library, f"convrunner_{name}")) for name in HANDLERS}


@functools.cache
def serves(*geometry: int) -> bool:
    """Whether oneDNN has a fast way for all three passes of a geometry.

    Its numbers: n, h, w, c; the outputs' h and w, filters; the kernel's h and w, groups; strides, dilations; padding
    above, left, below, right; and 1 or 0 for bfloat16, for a bias and for a ReLU.
    """
    return bool(_library.convrunner_serves(_members(geometry)))


def implementation(of: str, *geometry: int) -> str:
    """OneDNN's name of what computes a pass of a geometry, as in `jit:avx512_core`; empty where nothing does."""
    name = ctypes.create_string_buffer(256)
    _library.convrunner_implementation(PASSES.index(of), _members(geometry), name, len(name))
    return name.value.decode()


def multiplies_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself."""
    return bool(_library.convrunner_has_bfloat16())


def _members(geometry: tuple[int, ...]) -> Any:
    if len(geometry) != 21:
        raise ValueError(f"a geometry has 21 numbers, got {len(geometry)}")
    return (ctypes.c_int64 * len(geometry))(*geometry)
