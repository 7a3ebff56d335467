"""The Hydra launcher `fused`, the default for `-m`: trains a batch of jobs as a few programs."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn

# A plain dict: Hydra executes this file at every start of any Hydra program, before it is importable as a module.
ConfigStore.instance().store(
    group="hydra/launcher",
    name="fused",
    node={"_target_": "hydra_plugins.convrunner_launcher.fused.FusedLauncher"},
    provider="convrunner",
)


class FusedLauncher(BasicLauncher):
    """Trains a batch of jobs together, if the task trains; otherwise runs job by job, as Hydra does."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        training = getattr(self.task_function, "training", None)
        if training is None:
            return super().launch(job_overrides, initial_job_idx)
        return training.launch(self.hydra_context, self.config, job_overrides, initial_job_idx)
