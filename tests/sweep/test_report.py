"""The report of a sweep: against brute force, SciPy and a parser of HTML."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from outcomes import member, sweep
from rich.console import Console

from runner.figures.charts import drawn
from runner.sweep import report
from runner.sweep.report.choosing import front
from runner.sweep.results import SweepResult, ranked


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


def test_unfinished_members_are_not_ranked() -> None:
    members = [member(0, 0.9, "FAILED"), member(1, 0.3), member(2, 0.4), member(3, 0.8, "PRUNED")]
    assert [one.number for one in ranked(members, (("val/accuracy", "maximize"),))] == [2, 1]
    assert [one.number for one in ranked(members, (("val/loss", "minimize"),))] == [2, 1]


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
