"""The tables of the parts of a data set, train.csv and test.csv, in a folder or in a .zip."""

from typing import NamedTuple

from runner import limits
from runner.data.class_folders import levels
from runner.data.examples import Report
from runner.data.files import FileTree
from runner.data.splits import first_names, parts_of
from runner.errors import printable


class PartTables(NamedTuple):
    """The names of the tables of each part, in the folder `top`: "", or a path with a final slash."""

    top: str
    names: dict[str, str]

    def contents(self, tree: FileTree) -> dict[str, tuple[str, bytes]]:
        """The place, for messages, and the content of each part's table."""
        return {
            part: (f"{tree.root}/{self.top}{name}", tree.read(self.top + name, max_bytes=limits.TABLE_BYTES))
            for part, name in self.names.items()
        }


def part_tables(tree: FileTree, endings: tuple[str, ...], report: Report) -> PartTables | None:
    """The tables that are named after parts, train among them, or None. Files beside them are reported as ignored."""
    for top in levels(tree):
        beside = [path[len(top) :] for path in tree.files if path.startswith(top) and "/" not in path[len(top) :]]
        tables = [name for name in beside if name.lower().endswith(endings)]
        parts = parts_of(tables, f"{tree.root}/{top}".rstrip("/"), endings=endings)
        if "train" not in parts:
            continue
        if others := set(beside) - set(parts.values()):
            report(f"ignored beside {', '.join(parts.values())}: {printable(first_names(others))}")
        return PartTables(top, parts)
    return None
