"""The report of a sweep: against brute force, SciPy, a parser of HTML, and the width of a terminal."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configurations import experiment
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from runner.figures.charts import drawn
from runner.sweep import report
from runner.sweep.report.announcing import Announcer
from runner.sweep.report.statistics import front, over_seeds
from runner.sweep.results import SweepResult, ranked
from runner.training.member import Context, Member
from runner.training.outcome import Outcome


def member(number: int, accuracy: float = 0.5, status: str = "FINISHED", epochs: int = 3, **fields: Any) -> Outcome:
    own: dict[str, Any] = {
        "number": number,
        "name": f"learning_rate=0.0{number} seed={number}",
        "overrides": (f"optimizer.learning_rate=0.0{number}", f"seed={number}"),
        "varied": {"optimizer.learning_rate": 0.001 * (number + 1), "seed": number, "optimizer": "adam"},
        "status": status,
        "metrics": {"val/accuracy": accuracy, "val/loss": 1 - accuracy, "test/accuracy": accuracy},
        "history": tuple({"val/accuracy": accuracy * e / epochs, "val/loss": 1.0 / e} for e in range(1, epochs + 1)),
        "run_id": f"run{number}",
        "multiply_adds": 100 + number,
        "parameters": 10,
        "seconds": 1.5,
        "group": "abc",
    }
    return Outcome(**(own | fields))


def sweep(*members: Outcome, **fields: Any) -> SweepResult:
    own: dict[str, Any] = {
        "name": "sweep lenet5: learning_rate × seed",
        "command": "runner -m optimizer.learning_rate=0.01,0.02 seed=0,1",
        "objectives": (("val/accuracy", "maximize"),),
        "space": {"optimizer.learning_rate": "0.01,0.02", "seed": "0,1"},
        "members": members,
        "seconds": 12.0,
        "groups": 1,
        "compiles": 1,
        "seconds_saved": 3.0,
    }
    return SweepResult(**(own | fields))


def html(result: SweepResult) -> str:
    return report.html(result, report.sections(result))


COSTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14)


@given(COSTS)
def test_the_front_agrees_with_brute_force(points: list[tuple[int, int]]) -> None:
    members = [member(number, accuracy / 10, multiply_adds=cost) for number, (accuracy, cost) in enumerate(points)]
    found = front(members, (("val/accuracy", "maximize"), ("multiply_adds", "minimize")))
    expected = {
        one.number
        for one, (accuracy, cost) in zip(members, points, strict=True)
        if not any(a >= accuracy and c <= cost and (a, c) != (accuracy, cost) for a, c in points)
    }
    assert {one.number for one in found} == expected


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_intervals_are_those_of_scipy(values: list[float]) -> None:
    members = [member(number, value, varied={"seed": number, "x": 1}) for number, value in enumerate(values)]
    [mean] = over_seeds(members, "val/accuracy")
    assert mean.varied == {"x": 1}
    assert mean.mean == pytest.approx(np.mean(values))
    assert mean.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    if mean.deviation > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (mean.mean - mean.interval, mean.mean + mean.interval) == pytest.approx((low, high))


def test_unfinished_members_are_not_in_means_and_ranks() -> None:
    members = [member(0, 0.9, "FAILED"), member(1, 0.3), member(2, 0.4), member(3, 0.8, "PRUNED")]
    assert [one.number for one in ranked(members, (("val/accuracy", "maximize"),))] == [2, 1]
    assert [one.number for one in ranked(members, (("val/loss", "minimize"),))] == [2, 1]
    assert over_seeds([members[0], members[1]], "val/accuracy") == []


def test_a_member_with_nan_is_neither_ranked_nor_on_the_front() -> None:
    members = [member(number, 0.5, metrics={"val/loss": loss}) for number, loss in enumerate((0.3, math.nan, 0.2, 0.4))]
    assert [one.number for one in ranked(members, (("val/loss", "minimize"),))] == [2, 0, 3]
    assert [one.number for one in front(members, (("val/loss", "minimize"), ("seconds", "minimize")))] == [2]


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script":
            self.scripts.append(data)


def data_of(page: Page) -> dict[str, Any]:
    found = re.search(r"const sweep = (.*);\n", "".join(page.scripts))
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_is_self_contained_and_names_every_member() -> None:
    members = [
        member(0),
        member(1, 0.7),
        member(2, 0.1, "FAILED", reason="loss: must stay finite"),
        member(3, 0.2, "PRUNED"),
    ]
    text = html(sweep(*members))
    page = Page(text)
    assert page.outside == []
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"localStorage|sessionStorage|fetch\(|import\(", text)
    data = data_of(page)
    assert [one["number"] for one in data["members"]] == [0, 1, 2, 3]
    assert data["leaders"] == [1, 0]
    assert data["members"][2]["reason"] == "loss: must stay finite"


def test_no_text_of_a_user_can_end_the_script() -> None:
    odd = "</script><script>alert(1)</script><!--"
    page = Page(html(sweep(member(0, name=odd, varied={odd: odd}), name=odd, space={odd: odd}, command=odd)))
    assert page.tags.count("script") == 1
    assert data_of(page)["members"][0]["varied"] == {odd: odd}


def test_losses_that_are_nan_are_left_out() -> None:
    lost = member(0, metrics={"val/loss": math.nan}, history=({"val/loss": 1.0}, {"val/loss": math.inf}))
    kept = member(1, metrics={"val/loss": 0.5}, history=({"val/loss": 1.0}, {"val/loss": 0.5}))
    data = data_of(Page(html(sweep(lost, kept, objectives=(("val/loss", "minimize"),)))))
    assert data["members"][0]["metrics"] == {"val/loss": None}
    [curves, slices, *_] = data["sections"]
    points = {number: len(places) // 2 for _, _, number, _, places in curves["charts"][0]["marks"]}
    assert points == {0: 1, 1: 2}
    assert {mark[2] for chart in slices["charts"] for mark in chart["marks"]} == {1}


def test_a_thousand_members_make_a_page_of_less_than_three_megabytes() -> None:
    text = html(sweep(*(member(number, number / 1000, epochs=15) for number in range(1000))))
    assert len(text.encode()) < 3_000_000


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("count", [1, 5, 48])
def test_the_summary_fits_the_terminal(width: int, count: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    console.print(report.terminal(sweep(*(member(number, number / 50) for number in range(count))), width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert f"{(count - 1) / 50:.2%}" in out.getvalue()


def test_a_narrow_terminal_shortens_only_the_values_that_vary() -> None:
    words = dict.fromkeys(("optimizer.learning_rate", "model.activation", "augment", "schedule"), "a long value")
    some = [member(n, 0.5, varied=words | {"seed": n}) for n in range(100, 102)]
    out = io.StringIO()
    Console(file=out, width=80).print(report.terminal(sweep(*some, objectives=(("val/loss", "minimize"),)), 80))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    for number in (" 100 ", " 0.5 ", " 50.00% ", " 1.5", " 0.5 … 0.5"):
        assert any(number in line for line in lines), number


def test_values_with_the_same_last_word_are_told_apart() -> None:
    first, third = "model.layers.0.conv.filters", "model.layers.3.conv.filters"
    members = [member(n, n / 4, varied={first: 4, third: 8 + n // 2, "seed": n % 2}) for n in range(4)]
    result = sweep(*members, space={first: "4", third: "8,9", "seed": "0,1"})
    out = io.StringIO()
    Console(file=out, width=100).print(report.terminal(result, 100))
    headings = [line.split() for line in out.getvalue().splitlines()]
    assert (
        sum(line[:2] == ["0.conv.", "3.conv."] for line in headings) == 3
    )  # of the best members, and of two means over seeds
    page = html(result)
    assert "0.conv.filters=4 3.conv.filters=9" in page
    assert {"0.conv.filters", "3.conv.filters"} <= set(data_of(Page(page))["names"].values())


def test_the_summary_shows_means_and_states() -> None:
    out = io.StringIO()
    members = [member(n, 0.5 + n / 10, varied={"seed": n}) for n in range(3)] + [member(3, 0.1, "FAILED")]
    Console(file=out, width=100).print(report.terminal(sweep(*members), 100))
    assert "3 finished, 1 failed; 1 structure, 1 compiled; 12.0 s, 20 members a minute" in out.getvalue()
    assert re.search(r"3 +60\.00% +10\.00% +35\.16% … 84\.84%", out.getvalue())  # t(0.975, 2) = 4.303


def shown(result: SweepResult, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(report.terminal(result, width))
    return out.getvalue()


def test_a_cut_table_says_how_many_rows_there_are() -> None:
    members = [member(n, n / 24, varied={"x": n // 2, "seed": n % 2}, multiply_adds=n) for n in range(24)]
    text = shown(sweep(*members))
    assert "the best 10 of 24: sweep lenet5" in text
    assert "val/accuracy over seeds (10 of its 12 rows)" in text
    assert "the best of 10: sweep lenet5" in shown(sweep(*members[:10]))
    front = shown(sweep(*members, objectives=(("val/accuracy", "maximize"), ("multiply_adds", "minimize"))))
    assert "the Pareto front (10 of its 24 rows) of 24: sweep" in front


def test_the_test_accuracy_over_seeds_is_shown_in_the_order_of_the_metric() -> None:
    tests = (0.9, 0.8, 0.5, 0.7)
    members = [
        member(n, n / 4, varied={"x": n // 2, "seed": n % 2}, metrics={"val/accuracy": n / 4, "test/accuracy": test})
        for n, test in enumerate(tests)
    ]
    rows = shown(sweep(*members)).partition("test/accuracy over seeds")[2].splitlines()[2:4]
    assert [row.split()[:4] for row in rows] == [["1", "2", "60.00%", "14.14%"], ["0", "2", "85.00%", "7.07%"]]
    again = shown(sweep(*members, objectives=(("test/accuracy", "maximize"),)))
    assert again.count("test/accuracy over seeds") == 1


def test_members_a_minute_are_those_that_were_trained_now() -> None:
    members = [member(n, n / 8) for n in range(6)]
    assert "6 finished (4 of them trained before); 1 structure, 1 compiled; 12.0 s, 10 members a minute" in (
        " ".join(shown(sweep(*members, earlier=4)).split())
    )
    assert "members a minute" not in shown(sweep(*members, earlier=6))


def test_seconds_are_aligned() -> None:
    members = [member(n, 0.5 - n / 8, seconds=seconds) for n, seconds in enumerate((0.05499, 1.5, 1234.5678))]
    rows = [line.rstrip() for line in shown(sweep(*members)).splitlines()]
    assert [row.split()[-1] for row in rows if row.endswith(("0.05", "1.50", "1,234.57"))] == [
        "0.05",
        "1.50",
        "1,234.57",
    ]


def test_the_lines_of_members_are_aligned_and_numbered_as_in_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["lr=0.1", "lr=0.0001", "x" * 50, *map(str, range(3, 11))]
    own = experiment()
    announcer = Announcer("val/accuracy", before=1)
    members = [Member(n, name, own, Context(Path()), {}, name) for n, name in enumerate(names)]
    announcer.expect(members)
    outcomes = [
        member(1, 0.5, name=names[1]),
        member(10, 1.0, name=names[10], seconds=1234.0),
        member(0, 0.25, "PRUNED", epochs=1, reason="pruned", name=names[0]),
        member(2, 0.5, "FAILED", reason="loss: must stay finite", name=names[2]),
    ]
    for outcome in outcomes:
        announcer.ends(members[outcome.number], outcome, None)
    assert capsys.readouterr().out.splitlines() == [
        "   2 of 12  #1   lr=0.0001                                 val/accuracy  50.00%    1.5 s",
        "   3 of 12  #10  10                                        val/accuracy 100.00% 1,234.0 s",
        "   4 of 12  #0   lr=0.1                                    val/accuracy  25.00%    1.5 s  "
        "pruned after 1 epoch",
        f"   5 of 12  #2   {names[2]}  failed: loss: must stay finite",
    ]


@pytest.mark.parametrize(("metric", "direction"), [("val/accuracy", "maximize"), ("val/loss", "minimize")])
def test_the_best_mean_comes_first(metric: str, direction: str) -> None:
    out = io.StringIO()
    members = [member(n, n / 4, varied={"x": n // 2, "seed": n % 2}) for n in range(4)]
    Console(file=out, width=100).print(report.terminal(sweep(*members, objectives=((metric, direction),)), 100))
    rows = out.getvalue().partition("over seeds")[2].splitlines()
    assert rows[2].split()[0] == "1"


def test_the_page_shows_the_further_metrics_of_training_and_the_command_of_the_terminal() -> None:
    measured = member(0, metrics={"val/f1": 0.5, "train/loss": 1.0}, history=({"val/f1": 0.25}, {"val/f1": 0.5}))
    result = sweep(measured, objectives=(("val/f1", "maximize"),), places=("--config-dir=mine",))
    data = data_of(Page(html(result)))
    assert data["metrics"] == ["train/loss", "val/f1"]
    [curves, *_] = data["sections"]
    assert [chart["title"] for chart in curves["charts"]] == ["val/f1"]
    assert curves["charts"][0]["y"]["ticks"][0][1] == "0.25"
    assert data["again"] == report.best_command(result)
    assert data["again"].startswith("runner --config-dir=mine ")


def test_the_command_of_the_best_has_no_password() -> None:
    best = member(0, overrides=("tracking.uri=postgresql://me:hidden@db/runs",))
    assert report.best_command(sweep(best)) == "runner tracking.uri=postgresql://***@db/runs"


def test_further_metrics_of_training_have_curves_beside_the_one_that_ranks() -> None:
    measured = member(0, history=({"val/f1": 0.25, "val/accuracy": 0.5}, {"val/f1": 0.5, "val/accuracy": 0.6}))
    [curves, *_] = data_of(Page(html(sweep(measured))))["sections"]
    assert [chart["title"] for chart in curves["charts"]] == ["val/accuracy", "val/f1"]


def test_the_page_and_the_pictures_have_the_same_labels() -> None:
    members = [member(n, 0.5 + n / 50, varied={"x": 10.0**-n, "seed": n % 2}, seconds=19.2 + n / 99) for n in range(9)]
    result = sweep(*members, space={"x": "…", "seed": "0,1"}, importances={"x": 0.8, "seed": 0.2})
    shown = data_of(Page(html(result)))["sections"]
    for section, drawing in zip(report.sections(result), shown, strict=True):
        axes = [chart["axes"] if "axes" in chart else [chart["x"], chart["y"]] for chart in drawing["charts"]]
        page = {text for own in axes for axis in own for _, text in axis["ticks"]} | {axis["title"] for axis in axes[0]}
        figure = drawn(section)
        labels = {label.get_text() for own in figure.axes for label in (*own.get_xticklabels(), *own.get_yticklabels())}
        assert {label.removesuffix(" (log)") for label in labels} <= page, section.name
        assert labels or section.name == "parallel_coordinates"


def test_long_curves_keep_their_peaks_in_few_points() -> None:
    history = [{"val/loss": 1 + math.sin(step / 50), "val/accuracy": 0.5} for step in range(5000)]
    history[1234]["val/loss"] = 9.0
    one = member(0, history=tuple(history))
    [curves, *_] = data_of(Page(html(sweep(one, objectives=(("val/loss", "minimize"),)))))["sections"]
    [[_, _, _, _, places]] = curves["charts"][0]["marks"]
    assert 200 < len(places) / 2 <= 410
    assert places[::2] == sorted(places[::2])
    assert max(places[1::2]) == 9630  # the end of the axis but for its margin, where 9 is


def test_the_table_can_be_read_back() -> None:
    rows = list(csv.DictReader(io.StringIO(report.table_csv(sweep(member(0, reason='a "b", c'), member(1, 0.75))))))
    assert [row["status"] for row in rows] == ["FINISHED", "FINISHED"]
    assert rows[0]["reason"] == 'a "b", c'
    assert float(rows[1]["val/accuracy"]) == 0.75
    assert float(rows[1]["optimizer.learning_rate"]) == 0.002
    assert (rows[1]["run_id"], rows[1]["epochs"]) == ("run1", "3")


def test_figures_are_drawn_for_existing_data() -> None:
    drawn = report.figures(
        report.sections(sweep(member(0), member(1, 0.7, varied={"optimizer.learning_rate": 0.5, "seed": 1})))
    )
    names = ("learning_curves", "slices", "parallel_coordinates", "costs")
    assert {name: draw()[:4] for name, draw in drawn.items()} == dict.fromkeys(names, b"\x89PNG")
    assert dict(report.figures(report.sections(sweep(member(0, metrics={}, history=(), status="FAILED"))))) == {}
