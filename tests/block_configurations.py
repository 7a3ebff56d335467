"""Models with blocks, as users write them: what they come to, and what is told of them."""

from typing import Any

from configurations import composed, parse, report

from runner.describe import bound

END: list[Any] = ["flatten", "classifier"]
CONV: dict[str, Any] = {
    "params": {"filters": None, "stride": 1, "activation": "relu"},
    "layers": [
        {"conv": {"filters": "$filters", "kernel_size": 3, "stride": "$stride", "padding": 1}},
        "$activation",
    ],
}


def config(layers: list[Any], blocks: Any = None, params: Any = None) -> dict[str, Any]:
    """An experiment on the digits, 8×8×1, with a model of these layers and what ends it."""
    whole = composed()
    whole["model"] = {"name": "blocks", "layers": [*layers, *END], "blocks": blocks, "params": params}
    return whole


def faults(layers: list[Any], blocks: Any = None, params: Any = None) -> list[str]:
    return report(config(layers, blocks, params))


def rows(layers: list[Any], blocks: Any = None, params: Any = None) -> list[tuple[str, tuple[int, ...]]]:
    """Kind and output shape of every layer but those of the end."""
    found = bound(parse(config(layers, blocks, params))).rows
    return [(row.kind, row.output.shape) for row in found[: -len(END)]]


def same_layers(used: list[Any], written: list[Any], blocks: Any = None, params: Any = None) -> None:
    """Holds a use of blocks against the same layers written out."""
    assert rows(used, blocks, params) == rows(written)
