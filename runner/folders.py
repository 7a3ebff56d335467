"""Output folders: each belongs to one run or one sweep, and is made before anything is written to it.

Two commands that start in the same second ask for the same folder. Making a folder is atomic, so one of them gets it
and the other takes the next name: `05-12-33`, `05-12-33-02`, `05-12-33-03`. A folder that the user names is used as
it is, unless it holds another run.
"""

import itertools
import os
import shutil
import uuid
from pathlib import Path
from typing import Final

from hydra._internal import hydra as internal
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from runner.errors import ConfigError, must

RUN, SWEEP = "hydra.run.dir", "hydra.sweep.dir"
MULTIRUN: Final = "multirun.yaml"
# The sweeper that goes on with earlier sweeps in their folders, and so chooses the folder itself.
_CHOOSES: Final = "hydra_plugins.convrunner_sweeper"
_records: dict[Path, Path] = {}  # of folders that the user named: what marks them as this process's


def make(path: Path) -> Path:
    """Makes a new folder, at `path` or at the first of `path-02`, `path-03`, … that does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for count in itertools.count(1):
        folder = path if count == 1 else path.with_name(f"{path.name}-{count:02}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("counting never ends")


def claim_for_run(folder: Path, record: str) -> None:
    """Makes a folder that the user named this run's own; `record` is the subfolder in which Hydra describes the run.

    Raises ConfigError where another run has described itself there.
    """
    subfolder = folder / record
    subfolder.parent.mkdir(parents=True, exist_ok=True)
    try:
        subfolder.mkdir()
    except FileExistsError:
        raise ConfigError(must(RUN, "be a folder that holds no other run", short(folder))) from None
    _records[folder.absolute()] = subfolder


def release(folder: Path) -> None:
    """Gives back a folder that `claim_for_run` claimed in this process, for a run that never began."""
    if (subfolder := _records.pop(folder.absolute(), None)) is not None:
        shutil.rmtree(subfolder, ignore_errors=True)


def claim_for_sweep(folder: Path, heading: str = "") -> None:
    """Makes a folder a sweep's own, by a `multirun.yaml` that begins with the line `heading`.

    Raises ConfigError where the `multirun.yaml` of another sweep lies there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / MULTIRUN
    draft = folder / f".{MULTIRUN}-{uuid.uuid4().hex}"  # not by `tempfile`, whose files only their owner can read
    draft.write_text(heading, encoding="utf-8")
    try:
        if not _linked(draft, file) and (not heading or _first_line(file) != heading):
            raise ConfigError(must(SWEEP, "be a folder that holds no other sweep", short(folder)))
    finally:
        draft.unlink(missing_ok=True)


def _linked(draft: Path, file: Path) -> bool:
    """Whether a draft could be given its name, which no file had."""
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with file.open("xb") as target:
                target.write(draft.read_bytes())
        except FileExistsError:
            return False
    return True


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.readline()


def short(folder: Path) -> Path:
    """A folder as a user calls it: from the current folder, where it lies below it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def is_named(config: DictConfig, key: str) -> bool:
    """Whether the command line names the folder."""
    return any(str(line).lstrip("+").startswith(f"{key}=") for line in config.hydra.overrides.hydra)


def put_sweep(config: DictConfig, folder: Path) -> None:
    """Has Hydra write a sweep to a folder, also where it composes the configurations of members anew."""
    quoted = QuotedString(str(folder), Quote.single).with_quotes()
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"{SWEEP}={quoted}")


def _settle(config: DictConfig, mode: RunMode) -> None:
    """Makes the folder of what Hydra is about to run, and has Hydra write there."""
    if config.hydra.output_subdir is None:  # nothing is described, as for `runner describe`
        return
    key = RUN if mode == RunMode.RUN else SWEEP
    if key == SWEEP and str(config.hydra.sweeper.get("_target_")).startswith(_CHOOSES):
        return
    HydraConfig.instance().set_config(config)  # the folder's name may refer to Hydra's part
    OmegaConf.set_readonly(config.hydra, None)  # Hydra itself changes it later
    folder = Path(str(OmegaConf.select(config, key)))
    if is_named(config, key):
        if key == RUN:
            claim_for_run(folder, config.hydra.output_subdir)
        else:
            claim_for_sweep(folder)
    elif (made := make(folder)) != folder:
        if key == RUN:
            with read_write(config), open_dict(config):
                config.hydra.run.dir = str(made)
        else:
            put_sweep(config, made.absolute())


class Settled(internal.Hydra):
    """Hydra, but that folders are made as soon as a configuration is composed, before anything is written."""

    def compose_config(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        with_log_configuration: bool = False,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        config = super().compose_config(
            config_name, overrides, run_mode, with_log_configuration, from_shell, validate_sweep_overrides
        )
        if with_log_configuration:  # without, Hydra only looks at the configuration
            _settle(config, run_mode)
        return config
