"""What a network learns of an example: its class, several labels, or numbers.

    >>> task = MultiLabel()
    >>> task.measured, task.form
    (('f1_samples', 'exact_match'), 'labels')

A module for each task: it owns the form of targets and answers, the losses that suit it, what every run measures, and
how the answers are read. Loop, reports and searches take the names from here. `runner.verdicts` judges the answers.
"""

from typing import Annotated

from pydantic import Field

from runner.tasks.classification import Classification
from runner.tasks.multi_label import MultiLabel
from runner.tasks.regression import Regression

Task = Annotated[Classification | MultiLabel | Regression, Field(discriminator="name")]
"""Any task, chosen by its field `name`."""

__all__ = ["Classification", "MultiLabel", "Regression", "Task"]
