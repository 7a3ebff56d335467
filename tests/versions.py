"""Runs the tests on the oldest and the newest pair of Python and JAX that pyproject.toml allows.

    python tests/versions.py                                 the ordinary suite, on both pairs
    python tests/versions.py newest tests/test_train.py      some tests, on one pair
    python tests/versions.py newest --install                only makes the environment, while something else runs

Pythons are looked for on PATH and among pyenv's versions. A Python that is not there is said, and the nearest one
takes its place. The packages are the newest that pyproject.toml allows, not those of the lock, and stay in .versions/.
The wheel of the native convolutions that `make native` built is installed too: it has to serve every JAX of its range.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PYTHONS: Final = ("3.11", "3.12", "3.13")
PAIRS: Final = ("oldest", "newest")


@functools.cache
def python(version: str) -> Path | None:
    """The interpreter of a version such as 3.12, or None where there is none that starts."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    patches = sorted(pyenv.glob(f"{version}.*"), key=_patch, reverse=True)
    candidates = [folder / "bin" / "python" for folder in patches]
    if found := shutil.which(f"python{version}"):
        candidates.append(Path(found))
    return next((path for path in candidates if _is(path, version)), None)


def _patch(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.name.split(".") if part.isdigit())


def _is(path: Path, version: str) -> bool:
    """Whether this starts, as that version: pyenv's shims start only where a version is switched on."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", ask], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def jax(pair: str, dependencies: list[str]) -> str:
    """What pip is asked for: the first JAX that pyproject.toml allows, or its bounds, of which pip takes the newest."""
    bounds = next(line for line in dependencies if re.match(r"jax\W", line))
    lowest = re.search(r">=(\d+\.\d+\.\d+)", bounds)
    assert lowest, f"pyproject.toml has a lower bound of jax, got {bounds}"
    return f"jax=={lowest[1]}" if pair == "oldest" else bounds


def interpreters(pair: str) -> list[tuple[str, Path]]:
    """The Pythons of the machine, the one that the pair asks for first."""
    wanted = PYTHONS if pair == "oldest" else tuple(reversed(PYTHONS))
    found = {version: python(version) for version in wanted}
    missing = [version for version in wanted if found[version] is None]
    if missing:
        print(f"{pair}: not found on this machine: Python {', '.join(missing)}", flush=True)
    return [(version, path) for version, path in found.items() if path is not None]


def installed(pair: str, version: str, interpreter: Path) -> Path:
    """The environment of a pair, with this checkout in it; its Python."""
    folder = ROOT / ".versions" / f"{pair}-{version}"
    own = folder / "bin" / "python"
    if not own.exists():
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--editable", f"{ROOT}[dev]", jax(pair, dependencies)], check=True)
    wheels = sorted((ROOT / "native" / "dist").glob("*.whl"))
    if wheels:
        # Forced, as a wheel that is built again has the same version; without dependencies it is only unpacked.
        subprocess.run([*pip, *wheels], check=True)
        subprocess.run([*pip, "--force-reinstall", "--no-deps", *wheels], check=True)
    else:
        print(f"{pair}: no native convolutions, as `make native` built none", flush=True)
    return own


def tried(pair: str, arguments: list[str]) -> bool:
    """Whether the tests pass on a pair; also where no Python for it is there, which is said."""
    there = interpreters(pair)
    if not there or (pair == "newest" and there[0][0] == PYTHONS[0]):
        which = f"no Python newer than {PYTHONS[0]}" if pair == "newest" else f"none of Python {', '.join(PYTHONS)}"
        print(f"{pair}: {which} is there, so nothing is tried", flush=True)
        return True
    version, interpreter = there[0]
    own = installed(pair, version, interpreter)
    if arguments == ["--install"]:
        return True
    has = subprocess.run([own, "-c", "import jax; print(jax.__version__)"], capture_output=True, text=True, check=True)
    print(f"{pair}: Python {version} and JAX {has.stdout.strip()}", flush=True)
    # A cache of their own: what one JAX compiled is of no use to another.
    cache = f"cache_dir={ROOT / '.versions' / f'{pair}-{version}' / 'cache'}"
    return (
        subprocess.run(
            [own, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-o", cache, *arguments], cwd=ROOT
        ).returncode
        == 0
    )


def main(arguments: list[str]) -> int:
    """Tries the pairs that are named, both where none is. Returns an exit status."""
    named = [arguments.pop(0)] if arguments and arguments[0] in PAIRS else list(PAIRS)
    failed = [pair for pair in named if not tried(pair, arguments)]  # the second is tried in any case
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
