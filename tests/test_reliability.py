"""docs/reliability.md: every promise is held by a test."""

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
