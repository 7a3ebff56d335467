"""How much each value that varies matters for the metric of a sweep."""

from typing import Final

import optuna
from optuna.trial import TrialState

from runner.sweep.space import Space

_FEW: Final = 200  # members that a forest of Optuna's default size can fit in a second


def shares(study: optuna.Study, space: Space) -> dict[str, float]:
    """The share of the variance of the first metric that each path explains; empty if it cannot be computed.

    Source: Hutter, Hoos & Leyton-Brown 2014, ICML (functional analysis of variance).
    """
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state is TrialState.COMPLETE]
    if len(space.leaders()) < 2 or len(done) < 4:
        return {}
    trees = 64 if len(done) <= _FEW else 16
    try:
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=trees, max_depth=16, seed=0)
        found = optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=lambda trial: trial.values[0]
        )
    except (RuntimeError, ValueError):  # all values are equal, or too few members share a path
        return {}
    paths = {own.path: path for path, own in space.leading.items()}
    return {paths.get(name, name): float(share) for name, share in found.items()}
