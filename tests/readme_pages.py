"""What a page of documentation shows: its files, its commands with their outputs, and the words in code."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from runner.verbs import names

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("README.md", "README.zh-CN.md")
START = "docs/getting-started.md"
PAIRS = (LANGUAGES, (START, "docs/getting-started.zh-CN.md"))
_PROGRAM = ["python", "-m", "runner"]


@dataclass(frozen=True)
class Shown:
    """A command of a `console` block, without `$` and its comment, and the output below it."""

    line: str
    output: str

    @property
    def arguments(self) -> list[str]:
        """What follows `python -m runner`."""
        words = shlex.split(self.line)
        assert words[:3] == _PROGRAM, self.line
        return words[3:]


def text_of(page: str) -> str:
    """A page as it is stored."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[tuple[str, str]]:
    """The fenced blocks: language and text."""
    return re.findall(r"```(\w+)\n(.*?)```", text_of(page), flags=re.DOTALL)


def console(page: str) -> list[Shown]:
    """The commands of the `console` blocks."""
    found = []
    for language, text in blocks(page):
        if language == "console":
            for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, output = entry.partition("\n")
                found.append(Shown(line.split("  #")[0].strip(), output.strip()))
    return found


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"```\w+\n.*?```", "", text_of(page), flags=re.DOTALL)


def spans(page: str) -> list[str]:
    """The code within sentences and tables, each once, and the commands of indented blocks without their comments."""
    text = prose(page)
    indented = [line.split("  #")[0].strip() for line in re.findall(r"^    (\S.*)$", text, flags=re.MULTILINE)]
    inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    return list(dict.fromkeys([*indented, *inline]))


def commands(page: str) -> list[str]:
    """The spans that are command lines, of this program or another one."""
    first = {"python", "runner", "make", "pip", "eval", "mlflow", *names()}
    return [span for span in spans(page) if " " in span and span.split()[0] in first]


def measured(page: str) -> list[str]:
    """The commands in the table of accuracies."""
    table = re.search(r"<!-- rows: accuracy -->(.*?)<!-- end -->", text_of(page), flags=re.DOTALL)
    return re.findall(r"`(python -m runner [^`]*)`", table[1]) if table else []


def overrides(page: str) -> list[str]:
    """The spans that are settings, and say all that they need: without `…` and names in capitals."""
    setting = re.compile(r"'?[a-z][\w.]*=[^…]+")
    return [
        span for span in spans(page) if setting.fullmatch(span) and not re.search(r"[A-Z]{2}", span.partition("=")[2])
    ]


def write_own(folder: Path, page: str = "README.md") -> None:
    """Puts the YAML that a page shows where it says that it stands."""
    for language, text in blocks(page):
        named = re.match(r"(?:# @package _global_\n)?# (conf/\S+\.yaml)", text)
        if language == "yaml" and named:
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
