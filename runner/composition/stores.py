"""The settings of the tracking store, from `conf/` and overrides such as tracking.uri=…."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from runner.composition import loading
from runner.composition.complaints import as_config_errors
from runner.composition.spelling import for_hydra
from runner.configuration import part
from runner.shipped import configurations
from runner.tracking import Tracking


def tracking(overrides: Sequence[str] = ()) -> Tracking:
    """The tracking settings. Raises ConfigError."""
    loading.register()
    GlobalHydra.instance().clear()
    with (
        as_config_errors(),
        loading.in_place(RunMode.RUN),
        initialize_config_dir(str(configurations()), version_base="1.3"),
    ):
        config = compose("config", for_hydra(list(overrides)))
        values = {"tracking": OmegaConf.to_container(config.tracking, resolve=True)}
    return part(values, "tracking", Tracking)
