"""Composing a configuration with Hydra: where configurations lie, and how a command line becomes one."""

import functools
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig

from runner import options, strict_yaml, trust, withheld
from runner.blocks import Library, used
from runner.complaints import OWN_FOLDER, one_line, own_name, told
from runner.errors import ConfigError, ConvrunnerError
from runner.resolving import Resolved, resolved

# An override that changes a value: no prefix of Hydra's grammar (+ ++ ~), no package, no option.
_CHANGE = re.compile(r"^[A-Za-z_][\w.\-]*=")
# What Hydra's grammar takes for something other than a name.
_NO_NAME = re.compile(r"(?i)[+-]?(nan|inf|null|true|false|\d[\w.+\-]*)")


def shipped() -> Path:
    """The configurations that come with the project: inside an installed package, else beside it in a checkout."""
    here = Path(__file__).resolve().parent
    inside = here / OWN_FOLDER
    return inside if inside.is_dir() else here.parent / OWN_FOLDER


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


def free(arguments: list[str], known: Collection[str] | None = None) -> list[str]:
    """Hydra's arguments, so that a value can be set whether a file in `conf/` mentions it or not.

    Hydra refuses a key that no file mentions, unless it is written `++key`. Here the schema decides what a key may
    be, and says so with the nearest name. And a configuration may be called what would be a number: `debug=nan`.
    `known` are the `groups`, where the caller has them.
    """
    known = groups() if known is None else known
    return [_freed(argument, known) for argument in arguments]


def groups() -> set[str]:
    """The config groups that can be chosen from: the folders in `conf/`."""
    return {path.name for root in (shipped(), Path.cwd() / OWN_FOLDER) if root.is_dir() for path in root.iterdir()}


def _freed(argument: str, groups: Collection[str]) -> str:
    if not _CHANGE.match(argument) or argument.startswith("hydra"):
        return argument
    key, _, value = argument.partition("=")
    if key not in groups or value.startswith("{"):
        return f"++{argument}"
    return f"{key}='{value}'" if _NO_NAME.fullmatch(value) else argument


def plain(config: DictConfig) -> dict[str, Any]:
    """The values of `resolve`."""
    return resolve(config).values


def resolve(config: DictConfig, library: Library | None = None, values: dict[str, Any] | None = None) -> Resolved:
    """The configuration without interpolations, with the blocks of the library that it uses.

    `values` are its plain containers, interpolations and all, where the caller has them; they are changed.
    Raises ConfigError where it cannot be resolved.
    """
    with one_line():
        found = resolved(config, values)
    return replace(found, values=_with_blocks(found.values, BlockLibrary() if library is None else library))


def as_given(lines: Iterable[str], known: Collection[str] | None = None) -> tuple[str, ...]:
    """Overrides as a user would give them: without the ++ that `free` puts before them."""
    lines = list(lines)
    short = [line.removeprefix("++") for line in lines]
    again = free(short, known)
    return tuple(own if freed == line else line for own, freed, line in zip(short, again, lines, strict=True))


def _with_blocks(found: dict[str, Any], library: Library) -> dict[str, Any]:
    """A plain configuration with the blocks of the library that its model uses among its own."""
    model = found.get("model")
    if isinstance(model, dict):
        own = model.get("blocks") or {}
        taken = used(model, library) if isinstance(own, dict) else {}
        if taken:
            model["blocks"] = {**taken, **own}
    return found


class BlockLibrary(Mapping[str, Any]):
    """The blocks that a model can use without declaring them: `conf/block/*.yaml`, the current folder's first.

    Each file is read when its block is asked for.
    """

    def __init__(self) -> None:
        folders = (shipped(), Path.cwd() / OWN_FOLDER)
        self._files = {path.stem: path for folder in folders for path in sorted((folder / "block").glob("*.yaml"))}

    def __getitem__(self, name: str) -> Any:
        path = self._files[name]
        return strict_yaml.read(trust.read_text(str(path)), own_name(path))

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


class _Loader(trust.CheckedLoader):
    """Hydra's loader for one command: it composes once, and looks first into the folder of --config-dir."""

    def __init__(self, asked: RunMode, config_search_path: ConfigSearchPath) -> None:
        # A recorded config.yaml would else be hidden by the shipped file of that name.
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
            return super().load_configuration(config_name, overrides, run_mode, from_shell)
        try:
            config = super().load_configuration(config_name, overrides, self._asked, from_shell)
        except ConfigCompositionException as error:
            if error.__cause__ is not None:
                raise
            # A list of values or a missing choice, which is wrong only where no file sets hydra.mode=MULTIRUN.
            return super().load_configuration(config_name, overrides, run_mode, from_shell, False)
        self._looked = list(overrides), config
        return config


@contextmanager
def _in_place(**own: Any) -> Iterator[None]:
    """Has Hydra start with classes of this project in place of its own of those names."""
    from hydra._internal import hydra as internal

    its = {name: getattr(internal, name) for name in own}
    vars(internal).update(own)
    try:
        yield
    finally:
        vars(internal).update(its)


def composed(task: Callable[[DictConfig], Any], **known: Any) -> Callable[[], None]:
    """The task as Hydra's entry point: it reads the command line, composes, and calls the task for every job.

    What is `known` by name becomes attributes of the task, where the plugins in `hydra_plugins/` find it.
    Raises ConfigError where something does not compose; what the task raises comes as it is.
    """
    import hydra

    from runner import folders  # it imports all of Hydra

    register()
    withheld.forget()
    withheld.from_logs()
    raised: list[BaseException] = []

    def job(config: DictConfig) -> Any:
        try:
            return task(config)
        except BaseException as error:
            raised.append(error)
            raise

    vars(job).update(known)
    entry = hydra.main(version_base="1.3", config_path=str(shipped()), config_name="config")(job)

    def compose() -> None:
        try:
            asked = RunMode.MULTIRUN if options.read(sys.argv[1:]).multirun else RunMode.RUN
            loader = functools.partial(_Loader, asked)
            with _in_place(Hydra=folders.Settled, ConfigLoaderImpl=loader):
                entry()
        except Exception as error:
            if isinstance(error, ConvrunnerError | BrokenPipeError) or any(error is own for own in raised):
                raise
            raise ConfigError(told(error)) from error

    return compose
