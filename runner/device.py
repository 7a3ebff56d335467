"""Where programs run: the platform, the cache of compiled programs, and what the device is called."""

import os
from typing import Any

import jax

from runner import cores, memory, programs
from runner.data.download import cache_folder
from runner.errors import ConfigError, must

_PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def select(name: str, *, keep_memory: bool = False) -> jax.Device:
    """Has JAX compute on the device of this name (auto, cpu, gpu, tpu), and keep what it compiles for the next run.

    With `keep_memory` the process keeps its memory as well, which has to be said before JAX is used.
    Raises ConfigError where JAX finds no such device.
    """
    _keep_programs()
    if keep_memory:
        memory.keep()  # before JAX starts its threads, each of which would have an arena of its own
    found = _devices(None)
    if name != "auto":
        chosen = _devices(_PLATFORMS[name])
        if not chosen:
            kinds = ", ".join(sorted({_kind(device) for device in found}))
            raise ConfigError(must("train.device", f"be a device that JAX finds here ({kinds})", name))
        found = chosen
    jax.config.update("jax_default_device", found[0])
    return found[0]


def describe(device: jax.Device) -> str:
    """A device as people call it: `cpu (8 threads)`, `gpu (NVIDIA H100)`."""
    detail = f"{cores.available()} threads" if device.platform == "cpu" else str(device.device_kind)
    return f"{_kind(device)} ({detail})"


def _kind(device: jax.Device) -> str:
    platform = str(device.platform)
    return {"cuda": "gpu", "rocm": "gpu"}.get(platform, platform)


def _devices(platform: str | None) -> list[Any]:
    try:
        return list(jax.devices(platform))
    except RuntimeError:
        return []


def _keep_programs() -> None:
    """Programs compiled once are read back later: also small ones, since a run compiles few others."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = cache_folder() / "programs"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        programs.replace_damaged(folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
