"""`runner init FOLDER [images=FOLDER]`: makes a project: a first network, your data, editor settings."""

from pathlib import Path
from typing import Final

from pydantic import Field

from runner.errors import ConfigError, Fault, must
from runner.records import Record
from runner.verb import Asked, SettingsVerb, Words

_SCHEMA: Final = "schema"
_MOST_NAMED: Final = 8


class Init(Record):
    """What a project is made of.

    FOLDER may exist; no file in it is replaced.
    """

    images: str | None = Field(
        None, min_length=1, description="A folder or .zip with a folder of images for each class; null: the digits."
    )


def init(settings: Init, asked: Asked) -> int:
    """Writes the files of a project, and prints what to do next."""
    import shlex

    from runner import project, schema
    from runner.project.found import found

    [name] = asked.words
    folder = Path(name)
    if settings.images is not None and not Path(settings.images).expanduser().exists():
        raise ConfigError(must("images", "be a folder or a .zip", settings.images))
    images = None if settings.images is None else found(settings.images, folder, print)
    texts = project.files(images)
    schemas = {f"{_SCHEMA}/{file}": text for file, text in schema.texts(asked.command.records).items()}
    if existing := [folder / file for file in (*texts, *schemas) if (folder / file).exists()]:
        raise _existing(*existing[:_MOST_NAMED])
    try:
        for file, text in (*texts.items(), *schemas.items()):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            _make(folder / file, text)
            if file in texts:
                print(folder / file)
    except OSError as error:
        raise ConfigError(must("command line", f"name a folder to write to ({error.strerror})", name)) from error
    print(f"{folder / _SCHEMA}\n\nNext:\n  cd {shlex.quote(str(folder))}\n  python -m runner experiment=first")
    return 0


def _make(path: Path, text: str) -> None:
    """Writes a new file. Raises ConfigError if it exists: another process may make a project in the same folder."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise _existing(path) from None
    with file:
        file.write(text)


def _existing(*paths: Path) -> ConfigError:
    return ConfigError(*(Fault(str(path), "must not exist, as init replaces no file") for path in paths))


VERB = SettingsVerb(
    Init,
    init,
    Words("FOLDER", "name one folder for the project"),
    reads_store=False,
    examples=("flowers images=photos",),
)
