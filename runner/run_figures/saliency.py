"""Saliency of each image, with its checks."""

from runner.run_figures.relevance import relevance_figure

FIGURE = relevance_figure(
    "saliency",
    "Saliency",
    "the size of the gradient of the class score by each pixel: yellow most (Simonyan et al. 2013)",
)
