"""Hydra with the classes of this project in place of its own: how it searches, composes and makes folders."""

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
from omegaconf import DictConfig, open_dict, read_write

from runner.composition import trust
from runner.composition.complaints import OWN_FOLDER
from runner.composition.folders import FolderMakingHydra
from runner.composition.places import shipped


class OwnFolderFirst(SearchPathPlugin):
    """Puts a `conf/` in the current folder before the shipped one: where names agree, the first wins."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        own = Path.cwd() / OWN_FOLDER
        if own.is_dir() and own.resolve() != shipped():
            search_path.prepend(provider="current folder", path=str(own))


def register() -> None:
    """Makes Hydra look into the current folder first."""
    plugins = Plugins.instance()
    trust.register()
    if OwnFolderFirst not in plugins.discover(SearchPathPlugin):
        plugins.register(OwnFolderFirst)


class _Loader(trust.CheckedLoader):
    """Hydra's loader for one command: it composes once, and looks first into the folder of --config-dir."""

    def __init__(self, asked: RunMode, help_text: str | None, config_search_path: ConfigSearchPath) -> None:
        # A recorded config.yaml would else be hidden by the shipped file of that name.
        places = config_search_path.get_path()
        places[:] = sorted(places, key=lambda place: place.provider != "command-line")
        super().__init__(config_search_path)
        self._asked, self._help = asked, help_text
        self._looked: tuple[list[str], DictConfig] | None = None

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Hydra composes twice: to see whether a file sets hydra.mode, and to work. The second is the first again."""
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
            return self._with_help(super().load_configuration(config_name, overrides, run_mode, from_shell))
        try:
            config = super().load_configuration(config_name, overrides, self._asked, from_shell)
        except ConfigCompositionException as error:
            if error.__cause__ is not None:
                raise
            # A list of values or a missing choice, which is wrong only where no file sets hydra.mode=MULTIRUN.
            return super().load_configuration(config_name, overrides, run_mode, from_shell, False)
        self._looked = list(overrides), config
        return config

    def _with_help(self, config: DictConfig) -> DictConfig:
        if self._help is not None:
            with read_write(config), open_dict(config):
                config.hydra.help.header = f"{config.hydra.help.header}\n\n{self._help}"
        return config


@contextmanager
def in_place(asked: RunMode, help_text: str | None = None) -> Iterator[None]:
    """Has Hydra start with these classes in place of its own, for a command that asks for this mode.

    `help_text` is what its help begins with, where the command asks for help.
    """
    own = {"Hydra": FolderMakingHydra, "ConfigLoaderImpl": partial(_Loader, asked, help_text)}
    its = {name: getattr(internal, name) for name in own}
    vars(internal).update(own)
    try:
        yield
    finally:
        vars(internal).update(its)
