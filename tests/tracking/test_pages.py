"""What a user sees in the MLflow UI, in a real browser, of three runs and a sweep that the command line made."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from browser import started
from configurations import TINY
from tracking_server import answer, free_port

from runner.tracking.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

EPOCHS: Final = 3
OF_ALL: Final = (*TINY, "tracking.enabled=true", "figures=off", f"train.epochs={EPOCHS}")
RUNS: Final = {
    "small": ("optimizer.learning_rate=0.003",),
    "small and fast": ("optimizer.learning_rate=0.01",),
    "large": ("optimizer.learning_rate=0.003", "model.name=large", "model.layers.0.conv.filters=12"),
    "tried": ("debug=fast",),
}
SWEEP: Final = ("-m", "optimizer.learning_rate=0.001,0.003,0.01,0.03", "seed=0,1", "tracking.run_name=sweep")
MEMBERS: Final = 8
ROWS: Final = ".ag-pinned-left-cols-container .ag-row, .ag-center-cols-container .ag-row"
HEADERS: Final = '[data-testid="experiment-view-compare-runs-section-header"]'
# Elements are not in the order in which they are seen.
COLUMNS: Final = """[...document.querySelectorAll('.ag-header-cell')]
    .map(e => [e.getBoundingClientRect().left, e.getAttribute('col-id')])
    .sort((a, b) => a[0] - b[0]).map(pair => pair[1])"""
# Of each chart that is drawn: of each line the number of its points, without lines of none.
LINES: Final = """[...document.querySelectorAll('.js-plotly-plot')].map(plot =>
    [...plot.querySelectorAll('.scatterlayer .trace')].map(e => e.querySelectorAll('.point').length).filter(n => n))"""


@dataclass(frozen=True)
class Site:
    """The UI on a store with these runs, in experiment 1."""

    address: str
    client: Any

    @property
    def runs(self) -> list[Any]:
        return list(self.client.search_runs(["1"]))

    def named(self, name: str) -> str:
        """The id of the run of this name."""
        return next(run.info.run_id for run in self.runs if run.info.run_name == name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "runner"]
    launched = [(*choices, f"tracking.run_name={name}") for name, choices in RUNS.items()]
    for choices in (*launched, SWEEP):
        subprocess.run([*command, *OF_ALL, *choices], cwd=folder, env=environment, check=True, capture_output=True)
    ui = [*command, "ui", f"ui.port={port}"]
    server = subprocess.Popen(ui, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        answer(f"http://127.0.0.1:{port}/health")
        yield Site(f"http://127.0.0.1:{port}", Store(f"sqlite:///{folder}/outputs/mlflow.db").client)
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_the_view_lists_all_but_debug_runs_the_best_first_with_results_costs_and_choices(
    site: Site, tmp_path: Path
) -> None:
    with started() as page:
        page.open(f"{site.address}/runs/1", width=2200)
        page.until(f"document.querySelectorAll('{ROWS}').length >= 12")
        columns = page.value(COLUMNS)
        listed = page.value(f"[...document.querySelectorAll('{ROWS}')].map(e => e.getAttribute('row-id'))")
        page.screenshot(tmp_path / "list.png", whole=False)
    assert [name.split(".", 1)[-1].strip("`") for name in columns[1:12]] == [
        "Run Name",
        "runDateAndNestInfo",
        "best_val_accuracy",
        "test_accuracy",
        "parameters",
        "multiply_adds",
        "seconds_train",
        "model.name",
        "optimizer.name",
        "optimizer.learning_rate",
        "train.batch_size",
    ]
    shown = list(dict.fromkeys(listed))
    known = {run.info.run_id: run for run in site.runs}
    assert {known[run].info.run_name for run in shown} >= {"small", "small and fast", "large", "sweep"}
    assert site.named("tried") not in shown
    assert len(shown) == len(RUNS) - 1 + 1 + MEMBERS == len(known) - 1
    accuracies = [known[run].data.metrics["best_val_accuracy"] for run in shown]
    assert accuracies == sorted(accuracies, reverse=True)


def test_three_runs_compared_show_what_differs_and_what_they_cost(site: Site, tmp_path: Path) -> None:
    chosen = [site.named(name) for name in ("small", "small and fast", "large")]
    with started() as page:
        page.open(f"{site.address}/runs/1", width=1600)
        page.until(f"document.querySelectorAll('{ROWS}').length >= 12")
        for run in chosen:
            page.click(f'.ag-row[row-id="{run}"] .ag-checkbox-input')
        compare = "[...document.querySelectorAll('button')].find(e => e.innerText.trim() === 'Compare')"
        page.until(f"{compare} && !{compare}.disabled")
        page.value(f"{compare}.click()")
        switches = "[...document.querySelectorAll('button[role=switch]')]"
        page.until(f"{switches}.length >= 2")
        page.value(f"{switches}.forEach(e => e.click())")
        page.until("!document.body.innerText.includes('train.batch_size')")  # all have the same
        text = page.value("document.body.innerText")
        page.screenshot(tmp_path / "compare.png", whole=False)
    for differing in ("model.name", "model.layers.0.conv.filters", "optimizer.learning_rate"):
        assert f"\n{differing}" in text
    for cost in ("parameters", "multiply_adds", "seconds_train", "test_accuracy", "val/accuracy"):
        assert f"\n{cost}" in text
    assert "optimizer.b1" not in text


def test_the_curves_come_first_and_the_sweep_puts_no_dot_among_those_of_its_members(site: Site, tmp_path: Path) -> None:
    with started() as page:
        page.open(f"{site.address}/curves/1", width=1600, height=3200)
        page.until(f"({LINES}).filter(lines => lines.length >= 9).length >= 4")
        sections = [text.split("(")[0].strip() for text in page.texts(HEADERS)]
        lines, text = page.value(LINES), page.value("document.body.innerText")
        page.screenshot(tmp_path / "curves.png", whole=False)
    assert sections[:4] == ["val", "train", "results and costs", "differences"]
    # Ten runs are shown at first, the sweep's own run among them.
    assert [set(points) for points in lines[:4]] == [{EPOCHS}] * 4
    assert [len(points) for points in lines[:4]] == [9] * 4
    for chart in ("val/accuracy", "train/loss", "multiply_adds", "parameters", "seconds_train", "peak_memory_mb"):
        assert f"\n{chart}\n" in text


def test_the_page_of_a_run_begins_with_its_curves(site: Site, tmp_path: Path) -> None:
    run = site.named("large")
    with started() as page:
        page.open(f"{site.address}/#/experiments/1/runs/{run}/model-metrics?workflowType=machine_learning", height=1600)
        page.until(f"({LINES}).filter(lines => lines.length).length >= 4")
        sections = [text.split("(")[0].strip() for text in page.texts(HEADERS)]
        lines = page.value(LINES)
        page.screenshot(tmp_path / "run.png", whole=False)
    assert sections == ["train", "val", "Model metrics"]
    assert lines[:4] == [[EPOCHS]] * 4
