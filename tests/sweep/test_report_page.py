"""The report's page in a browser: what a person sees of it, and what they do with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page
from sweep.test_report import html, member, sweep


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
    path.write_text(html(sweep(*members(count), importances=shares)), encoding="utf-8")
    return path.as_uri()


# The texts and marks that leave their picture, and the pairs of texts of one picture that share pixels.
OUTSIDE = """[...document.querySelectorAll('svg .mark, svg text')].filter(e => {
  const a = e.getBoundingClientRect(), b = e.ownerSVGElement.getBoundingClientRect();
  return a.left < b.left - 1 || a.top < b.top - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1;
}).map(e => e.textContent)"""
OVERPRINTED = """[...document.querySelectorAll('svg')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  return texts.flatMap(([one, a], i) => texts.slice(i + 1).filter(([other, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2
  ).map(([other]) => `${one} | ${other}`));
})"""
BROKEN = """[...document.querySelectorAll('.whole')].flatMap(e => [...e.childNodes]).filter(node => {
  const range = document.createRange();
  range.selectNodeContents(node);
  return range.getClientRects().length > 1;
}).map(node => node.textContent)"""
REPEATED = """[...document.querySelectorAll('svg')].flatMap(svg => ['x', 'y'].map(c =>
  [...svg.querySelectorAll('text.' + c + ':not(.halo)')].map(t => t.textContent)
)).filter(texts => new Set(texts).size < texts.length)"""


@pytest.fixture(params=(1, 2, 50))
def count(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


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
    curves = "document.querySelectorAll('figure')[0].querySelectorAll('path.mark')"
    assert page.value(f"{curves}.length") == several_epochs
    assert page.value(f"[...{curves}].every(p => p.getTotalLength() > 1)")
    assert (
        page.value(
            "new Set([...document.querySelectorAll('figure')[0].querySelectorAll('.mark')].map(m => m.dataset.n)).size"
        )
        == count
    )
    # No coordinate is missing, and every mark and label lies within its picture.
    assert page.value("[...document.querySelectorAll('svg *')].every(e => !/NaN|Infinity|undefined/.test(e.outerHTML))")
    assert page.value(OUTSIDE) == []
    # Pointing at a member shows it everywhere.
    page.point("svg circle.mark.best[data-n]")
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


FILTERS = [f"model.layers.{place}.conv.filters" for place in (0, 3)]
NAMES = (
    "adamw with decoupled weight decay",
    "a second name that is rather long",
    "一个很长的中文优化器名称",
    "محسّن عربي",
    "बिल्ली",
    "🚀",
)
ODD: dict[str, dict[str, Any]] = {
    "narrow": {
        "parameters": lambda n: 39_998 + n % 5,
        "multiply_adds": lambda n: 1_200_000 + n,
        "seconds": lambda n: 19.2 + n / 997,
    },
    "wide": {
        "parameters": lambda n: 10 ** (3 + n % 5),
        "multiply_adds": lambda n: 281_000 * (1 + n),
        "seconds": lambda n: 0.01 * 3 ** (n % 9),
    },
}


def odd(count: int, costs: str) -> list[Any]:
    """Members that vary in integers, logarithms, long names of many scripts, truths and null, in any order."""
    return [
        member(
            number,
            accuracy=0.98 + 0.01 * (number * 37 % count) / count,
            varied={
                FILTERS[0]: (4, 6, 8, 16)[number // 2 % 4],
                FILTERS[1]: 16 * (1 + number // 2 % 7),
                "optimizer.learning_rate": 10.0 ** -(number // 2 * 7919 % 500 / 100),
                "optimizer": NAMES[number // 2 % len(NAMES)],
                "model.pretrained": (True, None, "imagenet")[number // 2 % 3],
                "seed": number % 2,
            },
            name=f"0.conv.filters={number}",
            **{name: cost(number) for name, cost in ODD[costs].items()},
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize(
    ("count", "costs"), [(1, "narrow"), (4, "narrow"), (48, "narrow"), (48, "wide"), (200, "wide")]
)
def test_labels_are_readable_at_any_size(browser: Page, tmp_path: Path, count: int, costs: str, width: int) -> None:
    path = tmp_path / "report.html"
    shares = {name: 0.5**place for place, name in enumerate((*FILTERS, "optimizer"))} if count > 3 else {}
    path.write_text(html(sweep(*odd(count, costs), importances=shares, seconds=12345.678)), encoding="utf-8")
    browser.open(path.as_uri(), width)
    assert browser.value(OVERPRINTED) == []
    assert browser.value(REPEATED) == []
    assert browser.value(OUTSIDE) == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    # No number of a card is broken in two.
    assert browser.value(BROKEN) == []
    assert browser.texts(".card b")[-1] == "12,346 s"
    browser.screenshot(tmp_path / "page.png")  # for who runs this with --basetemp, to look at
    assert browser.faults == []


def test_charts_follow_the_width_of_the_window(browser: Page, tmp_path: Path) -> None:
    browser.open(page_of(tmp_path, 50), 1400)
    before = browser.value("document.querySelector('svg').clientWidth")
    size = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    browser.until(f"document.querySelector('svg').clientWidth < {before}")
    assert browser.value("document.documentElement.scrollWidth") <= 400
    assert browser.value(OVERPRINTED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_labels_stand_out_from_the_page(browser: Page, tmp_path: Path, scheme: str) -> None:
    browser.open(page_of(tmp_path, 50))
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    luminance = """(colour => { const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(c => c / 255)
      .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; })"""
    ink = browser.value(f"[...document.querySelectorAll('svg text')].map(t => {luminance}(getComputedStyle(t).fill))")
    ground = browser.value(f"{luminance}(getComputedStyle(document.querySelector('figure')).backgroundColor)")
    # WCAG 2.2, 1.4.3: a ratio of at least 4.5.
    assert min((max(one, ground) + 0.05) / (min(one, ground) + 0.05) for one in ink) >= 4.5


def test_names_in_any_script_have_a_font(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html(sweep(*odd(12, "wide"))), encoding="utf-8")
    browser.open(path.as_uri())
    for domain in ("DOM", "CSS"):
        browser.call(f"{domain}.enable")
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    cells = browser.call("DOM.querySelectorAll", nodeId=root, selector="td.word")["nodeIds"]
    fonts = {
        one["familyName"] for cell in cells for one in browser.call("CSS.getPlatformFontsForNode", nodeId=cell)["fonts"]
    }
    if not any("CJK" in name for name in fonts):
        pytest.skip("no Noto CJK among the fonts of the system")
    assert "Last Resort" not in " ".join(fonts)


def test_truths_words_and_null_are_sorted_by_kind(browser: Page, tmp_path: Path) -> None:
    values = ("b", None, 2, True, "a", 10, False)
    path = tmp_path / "report.html"
    path.write_text(html(sweep(*(member(n, varied={"x": value}) for n, value in enumerate(values)))), encoding="utf-8")
    browser.open(path.as_uri())
    for _ in range(2):
        browser.click("th", browser.texts("th").index("x"))
    assert column(browser, "x") == ["false", "true", "2", "10", "a", "b", "null"]


@pytest.mark.slow
def test_a_thousand_members_are_shown_at_once(browser: Page, tmp_path: Path) -> None:
    browser.open(page_of(tmp_path, 1000), 1400)
    assert browser.value("document.querySelectorAll('tbody tr').length") == 1000
    assert browser.value(OVERPRINTED) == []
    assert browser.value("performance.timing.loadEventEnd - performance.timing.navigationStart") < 10_000


def test_a_long_label_can_be_read_whole(browser: Page, tmp_path: Path) -> None:
    some = [member(number, varied={"optimizer": "a long name " * 5 + "end", "seed": number}) for number in range(2)]
    path = tmp_path / "report.html"
    path.write_text(html(sweep(*some)), encoding="utf-8")
    browser.open(path.as_uri())
    label = "[...document.querySelectorAll('text.x')].find(t => t.textContent.startsWith('a long'))"
    assert browser.value(f"{label}.firstChild.textContent").endswith("me end")
    assert browser.value(f"{label}.querySelector('title').textContent") == "a long name " * 5 + "end"
    # Rows whose names would be equal without their middles have lines of their own for them.
    some = [
        member(n, varied={"optimizer": "a name", "schedule": "ab"[n // 2], "train.epochs": 9, "seed": n % 2})
        for n in range(4)
    ]
    path.write_text(html(sweep(*some)), encoding="utf-8")
    browser.open(path.as_uri(), 300)
    names = ["optimizer=a name schedule=a epochs=9", "optimizer=a name schedule=b epochs=9"]
    assert " ".join(browser.texts("text.halo:not(.y)")) == " ".join(reversed(names))  # from below
