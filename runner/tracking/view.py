"""How MLflow's UI shows an experiment: which columns and charts come first, and in which colours.

The UI keeps a view that is shared as a tag of the experiment, and opens it by `viewStateShareKey` (tried with MLflow
3.17). Without one it lists runs without their results, and sorts charts by name: seconds before accuracies.
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
# A section holds the metrics that share what stands before the slash; "Model metrics" is MLflow's for those without.
_SECTIONS = ("val", "train", "test", "best", "Model metrics", "seconds")
# Okabe & Ito's colours and darker shades of them: neighbours in time are told apart, also by colour-blind readers.
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
    """The tags of a new experiment: its view, and its kind, so that the UI does not expect language models."""
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
    """The colour tag of a run, given the tags of the one before. MLflow's own choice often gives two runs the same."""
    colour = latest.get(_COLOUR_TAG)
    place = _COLOURS.index(colour) + 1 if colour in _COLOURS else 0
    return {_COLOUR_TAG: _COLOURS[place % len(_COLOURS)]}


def experiment_links(address: str, experiment_id: str, tags: Mapping[str, str]) -> tuple[str, str]:
    """Where the runs of an experiment are listed, and where their curves are compared."""
    share = f"&viewStateShareKey={_KEY}" if _VIEW_TAG in tags else ""
    page = f"{address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning{share}"
    return page, f"{page}&compareRunsMode=CHART"


def run_link(address: str, experiment_id: str | None, run_id: str) -> str:
    """Where a run is shown."""
    return f"{address}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
