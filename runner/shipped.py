"""Where the files are that come with the project: inside an installed package, or beside it in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def configurations() -> Path:
    """The folder `conf/`."""
    inside = _PACKAGE / "conf"
    return inside if inside.is_dir() else _PACKAGE.parent / "conf"


def schema() -> Path:
    """The JSON Schema of the whole configuration."""
    inside = _PACKAGE / "experiment.schema.json"
    return inside if inside.is_file() else _PACKAGE.parent / "schema" / "experiment.json"
