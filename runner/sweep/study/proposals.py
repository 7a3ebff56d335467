"""What Optuna is asked for: samplers and pruners by our names, and dimensions as it knows them."""

import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from runner.errors import ConfigError, must
from runner.sweep.settings import Sweep
from runner.sweep.space import Choice, Dimension, Interval, Space


def sampler(settings: Sweep, known: int) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of a name. What is known already moves its seed, so that it does not repeat itself."""
    seed = settings.seed + known
    if settings.sampler == "gp" and importlib.util.find_spec("torch") is None:
        rule = "be one whose packages are installed (gp needs torch: pip install 'convrunner[gp]')"
        raise ConfigError(must("sweep.sampler", rule, "gp"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match settings.sampler:
            case "tpe":
                # Members of a batch are told apart from those that are known, and conditions split what is modelled.
                return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(settings.batch, 4))
            case _:
                return optuna.samplers.RandomSampler(seed=seed)


def pruner(settings: Sweep, epochs: int) -> optuna.pruners.BasePruner:
    """Optuna's pruner of a name, for members that train for so many epochs at most."""
    own = settings.pruner
    match own.name:
        case "median":
            return optuna.pruners.MedianPruner(own.startup_members, own.warmup_epochs)
        case "successive_halving":
            return optuna.pruners.SuccessiveHalvingPruner(own.min_epochs, own.reduction_factor)
        case "hyperband":
            return optuna.pruners.HyperbandPruner(own.min_epochs, max(epochs, own.min_epochs), own.reduction_factor)
        case _:
            return optuna.pruners.NopPruner()


def distribution(dimension: Dimension) -> BaseDistribution:
    """What Optuna calls a dimension."""
    match dimension.values:
        case Choice(values):
            return CategoricalDistribution(values)
        case Interval(low, high, log, True, step):
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        case Interval(low, high, log, _, step):
            return FloatDistribution(low, high, log=log, step=step)


def suggest(trial: Trial, dimension: Dimension) -> str:
    """A value of a dimension, as it is written in an override."""
    match dimension.values:
        case Choice(values):
            return str(trial.suggest_categorical(dimension.path, values))
        case Interval(low, high, log, True, step):
            return str(trial.suggest_int(dimension.path, int(low), int(high), log=log, step=int(step or 1)))
        case Interval(low, high, log, _, step):
            found = trial.suggest_float(dimension.path, low, high, log=log, step=step)
            return dimension.written[round((found - low) / step)] if step else repr(found)


def fixed(space: Space, chosen: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Written values as Optuna's parameters, and their distributions."""
    dimensions = [space.dimensions[path] for path in space.leaders() if path in chosen]
    return {own.path: _param(own, chosen[own.path]) for own in dimensions}, {
        own.path: distribution(own) for own in dimensions
    }


def _param(dimension: Dimension, written: str) -> Any:
    """What Optuna calls a written value."""
    if isinstance(dimension.values, Choice):
        return written
    return int(written) if dimension.values.whole else float(written)
