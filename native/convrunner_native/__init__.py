"""Convolutions on the CPU by oneDNN, as targets of XLA's foreign function interface.

    for name, capsule in targets().items():
        jax.ffi.register_ffi_target(name, capsule, platform="cpu")

Importing this module loads the libraries. It raises ImportError or OSError if one is missing or incompatible.
"""

import ctypes
import functools
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

__all__ = ["multiplies_bfloat16", "serves", "targets"]

_HANDLERS = tuple(f"convrunner_{name}" for name in ("forward", "input_gradient", "kernel_gradient", "moments"))


def _load() -> ctypes.CDLL:
    # oneDNN's wheel puts its library where no loader searches. Once loaded, it is found by name.
    try:
        candidates = [file for file in files("onednn-cpu-gomp") or () if file.name == "libdnnl.so.3"]
    except PackageNotFoundError as error:
        raise ImportError("onednn-cpu-gomp is not installed") from error
    for file in candidates:
        ctypes.CDLL(str(file.locate()))
    return ctypes.CDLL(str(Path(__file__).parent / "convrunner_native.so"))


_library = _load()
_library.convrunner_serves.argtypes = [ctypes.c_void_p]


def targets() -> dict[str, Any]:
    """The handlers `convrunner_forward`, `…_input_gradient`, `…_kernel_gradient` and `…_moments`."""
    import jax

    return {name: jax.ffi.pycapsule(getattr(_library, name)) for name in _HANDLERS}


@functools.cache
def serves(*geometry: int) -> bool:
    """Whether oneDNN has fast code for all three passes of a geometry.

    A geometry is 19 numbers: n, h, w, c; the outputs' h and w, filters; the kernel's h and w, groups; strides,
    dilations; padding above, left, below, right; and 1 for bfloat16, 0 for float32.
    """
    if len(geometry) != 19:
        raise ValueError(f"a geometry has 19 numbers, got {len(geometry)}")
    return bool(_library.convrunner_serves((ctypes.c_int64 * 19)(*geometry)))


def multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions to multiply bfloat16."""
    return bool(_library.convrunner_has_bfloat16())
