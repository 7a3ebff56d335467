"""`runner delete run=ID`: deletes runs with their folders, or only their checkpoints."""

import shutil
import socket
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from runner.errors import ConfigError, Fault
from runner.folders import MULTIRUN
from runner.records import Record
from runner.verb import Asked, SettingsVerb


class Delete(Record):
    """Which runs are deleted.

    The members of a sweep are deleted with it. MLflow can restore a deleted run, but not its folder.
    """

    run: str = Field(min_length=4, description="The ids of runs, or their beginnings, with commas between them.")
    only: Literal["checkpoints"] | None = Field(
        None, description="checkpoints: keeps the runs, but deletes what `runner resume` goes on from."
    )
    confirm: bool = Field(True, description="Whether to ask before anything is deleted.")


def delete(settings: Delete, asked: Asked) -> int:
    """Deletes each run. MLflow can restore the run, but not its folder."""
    from rich.filesize import decimal

    from runner.tracking.listing import CHECKPOINTS, end_gone, members_of, size_of
    from runner.tracking.locating import folder_of, with_id
    from runner.tracking.store import opened

    store = opened(asked.tracking())
    end_gone(store)
    named = [with_id(store, start) for start in settings.run.split(",")]
    runs: dict[str, Any] = {}
    for run in named:
        for one in (*members_of(store, run.info.run_id), run):
            if one.info.status == "RUNNING":
                raise ConfigError(Fault("run", f"must have ended, got {one.info.run_id}; runner stop ends it"))
            runs[one.info.run_id] = one
    found = {folder: run for run in runs.values() if (folder := folder_of(store, run)) is not None}
    folders = [folder for folder, run in found.items() if _is_output(folder, run)]
    for run in named:
        print(f"{run.info.run_id} {run.info.run_name}")
    for folder in found.keys() - set(folders):
        print(f"kept, as it may hold something else: {folder}")
    if settings.only == "checkpoints":
        folders = sorted({path for folder in folders for path in folder.rglob(CHECKPOINTS) if path.is_dir()})
        what = "checkpoints of"
    else:
        what = ""
    size = sum(size_of(folder) for folder in folders)
    counted = (
        f"{len(runs)} run{'s' * (len(runs) != 1)}, {len(folders)} folder{'s' * (len(folders) != 1)}, {decimal(size)}"
    )
    print(f"{what} {counted}".strip())
    if settings.confirm and not _agreed():
        print("nothing was deleted")
        return 1
    for run_id in runs if settings.only is None else ():
        store.client.delete_run(run_id)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    print("deleted")
    return 0


def _is_output(folder: Path, run: Any) -> bool:
    """Whether a folder was made for this run on this host, and holds nothing else as far as can be seen."""
    from runner.tracking.listing import process_of

    process = process_of(run)
    marks = [path for path in (folder / ".hydra", folder / MULTIRUN) if path.exists()]
    return (
        process is not None
        and process.host == socket.gethostname()  # another host may have a folder of this name
        and bool(marks)
        and min(path.stat().st_mtime for path in marks) * 1000 <= run.info.end_time  # else another run made it again
        and not (folder / ".git").exists()
        and not Path.cwd().is_relative_to(folder)
    )


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(Fault("confirm", "must be false where nobody can be asked, got true"))
    return input("delete them? [y/N] ").strip().lower() in ("y", "yes")


VERB = SettingsVerb(Delete, delete, examples=("run=3f2a,77c0", "run=3f2a only=checkpoints"))
