"""The page of a trained network as HTML: the network with its weights, the examples, the styles and the scripts."""

import base64
import json
import zlib
from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np

from runner import compiling
from runner.page.bundle import bundled, source
from runner.page.examples import Example
from runner.page.graph import RUNS_IN_BROWSER, Node, flat_values, kinds_of, nodes_of, nodes_with
from runner.page.moments import MOST, ROOM_BYTES, Moment, first_filters, moments_that_fit
from runner.placement import Placement
from runner.records import Record
from runner.trained import Trained

MULTIPLY_ADDS: Final = 100_000_000
WEIGHT_BYTES: Final = 16_000_000
"""The largest network that a page runs; of a larger one it shows recorded maps. In base64 they are 21 MB."""

_PAGE_BYTES: Final = 18_000_000  # of weights, examples and moments together; in base64 they are 24 MB
_RECORDED_BYTES: Final = 9_000_000  # of all recorded maps together
_RECORDED_IMAGES: Final = 6
_AT_ONCE: Final = 2  # as many as the other figures show, with which the compiled program is shared
_RECORDED_SIDE: Final = 56  # larger maps are recorded as means of squares

Array = np.ndarray[Any, Any]


def html(trained: Trained, examples: Sequence[Example], placement: Placement, *, moments: Sequence[Moment] = ()) -> str:
    """The page of a network with these examples. `placement` says where recorded maps are computed, if any are.

    `moments` of its training are written in float16, as many as there is room for; the network itself in float32. Of a
    network that is too large for that they are the filters of its first convolution alone.
    """
    nodes = nodes_of_trained(trained)
    reason = recorded_because(trained, nodes)
    model = described(trained, nodes)
    values = b""
    if not reason:
        values = flat_values(nodes)[0].tobytes()
        examples = _first_that_fit(examples, _PAGE_BYTES - len(values))
    room = _PAGE_BYTES - len(values) - sum(np.asarray(example.data).nbytes for example in examples)
    model |= _training(trained, nodes, moments, min(room, ROOM_BYTES), runs=not reason)
    if reason:
        examples = examples[:: max(len(examples) // _RECORDED_IMAGES, 1)][:_RECORDED_IMAGES]
        model |= {"recorded": reason, "records": _records(trained, nodes, examples, placement)}
        for node in model["nodes"]:
            node["tensors"] = {}
    model["examples"] = [
        {"data": _base64(np.ascontiguousarray(example.data).tobytes()), "label": example.label} for example in examples
    ]
    return _document(model, values)


def nodes_of_trained(trained: Trained) -> list[Node]:
    """The nodes of a trained network; without values if it has a kind of layer that the page cannot compute."""
    return nodes_of(trained.program.network, trained.params, trained.statistics)


def recorded_because(trained: Trained, nodes: Sequence[Node]) -> dict[str, Any]:
    """Why the page shows recorded maps and does not run the network, as it tells it; empty if it runs it."""
    if unknown := sorted(kinds_of(trained.program.network) - RUNS_IN_BROWSER):
        return {"because": "unknownLayers", "value": ", ".join(unknown)}
    cost = sum(node.multiply_adds for node in nodes)
    if cost > MULTIPLY_ADDS:
        return {"because": "multiplyAdds", "value": f"{cost / 1e6:,.0f}"}
    size = sum(tensor.nbytes for node in nodes for tensor in node.tensors.values())
    return {"because": "megabytes", "value": f"{size / 1e6:,.1f}"} if size > WEIGHT_BYTES else {}


def described(trained: Trained, nodes: Sequence[Node]) -> dict[str, Any]:
    """All that the page knows of a network but for its values and examples."""
    program, values = trained.program, trained.value_range
    _, where = flat_values(nodes)
    return {
        "name": trained.experiment.model.name,
        "classes": trained.classes,
        "vocabulary": trained.vocabulary,
        "metrics": {name: value for name, value in trained.facts.metrics.items() if np.isfinite(value)},
        "precision": program.precision,
        "loss": program.loss.name,
        "smoothing": getattr(program.loss, "label_smoothing", 0.0),
        "gamma": getattr(program.loss, "gamma", 0.0),
        "mirrored": program.test_time.views == "mirror",
        "crops": len(program.test_time.places),
        "input": {
            "shape": program.network.input_shape,
            "data_shape": program.network.data_shape,
            "dtype": trained.input_dtype,
            "fit": program.network.fit,
            "file_fit": getattr(trained.experiment.data, "fit", "resize"),
            "black": values.black,
            "white": values.white,
            "mean": program.mean,
            "std": program.std,
        },
        "nodes": [
            {
                "kind": node.kind,
                "place": node.place,
                "paths": node.paths,
                "shape": node.shape,
                "inputs": node.inputs,
                "windows": node.windows,
                "args": node.args,
                "tensors": tensors,
            }
            for node, tensors in zip(nodes, where, strict=True)
        ],
        "output": len(nodes) - 1,
    }


def _records(
    trained: Trained, nodes: Sequence[Node], examples: Sequence[Example], placement: Placement
) -> list[dict[str, Any]]:
    """What every node made of each example: bytes between its smallest and its largest value, deflated."""
    activations = compiling.compiled(trained.program, placement).activations
    at, channels, found = compiling.leaves(trained.program), _channels(nodes, len(examples)), []
    for first in range(0, len(examples), _AT_ONCE):
        some = examples[first : first + _AT_ONCE]
        inputs = np.stack([np.asarray(example.data) for example in some])
        full = np.resize(inputs, (_AT_ONCE, *inputs.shape[1:]))
        values = activations(at, trained.params, trained.statistics, full)
        for place, answers in enumerate(trained.answers(inputs, placement)):
            made = [next(values[path][place] for path in node.paths if path in values) for node in nodes[1:]]
            maps = [_recorded(np.asarray(one, np.float32), channels) for one in made]
            found.append({"maps": maps, "probabilities": [float(value) for value in answers]})
    return found


def _channels(nodes: Sequence[Node], images: int) -> int:
    """How many channels of each map are recorded, so that all of them fit."""
    for channels in (512, 256, 128, 64, 32, 16):
        size = sum(
            int(np.prod([min(side, _RECORDED_SIDE) for side in node.shape[:-1]])) * min(node.shape[-1], channels)
            for node in nodes
        )
        if size * images <= _RECORDED_BYTES:
            return channels
    return 8


def _recorded(made: Array, channels: int) -> dict[str, Any]:
    kept = made[..., :channels] if made.ndim > 1 else made
    if kept.ndim == 3 and max(kept.shape[:2]) > _RECORDED_SIDE:
        by = -(-max(kept.shape[:2]) // _RECORDED_SIDE)
        height, width = (size // by for size in kept.shape[:2])
        kept = kept[: height * by, : width * by].reshape(height, by, width, by, -1).mean(axis=(1, 3))
    low, high = float(kept.min()), float(kept.max())
    steps = np.round((kept - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    return {"shape": kept.shape, "low": low, "high": high, "data": _base64(zlib.compress(steps.tobytes(), 6))}


def _first_that_fit(examples: Sequence[Example], room: int) -> Sequence[Example]:
    """The examples that fit beside the weights; at least one."""
    size = max((np.asarray(example.data).nbytes for example in examples), default=1)
    return examples[: max(room // size, 1)]


def _training(
    trained: Trained, nodes: Sequence[Node], moments: Sequence[Moment], room: int, *, runs: bool
) -> dict[str, Any]:
    """What the page knows of how the network was trained: the epoch of its values, the moments, the first filters."""
    last = max((moment.epoch for moment in moments), default=0)
    best = int(trained.facts.metrics.get("best/epoch", 0))
    epoch = best if trained.experiment.train.keep == "best" and best else last
    accuracy = next((moment.accuracy for moment in moments if moment.epoch == epoch), None)
    if accuracy is None and epoch == best:
        accuracy = trained.facts.metrics.get("best/val_accuracy")
    found: dict[str, Any] = {"kept": {"epoch": epoch, "accuracy": accuracy} if epoch else None}
    others = [moment for moment in moments if not epoch or moment.epoch != epoch]  # it is there in float32
    path = first_filters(trained.program.network)
    if path is not None:
        at, kernel = _with_filters(nodes, path)
        found["filters"] = {"node": at, "shape": kernel.shape, "data": "" if runs else _base64(_float32(kernel))}
    needed = {f"{node.paths[0]}.{name}" for node in nodes for name in node.tensors if name != "counts"}
    whole = [moment for moment in others if runs and needed <= set(moment.values)]
    if chosen := _evenly(whole, moments_that_fit(len(flat_values(nodes)[0]), room)):
        found["snapshots"] = [
            _snapshot(moment, flat_values(nodes_with(trained.program.network, moment.values))[0]) for moment in chosen
        ]
    elif path is not None:
        chosen = _evenly([moment for moment in others if path in moment.values], MOST)
        found["snapshots"] = [_snapshot(moment, moment.values[path], only="filters") for moment in chosen]
    return found


def _with_filters(nodes: Sequence[Node], path: str) -> tuple[int, Array]:
    """The number of the node with these filters, and the filters."""
    return next(
        (at, tensor)
        for at, node in enumerate(nodes)
        for name, tensor in node.tensors.items()
        if f"{node.paths[0]}.{name}" == path
    )


def _evenly(moments: Sequence[Moment], count: int) -> list[Moment]:
    """So many of the moments, the first among them."""
    places = np.linspace(0, len(moments) - 1, min(len(moments), count)).round().astype(int)
    return [moments[place] for place in np.unique(places)]


def _snapshot(moment: Moment, values: Array, only: str = "") -> dict[str, Any]:
    largest = float(np.finfo(np.float16).max)
    halves = np.clip(np.asarray(values, np.float32).ravel(), -largest, largest).astype("<f2")
    return {"epoch": moment.epoch, "accuracy": moment.accuracy, "only": only, "data": _base64(halves.tobytes())}


def _float32(values: Array) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()


def _document(model: dict[str, Any], values: bytes) -> str:
    title = escape(str(model["name"]))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{source('style.css')}</style>\n</head>\n<body>\n"
        f'<script type="application/json" id="model">{_inline(model)}</script>\n'
        f'<script type="text/plain" id="values">{_base64(values)}</script>\n'
        f"<script>\n{bundled()}</script>\n</body>\n</html>\n"
    )


def _inline(data: Any) -> str:
    """Data as JSON inside a script, which no text in it can end."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _plain(value: Any) -> Any:
    """A value as JSON has it: arrays and scalars of NumPy and JAX as numbers, records as mappings."""
    return value.model_dump() if isinstance(value, Record) else np.asarray(value).tolist()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
