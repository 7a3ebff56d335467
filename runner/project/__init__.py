"""The files of a new project: a configuration with comments, schemas for editors, and a page that explains them.

>>> sorted(files(None))[:3]
['.gitignore', '.vscode/extensions.json', '.vscode/settings.json']
"""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from rich.cells import cell_len

from runner.launchable import as_yaml
from runner.project.found import Found

_TEMPLATES: Final = Path(__file__).parent / "templates"
_GROUPS: Final = ("augment", "block", "data", "loss", "model", "optimizer", "schedule", "sweep", "tracking", "train")
_DIGITS: Final = (32, 32)  # the handwritten digits, which are 8×8, are scaled as for LeNet-5
_FILTERS: Final = (16, 32, 64, 64, 64)
_SMALLEST_MAP: Final = 4
_BATCH: Final = 32
_MOST_NAMED: Final = 30


def files(found: Found | None) -> Mapping[str, str]:
    """The texts of the files by their paths. Without images the project trains on the handwritten digits."""
    height, width = _DIGITS if found is None else found.input
    data = "digits" if found is None else found.name
    words = {
        "data": data,
        "batch_size": _BATCH if found is None else _batch(found.count - found.bad),
        "height": height,
        "width": width,
        "stages": "\n".join(_stages(min(height, width))),
        "summary": _summary(found),
        "data_file": "" if found is None else f"| `conf/data/{data}.yaml` | your images, and how they are read |\n",
    }
    texts = {
        ".gitignore": "outputs/\n",
        ".vscode/extensions.json": _json({"recommendations": ["redhat.vscode-yaml"]}),
        ".vscode/settings.json": _json({"yaml.schemas": dict(_schemas())}),
        "README.md": _filled("README.md", words),
        "conf/experiment/first.yaml": _filled("experiment.yaml", words),
        "conf/model/first.yaml": _filled("model.yaml", words),
    }
    if found is not None:
        texts[f"conf/data/{data}.yaml"] = _data(found)
    return texts


def _filled(name: str, words: Mapping[str, object]) -> str:
    return Template((_TEMPLATES / name).read_text(encoding="utf-8")).substitute(words)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _schemas() -> list[tuple[str, str]]:
    """Which schema an editor uses for which files."""
    return [(f"schema/{group}.json", f"conf/{group}/*.yaml") for group in _GROUPS] + [
        ("schema/experiment.json", "conf/experiment/*.yaml")
    ]


def _data(found: Found) -> str:
    settings = {"source": "folder", "name": found.name, "root": str(found.root)}
    if found.bad:
        settings["on_bad_file"] = "skip"
    return _filled("data.yaml", {"classes": _classes(found), "settings": as_yaml(settings).rstrip()})


def _batch(count: int) -> int:
    """The usual batch size, or a power of two that half of a few images hold."""
    return min(_BATCH, 1 << (max(count // 2, 1).bit_length() - 1))


def _stages(side: int) -> list[str]:
    """Convolution, ReLU and pooling, repeated until maps are about four pixels wide."""
    lines = []
    for filters in _FILTERS:
        lines += [
            f"  - conv: {{filters: {filters}, kernel_size: 3, padding: same}}",
            "  - relu",
            "  - max_pool: {size: 2}",
        ]
        side //= 2
        if side < 2 * _SMALLEST_MAP:
            break
    return lines


def _summary(found: Found | None) -> str:
    if found is None:
        return "the handwritten digits that come with scikit-learn"
    return f"{found.count:,} images of {len(found.classes):,} classes in `{found.root}`"


def _classes(found: Found) -> str:
    """Comments: the classes with their numbers of images, and the sizes."""
    width = max(cell_len(name) for name in found.classes)
    named = list(found.classes.items())[:_MOST_NAMED]
    lines = [f"#   {name}{' ' * (width - cell_len(name))}  {count:>7,}" for name, count in named]
    if len(found.classes) > _MOST_NAMED:
        lines.append(f"#   and {len(found.classes) - _MOST_NAMED:,} more")
    sizes = ", ".join(f"{height}×{width} ({count:,})" for (height, width), count in found.sizes[:4])
    more = f", and {len(found.sizes) - 4:,} more" if len(found.sizes) > 4 else ""
    return "\n".join([*lines, f"# Sizes, height × width: {sizes}{more}.", *found.remarks])
