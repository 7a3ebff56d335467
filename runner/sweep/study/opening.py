"""Beginning a search, or going on with the one that the same command began."""

import hashlib
import itertools
import warnings
from collections.abc import Mapping
from typing import Final

import optuna

from runner.errors import ConfigError, Fault, must, shown, unknown
from runner.sweep.settings import Sweep
from runner.sweep.space import Space
from runner.sweep.study.study import Study

_BEGAN: Final = "began"
_MOST_DIFFERENCES: Final = 8
# What says how a sweep is run, and not what it is.
_NO_PART: Final = (
    "tracking.",
    "hydra",
    *(f"sweep.{name}=" for name in ("strategy", "max_members", "log_models", "trials", "batch", "resume", "storage")),
)


def open_study(space: Space, settings: Sweep, *, base: Mapping[str, str], storage: str, epochs: int) -> Study:
    """A new search, or the one that the same command began.

    `base` is what all members share, by dotted path; `storage` a URL of Optuna's; `epochs` the most a member trains.
    Raises ConfigError where the search to go on with was one for something else, naming every difference.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what SQLAlchemy will retire is Optuna's to follow
            held = optuna.storages.RDBStorage(storage)
            names = optuna.get_all_study_names(held)
            name = _name(space, settings, names)
            directions = [direction for _, direction in settings.objectives]
            stored = optuna.create_study(study_name=name, storage=held, directions=directions, load_if_exists=True)
    except ConfigError:
        raise
    except Exception as error:
        reason = str(error).split("\n")[0]
        raise ConfigError(must("sweep.storage", f"be a storage that Optuna can open ({reason})", storage)) from error
    now = {f"sweep.space.{path}": text for path, text in space.texts.items()} | {
        f"sweep.{field}": shown(getattr(settings, field)) for field in ("metric", "conditions", "zip", "constraints")
    }
    now |= dict(base)
    began = stored.user_attrs.get(_BEGAN)
    if began is None:
        stored.set_user_attr(_BEGAN, now)
    elif faults := _differences(began, now):
        raise ConfigError(*faults)
    return Study(name, space, settings, stored, epochs)


def _name(space: Space, settings: Sweep, names: list[str]) -> str:
    """What the search is called: as the user says, else by what varies and a hash of everything that was said."""
    if settings.resume not in ("auto", "never"):
        if settings.resume not in names:
            raise ConfigError(unknown("sweep.resume", "sweep", settings.resume, [*names, "auto", "never"]))
        return settings.resume
    said = sorted([*space.fixed.values(), *(f"{path}={text}" for path, text in space.texts.items())])
    kept = [line for line in said if not line.lstrip("+").startswith(_NO_PART)]
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:6]
    name = settings.name or "-".join([*(path.split(".")[-1] for path in space.dimensions), digest])
    if settings.resume == "never":
        fresh = (f"{name}-{count}" for count in itertools.count(2))
        return name if name not in names else next(other for other in fresh if other not in names)
    return name


def _differences(began: Mapping[str, str], now: Mapping[str, str]) -> list[Fault]:
    """What a sweep began with and is another now; the first few are told."""
    faults = []
    for path in sorted({*began, *now}):
        if began.get(path) != now.get(path):
            rule = f"be what the sweep began with ({began.get(path, 'nothing')})"
            faults.append(must(path, rule, now.get(path, "nothing")))
    if faults:
        text = "must be never to begin a new sweep, or a name of its own to be given by sweep.name"
        faults = [*faults[:_MOST_DIFFERENCES], Fault("sweep.resume", text)]
    return faults
