"""The only package that uses Hydra: it makes configurations from a command line and the files in `conf/`.

>>> for_hydra(["train.epochs=3", "optimizer=sgd"])      # as Hydra takes them
['++train.epochs=3', 'optimizer=sgd']
"""

from runner.composition.commands import Job, look, train
from runner.composition.loading import register
from runner.composition.origins import Origin, origins
from runner.composition.places import BlockLibrary, files, groups, unlisted
from runner.composition.resolving import plain, resolve
from runner.composition.spelling import as_typed, for_hydra
from runner.composition.stores import tracking
from runner.composition.trust import read_text, read_yaml
from runner.shipped import configurations as shipped

__all__ = [
    "BlockLibrary",
    "Job",
    "Origin",
    "as_typed",
    "files",
    "for_hydra",
    "groups",
    "look",
    "origins",
    "plain",
    "read_text",
    "read_yaml",
    "register",
    "resolve",
    "shipped",
    "tracking",
    "train",
    "unlisted",
]
