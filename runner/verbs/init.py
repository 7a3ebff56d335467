"""`runner init FOLDER [images=FOLDER]`: makes a project with a first network, your data, and completion in editors."""

from pathlib import Path

from pydantic import Field

from runner.command import Command
from runner.errors import ConfigError, Fault, must
from runner.records import Record
from runner.verb import described, read


class Init(Record):
    """Makes a project in FOLDER, which may exist. Example: runner init flowers images=photos"""

    images: str | None = Field(
        None, min_length=1, description="A folder or .zip with a folder of images for each class; null: the digits."
    )


def init(command: Command) -> int:
    """Writes the files of a project, and prints what to do next."""
    import shlex

    from runner import atomic, project, schema
    from runner.project.found import found

    if {"--help", "-h"} & set(command.arguments):
        print(described(command.verb, Init, "FOLDER "))
        return 0
    folders = [argument for argument in command.arguments if "=" not in argument]
    if len(folders) != 1 or folders[0].startswith("-"):
        raise ConfigError(must("command line", "name one folder for the project", " ".join(folders) or "nothing"))
    settings, folder = read(Init, [item for item in command.arguments if item not in folders]), Path(folders[0])
    if settings.images is not None and not Path(settings.images).expanduser().exists():
        raise ConfigError(must("images", "be a folder or a .zip", settings.images))
    images = None if settings.images is None else found(settings.images, folder, print)
    texts = project.files(images)
    if existing := [folder / name for name in texts if (folder / name).exists()]:
        raise ConfigError(*(Fault(str(path), "must not exist, as init replaces no file") for path in existing))
    try:
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            atomic.write(folder / name, text.encode())
            print(folder / name)
        schema.write(folder / "schema", command.records)
    except OSError as error:
        raise ConfigError(must("command line", f"name a folder to write to ({error.strerror})", folders[0])) from error
    print(f"{folder / 'schema'}\n\nNext:\n  cd {shlex.quote(str(folder))}\n  python -m runner experiment=first")
    return 0


VERB = init
