"""The output folder of a run that a user names: by that folder, by its id in MLflow, or by a registered model.

>>> with output_folder(".", Tracking) as folder: print(folder)
.
"""

import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from runner.errors import ConfigError, Fault, must
from runner.folders import MULTIRUN
from runner.sweep.tags import SWEEP
from runner.tracking.begun import RUN
from runner.tracking.faults import not_opened
from runner.tracking.settings import Tracking, without_secrets
from runner.tracking.store import FOLDER, IDENTITY, PARENT, Store, opened

_ID: Final = re.compile(r"[0-9a-f]{4,32}")
_MODEL: Final = re.compile(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))")
_SHOWN: Final = 3
_MANY: Final = 10  # runs with folders side by side, from which on one search for all of them is cheaper


@contextmanager
def output_folder(run: str, tracking: Callable[[], Tracking]) -> Iterator[Path]:
    """Where the output of a run lies. `tracking` says where runs are recorded, which a folder does not need.

    A run has its folder as a tag. If that folder is not on this machine, or a later run has used it, the run's
    artifacts are downloaded into a folder that is removed afterwards.
    Raises ConfigError where no run is so named, several, or a sweep, and TrackingError where the store cannot be read.
    """
    if (folder := Path(run)).is_dir():
        if (folder / MULTIRUN).exists() and not (folder / RUN).exists():
            raise _swept(run, "its folders are members")
        yield folder
        return
    settings = tracking() if _ID.fullmatch(run) or _MODEL.fullmatch(run) else None
    if settings is None:
        raise ConfigError(must("run", "be an output folder, an MLflow run or models:/NAME@ALIAS", run))
    store = opened(settings)
    found = named(store, run)
    if is_sweep(found):
        raise _swept(run, f"runner runs sweep={run} lists its members")
    with artifacts(store, found) as folder:
        yield folder


def is_sweep(run: Any) -> bool:
    """Whether a run of the store is that of a whole sweep."""
    return SWEEP in run.data.tags and PARENT not in run.data.tags


def _swept(run: str, members: str) -> ConfigError:
    return ConfigError(Fault("run", f"must be a single run or a member of a sweep, got the sweep {run}: {members}"))


def named(store: Store, run: str) -> Any:
    """The run of the store that a user names by its id, or by a registered model. Raises ConfigError."""
    return _registered(store, run) if run.startswith("models:") else with_id(store, run)


@contextmanager
def artifacts(store: Store, run: Any) -> Iterator[Path]:
    """The output folder of a run; else its artifacts, downloaded into a folder that is removed afterwards."""
    if (folder := folder_of(store, run)) is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="convrunner-") as scratch:
        try:
            store.client.download_artifacts(run.info.run_id, "", scratch)
        except Exception as error:
            raise ConfigError(Fault("run", f"must have artifacts that can be read, but {error}")) from error
        yield Path(scratch)


def log_files(tracking: Tracking, run: str, folder: Path, files: Sequence[Path], place: str) -> str:
    """Logs files as artifacts in the folder `place` of a run, and returns the run's id.

    `run` is as in `output_folder`; that of a folder is the latest run with this output folder. Raises ConfigError if
    the store has no such run, and TrackingError if it cannot be opened or takes no file.
    """
    store = opened(tracking)
    if _ID.fullmatch(run) and not Path(run).is_dir():
        found = with_id(store, run)
    elif _MODEL.fullmatch(run):
        found = _registered(store, run)
    else:
        found = latest_in(store, folder.absolute())
    if found is None:
        raise ConfigError(must("run", f"be a run that {without_secrets(store.uri)} has", folder))
    run_id = str(found.info.run_id)
    try:
        for file in files:
            store.client.log_artifact(run_id, str(file), place)
    except Exception as error:
        raise not_opened(tracking.uri, error) from error
    return run_id


def with_id(store: Store, start: str) -> Any:
    """The one run whose id begins so, or whose identity: by that it is listed until the store has it.

    Raises ConfigError if there is none, or if there are several.
    """
    if not _ID.fullmatch(start):
        raise ConfigError(must("run", "be the id of an MLflow run, or its beginning", start))
    runs = list(itertools.islice(store.runs(f"attributes.run_id LIKE '{start}%'"), _SHOWN + 1))
    if not runs:
        runs = list(itertools.islice(store.runs(f"tags.`{IDENTITY}` LIKE '{start}%'"), _SHOWN + 1))
    if len(runs) > 1:
        ids = [run.info.run_id for run in runs[:_SHOWN]]
        others = ", …" if len(runs) > _SHOWN else ""
        raise ConfigError(must("run", f"be the beginning of one id ({', '.join(ids)}{others})", start))
    if not runs:
        raise ConfigError(must("run", f"be a run that {without_secrets(store.uri)} has", start))
    return runs[0]


def folder_of(store: Store, run: Any) -> Path | None:
    """The output folder of a run, if it is on this machine and no later run of the store has used it."""
    folder = Path(run.data.tags.get(FOLDER, ""))
    return folder if folder.name and folder.is_dir() and _is_latest(store, run, folder) else None


class Latest:
    """Finds the folders of many runs: folders side by side, such as those of a sweep's members, in one search."""

    def __init__(self, store: Store, runs: list[Any]) -> None:
        self._store = store
        self._runs: dict[str, str] = {}  # by folder, the id of the latest run that has used it
        parents = Counter(str(Path(run.data.tags.get(FOLDER, "")).parent) for run in runs)
        self._searched = [parent for parent, count in parents.items() if count >= _MANY and Path(parent).is_dir()]
        for parent in self._searched:
            for run in store.runs(f"tags.`{FOLDER}` LIKE {_quoted(f'{parent}/%')}"):
                self._runs.setdefault(run.data.tags[FOLDER], run.info.run_id)

    def folder_of(self, run: Any) -> Path | None:
        """The output folder of a run, as the function of this name finds it."""
        folder = Path(run.data.tags.get(FOLDER, ""))
        if str(folder.parent) not in self._searched:
            return folder_of(self._store, run)
        return folder if folder.is_dir() and self._runs.get(str(folder)) == run.info.run_id else None


def _is_latest(store: Store, run: Any, folder: Path) -> bool:
    """Whether no later run has this folder, which may have been deleted in the meantime and made again."""
    return bool((latest_in(store, folder) or run).info.run_id == run.info.run_id)


def latest_in(store: Store, folder: Path) -> Any | None:
    """The latest run with this output folder, an absolute path."""
    return next(store.runs(f"tags.`{FOLDER}` = {_quoted(str(folder))}"), None)


def _quoted(text: str) -> str:
    """A text in MLflow's filter language."""
    quote = '"' if "'" in text else "'"
    return f"{quote}{text}{quote}"


def _registered(store: Store, name: str) -> Any:
    """The run that logged a registered model."""
    [(model, alias, version)] = _MODEL.findall(name)
    try:
        entry = (
            store.client.get_model_version_by_alias(model, alias)
            if alias
            else store.client.get_model_version(model, version)
        )
        return store.client.get_run(entry.run_id or "none")
    except store.mlflow.MlflowException as error:
        raise ConfigError(
            Fault("run", f"must be a registered model of a run, but {str(error).splitlines()[0]}")
        ) from error
