"""Edits of layer lists while a configuration is composed.

The edits of a file apply to the list of the files before it: a variant of a variant edits the edited list. The edits of
a command line apply last, to the list of the chosen model. What is left is a whole list, without edits.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from hydra.core.default_element import ResultDefault
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf, flag_override

from runner import edits
from runner.composition.complaints import own_name
from runner.errors import ConfigError, Fault, must
from runner.launchable import Place

_EDITED: Final = f"model.{edits.KEY}"
_MOVED: Final = (("model", "layers"), ("model", "blocks"), ("model", edits.KEY))


def composed(
    defaults: list[ResultDefault],
    compose: Callable[[list[ResultDefault]], DictConfig],
    load: Callable[[ResultDefault], ConfigResult],
) -> DictConfig:
    """What `compose` makes of the files, with the edits of each applied to what was composed before it."""
    config = compose(defaults)
    if edits.KEY not in _model(config):
        return config
    config, base, waiting = OmegaConf.create(), "", list[ResultDefault]()
    editors: list[str] = []
    for default in defaults:
        waiting.append(default)
        loaded = load(default)
        own, file = _model(loaded.config), _file(loaded, default)
        if "layers" in own:
            base, editors = file, []
        if edits.KEY in own:
            config.merge_with(compose(waiting))
            waiting = []
            with _as_of(file):
                if "layers" in own:
                    raise ConfigError(
                        must(_EDITED, "edit the layers of a base that defaults names", "layers beside it")
                    )
                if _apply(config, base or "the files before it"):
                    editors.append(file)
    if waiting:
        config.merge_with(compose(waiting))
    if editors:
        config.hydra.runtime.choices[_EDITED] = f"{base}, edited by {', then '.join(editors)}"
    return config


def editors(hydra: Any) -> str:
    """The base and the editors of the layers of a composed configuration, from Hydra's part of it; empty if none."""
    return str(hydra.runtime.choices.get(_EDITED, ""))


def finished(values: dict[str, Any], from_environment: dict[Place, str], editors: str) -> tuple[dict[Place, str], str]:
    """Applies the edits of the command line to a resolved configuration, in place.

    Returns the places of values of the environment after it, and the editors.
    """
    model = values.get("model")
    if not isinstance(model, dict) or edits.KEY not in model:
        return from_environment, editors
    wanted = model.pop(edits.KEY)
    if wanted is None or wanted == []:
        return from_environment, editors
    base = f"the model {model.get('name', '')}".rstrip()
    places = [place for place in from_environment if place[:1] == ("model",)]
    known = {place for place, _ in edits.leaves(model, ("model",))} | {
        place for place, _ in edits.leaves(wanted, ("model", edits.KEY))
    }
    if whole := [place for place in places if place not in known]:
        raise ConfigError(must(edits.place_text(whole[0]), f"be written out where {_EDITED} is given", "a list"))
    marks = edits.edited(edits.marked(model, ("model",)), edits.marked(wanted, ("model", edits.KEY)), base)
    moved = {leaf.origin: ("model", *place) for place, leaf in edits.leaves(marks) if isinstance(leaf, edits.Leaf)}
    stays = {place: place for place in from_environment if place[:2] not in _MOVED}
    model |= edits.edited(model, wanted, base)
    now = moved | stays
    return (
        {now[place]: text for place, text in from_environment.items() if place in now},
        f"{editors}, then the command line" if editors else f"{base}, edited by the command line",
    )


def _apply(config: DictConfig, base: str) -> bool:
    """Applies the edits in a composed configuration, and removes them. Returns whether there were any."""
    model = config.model
    with flag_override(model, ["readonly", "struct"], False):
        plain: Any = OmegaConf.to_container(model, resolve=False)
        wanted = plain[edits.KEY]
        del model[edits.KEY]
        if wanted is None or wanted == []:
            return False
        for name, part in edits.edited(plain, wanted, base).items():
            model[name] = part
    return True


@contextmanager
def _as_of(file: str) -> Iterator[None]:
    """Puts the name of a file before the places of faults."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(*(Fault(f"{file}: {fault.path}", fault.text) for fault in error.faults)) from None


def _model(config: Any) -> Mapping[str, Any]:
    """The model of a configuration or of a file, as it is written; empty if there is none."""
    node = config._get_node("model") if isinstance(config, DictConfig) else None
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing() or node._is_interpolation():
        return {}
    return {str(key): node._get_node(key) for key in node}


def _file(loaded: ConfigResult, default: ResultDefault) -> str:
    return own_name(f"{loaded.path.removeprefix('file://')}/{default.config_path}.yaml")
