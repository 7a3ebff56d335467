"""Trains parts of a sweep as array jobs of SLURM, by submitit. Only this module imports submitit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from runner.errors import ConfigError, must
from runner.sweep.engines.distributing import DiedError, Task
from runner.sweep.engines.work import Work, train_work
from runner.sweep.settings import Sweep

_WORKERS: Final = 8
_MINUTES: Final = 60  # of a job; submitit's own 5 are over before most sweeps are
_TIMEOUTS: Final = 100  # of a job; after submitit's own 3, a member of the fourth would fail
_FOLDER: Final = "jobs"


class Resumed:
    """Work as a job that SLURM may stop: submitit submits it again, and it goes on with what it has not finished."""

    def __call__(self, work: Work) -> None:
        """Trains the work."""
        train_work(work)

    def checkpoint(self, work: Work) -> Any:
        """What submitit submits when the time of a job is over, or another one takes its place."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, work)


class OnSlurm:
    """Submits jobs to SLURM; with the address `local`, to processes of this machine, as a trial."""

    def __init__(self, settings: Sweep) -> None:
        """Raises ConfigError if submitit is not installed, there is no SLURM, or it refuses `sweep.engine_options`."""
        self._settings, self._jobs = settings, list[_Task]()
        self.workers = settings.engine_workers or _WORKERS
        try:
            import submitit
        except ImportError:
            rule = "be an engine that is installed: pip install 'convrunner[slurm]'"
            raise ConfigError(must("sweep.engine", rule, settings.engine)) from None
        self._submitit: Any = submitit
        self._executor: Any = None

    def start(self, works: Sequence[Work]) -> list[Task]:
        """Submits the works as one array job. Raises ConfigError if it is refused."""
        try:
            self._executor = self._executor or self._opened(works[0].folder / _FOLDER)
            jobs = self._executor.map_array(Resumed(), list(works))
        except ConfigError:
            raise
        except Exception as error:
            reason = str(error).split("\n")[0]
            rule = f"be options with which SLURM accepts a job ({reason})"
            raise ConfigError(must("sweep.engine_options", rule, dict(self._settings.engine_options))) from error
        started = [_Task(self._submitit, job) for job in jobs]
        self._jobs += started
        return list(started)

    def _opened(self, folder: Path) -> Any:
        settings = self._settings
        cluster = settings.engine_address or "slurm"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # the work holds what the configuration holds
        own = {"slurm_array_parallelism": self.workers} if cluster == "slurm" else {}
        try:
            executor = self._submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=_TIMEOUTS)
        except Exception as error:
            reason = str(error).split("\n")[0]
            rule = f"be slurm on a machine that submits jobs of SLURM ({reason})"
            raise ConfigError(must("sweep.engine", rule, settings.engine)) from error
        executor.update_parameters(
            **{"name": "convrunner", "timeout_min": _MINUTES, "cpus_per_task": settings.engine_cpus}
            | {"gpus_per_node": int(settings.engine_gpus)}
            | own
            | dict(settings.engine_options)
        )
        return executor

    def close(self) -> None:
        """Cancels the jobs that have not ended."""
        for job in self._jobs:
            if not job.has_ended():
                job.cancel()


class _Task:
    def __init__(self, submitit: Any, job: Any) -> None:
        self._errors, self._job = submitit.core.utils, job

    def has_ended(self) -> bool:
        return bool(self._job.done())

    def check(self) -> None:
        error = self._job.exception()
        if isinstance(error, self._errors.FailedJobError):
            lines = [line for line in str(error).splitlines() if line.strip()]
            raised = [
                line for line in lines if line[:1].isalpha() and ": " in line and not line.startswith(("Job", "You"))
            ]
            raise RuntimeError(raised[-1] if raised else lines[0])
        if error is not None:
            raise DiedError(f"job {self._job.job_id}: {self._job.state}")

    def cancel(self) -> None:
        self._job.cancel(check=False)
