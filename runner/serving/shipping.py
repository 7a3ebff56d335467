"""The code that loads a logged model, copied into it: a model loads where this project is not installed.

>>> write(folder)
>>> loader(folder).endswith(".tracking.loader")
True

The copies form a package with a name of its own, made of their content, so that models of several versions can be
loaded by one process, and none takes the place of an installed `runner`.
"""

import hashlib
import re
from pathlib import Path
from typing import Final

CODE: Final = "code"
MODULES: Final = (
    "answers",
    "cores",
    "errors",
    "limits",
    "data.broken",
    "data.inputs",
    "data.orientation",
    "data.pixels",
    "data.pixels.depth",
    "data.threads",
    "data.vocabulary",
    "serving.model",
    "serving.requests",
    "tracking.loader",
)
"""The modules of `runner` that a model is loaded with. They import the standard library and one another; JAX, NumPy,
Pillow and MLflow besides."""
_ROOT: Final = Path(__file__).resolve().parent.parent
_IMPORT: Final = re.compile(r"^(\s*(?:from|import) )runner\b", flags=re.MULTILINE)


def write(folder: Path) -> None:
    """Writes the package into `CODE` of a model's folder."""
    sources = {name: (_ROOT / _file(name)).read_text(encoding="utf-8") for name in MODULES}
    digest = hashlib.sha256("\0".join(sources.values()).encode()).hexdigest()[:12]
    # Without __init__.py: a package that is only looked into for its modules needs none.
    package = folder / CODE / f"convrunner_{digest}"
    for name, source in sources.items():
        path = package / _file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_IMPORT.sub(rf"\1{package.name}", source), encoding="utf-8")


def loader(folder: Path) -> str:
    """The module in a model's folder that MLflow loads it with."""
    [package] = (folder / CODE).iterdir()
    return f"{package.name}.tracking.loader"


def _file(name: str) -> str:
    path = name.replace(".", "/")
    return f"{path}/__init__.py" if (_ROOT / path).is_dir() else f"{path}.py"
