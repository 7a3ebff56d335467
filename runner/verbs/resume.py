"""`runner resume run=RUN`: goes on with a killed run from its last checkpoint.

It ends with the bits with which it would have ended if nobody had killed it.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge
from pydantic import Field

from runner import folders
from runner.errors import ConfigError, Fault, must
from runner.records import Record
from runner.verb import Asked, RunSettings, SettingsVerb

if TYPE_CHECKING:
    from runner.composition import Job
    from runner.tracking.begun import Begun


class Longer(Record):
    """What of the training can be changed."""

    epochs: Annotated[int, Ge(1)] | None = Field(
        None,
        description="A larger number of epochs. Learning rates are then computed anew, so the result is not bit for "
        "bit that of a run with so many epochs.",
    )


class Processes(Record):
    """What differs from the processes that began the run; null: as recorded."""

    coordinator: str | None = Field(None, description="Where they meet, HOST:PORT.")
    processes: int | None = Field(None, description="Their number; 1: this one alone.")
    index: int | None = Field(None, description="The number of this one. The first one's is recorded.")


class Resume(RunSettings):
    """Which run goes on, and for how long.

    It goes on in the same folder and MLflow run. A sweep goes on by its own command.
    """

    train: Longer = Field(Longer(), description="What of the training is changed.")
    distributed: Processes = Field(Processes(), description="Which processes go on with it.")


def resume(settings: Resume, asked: Asked) -> int:
    """Trains the rest of the run. Returns its exit status."""
    from runner import composition
    from runner.tracking import begun

    folder = _folder(settings.run, asked).absolute()
    found = begun.read(folder)
    if any((place / folders.MULTIRUN).exists() for place in (folder, folder.parent)):
        how = f": {found.command}" if found else ""
        rule = f"must be a single run; a sweep goes on by the same command{how}"
        raise ConfigError(Fault("run", f"{rule}, got {folders.short(folder)}"))
    if found is None or not (folder / "config.yaml").is_file():
        rule = "must be a run that this version began, with its run.json and config.yaml"
        raise ConfigError(Fault("run", f"{rule}, got {folders.short(folder)}"))
    tags = _check_length(folder, found, settings.train.epochs)
    if Path(found.working_folder).is_dir():
        os.chdir(found.working_folder)  # relative paths of data and stores count from there

    def one(job: "Job") -> Any:
        from runner.run import run

        own = replace(job.context, overrides=found.overrides, command=found.command, goes_on=True, tags=tags)
        return run(job.configuration.experiment, own).status

    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    arguments = ["--config-dir", str(folder), "--config-name", "config", f"hydra.run.dir='{quoted}'"]
    arguments += ["hydra.output_subdir=null", "hydra.job.name=runner"]
    if settings.train.epochs is not None:
        arguments.append(f"train.epochs={settings.train.epochs}")
    changed = {name: getattr(settings.distributed, name) for name in Processes.model_fields}
    arguments += [f"++distributed.{name}='{value}'" for name, value in changed.items() if isinstance(value, str)]
    arguments += [f"++distributed.{name}={value}" for name, value in changed.items() if isinstance(value, int)]
    return composition.train(replace(asked.command, arguments=tuple(arguments)), one)


def _folder(run: str, asked: Asked) -> Path:
    """The folder of a run, by its path, its id in MLflow, or the identity of a run that MLflow does not have."""
    from runner.tracking import begun
    from runner.tracking.listing import end_gone
    from runner.tracking.locating import folder_of, with_id
    from runner.tracking.settings import absolute_uri
    from runner.tracking.store import opened

    if Path(run).is_dir():
        return Path(run)
    settings = asked.tracking()
    if (noted := begun.named(absolute_uri(settings.uri), run)) is not None:
        return noted[0]
    store = opened(settings)
    end_gone(store)
    found = with_id(store, run)
    if (folder := folder_of(store, found)) is None:
        raise ConfigError(Fault("run", f"must have its folder on this machine, got {run}"))
    return folder


def _check_length(folder: Path, found: "Begun", epochs: int | None) -> dict[str, str]:
    """The tags of a run whose number of epochs is changed. Raises ConfigError if there is nothing to train."""
    from runner import strict_yaml
    from runner.tracking.store import LONGER
    from runner.training import checkpoints

    short = folders.short(folder)
    if epochs is None:
        if found.ended == "FINISHED":
            rule = "must not have finished; train.epochs=NUMBER trains it for longer"
            raise ConfigError(Fault("run", f"{rule}, got {short}"))
        return {}
    own = strict_yaml.mapping(folder / "config.yaml").get("train", {})
    before = own.get("epochs")
    if own.get("steps") is not None:
        raise ConfigError(must("train.epochs", "be left out for a run whose length is train.steps", epochs))
    if isinstance(before, int) and epochs < before:
        raise ConfigError(must("train.epochs", f"be at least {before}, which the run began with", epochs))
    if found.ended == "FINISHED" and not checkpoints.found(folder / checkpoints.FOLDER):
        raise ConfigError(Fault("run", f"must have a checkpoint to be trained for longer, got {short}"))
    if epochs == before:
        return {}
    print(
        f"train.epochs: {before} → {epochs}. Learning rates are computed anew, so the result is not bit for bit that of"
    )
    print(f"a run with train.epochs={epochs} from its beginning.")
    return {LONGER: str(epochs), "resumed.exact": f"no: train.epochs was {before}"}


VERB = SettingsVerb(Resume, resume, examples=("run=outputs/first", "run=outputs/first train.epochs=40"))
