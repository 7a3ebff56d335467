"""Connects the processes of a run as soon as its configuration is composed: only the first one gets a folder."""

from typing import Any, Final

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from runner import configuration, hosts
from runner.composition.folders import FolderMakingHydra
from runner.errors import ConfigError, must

# Of the processes after the first: errors are raised, and all else is for the first one to say.
_SILENT: Final = {"version": 1, "root": {"level": "CRITICAL"}, "disable_existing_loggers": False}


class JoiningHydra(FolderMakingHydra):
    """Hydra for a command that trains."""

    def prepare(self, config: DictConfig, mode: RunMode) -> None:
        settings = _settings(config)
        if settings.is_several and mode == RunMode.MULTIRUN:
            rule = "be null for a sweep, whose members are processes of their own (see sweep.engine)"
            raise ConfigError(must("distributed.coordinator", rule, settings.coordinator))
        hosts.join(settings)
        if hosts.is_first():
            super().prepare(config, mode)
            return
        with read_write(config), open_dict(config):
            config.hydra.job_logging = config.hydra.hydra_logging = _SILENT
            if config.hydra.output_subdir is not None:  # else it goes on in a folder that exists
                config.hydra.output_subdir, config.hydra.run.dir = None, "."


def _settings(config: DictConfig) -> hosts.Distributed:
    raw: Any = OmegaConf.select(config, "distributed")
    own = OmegaConf.to_container(raw, resolve=True) if isinstance(raw, DictConfig) else raw
    return configuration.part({"distributed": own}, "distributed", hosts.Distributed)
