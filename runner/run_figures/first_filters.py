"""The filters of the first convolution before and after training."""

from runner.layers import places
from runner.run_figures.subject import ALL, RunFigure, Subject, has_numbers


def draw(subject: Subject) -> bytes:
    """The first filters, before training at the left and after it at the right."""
    from runner.figures import filters_before_and_after, png

    path = next(iter(subject.network.kernels()))
    before, after = (places.dotted(params)[path] for params in (subject.before.params, subject.trained.params))
    return png(filters_before_and_after(before, after, name=subject.place(path.rpartition(".")[0])))


FIGURE = RunFigure(
    draw,
    "the filters of the first convolution before and after training",
    suits=lambda network: bool(network.kernels()) and has_numbers(network),
    tasks=ALL,
)
