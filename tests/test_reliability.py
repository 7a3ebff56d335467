"""docs/reliability.md: every promise is held by a test."""

import json
from pathlib import Path

from promises import check_held


def test_every_promise_of_the_page_is_held_by_a_test(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    sentences = [line for line in page.split("\n") if line.startswith("- ")]
    assert len(sentences) > 10
    check_held(sentences)


def test_the_table_of_outages_lost_nothing(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in page.split("\n") if line.startswith("| ")][1:]
    assert len(rows) > 20
    assert {row.split("|")[-2].strip() for row in rows} == {"nothing"}


def test_no_kill_lost_anything(repository: Path) -> None:
    found = json.loads((repository / "benchmarks" / "results" / "kill.json").read_text(encoding="utf-8"))["trainings"]
    assert sum(one["kills"] for one in found) > 100
    assert len({one["scenario"] for one in found}) == 9
    for one in found:
        assert not any(one[name] for name in ("runs_lost", "points_lost", "points_doubled", "values_changed")), one
        assert not one["parameters_changed"], one
