"""The folders of configurations: `conf/` in the current folder, then the one shipped with the project."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.composition import trust
from runner.composition.complaints import LISTED_BY, OWN_FOLDER
from runner.shipped import configurations


def groups() -> set[str]:
    """The names of the config groups: the folders in `conf/`."""
    return {
        path.name for root in (configurations(), Path.cwd() / OWN_FOLDER) if root.is_dir() for path in root.iterdir()
    }


def unlisted() -> list[str]:
    """The groups whose files no kind of `runner list` has, sorted; Hydra's own is not among them."""
    return [group for group in sorted(groups()) if group not in (*LISTED_BY, "hydra") and files(group)]


class BlockLibrary(Mapping[str, Any]):
    """The blocks that a model can use without declaring them: `conf/block/*.yaml`, the current folder's first.

    Each file is read when its block is looked up.
    """

    def __init__(self) -> None:
        self._files = files("block")

    def __getitem__(self, name: str) -> Any:
        return trust.read_yaml(self._files[name])

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def files(group: str) -> dict[str, Path]:
    """The configurations of a group by name, sorted; a file of the current folder replaces a shipped one."""
    found = {
        path.stem: path
        for root in (configurations(), Path.cwd() / OWN_FOLDER)
        for path in (root / group).glob("*.yaml")
    }
    return dict(sorted(found.items()))
