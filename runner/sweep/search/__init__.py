"""The search of a sweep by Optuna: proposes members, ends some early, and stores results. Only it imports Optuna."""

from runner.sweep.search.opening import open_study
from runner.sweep.search.study import Study, Suggestion

__all__ = ["Study", "Suggestion", "open_study"]
