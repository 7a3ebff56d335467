"""What a result depends on besides the configuration: code, versions, processor, device, threads, flags and data.

>>> then = here(lowerings=("native", "native"), data="ab12")
>>> then.differences(here(lowerings=("native", "portable"), data="ab12"))
[Difference(name='lowerings', there='native, native', here='native, portable')]
"""

import functools
import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Self

from runner import cores

_PACKAGES: Final = ("convrunner", "convrunner-native", "jax", "jaxlib", "numpy", "optax", "pillow")
_GPU_PACKAGES: Final = ("jax-cuda12-plugin", "jax-cuda13-plugin")
# Environment variables that change what programs compute, or in which order.
_FLAGS: Final = (
    "XLA_FLAGS",
    "JAX_ENABLE_X64",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DEFAULT_PRNG_IMPL",
    "NVIDIA_TF32_OVERRIDE",
)
_DIFF_BYTES: Final = 1_000_000
_GIT_SECONDS: Final = 5


@dataclass(frozen=True)
class Difference:
    """A circumstance that is another one here than there."""

    name: str
    there: str
    here: str


@dataclass(frozen=True)
class Circumstances:
    """The circumstances of a training. `changes` is a digest of the diff to the commit; empty if there is none.

    `data` is the digest of the data set, `lowerings` the names of those of the convolutions in their order.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    system: str = ""
    processor: str = ""
    device: str = ""
    threads: int = 0
    flags: Mapping[str, str] = field(default_factory=dict)
    lowerings: tuple[str, ...] = ()
    commit: str = ""
    changes: str = ""
    data: str = ""

    @classmethod
    def from_fields(cls, values: Mapping[str, Any]) -> Self:
        """The circumstances of `asdict`, also of another version, whose other fields are left out."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        return cls(**{**known, "lowerings": tuple(known.get("lowerings", ()))})

    def differences(self, other: "Circumstances") -> list[Difference]:
        """What is another one in `other`: each version and each flag by its own name."""
        mine, its = self._texts(), other._texts()
        return [
            Difference(name, mine.get(name, ""), its.get(name, ""))
            for name in dict.fromkeys([*mine, *its])
            if mine.get(name, "") != its.get(name, "")
        ]

    def _texts(self) -> dict[str, str]:
        values = asdict(self)
        found = {**values.pop("versions"), **values.pop("flags")}
        found["lowerings"] = ", ".join(values.pop("lowerings"))
        return {name: str(value) for name, value in (found | values).items()}


def here(
    *, device: str = "", lowerings: tuple[str, ...] = (), data: str = "", code: tuple[str, str] = ("", "")
) -> Circumstances:
    """The circumstances of this process; `code` are its `changes`."""
    commit, diff = code
    return Circumstances(
        versions=_versions(),
        system=f"{platform.system()} {platform.machine()}",
        processor=processor(),
        device=device,
        threads=cores.available(),
        flags=flags(),
        lowerings=lowerings,
        commit=commit,
        changes=hashlib.sha256(diff.encode()).hexdigest()[:12] if diff else "",
        data=data,
    )


def flags() -> dict[str, str]:
    """The environment variables that change what programs compute, as far as they are set."""
    return {name: os.environ[name] for name in _FLAGS if os.environ.get(name)}


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in (*_PACKAGES, *_GPU_PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def processor() -> str:
    """The name of the processor, and a digest of its instruction sets, which decide the order of sums."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags") or facts.get("Features") or ""
    digest = hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()[:8]
    return f"{facts.get('model name', platform.machine())} ({digest})"


def changes(folder: Path) -> tuple[str, str]:
    """The git commit of a folder, and the diff of its tracked files to it; in a large checkout this takes seconds.

    Both are empty where there is no checkout. A diff of more than 1 MB is cut, which its last line says.
    """
    commit = _git(folder, "rev-parse", "HEAD").strip()
    diff = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-color", "--", ".") if commit else ""
    if len(diff.encode()) > _DIFF_BYTES:
        diff = diff.encode()[:_DIFF_BYTES].decode(errors="ignore") + f"\n(cut after {_DIFF_BYTES} bytes)\n"
    return commit, diff


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; nothing if it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True, timeout=_GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")
