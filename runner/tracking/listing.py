"""Lists the runs and sweeps of a store, and ends those whose process is gone.

>>> age_text(200)
'3 min'
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from runner.processes import Process
from runner.sweep.tags import STATUS
from runner.tracking import begun
from runner.tracking.begun import Begun
from runner.tracking.locating import Latest, is_sweep, with_id
from runner.tracking.reading import monitored
from runner.tracking.settings import Tracking, absolute_uri, database_file
from runner.tracking.store import FOLDER, LONGER, PARENT, PROCESS, Store, opened

GONE: Final = "its process is gone"
CHECKPOINTS: Final = "checkpoints"  # the name of their folders
_PER_EPOCH: Final = "train/loss"  # recorded once for each epoch


@dataclass(frozen=True)
class Wanted:
    """Which runs to list: the latest `limit` of those that began after `since` (seconds since 1970).

    With `sweep`, the beginning of the id of a sweep's run, its members; else single runs and sweeps.
    """

    status: str | None = None
    model: str | None = None
    since: float | None = None
    sweep: str | None = None
    limit: int = 20


@dataclass(frozen=True)
class Listed:
    """A run, or a sweep with the number of its `members`. Times are seconds since 1970.

    `epochs` were recorded of `of_epochs`; `value` is the best of the monitored `metric`, as far as there is one.
    `bytes` is the size of the folder on this machine, `checkpoint_bytes` the part of it that checkpoints take.
    `goes_on` says whether `runner resume` can go on with it.
    """

    run_id: str
    name: str
    experiment: str
    status: str
    reason: str
    members: int | None
    epochs: int | None
    of_epochs: int | None
    metric: str
    value: float | None
    began: float
    ended: float | None
    folder: str
    bytes: int | None
    checkpoint_bytes: int | None
    goes_on: bool


def listed(tracking: Tracking, wanted: Wanted) -> list[Listed]:
    """The runs that are wanted, the latest first; those whose process is gone have been ended as KILLED.

    Runs that the store does not have yet come before those that it has.
    Raises TrackingError if the store cannot be read, and ConfigError if no sweep has the id.
    """
    noted = list(_noted(tracking, wanted))
    file = database_file(tracking.uri)
    if noted and file is not None and not file.exists():
        return noted[: wanted.limit]
    return [*noted, *_stored(tracking, wanted)][: wanted.limit]


def _stored(tracking: Tracking, wanted: Wanted) -> list[Listed]:
    store = opened(tracking)
    end_gone(store)
    experiments = {one.experiment_id: one.name for one in store.client.search_experiments(max_results=50_000)}
    runs = list(itertools.islice(_runs(store, wanted), wanted.limit))
    latest = Latest(store, [run for run in runs if not is_sweep(run)])  # a sweep has its members below its folder
    return [_listed(store, run, experiments, latest) for run in runs]


def _noted(tracking: Tracking, wanted: Wanted) -> Iterator[Listed]:
    """The runs that began, and that the store does not have: theirs were killed before, or are about to be created."""
    if wanted.sweep is not None or wanted.model is not None:
        return
    for folder, own in begun.noted(absolute_uri(tracking.uri)):
        status = own.ended or ("KILLED" if _is_gone(own) else "RUNNING")
        if wanted.status in (None, status) and (wanted.since is None or own.began >= wanted.since):
            yield Listed(
                run_id=own.identity,
                name=own.name,
                experiment=tracking.experiment,
                status=status,
                reason="MLflow does not have it",
                members=None,
                epochs=0,
                of_epochs=None,
                metric="val/accuracy",
                value=None,
                began=own.began,
                ended=None,
                folder=str(folder),
                bytes=size_of(folder),
                checkpoint_bytes=checkpoint_size_of(folder),
                goes_on=status == "KILLED",
            )


def _is_gone(own: Begun) -> bool:
    try:
        return Process.from_text(own.process).has_ended(own.began)
    except (ValueError, TypeError):
        return False


def end_gone(store: Store) -> list[str]:
    """Ends the runs of this host whose process has ended without saying so. Returns their ids."""
    gone = []
    for run in store.runs("attributes.status = 'RUNNING'"):
        process = process_of(run)
        if process is not None and process.has_ended(_heard(run)):
            gone.append(str(run.info.run_id))
    for run_id in gone:
        store.client.set_tag(run_id, "end_reason", GONE)
        store.client.set_terminated(run_id, "KILLED")
    return gone


def _heard(run: Any) -> float:
    """When the run last gave a sign: by its beginning, or the end of its last epoch."""
    last = _last_epoch(run)
    return float(max(run.info.start_time, last.timestamp if last else 0)) / 1000


def _last_epoch(run: Any) -> Any:
    """The value of the last epoch, with its step and its time, which the run itself has; None before the first."""
    return next((last for last in run.data.to_proto().metrics if last.key == _PER_EPOCH), None)


def members_of(store: Store, run_id: str) -> list[Any]:
    """The runs below a sweep's run; none below another run."""
    return list(store.runs(f"tags.`{PARENT}` = '{run_id}'"))


def process_of(run: Any) -> Process | None:
    """The process that records a run; None for runs of other programs, and of versions before this tag."""
    try:
        return Process.from_text(run.data.tags[PROCESS])
    except (KeyError, ValueError, TypeError):
        return None


def _runs(store: Store, wanted: Wanted) -> Iterator[Any]:
    conditions = []
    if wanted.status in ("RUNNING", "FINISHED", "FAILED", "KILLED"):
        conditions.append(f"attributes.status = '{wanted.status}'")
    if wanted.since is not None:
        conditions.append(f"attributes.start_time >= {int(wanted.since * 1000)}")
    if wanted.model is not None:
        name = wanted.model.replace("'", "")
        conditions.append(f"params.`model.name` = '{name}'")
    if wanted.sweep is not None:
        conditions.append(f"tags.`{PARENT}` = '{with_id(store, wanted.sweep).info.run_id}'")
    for run in store.runs(" AND ".join(conditions)):
        is_member = PARENT in run.data.tags
        if (wanted.sweep is not None or not is_member) and wanted.status in (None, _status(run)):
            yield run


def _listed(store: Store, run: Any, experiments: dict[str, str], latest: Latest) -> Listed:
    tags, params = run.data.tags, run.data.params
    whole = is_sweep(run)
    best = monitored(run)
    last = None if whole else _last_epoch(run)
    folder, epochs = latest.folder_of(run), tags.get(LONGER) or params.get("train.epochs", "")
    can_go_on = folder is not None and PARENT not in tags and not whole and (folder / begun.RUN).is_file()
    return Listed(
        run_id=str(run.info.run_id),
        name=str(run.info.run_name),
        experiment=experiments.get(run.info.experiment_id, ""),
        status=_status(run),
        reason=tags.get("end_reason") or tags.get("failure") or "",
        members=len(members_of(store, run.info.run_id)) if whole else None,
        epochs=None if whole else last.step if last else 0,
        of_epochs=int(epochs) if epochs.isdigit() and not whole else None,
        metric=best.metric,
        value=best.value,
        began=run.info.start_time / 1000,
        ended=None if run.info.end_time is None else run.info.end_time / 1000,
        folder=tags.get(FOLDER, ""),
        bytes=None if folder is None else size_of(folder),
        checkpoint_bytes=None if folder is None else checkpoint_size_of(folder),
        goes_on=can_go_on and run.info.status == "KILLED",
    )


def _status(run: Any) -> str:
    """MLflow's status, but PRUNED for the members that a search ended."""
    return "PRUNED" if run.data.tags.get(STATUS) == "PRUNED" else str(run.info.status)


def size_of(folder: Path) -> int:
    """The size of all files in a folder, in bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def checkpoint_size_of(folder: Path) -> int:
    """The part of it that checkpoints take, those of the members of a sweep too."""
    return sum(size_of(path) for path in folder.rglob(CHECKPOINTS) if path.is_dir())


def as_json(runs: list[Listed]) -> str:
    """The runs as a JSON list of objects; `began` and `ended` are seconds since 1970."""
    return json.dumps([asdict(run) for run in runs], indent=1, ensure_ascii=False)


def age_text(seconds: float) -> str:
    """A duration in its largest unit: `3 min`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
