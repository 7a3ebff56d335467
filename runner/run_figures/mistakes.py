"""A page with the validation examples that the network takes for another class, the most confident first."""

from typing import TYPE_CHECKING, Final

import numpy as np

from runner.data import Examples
from runner.data.vocabulary import token_text
from runner.explaining.embedding import hidden, nearest
from runner.network import Network
from runner.run_figures.subject import RunFigure, Subject, has_images, has_texts

if TYPE_CHECKING:
    from runner.mistakes import Shown

_MOST: Final = 200  # mistakes
_NEAR: Final = 5  # training examples for each
# What finding them may cost: half a second on two cores, for at least as many training examples.
_MULTIPLY_ADDS, _LEAST, _TRAINED = 2**34, 256, 20_000


def draw(subject: Subject) -> bytes:
    """The page: at most 200 mistakes, each with the five training examples that the network finds most similar.

    They are validation examples: whoever improves a network by what it gets wrong must not look at the test examples.
    """
    from runner import mistakes as page

    dataset, (indices, probabilities) = subject.dataset, subject.judged
    labels, taken = dataset.val.labels[indices], probabilities.argmax(axis=1)
    wrong = np.flatnonzero(taken != labels)
    chosen = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:_MOST]
    near = _near(subject, indices[chosen]) if len(chosen) else np.zeros((0, 0), int)
    used = list(dict.fromkeys(near.ravel().tolist()))
    places = {index: place for place, index in enumerate(used)}
    return page.html(
        page.Mistakes(
            subject.trained.experiment.model.name,
            dataset.classes,
            len(indices),
            len(wrong),
            [
                page.Mistake(
                    _shown(subject, dataset.val, int(indices[place])),
                    int(taken[place]),
                    float(probabilities[place].max()),
                    float(probabilities[place, labels[place]]),
                    tuple(places[index] for index in row),
                )
                for place, row in zip(chosen, near.tolist(), strict=True)
            ],
            [_shown(subject, dataset.train, index) for index in used],
        )
    ).encode("utf-8", "replace")  # names of files may have bytes that are no text


def _near(subject: Subject, indices: np.ndarray) -> np.ndarray:
    """The indices (m, 5) of the training examples nearest to these validation examples, by the last hidden layer."""
    dataset = subject.dataset
    most = max(_MULTIPLY_ADDS // max(subject.network.totals.multiply_adds, 1), _LEAST)
    some = np.linspace(0, len(dataset.train) - 1, min(most, _TRAINED, len(dataset.train))).round().astype(int)
    own = hidden(subject.sight, dataset.val.inputs[indices])
    return np.asarray(some[nearest(own, hidden(subject.sight, dataset.train.inputs[some]), _NEAR)])


def _shown(subject: Subject, examples: Examples, index: int) -> "Shown":
    from runner import mistakes as page
    from runner.figures.canvas import pictured

    name = examples.files[index] if examples.files else f"#{index}"
    data, words = examples.inputs[index], subject.trained.vocabulary
    text = token_text(data, words) if words else ""
    return page.Shown("" if words else page.picture(pictured(data)), text, name, int(examples.labels[index]))


def _suits(network: Network) -> bool:
    return has_images(network) or has_texts(network)


FIGURE = RunFigure(draw, "a page of the mistakes, the most confident first", suits=_suits, place="figures/{name}.html")
