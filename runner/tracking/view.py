"""The view of an experiment in MLflow's UI: its columns, its order, its charts and the colours of its runs.

The UI stores a shared view as a tag of the experiment and opens it by `viewStateShareKey` (tested with MLflow 3.17).
The default view lists runs without results, and sorts charts by name.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from runner.metrics import natural_direction

_KEY: Final = "runner"
VIEW_TAG: Final = f"mlflow.sharedViewState.{_KEY}"
# The choices of conf/debug/ set this tag.
NO_DEBUG_RUNS: Final = "tags.debug IS NULL"
METRIC_TAG: Final = "task.metric"
"""The tag of a run with the metric by which the runs of its task are compared; without it, accuracy."""
ACCURACY: Final = "accuracy"
_SPLITS: Final = ("val", "train")
_RESULTS: Final = "results and costs"
_DIFFERENCES: Final = "differences"
# Of each section, how many charts stand side by side, and how high they are in pixels. The last one is the UI's own, of
# the metrics that the others lack.
_SECTIONS: Final = {
    **dict.fromkeys(_SPLITS, (2, 360)),
    _RESULTS: (3, 300),
    _DIFFERENCES: (1, 480),
    "Model metrics": (3, 300),
}
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


def experiment_tags(condition: str, metric: str = ACCURACY) -> dict[str, str]:
    """The tags of an experiment: its view, and its kind, because the UI expects language models by default.

    The view lists the runs for which the condition, in MLflow's filter language, is true; the best by the metric in
    validation first.
    """
    columns = _columns(metric)
    state = {"display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    sections = [
        {"uuid": name, "name": name, "columns": across, "cardHeight": height, **state}
        for name, (across, height) in _SECTIONS.items()
    ]
    view = {
        "searchFilter": condition,
        "orderByKey": f"metrics.`best_val_{metric}`",
        "orderByAsc": natural_direction(f"val/{metric}") == "minimize",
        "selectedColumns": ["attributes.`Created`", *(name for name in columns if "." in name)],
        "columnOrder": list(columns),
        "columnWidths": columns,
        "compareRunSections": sections,
        "compareRunCharts": _charts(metric),
        "isAccordionReordered": True,
    }
    return {"mlflow.experimentKind": "custom_model_development", VIEW_TAG: json.dumps(view, separators=(",", ":"))}


def _columns(metric: str) -> dict[str, int]:
    """By column, its width in pixels, in the order of the view. The UI's own columns have names of their own."""
    return {
        "attributes.`Run Name`": 300,
        f"metrics.`best_val_{metric}`": 150,
        f"metrics.`test_{metric}`": 120,
        "metrics.`parameters`": 100,
        "metrics.`multiply_adds`": 110,
        "metrics.`seconds_train`": 115,
        "params.`model.name`": 120,
        "params.`optimizer.name`": 120,
        "params.`optimizer.learning_rate`": 180,
        "params.`train.batch_size`": 130,
        "params.`seed`": 70,
        "runDateAndNestInfo": 150,
        "duration": 80,
    }


def _charts(metric: str) -> list[dict[str, Any]]:
    test = f"test_{metric}"
    curves = [
        _chart("LINE", split, name, metricKey=name, useGlobalXaxisKey=True, useGlobalLineSmoothing=True)
        for split in _SPLITS
        for name in (f"{split}/{metric}", f"{split}/loss")
    ]
    named = (test, f"best_val_{metric}", "multiply_adds", "parameters", "seconds_train", "peak_memory_mb")
    bars = [_chart("BAR", _RESULTS, name, metricKey=name) for name in named]
    axes = {"xaxis": _axis("multiply_adds"), "yaxis": _axis(test)}
    scatter = _chart("SCATTER", _RESULTS, f"{test} by multiply_adds", **axes)
    differences = _chart(
        "DIFFERENCE",
        _DIFFERENCES,
        "what differs",
        compareGroups=["Parameters", "Model metrics"],
        chartName="what differs",
        showDifferencesOnly=True,
        showChangeFromBaseline=False,
    )
    return [*curves, scatter, *bars, differences]


def _chart(kind: str, section: str, name: str, **settings: Any) -> dict[str, Any]:
    common = {"runsCountToCompare": 10, "deleted": False, "isGenerated": False, "metricSectionId": section}
    return {"uuid": name, "type": kind, "displayName": name, **common, **settings}


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def next_colour(latest: Mapping[str, str]) -> dict[str, str]:
    """The colour tag of a run, given the tags of the run before. MLflow itself often gives two runs one colour."""
    colour = latest.get(_COLOUR_TAG)
    place = _COLOURS.index(colour) + 1 if colour in _COLOURS else 0
    return {_COLOUR_TAG: _COLOURS[place % len(_COLOURS)]}


def view_link(address: str, experiment_id: str, *, curves: bool = False) -> str:
    """The URL of an experiment's runs in its view, or of their curves."""
    chart = "&compareRunsMode=CHART" if curves else ""
    page = f"{address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    return f"{page}&viewStateShareKey={_KEY}{chart}"


def run_link(address: str, experiment_id: str | None, run_id: str) -> str:
    """The URL of a run."""
    return f"{address}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
