"""What figures of relevant pixels have in common: the map of each example and its checks."""

import functools
from collections.abc import Iterator

from runner.explaining.checks import deletion, likeness
from runner.explaining.relevance import METHODS
from runner.run_figures.subject import RunFigure, Subject, has_images, has_maps


def relevance_figure(method: str, title: str, note: str, *, of_layer: bool = False, signed: bool = False) -> RunFigure:
    """The figure of a method of `METHODS`.

    `of_layer`: it looks at the feature maps of a layer. `signed`: its values can be below zero.
    """
    about = title[:1].lower() + title[1:] if not title.startswith("Grad") else title
    draw = functools.partial(_draw, method, title, note, of_layer, signed)
    return RunFigure(draw, about, suits=has_maps if of_layer else has_images, of_layer=of_layer)


def _draw(method: str, title: str, note: str, of_layer: bool, signed: bool, subject: Subject) -> bytes:
    from runner.figures import png
    from runner.figures.relevance import Relevance, relevance
    from runner.figures.style import short_place

    sight, shuffled = subject.sight, subject.sight.shuffled()
    path = subject.path if of_layer else ""
    answered, rows = subject.answered, []
    for index, label in _asked(subject):
        image = subject.seen[index]
        values, random = (METHODS[method](one, image, label, path) for one in (sight, shuffled))
        curve = deletion(sight, image, label, values)
        rows.append(Relevance(answered[index], image, label, values, random, likeness(values, random), *curve))
    where = f" of {short_place(subject.place(path), 60)}" if of_layer else ""
    return png(relevance(rows, subject.trained.classes, method=f"{title}{where}", note=note, signed=signed))


def _asked(subject: Subject) -> Iterator[tuple[int, int]]:
    """The index of each example with the class that it was taken for, and with its true class if that is another."""
    for index, (example, answer) in enumerate(zip(subject.examples, subject.answers, strict=True)):
        taken = int(answer.argmax())
        yield index, taken
        if example.label is not None and example.label != taken:
            yield index, example.label
