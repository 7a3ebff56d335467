"""Grad-CAM of each image, with its checks."""

from runner.run_figures.relevance import relevance_figure

FIGURE = relevance_figure(
    "grad_cam",
    "Grad-CAM",
    "where the feature maps speak for the class: yellow most (Selvaraju et al. 2016)",
    of_layer=True,
)
