"""Occlusion of each image, with its checks."""

from runner.run_figures.relevance import relevance_figure

FIGURE = relevance_figure(
    "occlusion",
    "Occlusion",
    "red: the probability of the class falls if a grey square covers this; blue: it rises (Zeiler & Fergus 2013)",
    signed=True,
)
