"""The line that says what is being done: on a real terminal, beside warnings, and in a pipe."""

import io
import logging
import re
from pathlib import Path

import pytest
from configurations import TINY, composed, configured
from rich.console import Console
from terminal import Terminal, terminal

from runner.observers.activity import Activity
from runner.run import run
from runner.training.member import Context

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # of MLflow's SQLAlchemy


@pytest.fixture(autouse=True)
def _ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def train(folder: Path, *tracking: str) -> None:
    lines = (*TINY, "train.epochs=1", *tracking)
    asked = configured(*lines)
    run(asked.experiment, Context(folder / "output", asked.tracking, config=composed(*lines)))


def steps(found: Terminal) -> list[str]:
    """The texts of the line, in their order, each once."""
    written = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", found.written)
    return list(dict.fromkeys(re.findall(r"[⠀-⣿] ([^\r\n]*)", written)))


@pytest.mark.slow
def test_the_terminal_says_what_is_done_after_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal() as found:
        monkeypatch.setattr("sys.stdout", found.file)
        train(tmp_path, "tracking.enabled=true", f"tracking.uri=sqlite:///{tmp_path / 'mlflow.db'}")
    said = steps(found)
    assert said[0] == "saving the model"
    assert "drawing figures/feature_maps.png" in said
    assert said.index("drawing figures/feature_maps.png") < said.index("sending the model to MLflow")
    assert found.written.index("test accuracy") < found.written.index("saving the model")
    first = next(place for place, line in enumerate(found.screen) if line.startswith("   epoch"))
    heading, epoch, result, *_, best, seconds, folder, recorded, prompt = found.screen[first:]
    assert heading.startswith("   epoch")
    assert epoch.startswith("   1/1")
    assert result.startswith("tiny on digits: test accuracy ")
    assert (best[:7], seconds[-9:]) == ("  best ", "compiling")
    assert folder == "  output"
    assert recorded.startswith("  MLflow run ")
    assert prompt == ""


@pytest.mark.parametrize(("columns", "headings"), [(60, 4), (100, 5)])
def test_an_epoch_is_one_line(columns: int, headings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with terminal() as found:
        monkeypatch.setattr("sys.stdout", found.file)
        train(tmp_path)
    first = next(place for place, line in enumerate(found.screen) if line.strip().startswith("epoch"))
    assert "".join(found.screen[:first]).startswith("digits: 160 train, 144 val, 160 test; 10 classes of 16 training ")
    heading, epoch, result, *_ = found.screen[first:]
    assert len(re.split(r"\s{2,}", heading.strip())) == 1 + headings
    assert [match.end() for match in re.finditer(r"\S+(?= {2}|$)", epoch)][1:] == [
        match.end() for match in re.finditer(r"\S( \S|\S)*", heading)
    ][1:], "a value ends where its heading does"
    assert result.startswith("tiny on digits")


def test_a_pipe_gets_the_result_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdout", pipe)
    train(tmp_path)
    result, *_, best, seconds, folder = pipe.getvalue().splitlines()
    assert result.startswith("tiny on digits: test accuracy ")
    assert (best[:7], seconds[-9:]) == ("  best ", "compiling")
    assert folder == "  output: the model, the configuration and the log; tracking is off, so nothing is in MLflow"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_warnings_are_printed_whole_above_the_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))  # Rich asks the process's own terminal for its width
    with terminal() as found:
        monkeypatch.setattr("sys.stderr", found.file)
        handler = logging.StreamHandler(found.file)
        monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
        with Activity(Console(file=found.file, highlight=False)) as activity:
            activity.now("a text that is too long for the terminal " * 5)
            logging.getLogger("test").warning("the store does not answer: " + "[bold]" * 20)
            activity.now("sending the model to MLflow")
        assert handler.stream is found.file
        print("$", file=found.file)
    assert "".join(found.screen) == f"the store does not answer: {'[bold]' * 20}$"
    assert found.screen[-2:] == ["$", ""]
    shown = [re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", found.written)]
    assert max(len(line) for line in shown if "a text" in line) == columns


@pytest.mark.parametrize("kind", ["dumb", "pipe"])
def test_where_a_line_cannot_be_erased_nothing_is_shown(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with terminal() as found, Activity(Console(file=found.file if kind == "dumb" else io.StringIO())) as activity:
        activity.now("sending the model to MLflow")
    assert found.written == ""
