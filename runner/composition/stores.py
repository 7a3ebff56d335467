"""The tracking store in use: what `conf/`, and overrides such as tracking.uri=…, say of it."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from runner.composition import loading
from runner.composition.complaints import as_config_errors
from runner.composition.places import shipped
from runner.composition.spelling import for_hydra
from runner.configuration import part
from runner.tracking import Tracking


def tracking(overrides: Sequence[str] = ()) -> Tracking:
    """Where runs are recorded. Raises ConfigError."""
    loading.register()
    GlobalHydra.instance().clear()
    with as_config_errors(), loading.in_place(RunMode.RUN), initialize_config_dir(str(shipped()), version_base="1.3"):
        config = compose("config", for_hydra(list(overrides)))
        values = {"tracking": OmegaConf.to_container(config.tracking, resolve=True)}
    return part(values, "tracking", Tracking)
