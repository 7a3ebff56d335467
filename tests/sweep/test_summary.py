"""The summary of a sweep in a terminal, and the lines of its members: aligned, and no wider than it is."""

import io
import re
from pathlib import Path

import pytest
from configurations import experiment
from outcomes import member, sweep
from rich.console import Console

from runner.sweep import report
from runner.sweep.report.announcing import Announcer
from runner.sweep.results import SweepResult
from runner.training.member import Context, Member


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
    rows = shown(sweep(*members)).partition("test/accuracy over seeds")[2].splitlines()[3:5]
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
    assert rows[3].split()[0] == "1"
