"""The Hydra sweeper `search`, the default for `-m`: runs a search that can be continued."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

# A plain dict: Hydra executes this file at every start of any Hydra program, before it is importable as a module.
ConfigStore.instance().store(
    group="hydra/sweeper",
    name="search",
    node={
        "_target_": "hydra_plugins.convrunner_sweeper.search.SearchSweeper",
        "max_batch_size": None,
        "params": None,
    },
    provider="convrunner",
)


class SearchSweeper(BasicSweeper):
    """Runs the jobs that the search of `conf/sweep` proposes, if the task trains; else every combination."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.training = getattr(task_function, "training", None)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        if self.training is None:
            return super().sweep(arguments)
        return self.training.sweep(self.hydra_context, self.config, arguments, self.launcher.launch)
