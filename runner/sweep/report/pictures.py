"""The charts of the report as PNG files."""

from collections.abc import Callable, Mapping

from runner.sweep.results import SweepResult, objective, ranked


def figures(result: SweepResult) -> Mapping[str, Callable[[], bytes]]:
    """The figures for which a sweep has data, by name; calling one draws it as a PNG."""
    drawings: dict[str, Callable[[], bytes]] = {}
    if any(len(member.history) > 1 for member in result.members):
        drawings["learning_curves"] = lambda: _curves(result)
    name = result.objectives[0][0]
    if any(objective(member, name) is not None for member in result.members) and result.space:
        drawings["slices"] = lambda: _slices(result)
    return drawings


def _curves(result: SweepResult) -> bytes:
    from runner.figures import png
    from runner.figures.sweeps import curves

    leaders = ranked(result.members, result.objectives)
    names = ("val/accuracy", "val/loss", "train/loss")
    members = [
        {name: [epoch[name] for epoch in member.history if name in epoch] for name in names}
        for member in result.members
    ]
    best = result.members.index(leaders[0]) if leaders else None
    return png(curves(members, names, best=best))


def _slices(result: SweepResult) -> bytes:
    from runner.figures import png
    from runner.figures.sweeps import slices

    name = result.objectives[0][0]
    known = [(member, value) for member in result.members if (value := objective(member, name)) is not None]
    paths = [path for path in result.space if all(path in member.varied for member, _ in known)]
    varied = {path: [member.varied[path] for member, _ in known] for path in paths}
    return png(slices(varied, [value for _, value in known], name))
