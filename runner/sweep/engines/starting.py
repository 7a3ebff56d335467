"""The engine that `sweep.engine` names, started."""

from runner.sweep.engines.distributing import Engine
from runner.sweep.settings import Sweep


def engine_of(settings: Sweep) -> Engine:
    """Starts the engine. Raises ConfigError if it is not installed, or does not answer."""
    if settings.engine == "slurm":
        from runner.sweep.engines.on_slurm import OnSlurm

        return OnSlurm(settings)
    from runner.sweep.engines.on_ray import OnRay

    return OnRay(settings)
