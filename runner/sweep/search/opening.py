"""Starts a search, or continues the one that the same command started."""

import hashlib
import itertools
import uuid
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Final

import optuna

from runner.errors import ConfigError, Fault, must, shown, unknown
from runner.path_names import short_names
from runner.sweep.search import lease
from runner.sweep.search.joint import JointStudy
from runner.sweep.search.study import IDENTITY, Study
from runner.sweep.search.workers import Workers
from runner.sweep.settings import Sweep
from runner.sweep.space import Space
from runner.tracking.creating import alone
from runner.tracking.settings import Tracking, absolute_uri, database_file, without_secrets
from runner.tracking.template import complete

_BEGAN: Final = "began"
_PLACE: Final = "place"
_MOST_DIFFERENCES: Final = 8
_SECONDS_FOR_A_LOCK: Final = 60.0
_ENGINE: Final = ("engine", "engine_address", "engine_workers", "engine_cpus", "engine_gpus", "engine_options")
# Places that are compared with those stored in the study.
_COMPARED: Final = ("tracking.uri",)
# Settings that affect how a sweep runs, but not its identity.
_NO_IDENTITY: Final = (
    *(f"tracking.{name}" for name in ("uri", "run_name", "tags", "log_model", "register")),
    "figures",
    "distributed",
    *("hydra", "train.save_every=", "train.keep_checkpoints"),
    *(
        f"sweep.{name}="
        for name in (
            "strategy",
            *_ENGINE,
            "max_members",
            "log_models",
            "trials",
            "seconds",
            "batch",
            "resume",
            "storage",
        )
    ),
)


def open_study(
    space: Space,
    settings: Sweep,
    *,
    base: Mapping[str, str],
    storage: str,
    epochs: int,
    place: Mapping[str, str] = MappingProxyType({}),
    hold: ExitStack | None = None,
) -> Study:
    """Opens a new search, or the one that the same command started.

    `base` are the settings of all members, by dotted path; `storage` is an Optuna URL; `epochs` is the largest number
    of epochs of a member; `place` are the places of results that belong to the sweep's identity. `hold` keeps the
    lease of the sweep, or with `sweep.engine=workers` that of this worker, until it is closed.
    Raises ConfigError if another process is training the sweep, or if the stored search has other settings; the faults
    name the differences.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    now = {f"sweep.space.{path}": text for path, text in space.texts.items()} | {
        f"sweep.{field}": shown(getattr(settings, field)) for field in ("metric", "conditions", "zip", "constraints")
    }
    now |= dict(base)
    directions = [direction for _, direction in settings.objectives]
    is_joint, first = settings.engine == "workers", 0
    with ExitStack() as turn:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecations of SQLAlchemy in Optuna's code
                database = _opened(storage)
                name = _name(space, settings, optuna.get_all_study_names(database), place)
                stored = optuna.create_study(
                    study_name=name, storage=database, directions=directions, load_if_exists=True
                )
                workers = Workers(database, name)
                if is_joint:
                    turn.enter_context(workers.turn())
                elif hold is not None:
                    hold.enter_context(lease.held(database, name))
                _compare(stored, now, place)
                if is_joint and hold is not None:
                    hold.enter_context(workers.joined())
                elif not is_joint:
                    first = workers.remove()
        except ConfigError:
            raise
        except Exception as error:
            reason = str(error).split("\n")[0]
            rule = f"be a storage that Optuna can open ({reason})"
            raise ConfigError(must("sweep.storage", rule, without_secrets(storage))) from error
        if is_joint:
            return JointStudy(name, space, settings, stored, epochs, workers=workers)
        return Study(name, space, settings, stored, epochs, first=first)


def _compare(stored: optuna.Study, now: Mapping[str, str], place: Mapping[str, str]) -> None:
    """Stores the settings of a new sweep. Raises ConfigError if those of a known one differ."""
    began, placed = stored.user_attrs.get(_BEGAN), stored.user_attrs.get(_PLACE)
    if began is None:
        stored.set_user_attr(IDENTITY, uuid.uuid4().hex)
        stored.set_user_attr(_PLACE, dict(place))
        stored.set_user_attr(_BEGAN, now)
        return
    both = {path: placed[path] for path in _COMPARED if placed and path in placed and path in place}
    faults = _differences(began | both, dict(now) | {path: place[path] for path in both})
    if faults:
        raise ConfigError(*faults)


def _opened(storage: str) -> optuna.storages.RDBStorage:
    """Opens Optuna's storage.

    A new SQLite file is created elsewhere and moved into place when it has all tables, because two processes that
    create tables in one file at the same time fail.
    """
    file = database_file(storage)
    if file is not None and not file.exists():
        with complete(file) as scratch:
            optuna.storages.RDBStorage(f"sqlite:///{scratch}").engine.dispose()
    # Of many processes on one file, SQLite's own five seconds are not enough for the last one to have its turn.
    own = {"connect_args": {"timeout": _SECONDS_FOR_A_LOCK}} if file is not None else None
    with alone(storage):
        return optuna.storages.RDBStorage(storage, engine_kwargs=own)


def _name(space: Space, settings: Sweep, names: list[str], place: Mapping[str, str]) -> str:
    """The name of the search: the user's, else made of the varied paths and a hash of all settings."""
    if settings.resume not in ("auto", "never"):
        if settings.resume not in names:
            raise ConfigError(unknown("sweep.resume", "sweep", settings.resume, [*names, "auto", "never"]))
        return settings.resume
    lines = sorted([*space.fixed.values(), *(f"{path}={text}" for path, text in space.texts.items())])
    identity = [line for line in lines if not line.lstrip("+").startswith(_NO_IDENTITY)]
    identity += [f"{path}={text}" for path, text in sorted(place.items()) if text != _default_place(path)]
    digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:6]
    name = settings.name or "-".join([*short_names(space.dimensions).values(), digest])
    if settings.resume == "never":
        fresh = (f"{name}-{count}" for count in itertools.count(2))
        return name if name not in names else next(other for other in fresh if other not in names)
    return name


def _default_place(path: str) -> str | None:
    """The default place of results, which is not part of a sweep's name."""
    return absolute_uri(Tracking().uri) if path == "tracking.uri" else None


# Settings that files did not name in earlier versions, with what sweeps had in their place.
_ADDED: Final = {"task.name": "classification"}


def _differences(began: Mapping[str, str], now: Mapping[str, str]) -> list[Fault]:
    """Faults for the settings that changed since the sweep started; only the first few."""
    faults = []
    began = {path: value for path, value in _ADDED.items() if path in now} | dict(began)
    for path in sorted({*began, *now}):
        if began.get(path) != now.get(path):
            rule = f"be the value with which the sweep started ({began.get(path, 'nothing')})"
            faults.append(must(path, rule, now.get(path, "nothing")))
    if faults:
        text = "a sweep with other settings exists; set sweep.resume=never or choose another sweep.name"
        faults = [*faults[:_MOST_DIFFERENCES], Fault("sweep", text)]
    return faults
