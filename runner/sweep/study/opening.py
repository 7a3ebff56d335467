"""Beginning a search, or going on with the one that the same command began."""

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
from runner.sweep.settings import Sweep
from runner.sweep.space import Space
from runner.sweep.study import lease
from runner.sweep.study.study import IDENTITY, Study
from runner.tracking.settings import Tracking, absolute_uri, database_file, without_secrets
from runner.tracking.template import complete

_BEGAN: Final = "began"
_PLACE: Final = "place"
_MOST_DIFFERENCES: Final = 8
# A folder that is named is compared with the one that the sweep remembers.
_COMPARED: Final = ("tracking.uri",)
# What says how a sweep is run, and not what it is.
_NO_PART: Final = (
    *(f"tracking.{name}" for name in ("uri", "run_name", "tags", "log_model", "figures")),
    "hydra",
    *(f"sweep.{name}=" for name in ("strategy", "max_members", "log_models", "trials", "batch", "resume", "storage")),
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
    """A new search, or the one that the same command began.

    `base` is what all members share, by dotted path; `storage` a URL of Optuna's; `epochs` the most a member trains;
    `place` where results are written, as far as that is part of what the sweep is. `hold` keeps other processes from
    training the same sweep until it is closed.
    Raises ConfigError where another process trains the sweep, and where the search to go on with was one for
    something else, naming every difference.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what SQLAlchemy will retire is Optuna's to follow
            database = _opened(storage)
            name = _name(space, settings, optuna.get_all_study_names(database), place)
            directions = [direction for _, direction in settings.objectives]
            stored = optuna.create_study(study_name=name, storage=database, directions=directions, load_if_exists=True)
            if hold is not None:
                hold.enter_context(lease.held(database, name))
    except ConfigError:
        raise
    except Exception as error:
        reason = str(error).split("\n")[0]
        rule = f"be a storage that Optuna can open ({reason})"
        raise ConfigError(must("sweep.storage", rule, without_secrets(storage))) from error
    now = {f"sweep.space.{path}": text for path, text in space.texts.items()} | {
        f"sweep.{field}": shown(getattr(settings, field)) for field in ("metric", "conditions", "zip", "constraints")
    }
    now |= dict(base)
    began, placed = stored.user_attrs.get(_BEGAN), stored.user_attrs.get(_PLACE)
    if began is None:
        stored.set_user_attr(IDENTITY, uuid.uuid4().hex)
        stored.set_user_attr(_PLACE, dict(place))
        stored.set_user_attr(_BEGAN, now)
    else:
        both = {path: placed[path] for path in _COMPARED if placed and path in placed and path in place}
        faults = _differences(began | both, now | {path: place[path] for path in both})
        if faults:
            raise ConfigError(*faults)
    return Study(name, space, settings, stored, epochs)


def _opened(storage: str) -> optuna.storages.RDBStorage:
    """Optuna's storage. A new SQLite file is made beside its place, and comes there when all of its tables exist:
    two processes that make them in one file at the same time disturb each other.
    """
    file = database_file(storage)
    if file is not None and not file.exists():
        with complete(file) as scratch:
            optuna.storages.RDBStorage(f"sqlite:///{scratch}").engine.dispose()
    return optuna.storages.RDBStorage(storage)


def _name(space: Space, settings: Sweep, names: list[str], place: Mapping[str, str]) -> str:
    """What the search is called: as the user says, else by what varies and a hash of everything that was said."""
    if settings.resume not in ("auto", "never"):
        if settings.resume not in names:
            raise ConfigError(unknown("sweep.resume", "sweep", settings.resume, [*names, "auto", "never"]))
        return settings.resume
    said = sorted([*space.fixed.values(), *(f"{path}={text}" for path, text in space.texts.items())])
    kept = [line for line in said if not line.lstrip("+").startswith(_NO_PART)]
    kept += [f"{path}={text}" for path, text in sorted(place.items()) if text != _usual(path)]
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:6]
    name = settings.name or "-".join([*(path.split(".")[-1] for path in space.dimensions), digest])
    if settings.resume == "never":
        fresh = (f"{name}-{count}" for count in itertools.count(2))
        return name if name not in names else next(other for other in fresh if other not in names)
    return name


def _usual(path: str) -> str | None:
    """Where results are written if nobody says it; it adds nothing to a sweep's name."""
    return absolute_uri(Tracking().uri) if path == "tracking.uri" else None


def _differences(began: Mapping[str, str], now: Mapping[str, str]) -> list[Fault]:
    """What a sweep began with and is another now; the first few are told."""
    faults = []
    for path in sorted({*began, *now}):
        if began.get(path) != now.get(path):
            rule = f"be what the sweep began with ({began.get(path, 'nothing')})"
            faults.append(must(path, rule, now.get(path, "nothing")))
    if faults:
        text = "a sweep with other settings exists; set sweep.resume=never or choose another sweep.name"
        faults = [*faults[:_MOST_DIFFERENCES], Fault("sweep", text)]
    return faults
