"""The page that runs the network in a browser, and shows every value in it with what made it."""

from typing import TYPE_CHECKING

import numpy as np

from runner.layers.places import dotted
from runner.network import Network
from runner.run_figures.subject import RunFigure, Subject

if TYPE_CHECKING:
    from runner.page import Moment


def draw(subject: Subject) -> bytes:
    """The page with some right and some wrong validation examples, after the ones that the user chose."""
    from runner import page

    val, (indices, probabilities) = subject.dataset.val, subject.judged
    chosen = [page.Example(example.input, example.label) for example in subject.chosen]
    found = page.examples(val.inputs[indices], np.asarray(val.labels)[indices], probabilities)
    return page.html(subject.trained, [*chosen, *found], subject.placement, moments=_moments(subject)).encode()


def _moments(subject: Subject) -> "list[Moment]":
    """The network before training, and what its run kept while it learnt."""
    from runner.page.moments import FOLDER, Moment, read

    kept = read(subject.folder / FOLDER) if subject.folder else []
    if kept and kept[0].epoch == 0:
        return kept
    values = {path: np.asarray(leaf) for part in subject.before for path, leaf in dotted(part).items()}
    return [Moment(0, None, values), *kept]


def _is_small(network: Network) -> bool:
    """Whether the page runs the network: recording the maps of a larger one takes long, and `explain` does it."""
    from runner.page import MULTIPLY_ADDS

    return network.totals.multiply_adds <= MULTIPLY_ADDS


FIGURE = RunFigure(draw, "the page that runs the network in a browser", in_runs=_is_small, place="page/{name}.html")
