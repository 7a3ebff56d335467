"""The pages of docs/: those made from records are current, every command in them works, and MkDocs builds them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import language_pages
import numpy as np
import pytest
import yaml
from browser import started
from commands import Runner
from PIL import Image
from readme_pages import ROOT, blocks, overrides, text_of, write_own

from runner.cli import read
from runner.verb import SettingsVerb
from runner.verbs import names, verb

DOCS = ROOT / "docs"
WRITTEN = ("index", "index.zh-CN", "language", "sweeps", "tracking", "data", "scale", "how-it-works")
EXTERNAL = re.compile(
    r"""<(?:script|img|iframe)\b[^>]*\bsrc="?https?:|<link\b[^>]*\bhref="?https?:|url\(["']?https?:"""
)
_PROGRAM = ["python", "-m", "runner"]


@pytest.mark.parametrize("name", language_pages.pages())
def test_a_page_made_from_records_is_current(name: str) -> None:
    if (
        name.removesuffix(".md") in language_pages.OF_OPTAX
        and language_pages.installed() != language_pages.written_with()
    ):
        pytest.skip("the page lists the functions of the Optax in requirements.lock, and another is installed")
    page = (language_pages.FOLDER / name).read_text(encoding="utf-8")
    assert page == language_pages.pages()[name](), "run `python tests/language_pages.py`"


def test_every_file_in_the_folder_of_these_pages_is_one_of_them() -> None:
    assert {path.name for path in language_pages.FOLDER.iterdir()} == set(language_pages.pages())


def files(node: object) -> Iterator[str]:
    """The pages in MkDocs' navigation."""
    if isinstance(node, str):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from files(inner)


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(files(navigation)) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_links_of_a_page_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!http)([^)\s#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


def shown(page: str) -> list[str]:
    """The commands of a page: in sentences and tables, in indented code, and in `sh` blocks."""
    text = text_of(page)
    code = [line for language, block in blocks(page) if language == "sh" for line in block.splitlines()]
    code += [line.strip() for line in re.findall(r"^ {4}python .*$", text, flags=re.MULTILINE)]
    prose = re.sub(r"```\w+\n.*?```", "", text, flags=re.DOTALL)
    code += re.findall(r"`(python -m runner[^`]*)`", prose)
    return [line for line in dict.fromkeys(code) if shlex.split(line)[:3] == _PROGRAM]


COMMANDS = [(f"docs/{name}.md", line) for name in WRITTEN for line in shown(f"docs/{name}.md")]
COMMANDS += [(f"docs/language/{name}", shown(f"docs/language/{name}")[0]) for name in language_pages.pages()]
SETTINGS = [(f"docs/{name}.md", setting) for name in WRITTEN for setting in overrides(f"docs/{name}.md")]
SWEPT = re.compile(r"-m|sweep=.*|[\w.]+=\w[^\[{]*[,(].*")


def verb_of(line: str) -> str:
    """The verb of a command."""
    word = (shlex.split(line)[3:] or [""])[0]
    return word if word in names() else "train"


def write_files(folder: Path, page: str) -> None:
    """The YAML that a page shows, and a model of the reader's own."""
    (folder / "conf/model").mkdir(parents=True)
    (folder / "conf/model/mine.yaml").write_text("name: mine\nlayers: [flatten, classifier]\n")
    write_own(folder, page)


def write_photographs(folder: Path) -> None:
    """Two classes of a dozen small images."""
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


@pytest.mark.parametrize(("page", "line"), [one for one in COMMANDS if verb_of(one[1]) != "train"])
def test_a_verb_on_a_page_takes_what_the_page_gives_it(page: str, line: str, tmp_path: Path, runner: Runner) -> None:
    write_files(tmp_path, page)
    words = shlex.split(line.partition(" > ")[0])[3:]
    if "data.root=photos" in words:
        write_photographs(tmp_path / "photos")
    found = verb(words[0])
    if words[0] in ("describe", "list", "show", "why"):
        done = runner(*words)
        assert (done.status, done.err) == (0, "")
        assert done.out
    elif isinstance(found, SettingsVerb):
        found.asked(read(words))  # raises an error for a setting that does not exist
    else:
        assert len(words) == 1  # the UI, without settings


@pytest.mark.slow
@pytest.mark.parametrize(("page", "line"), [one for one in COMMANDS if verb_of(one[1]) == "train"])
def test_a_training_on_a_page_composes(page: str, line: str, tmp_path: Path, runner: Runner) -> None:
    write_files(tmp_path, page)
    words = shlex.split(line)[3:]
    done = runner(*(word for word in words if not SWEPT.fullmatch(word)), "--cfg", "job")
    assert (done.status, done.err) == (0, "")
    for name in (word.removeprefix("sweep=") for word in words if word.startswith("sweep=")):
        assert any((top / f"conf/sweep/{name}.yaml").is_file() for top in (ROOT, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(("page", "setting"), [one for one in SETTINGS if not SWEPT.fullmatch(one[1])])
def test_a_setting_on_a_page_is_accepted(page: str, setting: str, tmp_path: Path, runner: Runner) -> None:
    write_files(tmp_path, page)
    data = [["data=folder"], ["data=arrays"], ["data=text", "model=textcnn"]] if setting.startswith("data.") else [[]]
    results = [runner(*each, *shlex.split(setting), "--cfg", "job") for each in data]
    assert any((done.status, done.err) == (0, "") for done in results), results[0].err


def build(folder: Path, settings: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """Builds the site as `make docs` does, in a folder."""
    if not all(map(find_spec, ("mkdocs", "material"))):
        pytest.skip("needs MkDocs and its theme Material: pip install 'convrunner[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(settings), "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=settings.parent, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the pages."""
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("link", ["../nothing.md", "nothing.md", "faq.md#nothing"])
def test_a_broken_link_ends_the_build(link: str, tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs/scale.md").open("a", encoding="utf-8") as page:
        page.write(f"\n[A link]({link})\n")
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode == 1
    assert link in done.stderr


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(pages) > len(language_pages.pages())
    for path in pages:
        assert not EXTERNAL.search(path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_the_site_is_read_and_searched_from_files(site: Path) -> None:
    with started() as page:
        for width in (1400, 400):
            for name in ("index.html", "language/layers.html", "index.zh-CN.html"):
                page.open((site / name).as_uri(), width=width)
                assert page.value("document.documentElement.scrollWidth <= innerWidth"), (name, width)
                assert page.faults == []
                assert [address for address in page.asked if address.startswith("http")] == []
        page.open((site / "faq.html").as_uri(), width=1400)
        page.click(".md-search__input")
        page.write("dropout")
        page.until("document.querySelector('.md-search-result__item')")
        assert any("language/layers.html" in address for address in page.value(
            "[...document.querySelectorAll('.md-search-result__link')].map(link => link.href)"
        ))  # fmt: skip
