"""What the charts of a sweep show: curves, values that vary, their importance, and costs."""

from collections.abc import Iterable, Iterator, Sequence

from runner.charts import Axis, Chart, Look, Mark, Parallel, Section, scale
from runner.charts.axes import Place, has_place
from runner.metrics import is_share
from runner.sweep.report.repeats import Mean, against_best, repeated
from runner.sweep.report.terminal import compared_text, measured, ordered_means
from runner.sweep.results import SweepResult, curve_names, objective, ranked, varied_text
from runner.training.member import Value
from runner.training.outcome import Outcome

_MOST_MEANS = 24
_MOST_POINTS = 400
_ABOUT_CURVES = "Every member, the best on top. Point at a member to highlight it in all charts."
_COSTS = {"multiply_adds": "multiply-adds", "parameters": "parameters", "seconds": "seconds of training"}
# The width over which dots of one category are spread, as a share of the width of the category.
_SPREAD = 0.4


def sections(result: SweepResult) -> list[Section]:
    """The charts for which a sweep has data, in the order of the report."""
    found = (_curves, _means, _slices, _parallel, _importances, _costs)
    return [section for make in found for section in make(result) if section.charts]


def _curves(result: SweepResult) -> Iterator[Section]:
    charts = []
    for name in curve_names(result):
        lines = {
            member.number: [
                (epoch, values[name])
                for epoch, values in enumerate(member.history, start=1)
                if name in values and has_place(values[name])
            ]
            for member in result.members
        }
        if not any(len(points) > 1 for points in lines.values()):
            continue
        every = [point for points in lines.values() for point in points]
        x, x_at = scale((epoch for epoch, _ in every), "epoch", each=True)
        y, y_at = scale((value for _, value in every), name, share=_is_share(name))
        marks = []
        for member, look in _in_order(result):
            points = tuple((x_at(epoch), y_at(value)) for epoch, value in _thinned(lines[member.number]))
            if len(points) > 1:
                marks.append(Mark("line", points, look, member.number))
            if points and (member.status != "FINISHED" or len(points) == 1):
                marks.append(Mark("dot", points[-1:], look, member.number))  # where it ended
        charts.append(Chart(name, x, y, tuple(marks)))
    yield Section("learning_curves", "Learning curves", _ABOUT_CURVES, tuple(charts))


def _thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """A curve of so many points as a chart has pixels: of each stretch its least and its greatest value."""
    if len(points) <= _MOST_POINTS:
        return points
    length = -(-2 * len(points) // _MOST_POINTS)
    stretches = (points[start : start + length] for start in range(1, len(points) - 1, length))
    ends = ({min(own, key=_height), max(own, key=_height)} for own in stretches)
    return [points[0], *(point for own in ends for point in sorted(own) if point != points[-1]), points[-1]]


def _height(point: tuple[int, float]) -> float:
    return point[1]


def _means(result: SweepResult) -> Iterator[Section]:
    metric = result.objectives[0][0]
    means = ordered_means(result, metric)
    if not means:
        return
    compared, repeats = against_best(means, means[0]), repeated(means)
    means = means[:_MOST_MEANS]
    names = [varied_text(mean.varied, result.names) or "all" for mean in means]
    y, y_at = scale(reversed(names), "")
    numbers = [value for mean in means for value in (*mean.values.values(), *_interval(mean, metric))]
    x, x_at = scale(numbers, metric, share=_is_share(metric))
    marks = []
    for index, (name, mean) in enumerate(zip(names, means, strict=True)):
        at = y_at(name)
        low, high = (x_at(end) for end in _interval(mean, metric))
        marks.append(Mark("line", ((low, at), (high, at)), "interval"))
        marks.append(Mark("dot", tuple((x_at(value), at) for value in mean.values.values())))
        text = f"{measured(metric, mean.mean)} ± {measured(metric, mean.deviation)} ({len(mean.values)} {repeats})"
        if index in compared:
            text += f"; {compared_text(compared[index], metric)}"
        marks.append(Mark("dot", ((x_at(mean.mean), at),), "best", text=text))
    about = f"Mean and 95 % confidence interval (Student's t); dots are {repeats}."
    if equal := sum(not one.is_significant for one in compared.values()):
        about += (
            f" Not distinguishable from the first: {equal} of {len(compared)} (Student's t, paired, corrected by Holm)."
        )
    yield Section("means", f"Means over {repeats}", about, (Chart(metric, x, y, tuple(marks)),), wide=True)


def _interval(mean: Mean, metric: str) -> tuple[float, float]:
    low, high = mean.mean - mean.interval, mean.mean + mean.interval
    return (max(low, 0.0), min(high, 1.0)) if _is_share(metric) else (low, high)  # a share lies in 0 … 1


def _slices(result: SweepResult) -> Iterator[Section]:
    metric = result.objectives[0][0]
    charts = []
    for path, name in result.names.items():
        known = {
            member.number: value
            for member in result.members
            if path in member.varied
            and has_place(member.varied[path])
            and (value := _known(member, metric)) is not None
        }
        values = {member.number: member.varied.get(path) for member in result.members if member.number in known}
        x, x_at = scale(values.values(), name, each=True)
        y, y_at = scale(known.values(), metric, share=_is_share(metric))
        marks = tuple(
            _dot((_spread(x, x_at, values[member.number], member.number), y_at(known[member.number])), member, look)
            for member, look in _in_order(result)
            if member.number in known
        )
        if marks:
            charts.append(Chart(path, x, y, marks))
    yield Section("slices", "Slices", f"{metric} against each value that varies.", tuple(charts))


def _spread(axis: Axis, at: Place, value: Value, number: int) -> float:
    """The place of a value; dots of one category are spread by the number of the member, the first in the middle."""
    if not axis.words:
        return at(value)
    return at(value) + ((number * 7919 + 48) % 97 / 97 - 0.5) * _SPREAD / len(axis.ticks)


def _parallel(result: SweepResult) -> Iterator[Section]:
    metric, names = result.objectives[0][0], result.names
    rows = [
        (member, look, [*(member.varied[path] for path in names), value])
        for member, look in _in_order(result)
        if (value := _known(member, metric)) is not None
        and all(path in member.varied and has_place(member.varied[path]) for path in names)
    ]
    if len(names) < 2 or not rows:
        return
    titles = [*names.values(), metric]
    scales = [
        scale(
            (values[index] for _, _, values in rows), title, share=index == len(names) and _is_share(metric), each=True
        )
        for index, title in enumerate(titles)
    ]
    marks = tuple(
        Mark(
            "line",
            tuple(
                (index / len(names), at(value))
                for index, ((_, at), value) in enumerate(zip(scales, values, strict=True))
            ),
            look,
            member.number,
        )
        for member, look, values in rows
    )
    text = f"One line for each member; the axes are the values that vary and {metric}."
    chart = Parallel(tuple(axis for axis, _ in scales), marks)
    yield Section("parallel_coordinates", "Parallel coordinates", text, (chart,), wide=True)


def _importances(result: SweepResult) -> Iterator[Section]:
    shares = sorted(result.importances.items(), key=lambda item: item[1])
    if not shares:
        return
    y, y_at = scale((result.names.get(path, path) for path, _ in shares), "")
    x, x_at = scale((share for _, share in shares), "share of the variance", share=True, bars=True)
    marks = tuple(
        Mark("bar", ((x_at(share), y_at(result.names.get(path, path))),), text=f"{share:.1%}".replace("%", " %"))
        for path, share in shares
    )
    text = f"The share of each value in the variance of {result.objectives[0][0]} between members (fANOVA)."
    yield Section("importance", "Importance", text, (Chart("", x, y, marks),), wide=True)


def _costs(result: SweepResult) -> Iterator[Section]:
    metric, direction = result.objectives[0]
    charts = []
    for cost, title in _COSTS.items():
        known = {
            member.number: (spent, value)
            for member in result.members
            if member.status == "FINISHED"
            and (value := _known(member, metric)) is not None
            and (spent := getattr(member, cost)) > 0
        }
        if len({spent for spent, _ in known.values()}) < 2:
            continue
        x, x_at = scale((spent for spent, _ in known.values()), title)
        y, y_at = scale((value for _, value in known.values()), metric, share=_is_share(metric))
        front = tuple((x_at(spent), y_at(value)) for spent, value in _front(known.values(), direction == "maximize"))
        dots = (
            _dot((x_at(known[member.number][0]), y_at(known[member.number][1])), member, look)
            for member, look in _in_order(result)
            if member.number in known
        )
        charts.append(Chart(title, x, y, (Mark("line", front, "front"), *dots)))
    text = "The line is the Pareto front: every other member has a cheaper one that is as good."
    yield Section("costs", "Against cost", text, tuple(charts))


def _front(points: Iterable[tuple[float, float]], higher_is_better: bool) -> Iterator[tuple[float, float]]:
    """The steps of the line that joins the points of the front, the cheapest first."""
    sign = -1 if higher_is_better else 1
    top: float | None = None
    for cost, value in sorted(points, key=lambda point: (point[0], sign * point[1])):
        if top is None or sign * (value - top) < 0:
            if top is not None:
                yield cost, top
            yield cost, value
            top = value


def _in_order(result: SweepResult) -> list[tuple[Outcome, Look]]:
    """The members and their looks, the best last, so that it is drawn on top."""
    best = next(iter(ranked(result.members, result.objectives)), None)
    looks = ((member, _look(member, member is best)) for member in result.members)
    return sorted(looks, key=lambda item: item[1] == "best")


def _look(member: Outcome, is_best: bool) -> Look:
    if is_best:
        return "best"
    return "plain" if member.status == "FINISHED" else "pruned" if member.status == "PRUNED" else "failed"


def _dot(point: tuple[float, float], member: Outcome, look: Look) -> Mark:
    return Mark("dot", (point,), look, member.number)


def _known(member: Outcome, name: str) -> float | None:
    """A member's value of a metric or a cost, if it can be drawn."""
    value = objective(member, name)
    return value if value is not None and has_place(value) else None


def _is_share(name: str) -> bool:
    return is_share(name)
