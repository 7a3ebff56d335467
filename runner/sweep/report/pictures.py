"""The charts of the report as PNG files."""

from collections.abc import Callable, Mapping, Sequence

from runner.sweep.results import SweepResult, curve_names, objective, ranked
from runner.training.member import Value


def figures(result: SweepResult) -> Mapping[str, Callable[[], bytes]]:
    """The figures for which a sweep has data, by name; calling one draws it as a PNG."""
    drawings: dict[str, Callable[[], bytes]] = {}
    if any(len(member.history) > 1 for member in result.members):
        drawings["learning_curves"] = lambda: _curves(result)
    name = result.objectives[0][0]
    known = [(member, value) for member in result.members if (value := objective(member, name)) is not None]
    varied = {
        result.names[path]: [member.varied[path] for member, _ in known]
        for path in result.space
        if all(path in member.varied for member, _ in known)
    }
    if known and varied:
        drawings["slices"] = lambda: _slices(varied, [value for _, value in known], name)
    return drawings


def _curves(result: SweepResult) -> bytes:
    from runner.figures import png
    from runner.figures.sweeps import curves

    leaders, names = ranked(result.members, result.objectives), curve_names(result)
    members = [
        {name: [epoch[name] for epoch in member.history if name in epoch] for name in names}
        for member in result.members
    ]
    best = result.members.index(leaders[0]) if leaders else None
    return png(curves(members, names, best=best))


def _slices(varied: Mapping[str, Sequence[Value]], values: Sequence[float], name: str) -> bytes:
    from runner.figures import png
    from runner.figures.sweeps import slices

    return png(slices(varied, values, name))
