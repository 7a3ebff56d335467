"""The epochs of a training in the page: what a run keeps of them, also one that was killed, and what is shown."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Page
from commands import Runner
from configurations import TINY, experiment, here

from runner import trained
from runner.layers.places import dotted, nested
from runner.observers.checkpointer import Checkpointer
from runner.page import moments
from runner.page.moments import Moment
from runner.training.observer import Point

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Hydra leaves its log files open
RUN = (*(line for line in TINY if not line.startswith("train.epochs")), "train.epochs=13", "figures.draw=[page]")


def kept(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder, moments.FOLDER).iterdir())}


def values(moment: Moment) -> np.ndarray:
    return np.concatenate([np.ravel(value).astype(np.float32) for value in moment.values.values()])


def model_of(path: Path) -> dict[str, Any]:
    found = re.search(r'id="model">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    known: dict[str, Any] = json.loads(found[1])
    return known


def test_moments_come_back_and_files_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    for epoch in range(1, 9):
        moments.write(tmp_path, Moment(epoch, None if epoch == 2 else epoch / 10, {"0_conv.kernel": np.eye(3) * 1e9}))
    moments.thin_out(tmp_path, 2)
    (tmp_path / "epoch-000004.npz").write_bytes(b"PK\3\4 cut")
    (tmp_path / "epoch-000008.npz").write_bytes((tmp_path / "epoch-000008.npz").read_bytes()[:-30])
    found = moments.read(tmp_path)
    assert [(one.epoch, one.accuracy) for one in found] == [(2, None), (6, 0.6)]
    np.testing.assert_array_equal(found[0].values["0_conv.kernel"], np.eye(3) * 65504)  # the largest of float16
    moments.remove(tmp_path)
    assert moments.read(tmp_path) == []
    assert moments.read(tmp_path / "none") == []


def test_of_a_large_network_only_the_first_filters_are_kept_and_never_more_than_there_is_room_for() -> None:
    def of(layers: str, shape: tuple[int, int, int] = (8, 8, 1)) -> moments.Kept:
        return moments.kept(experiment(*TINY, f"model.layers={layers}").network(shape, 10))

    small, large = of("[{conv: {filters: 4, kernel_size: 3}}, flatten, classifier]"), "{dense: {units: 70000}}"
    assert (len(small.paths), small.most) == (4, 11)
    assert of(f"[{{conv: {{filters: 4, kernel_size: 3}}}}, flatten, {large}, classifier]").paths == {"0_conv.kernel"}
    assert of(f"[flatten, {large}, classifier]").paths == set()
    assert moments.moments_that_fit(1_000_000) * 2_000_000 <= moments.ROOM_BYTES


@pytest.mark.slow
def test_a_run_keeps_at_most_twelve_moments_and_loses_none_by_an_interruption(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner(*RUN, "hydra.run.dir=whole").status == 0
    whole = kept("whole")
    assert list(whole) == [f"epoch-{epoch:06}.npz" for epoch in (2, 4, 6, 8, 10, 12, 13)]
    with monkeypatch.context() as patch:
        reaches, done = Checkpointer.reaches, list[int]()

        def interrupting(self: Checkpointer, point: Point) -> None:
            reaches(self, point)
            if len(point.ledger.history) == 7 and not done:
                done.append(7)
                raise KeyboardInterrupt

        patch.setattr(Checkpointer, "reaches", interrupting)
        assert runner(*RUN, "hydra.run.dir=mine").status == 130
    before = kept("mine")
    assert list(before) == [f"epoch-{epoch:06}.npz" for epoch in range(1, 8)]
    assert runner("resume", "run=mine").status == 0
    assert kept("mine") == whole
    # The last moment is the network itself, to within float16; the page has it in float32 and not twice.
    network = trained.load(Path("mine"))
    last = moments.read(Path("mine", moments.FOLDER))[-1]
    exact = dotted(network.params) | dotted(network.statistics)
    for path, value in last.values.items():
        np.testing.assert_allclose(np.asarray(value, np.float32), exact[path], rtol=1e-3, atol=1e-4)
    assert runner("explain", "run=mine", "what=page").status == 0
    model = model_of(Path("mine/explain/page.html"))
    assert [one["epoch"] for one in model["snapshots"]] == [0, 2, 4, 6, 8, 10, 12]
    assert model["kept"] == {"epoch": 13, "accuracy": last.accuracy}
    # A run without the page keeps none.
    assert runner(*RUN[:-1], "figures.draw=[]", "train.epochs=1", "hydra.run.dir=bare").status == 0
    assert not Path("bare", moments.FOLDER).exists()


@pytest.mark.slow
def test_the_slider_runs_the_network_of_each_epoch(browser: Page, runner: Runner) -> None:
    assert (
        runner(*RUN, "train.keep=best", "train.epochs=5", "optimizer.learning_rate=0.02", "hydra.run.dir=mine").status
        == 0
    )
    assert runner("explain", "run=mine", "what=page").status == 0
    network = trained.load(Path("mine"))
    path, best = Path("mine/explain/page.html").absolute(), int(network.facts.metrics["best/epoch"])
    browser.open(f"{path.as_uri()}#lang=en&epoch=2", width=1400)
    course = browser.value("page.course.map(({epoch, accuracy, isKept}) => [epoch, accuracy, isKept])")
    found = {one.epoch: one for one in moments.read(Path("mine", moments.FOLDER))}
    assert course[0] == [0, None, False]
    assert [epoch for epoch, _, _ in course] == [0, 1, 2, 3, 4, 5]
    assert [epoch for epoch, _, is_kept in course if is_kept] == [best]
    assert [accuracy for _, accuracy, _ in course[1:]] == [found[epoch].accuracy for epoch in range(1, 6)]
    data = np.asarray(browser.value("[...page.data]"), np.uint8).reshape(1, 8, 8, 1)
    order = list(dotted(network.params))
    for place, (epoch, accuracy, is_kept) in enumerate(course):
        browser.value(
            f"(e => {{ e.value = {place}; e.dispatchEvent(new Event('input')); }})(document.querySelector('#epoch'))"
        )
        if epoch:
            assert f"after epoch {epoch}, accuracy {100 * accuracy:.1f}\u00a0%" in browser.texts(".time output")[0]
            assert ("as trained" in browser.texts(".time output")[0]) == is_kept
        assert ("epoch=" in browser.value("location.hash")) == (not is_kept)
        if epoch and not is_kept:
            own = {name: np.asarray(found[epoch].values[name], np.float32) for name in order}
            then = trained.Trained(**{**vars(network), "params": nested(own)})
            shown = browser.value("[...page.probabilities]")
            np.testing.assert_allclose(shown, then.answers(data, here())[0], atol=1e-4)
            kernel = np.asarray(found[epoch].values[order[0]], np.float32)
            np.testing.assert_allclose(browser.value("[...page.filters.values()]"), kernel.ravel(), atol=1e-6)
    # The button plays from the beginning, and stops at the end.
    browser.click("#play")
    browser.until("page.now() === 1")
    browser.click("#play")
    assert browser.value("page.playing") == 0
    browser.open(f"{path.as_uri()}#lang=zh&epoch=999", width=400)
    assert browser.value("page.course[page.now()].isKept")
    assert browser.faults == []


@pytest.mark.slow
def test_a_page_with_recorded_maps_shows_how_the_first_filters_were_learnt(
    browser: Page, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner(*RUN, "train.epochs=3", "hydra.run.dir=mine").status == 0
    monkeypatch.setattr("runner.page.writing.MULTIPLY_ADDS", 10)
    assert runner("explain", "run=mine", "what=page").status == 0
    model = model_of(Path("mine/explain/page.html"))
    assert [(one["epoch"], one["only"]) for one in model["snapshots"]] == [
        (0, "filters"),
        (1, "filters"),
        (2, "filters"),
    ]
    found = moments.read(Path("mine", moments.FOLDER))
    halves = np.frombuffer(base64.b64decode(model["snapshots"][1]["data"]), "<f2")
    np.testing.assert_array_equal(halves, np.ravel(found[0].values["0_conv.kernel"]))
    browser.open(Path("mine/explain/page.html").absolute().as_uri() + "#lang=en&epoch=1", width=1400)
    browser.until("globalThis.page")  # it has inflated its maps
    np.testing.assert_array_equal(browser.value("[...page.filters.values()]"), halves.astype(np.float32))
    assert browser.faults == []
