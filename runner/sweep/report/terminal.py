"""The summary of a sweep for the terminal."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runner.launchable import single
from runner.metrics import is_share
from runner.sweep.report.choosing import leaders, optimism, tested
from runner.sweep.report.repeats import SIGNIFICANT, Comparison, Mean, against_best, over_repeats, repeated
from runner.sweep.results import SweepResult, objective, ranked, value_text
from runner.tracking.settings import without_secrets
from runner.training.outcome import Outcome

_ROWS = 10


def terminal(result: SweepResult, width: int) -> RenderableType:
    """The best members, the means over seeds and folds, and counts; in at most `width` columns."""
    best = leaders(result.members, result.objectives)
    parts: list[RenderableType] = [Text()]
    if best:
        parts.append(_leaderboard(result, best))
    metric = result.objectives[0][0]
    for name in dict.fromkeys((metric, _test_of(result))):
        if means := ordered_means(result, name):
            parts += [Text(), _means(means, name, result.names)]
    parts += [Text(), *(Text(line, overflow="fold") for line in _facts(result))]
    return Group(*parts)


def _test_of(result: SweepResult) -> str:
    """The metric of the test images that is shown beside the first objective."""
    is_classes = any("test/accuracy" in member.metrics for member in result.members)
    return "test/accuracy" if is_classes else tested(result.objectives[0][0])


def ordered_means(result: SweepResult, name: str) -> list[Mean]:
    """The means of a metric over seeds and folds, in the order of the means of the sweep's metric, the best first."""
    metric, direction = result.objectives[0]
    ranks = sorted(over_repeats(result.members, metric), key=lambda one: one.mean, reverse=direction == "maximize")
    order = [mean.varied for mean in ranks]
    known = [mean for mean in over_repeats(result.members, name) if mean.varied in order]
    return sorted(known, key=lambda one: order.index(one.varied))


def measured(name: str, value: float | None) -> str:
    """Formats a metric: accuracies in per cent, counts with thousands separators."""
    if value is None:
        return ""
    if is_share(name):
        return f"{value:.2%}"
    if name == "seconds":
        return f"{value:,.2f}"
    return f"{value:,.0f}" if name in ("parameters", "multiply_adds") else f"{value:.4g}"


def _leaderboard(result: SweepResult, best: list[Outcome]) -> Table:
    best, total = best[:_ROWS], len(best)
    paths = list(dict.fromkeys(path for member in best for path in member.varied))
    objectives = [name for name, _ in result.objectives]
    tests = [tested(name) for name in objectives]
    wanted = dict.fromkeys((*objectives, "best/val_accuracy", *tests, "test/accuracy", "seconds"))
    names = [name for name in wanted if any(objective(member, name) is not None for member in best)]
    what = "the Pareto front" if len(result.objectives) > 1 else "the best"
    cut = f" {_ROWS}" if total > _ROWS and len(result.objectives) == 1 else _cut(total)
    title = f"{what}{cut} of {len(result.members)}: {result.name}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=True)
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    _add_columns_of(paths, result.names, table)
    for name in names:
        table.add_column(name.replace("/", "/\n", 1) if "/" in name else name, justify="right", no_wrap=True)
    for member in best:
        table.add_row(
            str(member.number),
            *(value_text(member.varied[path]) if path in member.varied else "" for path in paths),
            *(measured(name, objective(member, name)) for name in names),
        )
    return table


def _add_columns_of(paths: Iterable[str], names: Mapping[str, str], table: Table) -> None:
    """Adds a column for each varied path. In a narrow terminal only these are shortened, not the numbers."""
    for path in paths:
        heading = re.sub(r"(?<!\d)([_.])", r"\1\n", names[path])  # not between a number and its word
        table.add_column(heading, justify="right", overflow="ellipsis")


def _means(means: list[Mean], metric: str, names: Mapping[str, str]) -> Table:
    compared, repeats = against_best(means, means[0]), repeated(means)
    means, total = means[:_ROWS], len(means)
    table = Table(title=f"{metric} over {repeats}{_cut(total)}", title_justify="left", box=None, pad_edge=True)
    _add_columns_of(means[0].varied, names, table)
    for heading in ("runs" if "and" in repeats else repeats, "mean", "±\ndeviation", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    if compared:
        for heading in ("from the\nfirst", "p"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.caption = (
            f"p of {SIGNIFICANT} or more: not distinguishable from the first "
            f"(Student's t, paired, corrected for {len(compared)} by Holm)."
        )
        table.caption_justify = "left"
    for index, mean in enumerate(means):
        low, high = mean.mean - mean.interval, mean.mean + mean.interval
        if is_share(metric):  # it lies in 0 … 1
            low, high = max(low, 0.0), min(high, 1.0)
        table.add_row(
            *(value_text(value) for value in mean.varied.values()),
            str(len(mean.values)),
            measured(metric, mean.mean),
            measured(metric, mean.deviation),
            f"{measured(metric, low)} … {measured(metric, high)}",
            *_difference(compared[index], metric) if index in compared else (),
        )
    return table


def _difference(found: Comparison, metric: str) -> tuple[str, str]:
    """A difference and its p-value."""
    return signed(metric, found.difference), f"{found.p:.2g}" if found.p >= 0.001 else "<0.001"


def compared_text(found: Comparison, metric: str) -> str:
    """A comparison with the best configuration in words."""
    difference, p = _difference(found, metric)
    if not found.is_significant:
        return f"not distinguishable from the first (p {p})"
    return f"{difference} from the first (p {p})"


def _cut(total: int) -> str:
    """How many rows of a table are shown, if not all."""
    return f" ({_ROWS} of its {total} rows)" if total > _ROWS else ""


def _facts(result: SweepResult) -> list[str]:
    counts = Counter(member.status.lower() for member in result.members)
    states = ", ".join(f"{count} {status}" for status, count in counts.items())
    earlier = f" ({result.earlier} of them trained before)" if result.earlier else ""
    programs = f"{result.groups} structure{'s' if result.groups != 1 else ''}, {result.compiles} compiled"
    trained = len(result.members) - result.earlier
    rate = f", {trained / result.seconds * 60:.0f} members a minute" if trained and result.seconds > 0 else ""
    saved = f", {result.seconds_saved:.0f} s of compilation saved" if result.seconds_saved >= 1 else ""
    facts = [f"  {states or 'no members'}{earlier}; {programs}; {result.seconds:.1f} s{rate}{saved}"]
    return facts + ([f"  {said}"] if (said := optimism_text(result)) else [])


def optimism_text(result: SweepResult) -> str:
    """The best member's validation beside its test, and the gap that members have in general; empty if unknown."""
    found = optimism(result.members, result.objectives)
    if found is None:
        return ""
    value, test = (measured(found.metric, one) for one in found.chosen)
    gap, usual = (signed(found.metric, one) for one in (found.gap, found.usual_gap))
    return (
        f"chosen of {found.members} by {found.metric}: {value} in validation, {test} in test; a gap of {gap}, "
        f"that of all members is {usual} on average"
    )


def signed(name: str, value: float) -> str:
    """Formats a difference of a metric, with its sign where it is negative."""
    return f"{'−' if value < 0 else ''}{measured(name, abs(value))}"


def best_command(result: SweepResult) -> str:
    """The command line that trains the best member again, without passwords; empty if there is none."""
    best = ranked(result.members, result.objectives)
    return without_secrets(single(result.places, best[0].overrides)) if best else ""
