"""The report's page in a browser: what a person sees of it, and what they do with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page, started
from sweep.test_report import member, sweep

from runner.sweep import report


def members(count: int) -> list[Any]:
    """Members of every kind: those that finished, and of many also one that failed and some that were pruned."""
    found = [
        member(
            number,
            accuracy=0.5 + 0.4 * number / count,
            varied={"optimizer.learning_rate": 10.0 ** -(1 + number % 4), "seed": number, "optimizer": "adam"},
            name=f"seed={number}",
        )
        for number in range(count)
    ]
    if count > 10:
        found[3] = member(3, 0.1, "FAILED", epochs=1, reason="loss: must stay finite, was not at step 2")
        found[4:8] = [member(number, 0.2, "PRUNED", epochs=2) for number in range(4, 8)]
    return found


def page_of(tmp_path: Path, count: int) -> str:
    shares = {"optimizer.learning_rate": 0.7, "seed": 0.2, "optimizer": 0.1} if count > 3 else {}
    path = tmp_path / "report.html"
    path.write_text(report.html(sweep(*members(count), importances=shares)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(params=(1, 2, 50))
def count(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with started() as browser:
        yield browser


@pytest.fixture
def page(browser: Page, tmp_path: Path, count: int) -> Iterator[Page]:
    browser.open(page_of(tmp_path, count))
    yield browser
    assert browser.faults == []


def column(page: Page, name: str) -> list[str]:
    place = page.texts("th").index(name) + 1
    return page.texts(f"tbody td:nth-child({place})")


def test_the_page_is_read_sorted_and_filtered(page: Page, count: int, tmp_path: Path) -> None:
    # Nothing but the file itself is asked for.
    assert page.asked == [(tmp_path / "report.html").as_uri()]
    assert page.texts("h1") == ["sweep lenet5: learning_rate × seed"]
    assert "Members" in page.texts("h2")
    # Every member has its row, the best first.
    assert sorted(map(int, column(page, "#"))) == list(range(count))
    assert column(page, "#")[0] == str(count - 1)
    # A click sorts by a column, another one the other way round; so does the keyboard.
    first = page.texts("th").index("seed")
    page.click("th", first)
    down = [int(text) for text in column(page, "seed") if text]
    assert down == sorted(down, reverse=True)
    page.click("th", first)
    assert [int(text) for text in column(page, "seed") if text] == sorted(down)
    page.press("Enter")
    assert [int(text) for text in column(page, "seed") if text] == down
    # What is typed into the filter leaves the rows that have it.
    page.click("input[type=search]")
    page.write("pruned")
    assert column(page, "status") == ["pruned"] * (4 if count == 50 else 0)
    page.value("document.querySelector('input').value = ''")
    page.write(f"{(0.5 + 0.4 * (count - 1) / count) * 100:.2f}")
    assert str(count - 1) in column(page, "#")


def test_the_plots_show_every_member_that_has_what_they_show(page: Page, count: int) -> None:
    titles = page.texts("h2")
    assert titles[:1] == ["Learning curves"]
    assert ("Parallel coordinates" in titles, "Slices" in titles) == (True, True)
    assert ("Importance" in titles) == (count == 50)
    several_epochs = count - (1 if count == 50 else 0)
    curves = page.value("document.querySelectorAll('figure')[0].querySelectorAll('path.mark').length")
    assert curves == count
    longer = page.value(
        "[...document.querySelectorAll('figure')[0].querySelectorAll('path.mark')]"
        ".filter(p => p.getTotalLength() > 1).length"
    )
    assert longer == several_epochs
    # No coordinate is missing, and every mark and label lies within its picture.
    assert page.value("[...document.querySelectorAll('svg *')].every(e => !/NaN|Infinity/.test(e.outerHTML))")
    outside = page.value(
        "[...document.querySelectorAll('svg .mark, svg text:not([transform])')].filter(m => { const a = m.getBBox(),"
        " v = m.ownerSVGElement.viewBox.baseVal;"
        " return a.x < 0 || a.y < 0 || a.x + a.width > v.width || a.y + a.height > v.height; }).length"
    )
    assert outside == 0
    # Pointing at a member shows it everywhere.
    page.point("svg circle.mark.best")
    assert page.value("new Set([...document.querySelectorAll('.on')].map(e => e.dataset.n)).size") == 1
    assert page.value("document.querySelector('tr.on').dataset.n") == str(count - 1)


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_is_as_wide_as_the_window(browser: Page, tmp_path: Path, width: int) -> None:
    browser.open(page_of(tmp_path, 50), width)
    assert browser.value("document.documentElement.scrollWidth") <= width
    # Letters stay large enough to read: what is too wide is scrolled.
    smallest = "Math.min(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height))"
    assert browser.value(smallest) >= 8
    browser.screenshot(tmp_path / "page.png")  # for who runs this with --basetemp, to look at
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_a_long_label_is_not_cut_off(browser: Page, tmp_path: Path) -> None:
    some = [member(number, varied={"optimizer": "a long name " * 5, "seed": number}) for number in range(2)]
    path = tmp_path / "report.html"
    path.write_text(report.html(sweep(*some)), encoding="utf-8")
    browser.open(path.as_uri())
    label = "[...document.querySelectorAll('svg text')].find(t => t.textContent.startsWith('optimizer=a long'))"
    assert browser.value(f"{label}.getBBox().x") >= 0
