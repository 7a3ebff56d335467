"""A declarative, config-driven experiment runner for convolutional networks.

import runner
network = runner.load("outputs/2026-11-28/10-00-00")     # or the id of a run
network.predict(["cat.jpg"], top_k=3)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.predicting import Predictor

__all__ = ["load"]


def load(run: str, *, device: str = "auto") -> "Predictor":
    """The trained network of a run: its output folder, the id of its run or its beginning, or models:/NAME@ALIAS.

    Raises ConfigError if there is no such run, or if its folder lacks what a network needs.
    """
    from runner import composition, trained
    from runner.predicting import Predictor
    from runner.tracking.locating import output_folder

    with output_folder(run, composition.tracking) as folder:
        return Predictor(trained.load(folder), device=device)
