"""The report of a sweep as one self-contained HTML page, in light and dark colours."""

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from runner.sweep.report.statistics import leaders, over_seeds
from runner.sweep.report.table import metric_names
from runner.sweep.report.terminal import best_command
from runner.sweep.results import SweepResult, curve_names, varied_text
from runner.training.outcome import Outcome

# Significant digits: a page with a thousand members stays small enough for browsers.
_DIGITS = 6


def html(result: SweepResult) -> str:
    """The report as HTML."""
    style, script = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    space = ", ".join(f"{path} ∈ {text}" for path, text in result.space.items())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(result.name)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<h1>{escape(result.name)}</h1>\n<p><code>{escape(result.command)}</code></p>\n<p>{escape(space)}</p>\n"
        f"<script>\nconst sweep = {_inline(_data(result))};\n{script}</script>\n</body>\n</html>\n"
    )


def _inline(data: Any) -> str:
    """Data as JavaScript. Escapes texts that could end the script; rounds numbers, and writes NaN as null."""
    text = json.dumps(_rounded(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _data(result: SweepResult) -> dict[str, Any]:
    metric, curves = result.objectives[0][0], curve_names(result)
    return {
        "objectives": result.objectives,
        "names": result.names,
        "members": [_member(member, curves) for member in result.members],
        "leaders": [leader.number for leader in leaders(result.members, result.objectives)],
        "again": best_command(result),
        "metrics": metric_names(result.members),
        "curves": curves,
        "importances": result.importances,
        "means": [
            {
                "name": varied_text(mean.varied, result.names) or "all",
                "values": mean.values,
                "mean": mean.mean,
                "deviation": mean.deviation,
                "interval": mean.interval,
            }
            for mean in over_seeds(result.members, metric)
        ],
        "seconds": result.seconds,
        "groups": result.groups,
        "compiles": result.compiles,
        "seconds_saved": result.seconds_saved,
    }


def _member(member: Outcome, curves: Sequence[str]) -> dict[str, Any]:
    costs = {"parameters": member.parameters, "multiply_adds": member.multiply_adds, "seconds": member.seconds}
    return {
        "number": member.number,
        "name": member.name,
        "varied": member.varied,
        "status": member.status,
        "reason": member.reason,
        "metrics": {name: value for name, value in member.metrics.items() if not name.startswith("seconds")},
        "costs": costs,
        "history": [{name: epoch[name] for name in curves if name in epoch} for epoch in member.history],
    }
