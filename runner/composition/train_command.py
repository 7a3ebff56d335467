"""A command that trains, for Hydra's plugins: runs its sweep, and trains a batch of jobs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from runner.command import Command
from runner.composition.options import places

if TYPE_CHECKING:
    from runner.sweep.session import Session

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]


class TrainCommand:
    """One command that trains. `session` is the current sweep, if any; `statuses` are the exit statuses of members."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.places = places(command.text)
        self.session: Session | None = None
        self.statuses: list[int] = []

    def __getstate__(self) -> dict[str, Any]:
        """Without the session: another launcher may send the task to another process."""
        return vars(self) | {"session": None}

    @staticmethod
    def is_launcher(config: DictConfig) -> bool:
        """Whether a configuration has the launcher of this program, and not one of Hydra or of a plugin."""
        return str(config.hydra.launcher.get("_target_")).startswith("hydra_plugins.convrunner_launcher.")

    @contextmanager
    def during(self, session: "Session") -> Iterator[None]:
        """Makes `launch` train batches in this session while the block runs."""
        self.session = session
        try:
            yield
        finally:
            self.session = None

    def launch(
        self, context: HydraContext, config: DictConfig, jobs: Sequence[Sequence[str]], first: int
    ) -> list[JobReturn]:
        """Trains a batch of Hydra's jobs; see `launching`."""
        from runner.composition.launching import launch  # it imports JAX

        returns = launch(self, context, config, jobs, first)
        self.statuses.extend(int(job.status is not JobStatus.COMPLETED) for job in returns)
        return returns

    def sweep(
        self, context: HydraContext, config: DictConfig, arguments: Sequence[str], launch: Launch
    ) -> list[Sequence[JobReturn]]:
        """Runs a sweep; see `searching`."""
        from runner.composition.searching import sweep

        return sweep(self, context, config, arguments, launch)
