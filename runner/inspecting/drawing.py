"""The page of the data of an experiment, with some training images before and after its augmentation."""

from typing import Final

import numpy as np

from runner.data.augment import Augment
from runner.data.value_range import measured
from runner.experiment import Experiment
from runner.inspecting import page
from runner.inspecting.changes import changed, seen
from runner.inspecting.findings import Examined, Findings

_IMAGES: Final = 8


def page_of(found: Findings, data: Examined, experiment: Experiment, *, with_changes: bool = True) -> str:
    """One file of HTML. Augmented images are compiled first, some seconds; without `with_changes` they are left out."""
    if found.kind != "images" or experiment.augment == Augment():
        return page.html(found, data)
    if not with_changes:
        return page.html(found, data, changes_by="runner explain run=RUN what=data")
    train = data.parts["train"].inputs
    chosen = np.linspace(0, len(train) - 1, min(_IMAGES, len(train))).round().astype(int)
    height, width, _ = experiment.model.input_shape(found.shape)
    how = experiment.model.input.fit if experiment.model.input else "resize"
    before = seen(train[chosen], (height, width), how, experiment.data.declared_range or measured(train))
    return page.html(found, data, changed(experiment.augment, before), before=before)
