"""Makes Hydra write to the folders of `runner.folders`, created as soon as a configuration is composed."""

from pathlib import Path
from typing import Final

from hydra._internal import hydra as internal
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from runner import folders

# This sweeper chooses the folder itself, since it continues earlier sweeps in their folders.
_CHOOSES: Final = "hydra_plugins.convrunner_sweeper"


def is_named(config: DictConfig, key: str) -> bool:
    """Whether the command line names the folder."""
    return any(str(line).lstrip("+").startswith(f"{key}=") for line in config.hydra.overrides.hydra)


def put_sweep(config: DictConfig, folder: Path) -> None:
    """Makes Hydra write a sweep to a folder, also when it composes the configurations of members again."""
    quoted = QuotedString(str(folder), Quote.single).with_quotes()
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"{folders.SWEEP}={quoted}")


def _make_folder(config: DictConfig, mode: RunMode) -> None:
    """Creates the folder of the next run or sweep, and makes Hydra write there."""
    if config.hydra.output_subdir is None:  # nothing is written, as for `runner describe`
        return
    key = folders.RUN if mode == RunMode.RUN else folders.SWEEP
    if key == folders.SWEEP and str(config.hydra.sweeper.get("_target_")).startswith(_CHOOSES):
        return
    HydraConfig.instance().set_config(config)  # the folder's name may refer to ${hydra:…}
    OmegaConf.set_readonly(config.hydra, None)  # Hydra itself changes it later
    folder = Path(str(OmegaConf.select(config, key)))
    if is_named(config, key):
        if key == folders.RUN:
            folders.claim_for_run(folder, config.hydra.output_subdir)
        else:
            folders.claim_for_sweep(folder)
    elif (made := folders.make(folder)) != folder:
        if key == folders.RUN:
            with read_write(config), open_dict(config):
                config.hydra.run.dir = str(made)
        else:
            put_sweep(config, made.absolute())


class FolderMakingHydra(internal.Hydra):
    """Hydra, which creates folders as soon as a configuration is composed, before anything is written."""

    def compose_config(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        with_log_configuration: bool = False,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        config = super().compose_config(
            config_name, overrides, run_mode, with_log_configuration, from_shell, validate_sweep_overrides
        )
        if with_log_configuration:  # otherwise Hydra only reads the configuration
            self.prepare(config, run_mode)
        return config

    def prepare(self, config: DictConfig, mode: RunMode) -> None:
        """What comes between composing a configuration and its use."""
        _make_folder(config, mode)
