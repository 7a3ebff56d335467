"""Pages of small networks that are trained in the test, written to a folder."""

from pathlib import Path
from typing import Any

import numpy as np
from configurations import TINY, begun, here, parse
from configurations import composed as config_of

from runner import page
from runner.trained import Trained
from runner.training.alone import Training


def trained(*overrides: str) -> tuple[Training, Trained]:
    """A training that ended, and its network."""
    config: dict[str, Any] = config_of(*TINY, *overrides)
    training = begun(parse(config))
    list(training.epochs())
    return training, training.trained(training.ledger.history[-1].metrics)


def written(folder: Path, *overrides: str) -> tuple[Path, Training, Trained]:
    """A page with examples of the test images."""
    training, network = trained(*overrides)
    test = training.plan.dataset.test
    probabilities = network.answers(test.inputs, here())
    chosen = page.examples(test.inputs, np.asarray(test.labels), probabilities)
    path = folder / "page.html"
    path.write_text(page.html(network, chosen, here()), encoding="utf-8")
    return path, training, network
