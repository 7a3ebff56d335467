"""Verbs: found by the file that each is in, told their settings, and asked for help."""

import pickle
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Runner
from configurations import TINY, command
from contributing import added
from pydantic import Field
from sweep.swept import found

from runner import cli, verbs
from runner.composition import files, look, unlisted
from runner.composition.train_command import TrainCommand
from runner.errors import ConfigError
from runner.records import Record
from runner.verb import ComposingVerb, RunSettings, SettingsVerb, read

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]

# A verb, as somebody would add one: this file and nothing else.
WEIGH = '''"""`runner weigh run=RUN`: the size of the weights."""

from typing import Literal

from pydantic import Field

from runner.verb import Asked, RunSettings, SettingsVerb


class Weigh(RunSettings):
    """How `weigh` prints."""

    unit: Literal["B", "kB"] = Field("kB", description="The unit of the size.")


def weigh(settings: Weigh, asked: Asked) -> int:
    """Prints the size."""
    with asked.folder(settings.run) as folder:
        size = (folder / "weights.safetensors").stat().st_size
    print(f"{size if settings.unit == 'B' else size // 1000} {settings.unit}")
    return 0


VERB = SettingsVerb(Weigh, weigh)
'''


@pytest.fixture
def _weigh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The verb `weigh`, added to the package by its file."""
    with added(verbs, "weigh", WEIGH, tmp_path_factory.mktemp("added")):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_weigh")
def test_a_run_verb_is_added_by_one_short_file(runner: Runner) -> None:
    assert len(WEIGH.splitlines()) < 30
    assert runner(*TINY, "train.epochs=1", "tracking.enabled=true", "hydra.run.dir=outputs/run").status == 0
    size = Path("outputs/run/weights.safetensors").stat().st_size
    [run_id] = [run.info.run_id for run in found()[0]]
    for run in ("outputs/run", run_id, run_id[:10]):
        done = runner("weigh", f"run={run}", "unit=B")
        assert (done.status, done.out, done.err) == (0, f"{size} B\n", "")
    assert runner("weigh", "run=outputs/run").out == f"{size // 1000} kB\n"
    assert "\n  weigh      the size of the weights\n" in runner("--help").out


@pytest.mark.usefixtures("_weigh")
def test_a_mistake_in_the_settings_of_a_run_verb_is_one_line(runner: Runner) -> None:
    for arguments, line in (
        ((), "run: must be given, got nothing"),
        (("run=.", "unti=B"), 'unti: unknown key "unti"; did you mean "unit"?'),
        (("run=.", "unit=kg"), "unit: must be one of B, kB, got kg"),
        (("outputs",), "command line: must be made of settings such as run=RUN, got outputs"),
        (("run=",), "run: must not be empty, got ''"),
    ):
        done = runner("weigh", *arguments)
        assert (done.status, done.out, done.err) == (2, "", f"{line}\n")
    assert runner("weihg").err == 'command line: unknown verb "weihg"; did you mean "weigh"?\n'


@pytest.mark.usefixtures("_weigh")
def test_the_help_of_a_run_verb_lists_its_settings(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert runner("weigh", "--help").out == (
        "runner weigh [KEY=VALUE ...]\n\nThe size of the weights.\n\n"
        "  run   An output folder, an MLflow id or its beginning, or a registered model:\n"
        "        models:/NAME@ALIAS. (must be given)\n"
        "  unit  The unit of the size. (default: kB)\n\n"
        "tracking.uri=URI and other settings of tracking say where runs are recorded.\n"
    )


@pytest.mark.usefixtures("_weigh")
def test_the_settings_of_a_run_verb_are_no_key_of_the_configuration(runner: Runner) -> None:
    done = runner("describe", "weigh.unit=B")
    assert done.err.startswith('weigh: unknown key "weigh"')


@pytest.mark.parametrize("verb", verbs.names())
def test_the_help_of_each_verb_fits_a_screen(runner: Runner, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = verbs.verb(verb)
    for columns in (60, 80, 120):
        lines = own.help(verb).text(columns).splitlines()
        examples = [line for line in lines if line.startswith(("Example: ", "         runner "))]
        assert all(len(line) <= columns for line in lines if columns >= 80 or line not in examples)
        assert len(lines) <= 24 or columns < 80
    monkeypatch.setenv("COLUMNS", "80")
    done = runner(verb, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out == own.help(verb).text(80) + "\n"
    assert re.match(rf"runner {verb}( |\n)", done.out)
    assert runner(verb, "-h") == done
    if isinstance(own, SettingsVerb | ComposingVerb):
        above = "" if isinstance(own, SettingsVerb) else f"{verb}."
        assert all(re.search(rf"^  {re.escape(name)} ", done.out, re.MULTILINE) for name in paths(own.settings, above))
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("verb", verbs.names())
def test_the_examples_of_each_verb_are_valid(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = verbs.verb(verb)
    assert own.help(verb).examples
    for example in own.help(verb).examples:
        program, *arguments = shlex.split(example)
        command = cli.read(arguments)
        assert (program, command.verb) == ("runner", verb)
        if isinstance(own, SettingsVerb):
            own.asked(command)
        elif isinstance(own, ComposingVerb):
            spelled = own.in_overrides(command)
            assert look(spelled, lambda job: int(job.configuration.settings(verb, own.settings) is None)) == 0
        elif verb == "train":
            # Of a sweep, the first member: all of them need the sweeper, and a folder.
            first = [re.sub(r"=([^,]+),.*", r"=\1", argument) for argument in command.arguments if argument != "-m"]
            assert look(cli.read(["train", *first]), lambda job: 0) == 0
        else:
            assert own(command) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_the_program_lists_all_verbs(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("60", "120", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        done = runner("--help")
        assert max(map(len, done.out.splitlines())) <= int(columns)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len(lines) <= 24
    assert [line.split()[0] for line in lines if line.startswith("  ")] == verbs.names()
    assert runner("-h") == done
    assert runner("seed=1", "--help").out.startswith("runner train ")


def test_the_help_of_train_has_the_options_that_list_does_not_show(runner: Runner) -> None:
    path = Path("conf/own/mine.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("a: 1\n")
    shown = " ".join(runner("train", "--help").out.split())
    assert {"debug", "own", "tracking"} <= set(unlisted())
    assert all(f"{group}= {', '.join(files(group))}" in shown for group in unlisted())


def paths(record: type[Record], above: str = "") -> Iterator[str]:
    for name, field in record.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Record):
            yield from paths(field.annotation, f"{above}{name}.")
        else:
            yield f"{above}{name}"


class Many(RunSettings):
    """Settings of every type."""

    top: int = Field(1, description="A number.")
    names: tuple[str, ...] = Field((), description="Texts.")
    note: str | None = Field(None, description="A text.")
    soft: bool = Field(False, description="A truth.")


def test_settings_are_read_by_their_types() -> None:
    many = read(Many, ["run=12345678", "top=3", "names=[a, 'b c']", "note=1e3", "soft=true"])
    assert many == Many(run="12345678", top=3, names=("a", "b c"), note="1e3", soft=True)
    assert read(Many, ["run=0b12", "note=null"]) == Many(run="0b12")
    with pytest.raises(ConfigError) as caught:
        read(Many, ["top=x", "soft=3"])
    assert str(caught.value).splitlines() == [
        "run: must be given, got nothing",
        "top: must be a whole number, got x",
        "soft: must be true or false, got 3",
    ]


def test_a_start_imports_no_verb_but_its_own() -> None:
    program = (
        "import sys; from runner import cli; command = cli.read(['describe', 'seed=1']); "
        "from runner import verbs; verbs.verb(command.verb); "
        "print(sorted(name for name in sys.modules if name.startswith('runner.verbs.')), 'hydra' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['runner.verbs.describe'] False\n"


def test_what_plugins_find_of_a_command_goes_to_other_processes_without_its_session() -> None:
    training = TrainCommand(command("-m", "seed=1,2"))
    with training.during(object()):  # type: ignore[arg-type]
        again = pickle.loads(pickle.dumps(training))
    assert again.session is None
    assert again.command.text == "runner -m seed=1,2"
    assert training.session is None
