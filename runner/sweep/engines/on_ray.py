"""Trains parts of a sweep as tasks of Ray, on this machine or on a cluster. Only this module imports Ray."""

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

from runner import cores
from runner.errors import ConfigError, must
from runner.sweep.engines.distributing import DiedError, Task
from runner.sweep.engines.work import Work, train_work
from runner.sweep.settings import Sweep
from runner.tracking.settings import without_secrets

_STORE_BYTES = 100 * 2**20  # of Ray's store of objects: a work is some kilobytes


class OnRay:
    """A connection to Ray; with no address, a cluster of its own on this machine."""

    def __init__(self, settings: Sweep) -> None:
        """Raises ConfigError if Ray is not installed, or no cluster answers at the address."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine
        try:
            import ray
        except ImportError:
            rule = "be an engine that is installed: pip install 'convrunner[ray]'"
            raise ConfigError(must("sweep.engine", rule, settings.engine)) from None
        self._ray = ray
        address = settings.engine_address
        quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
        local = {
            "num_cpus": max(cores.available(), settings.engine_cpus * (settings.engine_workers or 1)),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
        try:
            with redirect_stderr(sys.stderr if address else io.StringIO()):  # it says that its token protects it
                ray.init(address=address or "local", **quiet, **({} if address else local))
        except Exception as error:
            place = without_secrets(address) if address else "null"
            reason = without_secrets(str(error).split("\n")[0])
            rule = f"be the address of a cluster of Ray that answers ({reason})"
            raise ConfigError(must("sweep.engine_address", rule, place)) from error
        self._train = ray.remote(train_work).options(
            num_cpus=settings.engine_cpus, num_gpus=settings.engine_gpus, max_retries=0
        )
        self.workers = settings.engine_workers or self._room(settings)

    def _room(self, settings: Sweep) -> int:
        """How many processes the cluster has room for. Raises ConfigError if it has none for a single one."""
        found = self._ray.cluster_resources()
        room = found.get("CPU", 0) // settings.engine_cpus
        if settings.engine_gpus:
            room = min(room, found.get("GPU", 0) // settings.engine_gpus)
        if room < 1:
            has = f"{found.get('CPU', 0):g} cores and {found.get('GPU', 0):g} GPUs"
            self.close()
            asked = f"{settings.engine_cpus} cores and {settings.engine_gpus:g} GPUs"
            raise ConfigError(must("sweep.engine_gpus", f"fit the cluster, which has {has}", asked))
        return int(room)

    def start(self, works: Sequence[Work]) -> list[Task]:
        """Starts a task for each work."""
        return [_Task(self._ray, self._train.remote(work)) for work in works]

    def close(self) -> None:
        """Leaves the cluster, or ends that of this machine."""
        self._ray.shutdown()


class _Task:
    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def has_ended(self) -> bool:
        return bool(self._ray.wait([self._reference], timeout=0)[0])

    def check(self) -> None:
        errors = self._ray.exceptions
        try:
            self._ray.get(self._reference)
        except errors.RayTaskError as error:
            raise (error.cause or error) from error
        except errors.RayError as error:
            raise DiedError(type(error).__name__) from error

    def cancel(self) -> None:
        self._ray.cancel(self._reference, force=True)
