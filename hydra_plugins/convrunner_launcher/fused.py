"""Hydra's door to batches that are trained as a few programs: the launcher `fused`, which is the default for `-m`."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn

# A plain node: this file is executed at every start of every Hydra program, before it is a module.
ConfigStore.instance().store(
    group="hydra/launcher",
    name="fused",
    node={"_target_": "hydra_plugins.convrunner_launcher.fused.FusedLauncher"},
    provider="convrunner",
)


class FusedLauncher(BasicLauncher):
    """Hands over a batch of jobs as a whole, where the task trains; else job by job, as Hydra does."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        training = getattr(self.task_function, "training", None)
        if training is None:
            return super().launch(job_overrides, initial_job_idx)
        return training.launch(self.hydra_context, self.config, job_overrides, initial_job_idx)
