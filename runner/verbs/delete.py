"""`runner delete run=ID`: deletes runs from the store, and their folders; asks before."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from runner.errors import ConfigError, Fault
from runner.folders import MULTIRUN
from runner.records import Record
from runner.verb import StoreVerb

if TYPE_CHECKING:
    from runner.tracking import Tracking


class Delete(Record):
    """Which runs are deleted, with their folders. The members of a sweep are deleted with it."""

    run: str = Field(min_length=4, description="The ids of runs, or their beginnings, with commas between them.")
    confirm: bool = Field(True, description="Whether to ask before anything is deleted.")


def delete(tracking: "Tracking", settings: Delete) -> int:
    """Deletes each run. MLflow can restore the run, but not its folder."""
    from rich.filesize import decimal

    from runner.tracking.listing import end_gone, folder_of, members_of, size_of, with_ids
    from runner.tracking.store import opened

    store = opened(tracking)
    end_gone(store)
    named = with_ids(store, tuple(settings.run.split(",")))
    runs: dict[str, Any] = {}
    for run in named:
        for one in (*members_of(store, run.info.run_id), run):
            if one.info.status == "RUNNING":
                raise ConfigError(Fault("run", f"must have ended, got {one.info.run_id}; runner stop ends it"))
            runs[one.info.run_id] = one
    folders = {folder for run in runs.values() if (folder := folder_of(run)) and _is_output(folder)}
    for run in named:
        print(f"{run.info.run_id} {run.info.run_name}")
    size = sum(size_of(folder) for folder in folders)
    print(f"{len(runs)} run{'s' * (len(runs) != 1)}, {len(folders)} folder{'s' * (len(folders) != 1)}, {decimal(size)}")
    if settings.confirm and not _agreed():
        print("nothing was deleted")
        return 1
    for run_id in runs:
        store.client.delete_run(run_id)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    print("deleted")
    return 0


def _is_output(folder: Path) -> bool:
    """Whether a folder holds the output of a run or of a sweep, and not the folder in which the command is given."""
    is_ours = (folder / ".hydra").is_dir() or (folder / MULTIRUN).is_file()
    return is_ours and not (folder / ".git").exists() and not Path.cwd().is_relative_to(folder)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(Fault("confirm", "must be false where nobody can be asked, got true"))
    return input("delete them? [y/N] ").strip().lower() in ("y", "yes")


VERB = StoreVerb(Delete, delete)
