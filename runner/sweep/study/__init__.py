"""The search of a sweep, by Optuna, which nothing else imports: what is tried, what ends early, what is known."""

from runner.sweep.study.opening import open_study
from runner.sweep.study.study import Asked, Study

__all__ = ["Asked", "Study", "open_study"]
