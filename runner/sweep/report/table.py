"""The CSV table of a sweep's members."""

import csv
import io

from runner.sweep.results import SweepResult

_METRICS = (
    "val/accuracy",
    "val/loss",
    "best/val_accuracy",
    "best/val_loss",
    "best/epoch",
    "test/accuracy",
    "test/loss",
    "train/loss",
)


def table_csv(result: SweepResult) -> str:
    """One line for each member: its varied values, its metrics and its costs."""
    paths = list(dict.fromkeys(path for member in result.members for path in member.varied))
    found = {name for member in result.members for name in member.metrics}
    others = sorted(name for name in found.difference(_METRICS) if name.startswith(("val/", "best/", "test/")))
    metrics = [name for name in (*_METRICS, *others) if name in found]
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
