"""docs/reliability.md: every promise is held by a test."""

import re
from pathlib import Path


def test_every_promise_of_the_page_is_held_by_a_test(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    sentences = [line for line in page.split("\n") if line.startswith("- ")]
    assert len(sentences) > 10
    for sentence in sentences:
        named = re.fullmatch(r"- .*[^.] \[((?:\w+/)?test_\w+)\.(test_\w+)\]\.", sentence)
        assert named, sentence
        module, test = named.groups()
        assert f"def {test}(" in (repository / "tests" / f"{module}.py").read_text(encoding="utf-8"), sentence


def test_the_table_of_outages_lost_nothing(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in page.split("\n") if line.startswith("| ")][1:]
    assert len(rows) > 20
    assert {row.split("|")[-2].strip() for row in rows} == {"nothing"}
