"""A diagram of the network: layers with their sizes, branches and shortcuts."""

from runner.explaining.outline import outline
from runner.run_figures.subject import ALL, RunFigure, Subject


def draw(subject: Subject) -> bytes:
    """The diagram as an SVG."""
    from runner.figures.diagram import diagram

    found, totals = outline(subject.network), subject.network.totals
    detail = f"{totals.parameters:,} parameters, {totals.multiply_adds:,} multiply-adds for one image"
    if subject.network.vocabulary is not None:
        detail = detail.replace("image", "text")
    return diagram(found.input, found.parts, subject.trained.experiment.model.name, detail).encode()


FIGURE = RunFigure(draw, "a diagram of the network", place="figures/{name}.svg", tasks=ALL)
