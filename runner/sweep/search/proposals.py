"""Creates Optuna's samplers, pruners and distributions from the sweep's settings."""

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
    """Optuna's sampler. Its seed is offset by the number of stored trials, so that it does not repeat proposals."""
    seed = settings.seed + known
    if settings.sampler == "gp" and importlib.util.find_spec("torch") is None:
        rule = "be one whose packages are installed (gp needs torch: pip install 'convrunner[gp]')"
        raise ConfigError(must("sweep.sampler", rule, "gp"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match settings.sampler:
            case "tpe":
                # constant_liar separates the members of a batch; group models each condition by itself.
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
    """Optuna's pruner, for members of at most `epochs` epochs."""
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
    """Optuna's distribution of a dimension."""
    match dimension.values:
        case Choice(values):
            return CategoricalDistribution(values)
        case Interval(low, high, log, True, step):
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        case Interval(low, high, log, _, step):
            return FloatDistribution(low, high, log=log, step=step)


def suggest(trial: Trial, dimension: Dimension) -> str:
    """Proposes a value of a dimension, as written in an override."""
    match dimension.values:
        case Choice(values):
            return str(trial.suggest_categorical(dimension.path, values))
        case Interval(low, high, log, True, step):
            return str(trial.suggest_int(dimension.path, int(low), int(high), log=log, step=int(step or 1)))
        case Interval(low, high, log, _, step):
            number = trial.suggest_float(dimension.path, low, high, log=log, step=step)
            return dimension.written[round((number - low) / step)] if step else repr(number)


def fixed(space: Space, chosen: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Converts written values to Optuna's parameters; returns also their distributions."""
    leading = {path: own for path, own in space.leading.items() if path in chosen}
    return {own.path: _param(own, space.chosen_of(path, chosen)) for path, own in leading.items()}, {
        own.path: distribution(own) for own in leading.values()
    }


def _param(dimension: Dimension, written: str) -> Any:
    """Converts a written value to Optuna's parameter."""
    if isinstance(dimension.values, Choice):
        return written
    return int(written) if dimension.values.whole else float(written)
