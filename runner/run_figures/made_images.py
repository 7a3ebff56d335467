"""Images that are made to excite the filters of a layer."""

from typing import Final

from runner.explaining.excitation import lively, made
from runner.run_figures.subject import ALL, RunFigure, Subject, has_maps

_FILTERS: Final = 12
_LARGE: Final = 128 * 128  # pixels from which fewer images are made


def draw(subject: Subject) -> bytes:
    """An image for each of some filters, made by gradient ascent."""
    from runner.figures import png
    from runner.figures.excitation import made_images
    from runner.figures.style import short_place

    path, shape = subject.path, subject.network.input_shape
    most = _FILTERS if shape[0] * shape[1] < _LARGE else _FILTERS // 2
    chosen = lively(subject.excitement.values, most)
    images, means = made(subject.sight, path, chosen)
    rows = [(channel, float(mean), image) for channel, mean, image in zip(chosen, means, images, strict=True)]
    note = "by gradient ascent from grey noise; above each image the mean of the filter's map, which it raises"
    title = f"Images made to excite filters of {short_place(subject.place(path), 40)}"
    return png(made_images(rows, title=title, note=note))


FIGURE = RunFigure(draw, "images made to excite filters, by gradient ascent", suits=has_maps, of_layer=True, tasks=ALL)
