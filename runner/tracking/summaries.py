"""The names in MLflow of values that are known once: `test/accuracy` becomes `test_accuracy`.

MLflow's UI groups the charts of a run by the part of a name before its slash, and sorts the groups: bars of best/…,
seconds/… and test/… would come before the curves of train/… and val/…. Names without a slash come last.
"""

from typing import Final

_GROUPS: Final = ("best", "members", "seconds", "test")


def recorded_name(name: str) -> str:
    """The name under which a value that is known once is recorded.

    >>> recorded_name("best/val_accuracy")
    'best_val_accuracy'
    """
    return name.replace("/", "_")


def own_name(name: str) -> str:
    """The name of a recorded value in the rest of the program.

    >>> own_name("best_val_accuracy"), own_name("val/accuracy"), own_name("learning_rate")
    ('best/val_accuracy', 'val/accuracy', 'learning_rate')
    """
    group, _, rest = name.partition("_")
    return f"{group}/{rest}" if group in _GROUPS and rest else name
