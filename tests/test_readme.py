"""What the README shows is what happens, in each language: files, commands, outputs, settings and measured numbers."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import Runner
from readme_pages import (
    LANGUAGES,
    PAIRS,
    ROOT,
    Shown,
    blocks,
    commands,
    console,
    measured,
    overrides,
    prose,
    spans,
    text_of,
    write_own,
)  # fmt: skip

from runner.verbs import names

SHOWN = console("README.md")
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
every_language = pytest.mark.parametrize("page", LANGUAGES)


def said(arguments: list[str], folder: Path) -> str:
    """What the command prints in 80 columns, in a folder with nothing but the YAML that the README shows."""
    write_own(folder)
    environment = os.environ | {"COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "runner", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return "\n".join(line.rstrip() for line in (done.stdout + done.stderr).strip().splitlines())


@every_language
def test_there_is_something_to_hold(page: str) -> None:
    assert len([text for language, text in blocks(page) if language == "yaml"]) >= 2
    assert len(console(page)) >= 15
    assert len(commands(page)) >= 10
    assert len(overrides(page)) >= 8


@every_language
def test_the_network_shown_is_the_one_shipped(page: str) -> None:
    text = next(text for language, text in blocks(page) if text.startswith("# conf/model/lenet5.yaml"))
    assert yaml.safe_load(text) == yaml.safe_load((ROOT / "conf/model/lenet5.yaml").read_text())


@pytest.mark.parametrize("shown", [shown for shown in SHOWN if shown.output], ids=lambda shown: shown.line)
def test_an_output_shown_is_the_one_printed(shown: Shown, tmp_path: Path) -> None:
    expected = "\n".join(line.rstrip() for line in shown.output.splitlines())
    assert said(shown.arguments, tmp_path) == expected


TRAINS = [shown for shown in SHOWN if not shown.output] + [Shown(line, "") for line in measured("README.md")]


@pytest.mark.parametrize("shown", TRAINS, ids=lambda shown: shown.line)
def test_a_command_shown_composes(shown: Shown, tmp_path: Path, runner: Runner) -> None:
    """Here quickly, by what all members of a sweep have; tests/test_readme_walk.py runs every command whole."""
    verb = shown.arguments[:1]
    if verb == ["ui"]:
        pytest.skip("the UI serves until it is interrupted; tests/test_readme_walk.py does both")
    if shown.arguments[:2] == ["describe", "data"]:
        pytest.skip("its photographs are made by tests/test_readme_walk.py")
    if verb and verb[0] in ("list", "show", "why"):  # they compose nothing, or tell what they composed
        done = runner(*shown.arguments)
        assert (done.status, done.err) == (0, "")
        assert done.out
        return
    chosen = [word.partition("=")[2] for word in shown.arguments if word.startswith("sweep=")]
    assert all((ROOT / "conf" / "sweep" / f"{name}.yaml").is_file() for name in chosen)
    single = [word for word in shown.arguments if not re.match(r"-m|describe|sweep|.*[,(]", word)]
    write_own(tmp_path)
    # Hydra's own flag composes and prints, and runs nothing.
    assert yaml.safe_load(runner(*single, "--cfg", "job").out)["model"]["layers"]


@pytest.mark.parametrize("setting", overrides("README.md"))
def test_a_setting_shown_composes(setting: str, tmp_path: Path, runner: Runner) -> None:
    write_own(tmp_path)
    (tmp_path / "conf/model/mine.yaml").write_text("name: mine\nlayers: [flatten, classifier]\n")
    words = shlex.split(setting)
    done = runner(*words, "--cfg", "job")
    assert (done.status, done.err) == (0, "")
    assert yaml.safe_load(done.out)["model"]["layers"]


def bare(page: str) -> list[tuple[str, str]]:
    """The fenced blocks without their comments, which are in the page's language."""
    return [(kind, re.sub(r"(^|  )# .*$", "", text, flags=re.MULTILINE)) for kind, text in blocks(page)]


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_show_the_same(english: str, chinese: str) -> None:
    pages = (english, chinese)
    code = [[line.rstrip() for _, text in bare(page) for line in text.splitlines()] for page in pages]
    assert code[0] == code[1]
    assert set(spans(english)) == set(spans(chinese))
    for pattern in (r"^#+ ", r"!\[.*?\]\((.*?)\)", r"^\| `[^|]*` ", r"^- ", r"<!-- (?:fill|rows): .*? -->"):
        found = [re.findall(pattern, prose(page), flags=re.MULTILINE) for page in pages]
        assert found[0] == found[1], pattern
    links = [set(re.findall(r"\]\((.*?)\)", prose(page).replace(".zh-CN.", "."))) for page in pages]
    assert {link for link in links[0] if english.rpartition("/")[2] not in link} == {
        link for link in links[1] if english.rpartition("/")[2] not in link
    }


@pytest.mark.parametrize("page", [*(page for pair in PAIRS for page in pair), "docs/faq.md"])
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!http)(.*?)\)", text_of(page)):
        assert ((ROOT / page).parent / link).exists(), link


def test_the_questions_are_answered_by_verbs_that_exist() -> None:
    known = {"A", "COMMAND", "…", *names()}
    words = [command.split()[3] for command in commands("docs/faq.md") if command.startswith("python -m runner ")]
    assert len(words) > 5
    assert {word for word in words if "=" not in word and not word.startswith("-")} <= known


# Numbers


def filled(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "benchmarks" / "readme.py")
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("page", [*LANGUAGES, "docs/zoo.md", "docs/data.md"])
def test_measured_numbers_are_those_of_the_results(page: str) -> None:
    done = filled("--check", str(ROOT / page))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "make readme writes them anew"


@every_language
def test_another_number_is_found(page: str, tmp_path: Path) -> None:
    path, text = tmp_path / page, text_of(page)
    inner = re.search(r"<!-- fill: [^>]* -->([\d.]+)<!-- end -->", text)
    assert inner is not None
    path.write_text(text[: inner.start(1)] + "0.01" + text[inner.end(1) :], encoding="utf-8")
    assert filled("--check", str(path)).returncode == 1
    assert filled(str(path)).returncode == 0
    assert path.read_text(encoding="utf-8") == text


@every_language
def test_every_measured_number_has_a_mark(page: str) -> None:
    """Seconds, gigabytes, per cent and the like stand between marks that `benchmarks/readme.py` fills."""
    unmarked = re.sub(r"<!-- (?:fill|when|rows): .*? -->.*?<!-- end -->", "", prose(page), flags=re.DOTALL)
    unmarked = re.sub(r"`[^`]*`|^    .*$", "", unmarked, flags=re.MULTILINE)
    units = r"%|s\b|ms\b|seconds|minutes|hours|times|[GM]B|images|秒|分钟|小时|倍"
    assert re.findall(rf"\d[\d.,]*\s?(?:{units})", unmarked) == []


@every_language
def test_marks_do_not_break_a_paragraph(page: str) -> None:
    """A line that begins with a comment ends a paragraph in Markdown, and what follows on the line is no Markdown."""
    for line in text_of(page).splitlines():
        assert not line.startswith("<!--") or re.fullmatch(r"<!-- (rows: \w+|end) -->", line), line


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_say_where_and_with_what_they_were_measured(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    each = [found, *found.get("experiments", {}).values(), *found.get("workloads", [])]
    for one in each:
        assert one["machine"].keys() == {"processor", "cores", "system"}, "and nothing that identifies a machine"
        assert one["machine"]["processor"]
        assert one["machine"]["cores"] >= 1
        assert {"python", "convrunner", "jax", "optax"} <= one["versions"].keys()
    for one in found.get("experiments", {}).values():
        assert len(one["seeds"]) == len(one["test_accuracy"])


@every_language
def test_the_first_promise_is_what_was_measured(page: str) -> None:
    found = json.loads((ROOT / "benchmarks/results/accuracy.json").read_text(encoding="utf-8"))
    accuracies = found["experiments"]["lenet5_digits"]["test_accuracy"]
    promised = re.search(r"make run .*?(\d+)–(\d+) %", text_of(page))
    assert promised is not None
    assert [int(end) for end in promised.groups()] == [round(100 * min(accuracies)), round(100 * max(accuracies))]


def test_the_network_of_the_readme_has_the_parameters_that_it_says(tmp_path: Path, runner: Runner) -> None:
    write_own(tmp_path)
    done = runner("describe", "model=hourglass", "describe.format=json")
    parameters = json.loads(done.out)["totals"]["parameters"]
    for page in LANGUAGES:
        assert re.search(r"hourglass\.yaml .*  ([\d,]+) ", text_of(page))[1] == f"{parameters:,}"  # type: ignore[index]
