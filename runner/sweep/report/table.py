"""The CSV table of a sweep's members."""

import csv
import io
from collections.abc import Iterable
from typing import Final

from runner.sweep.results import SweepResult
from runner.training.outcome import Outcome

_FIRST: Final = (
    "val/accuracy",
    "val/loss",
    "best/val_accuracy",
    "best/val_loss",
    "best/epoch",
    "test/accuracy",
    "test/loss",
    "train/loss",
)


def metric_names(members: Iterable[Outcome]) -> list[str]:
    """The metrics of the table's columns; those of `train.metrics` come last."""
    found = {name for member in members for name in member.metrics}
    others = sorted(name for name in found.difference(_FIRST) if name.startswith(("val/", "best/", "test/")))
    return [name for name in (*_FIRST, *others) if name in found]


def table_csv(result: SweepResult) -> str:
    """One line for each member: its varied values, its metrics and its costs."""
    paths = list(dict.fromkeys(path for member in result.members for path in member.varied))
    metrics = metric_names(result.members)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    costs = ["epochs", "seconds", "parameters", "multiply_adds"]
    writer.writerow(["number", "status", *paths, *metrics, *costs, "reason", "group", "run_id"])
    for member in result.members:
        writer.writerow(
            [
                member.number,
                member.status,
                *(member.varied.get(path, "") for path in paths),
                *(member.metrics.get(name, "") for name in metrics),
                len(member.history),
                round(member.seconds, 3),
                member.parameters,
                member.multiply_adds,
                member.reason,
                member.group,
                member.run_id,
            ]
        )
    return text.getvalue()
