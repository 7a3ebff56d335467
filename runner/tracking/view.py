"""The view of an experiment in MLflow's UI: its columns, its charts and the colours of its runs.

The UI stores a shared view as a tag of the experiment and opens it by `viewStateShareKey` (tested with MLflow 3.17).
The default view lists runs without results, and sorts charts by name: seconds before accuracies.
"""

import json
from collections.abc import Mapping

_KEY = "runner"
_VIEW_TAG = f"mlflow.sharedViewState.{_KEY}"
_COLUMNS = (
    "attributes.`Created`",
    "metrics.`test/accuracy`",
    "metrics.`best/val_accuracy`",
    "metrics.`val/loss`",
    "metrics.`seconds/train`",
    "params.`model.name`",
    "params.`optimizer.name`",
    "params.`optimizer.learning_rate`",
    "params.`train.batch_size`",
    "params.`seed`",
)
# A section contains the metrics with the same prefix before the slash; metrics without one are in "Model metrics".
_SECTIONS = ("val", "train", "test", "best", "Model metrics", "seconds")
# Okabe & Ito's colours and darker shades of them, so that colour-blind readers can distinguish consecutive runs.
_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#004b75",
    "#8a3d00",
    "#00634a",
    "#7d3f64",
)
_COLOUR_TAG = "mlflow.runColor"


def experiment_tags() -> dict[str, str]:
    """The tags of a new experiment: its view, and its kind, because the UI expects language models by default."""
    sections = [
        {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": True}
        for name in _SECTIONS
    ]
    view = {
        "selectedColumns": _COLUMNS,
        "compareRunSections": sections,
        "compareRunCharts": [],
        "isAccordionReordered": True,
    }
    return {"mlflow.experimentKind": "custom_model_development", _VIEW_TAG: json.dumps(view)}


def next_colour(latest: Mapping[str, str]) -> dict[str, str]:
    """The colour tag of a run, given the tags of the run before. MLflow itself often gives two runs one colour."""
    colour = latest.get(_COLOUR_TAG)
    place = _COLOURS.index(colour) + 1 if colour in _COLOURS else 0
    return {_COLOUR_TAG: _COLOURS[place % len(_COLOURS)]}


def experiment_links(address: str, experiment_id: str, tags: Mapping[str, str]) -> tuple[str, str]:
    """The URLs of an experiment's list of runs and of its curves."""
    share = f"&viewStateShareKey={_KEY}" if _VIEW_TAG in tags else ""
    page = f"{address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning{share}"
    return page, f"{page}&compareRunsMode=CHART"


def run_link(address: str, experiment_id: str | None, run_id: str) -> str:
    """The URL of a run."""
    return f"{address}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
