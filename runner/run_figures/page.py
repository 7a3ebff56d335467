"""The page that runs the network in a browser, and shows every value in it with what made it."""

import numpy as np

from runner import compiling
from runner.network import Network
from runner.run_figures.subject import RunFigure, Subject


def draw(subject: Subject) -> bytes:
    """The page with some right and some wrong validation examples, after the ones that the user chose."""
    from runner import page

    val = subject.dataset.val
    chosen = [page.Example(example.input, example.label) for example in subject.chosen]
    found = page.examples(val.inputs, np.asarray(val.labels), subject.probabilities)
    functions = compiling.compiled(subject.trained.program, subject.placement)
    state = functions.init(compiling.leaves(subject.trained.program), *subject.given)
    before = page.Moment(0, None, state.params, state.statistics)
    return page.html(subject.trained, [*chosen, *found], subject.placement, moments=[before]).encode()


def _is_small(network: Network) -> bool:
    """Whether the page runs the network: recording the maps of a larger one takes long, and `explain` does it."""
    from runner.page import MULTIPLY_ADDS

    return network.totals.multiply_adds <= MULTIPLY_ADDS


FIGURE = RunFigure(draw, "the page that runs the network in a browser", in_runs=_is_small, place="page/{name}.html")
