"""Integrated gradients of each image, with its checks."""

from runner.run_figures.relevance import relevance_figure

FIGURE = relevance_figure(
    "integrated_gradients",
    "Integrated gradients",
    "red: adds to the score of the class on the way from black to the image; blue: takes away (Sundararajan 2017)",
    signed=True,
)
