"""Edits of a list of layers: what a variant changes in the model that it is based on.

    edit:
      - {after: layers.2, insert: [batch_norm, relu]}       # or before
      - {replace: 0_conv, with: {conv: {filters: 8, kernel_size: 3}}}
      - {change: every conv, with: {use_bias: false}}       # some arguments of a layer
      - {delete: flatten}

A layer is named by its place in the base (`layers.3`, `layers[3]`, `3_conv`, `layers.1.residual.layers.0`,
`blocks.unit.layers.0`; YAML reads brackets inside braces only in quotes), or by its kind if the base has one layer of
that kind; `every KIND` names all of them. All names refer to the base as it is written, so that no edit moves the
places of another.

>>> edited({"layers": ["relu", "flatten"]}, [{"before": "relu", "insert": "batch_norm"}, {"delete": "flatten"}], "x")
{'layers': ['batch_norm', 'relu']}
"""

from runner.edits.applying import ACTIONS, KEY, edited, explained, explaining, variant
from runner.edits.marks import Leaf, leaves, marked
from runner.edits.places import place_text

__all__ = [
    "ACTIONS",
    "KEY",
    "Leaf",
    "edited",
    "explained",
    "explaining",
    "leaves",
    "marked",
    "place_text",
    "variant",
]
