"""Replaces classes of Hydra by classes of this project: how it searches, composes and creates folders."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hydra._internal import hydra as internal
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig

from runner.composition import trust
from runner.composition.complaints import OWN_FOLDER
from runner.composition.folders import FolderMakingHydra
from runner.composition.joining import JoiningHydra
from runner.shipped import configurations


class OwnFolderFirst(SearchPathPlugin):
    """Searches `conf/` in the current folder before the shipped one: if both have a file, the first is used."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        own = Path.cwd() / OWN_FOLDER
        if own.is_dir() and own.resolve() != configurations():
            search_path.prepend(provider="current folder", path=str(own))


def register() -> None:
    """Makes Hydra search the current folder first."""
    plugins = Plugins.instance()
    trust.register()
    if OwnFolderFirst not in plugins.discover(SearchPathPlugin):
        plugins.register(OwnFolderFirst)


class _Loader(trust.CheckedLoader):
    """Hydra's loader for one command: it composes once, and searches the folder of --config-dir first."""

    def __init__(self, asked: RunMode, config_search_path: ConfigSearchPath) -> None:
        # Otherwise the shipped config.yaml would hide a recorded one.
        places = config_search_path.get_path()
        places[:] = sorted(places, key=lambda place: place.provider != "command-line")
        super().__init__(config_search_path)
        self._asked = asked
        self._looked: tuple[list[str], DictConfig] | None = None

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Hydra composes twice: first to read hydra.mode, then for use. The second call returns the first result."""
        looked, self._looked = self._looked, None
        if validate_sweep_overrides:
            if (
                looked
                and run_mode is self._asked
                and overrides == [*looked[0], (line := f"hydra.mode={run_mode.name}")]
            ):
                config = looked[1]
                config.hydra.mode = run_mode
                config.hydra.overrides.hydra.append(line)
                return config
            return super().load_configuration(config_name, overrides, run_mode, from_shell)
        try:
            config = super().load_configuration(config_name, overrides, self._asked, from_shell)
        except ConfigCompositionException as error:
            if error.__cause__ is not None:
                raise
            # A list of values or a missing choice: an error only if no file sets hydra.mode=MULTIRUN.
            return super().load_configuration(config_name, overrides, run_mode, from_shell, False)
        self._looked = list(overrides), config
        return config


@contextmanager
def in_place(asked: RunMode, *, trains: bool = False) -> Iterator[None]:
    """Makes Hydra use these classes in the block, for a command in this mode, that trains or only looks."""
    hydra = JoiningHydra if trains else FolderMakingHydra
    own = {"Hydra": hydra, "ConfigLoaderImpl": partial(_Loader, asked)}
    its = {name: getattr(internal, name) for name in own}
    vars(internal).update(own)
    try:
        yield
    finally:
        vars(internal).update(its)
