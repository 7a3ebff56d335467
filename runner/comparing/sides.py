"""A side of a comparison: a run, a sweep or a YAML file, read from wherever the user's name for it points.

>>> one = read("config.yaml", lambda: opened(Tracking()))
>>> one.settings["optimizer.learning_rate"], one.layers[0]
('0.003', 'conv: {filters: 6, kernel_size: 5}')
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from runner import strict_yaml
from runner.comparing.variants import with_bases
from runner.errors import ConfigError, TrackingError, must, shown
from runner.experiment import Experiment, parameters, parse_as
from runner.tracking.listing import members_of
from runner.tracking.locating import artifacts, latest_in, named
from runner.tracking.reading import Recorded, history, monitored, recorded
from runner.tracking.store import Store
from runner.tracking.view import ACCURACY, METRIC_TAG
from runner.trained import CONFIG, NETWORK

_SUFFIXES: Final = (".yaml", ".yml")
# The tags of a run that say with what it was made, by the words for them.
_FACTS: Final = {
    "mlflow.source.git.commit": "commit",
    "version": "convrunner",
    "jax": "jax",
    "device": "device",
}
_LONGEST: Final = 400


@dataclass(frozen=True)
class Side:
    """`settings` are values by their paths, with defaults where the file is a whole configuration.

    `history` has metrics by epoch, as far as the store has them. `members` are those of a sweep, whose settings and
    results are those of its best member, named `best`.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    members: tuple[Recorded, ...] = ()
    best: str = ""


def read(name: str, store: Callable[[], Store], curves: tuple[str, ...] = ()) -> Side:
    """The side that a user names: an id or its beginning, a folder, models:/NAME@ALIAS, or a YAML file.

    `store` opens the store, which a file does not need. `curves` names the metrics whose history is read; none: that by
    which runs of its task are compared, and the loss.
    Raises ConfigError and TrackingError in one line each.
    """
    path = Path(name)
    if path.suffix in _SUFFIXES and path.is_file():
        return Side(name, *_configuration(path))
    if path.is_dir():
        return _of_folder(name, store, curves)
    opened = store()
    run = named(opened, name)
    return _recorded(str(run.info.run_name), opened, run, curves)


def _of_folder(name: str, store: Callable[[], Store], curves: tuple[str, ...]) -> Side:
    """A folder, with what the store has of its run, if there is a store."""
    folder = Path(name)
    try:
        opened = store()
        run = latest_in(opened, folder.absolute())
    except TrackingError:
        run = None
    if run is not None:
        return _recorded(name, opened, run, curves)
    if not (folder / CONFIG).is_file():
        raise ConfigError(must("command line", f"name runs, YAML files, or folders with {CONFIG}", name))
    known = _known(folder / NETWORK)
    settings, layers = _configuration(folder / CONFIG)
    return Side(name, settings, layers, _facts(known, {}), known.get("metrics", {}))


def _recorded(name: str, store: Store, run: Any, curves: tuple[str, ...]) -> Side:
    """A run of the store, or the best member of a sweep, with all members."""
    members = members_of(store, run.info.run_id)
    if not members:
        return _of_run(name, store, run, curves)
    best = min(members, key=lambda member: monitored(member).cost)
    side = _of_run(name, store, best, curves)
    return replace(side, members=tuple(map(recorded, members)), best=str(best.info.run_name))


def _of_run(name: str, store: Store, run: Any, curves: tuple[str, ...]) -> Side:
    own = recorded(run)
    with artifacts(store, run) as folder:
        known = _known(folder / NETWORK)
        settings, layers = _configuration(folder / CONFIG) if (folder / CONFIG).is_file() else (run.data.params, ())
    curves = curves or (f"val/{own.tags.get(METRIC_TAG, ACCURACY)}", "val/loss")
    return Side(name, settings, layers, _facts(known, own.tags), own.metrics, history(store, own.run_id, curves))


def _facts(known: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, str]:
    """With what a run was made: from network.json, which only a run that ended has, and from its tags."""
    facts = {"convrunner": known.get("version"), "data digest": known.get("digest")}
    facts |= {word: tags[tag] for tag, word in _FACTS.items() if tag in tags}
    return {word: text for word, text in facts.items() if text}


def _configuration(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """The values and the layers of a YAML file, with every default if it is a whole configuration."""
    config = with_bases(strict_yaml.mapping(path), path)
    model = config.get("model", config)
    layers = model.get("layers", []) if isinstance(model, dict) else []
    settings = dict(_leaves(config))
    try:
        own = {name: value for name, value in config.items() if name in Experiment.model_fields}
        settings |= parameters(parse_as(Experiment, own))
    except ConfigError:  # a part of a configuration, or one of an earlier version, is compared as it is written
        pass
    return settings, tuple(_layer(layer) for layer in layers) if isinstance(layers, list) else ()


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            if name != "layers":
                yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif value is not None:
        yield path, shown(value, _LONGEST)


def _layer(layer: Any) -> str:
    """A layer as in YAML, on one line: `conv: {filters: 6}`."""
    if isinstance(layer, dict) and len(layer) == 1:
        [(kind, own)] = layer.items()
        return f"{kind}: {shown(own, _LONGEST)}"
    return shown(layer, _LONGEST)


def _known(path: Path) -> dict[str, Any]:
    """The content of network.json, which only a run that ended has."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
