"""The devices of programs, with their platform and memory; chosen once and passed as an argument.

>>> here = choose("auto")
>>> here.platform     # and str(here) is such as cpu (8 threads)
'cpu'
"""

import functools
import math
import os
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from runner import cores, memory, programs
from runner.data.download import cache_folder
from runner.errors import ConfigError, must
from runner.ops.lowering import Choice
from runner.ops.spreading import AXIS

_MORE_OF_A_CPU = " (XLA_FLAGS=--xla_force_host_platform_device_count=8 simulates 8)"
_PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


@dataclass(frozen=True)
class Placement:
    """The device that a program runs on, and others of its kind among which each batch is divided.

    If the run has several processes, the others are also those of other processes; `device` is one of this process.
    """

    device: jax.Device
    others: tuple[jax.Device, ...] = ()

    @property
    def count(self) -> int:
        """The number of devices."""
        return 1 + len(self.others)

    @functools.cached_property
    def mesh(self) -> Mesh | None:
        """The devices as a mesh; None for one alone."""
        devices = sorted([self.device, *self.others], key=lambda device: (device.process_index, device.id))
        return Mesh(np.array(devices), (AXIS,)) if self.others else None

    @functools.cached_property
    def processes(self) -> int:
        """The number of processes that these devices belong to."""
        return len({device.process_index for device in (self.device, *self.others)}) if self.others else 1

    @property
    def own(self) -> "Placement":
        """Where this process computes by itself: here, or on its own device, if there are several processes."""
        return self if self.processes == 1 else Placement(self.device)

    @property
    def everywhere(self) -> jax.Device | NamedSharding:
        """Where arrays are put that each device needs whole."""
        return self.device if self.mesh is None else NamedSharding(self.mesh, PartitionSpec())

    def put(self, array: np.ndarray) -> jax.Array:
        """An array that each device has whole; each process gives all of it."""
        if self.processes == 1:
            found: jax.Array = jax.device_put(array, self.everywhere)
        else:
            found = jax.make_array_from_process_local_data(self.everywhere, np.asarray(array), array.shape)
        return found

    def share(self, size: int) -> slice:
        """The examples of a batch of `size` that this process reads, if there are several: an equal part."""
        part = size // self.processes
        return slice(part * self.device.process_index, part * (self.device.process_index + 1))

    def divided(self, array: np.ndarray) -> jax.Array:
        """A batch of which each process gives its share; its first axis is divided among the devices."""
        assert self.mesh is not None, "only batches of several processes are put together"
        sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))
        shape = (self.processes * array.shape[0], *array.shape[1:])
        found: jax.Array = jax.make_array_from_process_local_data(sharding, array, shape)
        return found

    @property
    def platform(self) -> str:
        """`cpu`, `gpu` or `tpu`."""
        platform = str(self.device.platform)
        return {"cuda": "gpu", "rocm": "gpu"}.get(platform, platform)

    @property
    def memory_bytes(self) -> float:
        """The memory of the device in bytes; infinite if unknown."""
        return float((self.device.memory_stats() or {}).get("bytes_limit", math.inf))

    @property
    def peak_memory_bytes(self) -> float | None:
        """The most memory of the device that this process had in use at once; None if unknown, as on a CPU."""
        peak = (self.device.memory_stats() or {}).get("peak_bytes_in_use")
        return None if peak is None else float(peak)

    def lowering(self, choice: Choice) -> Choice:
        """The lowering to use here: `choice` on a CPU, else `reference`, as all others are made for a CPU.

        Native code knows nothing of several devices.
        """
        if self.platform != "cpu":
            return "reference"
        return "portable" if self.others and choice == "auto" else choice

    @property
    def remark(self) -> str:
        """What a user should know of several devices, in one line; empty for one alone."""
        if not self.others:
            return ""
        portable = "; convolutions are portable ones, as native ones run on one device" * (self.platform == "cpu")
        several = f" of {self.processes} processes" * (self.processes > 1)
        return f"each batch is divided among {self.count} devices{several}{portable}"

    def use(self) -> None:
        """Makes JAX compute here."""
        jax.config.update("jax_default_device", self.device)

    def __str__(self) -> str:
        """The device as text: `cpu (8 threads)`, `gpu (NVIDIA H100)`."""
        detail = f"{cores.available()} threads" if self.platform == "cpu" else str(self.device.device_kind)
        several = f" of {self.processes} processes" * (self.processes > 1)
        return f"{self.platform} ({detail})" + (f" × {self.count}{several}" if self.others else "")


def choose(name: str, *, count: int | Literal["all"] = 1, keep_memory: bool = False) -> Placement:
    """Makes JAX use so many devices of this name (auto, cpu, gpu, tpu) and keep compiled programs for later runs.

    If the run has several processes, so many of each.
    With `keep_memory` the process keeps its memory as well; this call must then come before JAX is used.
    Raises ConfigError if JAX finds no such device, or fewer.
    """
    _keep_programs()
    if keep_memory:
        memory.keep()  # before JAX starts its threads, each of which would get its own arena
    found = _devices(None)
    if name != "auto":
        chosen = _devices(_PLATFORMS[name])
        if not chosen:
            kinds = ", ".join(sorted({Placement(device).platform for device in found}))
            raise ConfigError(must("train.device", f"be a device that JAX finds here ({kinds})", name))
        found = chosen
    each: dict[int, list[Any]] = {}
    for device in found:
        each.setdefault(device.process_index, []).append(device)
    least = min(map(len, each.values()))
    wanted = max(map(len, each.values())) if count == "all" else count
    if wanted > least:
        platform = Placement(found[0]).platform
        where = "here" if len(each) == 1 else "of the process that has fewest"
        rule = f"be at most {least}, the {platform} devices {where}" + _MORE_OF_A_CPU * (platform == "cpu")
        raise ConfigError(must("train.device_count", rule, count))
    chosen = [device for devices in each.values() for device in devices[:wanted]]
    [first, *_] = each[jax.process_index()]
    here = Placement(first, tuple(device for device in chosen if device != first))
    here.use()
    return here


def _devices(platform: str | None) -> list[Any]:
    try:
        return list(jax.devices(platform))
    except RuntimeError:
        return []


def _keep_programs() -> None:
    """Makes JAX cache compiled programs on disk, also small ones, since most programs of a run are small."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = cache_folder() / "programs"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        programs.replace_damaged(folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
