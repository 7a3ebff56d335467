"""A YAML file of a group with the files that its defaults name: `resnet152.yaml` names resnet50."""

from pathlib import Path
from typing import Any, Final

from runner import edits, shipped
from runner.errors import ConfigError, Fault
from runner.strict_yaml import mapping

_OWN: Final = "_self_"


def with_bases(config: dict[str, Any], path: Path, around: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The content of a file with that of its bases, which are files of its folder or of the shipped group.

    Other entries of `defaults`, such as those that choose another group, are left as they are written.
    Raises ConfigError if a base cannot be read, or does not fit the edits of the file.
    """
    names = [name for name in config.get("defaults") or () if isinstance(name, str) and name != _OWN]
    found = {name: file for name in names if (file := _file(name, path)) is not None and file not in around}
    if not found:
        return config
    inherited: dict[str, Any] = {}
    for file in found.values():
        inherited = edits.variant(inherited, with_bases(mapping(file), file, (*around, path)), str(file))
    own = {key: value for key, value in config.items() if key != "defaults"}
    try:
        return edits.variant(inherited, own, ", ".join(found))
    except ConfigError as error:
        raise ConfigError(*(Fault(f"{path}: {fault.path}", fault.text) for fault in error.faults)) from None


def _file(name: str, path: Path) -> Path | None:
    """The file of a base of this name; None if there is none."""
    folders = (path.parent, shipped.configurations() / path.parent.name)
    files = (folder / f"{name.removesuffix('.yaml')}.yaml" for folder in folders)
    return next((file for file in files if file.is_file() and file != path), None)
