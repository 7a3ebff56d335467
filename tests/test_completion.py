"""Completion as a user meets it: real shells, in a terminal, in which the tab key is pressed."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from runner import catalogue, shipped
from runner.completion.candidates import candidates, choices, groups
from runner.completion.settings import names as verbs
from runner.completion.settings import taken
from runner.experiment import Experiment
from runner.records import Record
from runner.verb import SettingsVerb
from runner.verbs import names, verb

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
PREPARED = {
    "bash": "bind 'set enable-bracketed-paste off'; PS1=; eval \"$(runner -sc install=bash)\"",
    "zsh": "autoload -Uz compinit; compinit -u -D; unsetopt zle_bracketed_paste; "
    'PROMPT_EOL_MARK=; PS1=; eval "$(runner -sc install=zsh)"',
    "fish": "function fish_prompt; end; runner -sc install=fish | source",
}
Complete = Callable[[str], str]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, str]:
    """The environment in which `runner` and `python` are this project's."""
    folder = tmp_path_factory.mktemp("bin")
    for name, arguments in (("runner", '-m runner "$@"'), ("python", '"$@"')):
        (folder / name).write_text(f'#!/bin/sh\nPYTHONPATH="{repository}" exec "{sys.executable}" {arguments}\n')
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8", "HOME": str(folder)}


class Shell:
    """An interactive shell in a terminal."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execvpe(SHELLS[name][0], SHELLS[name], environment)
        self._asked = 0
        self.says(PREPARED[name])

    def says(self, keys: str) -> str:
        """What a line prints. A first word is put before it, so that no line runs what it names."""
        self._asked += 1
        os.write(self.terminal, f"{keys}\r".encode())
        mark = f"done-{self._asked}"
        os.write(self.terminal, f"echo done''-{self._asked}\r".encode())
        return self._until(mark)

    def complete(self, line: str) -> str:
        """The line after the tab key."""
        os.write(self.terminal, line.encode())
        self._settle(0.3)
        os.write(self.terminal, b"\t")
        self._settle(6.0)
        text = self.says("X'\x01echo 'line: ")
        [found] = re.findall(r"^line: (.*)X\s*$", text, re.MULTILINE)
        return str(found)

    def _settle(self, seconds: float) -> None:
        """Reads until the shell is quiet, after waiting so long for its first answer."""
        while select.select([self.terminal], [], [], seconds)[0]:
            os.read(self.terminal, 65536)
            seconds = 0.4

    def _until(self, mark: str) -> str:
        text, end = "", time.monotonic() + 30
        while not re.search(rf"^{mark}\s*$", plain(text), re.MULTILINE):
            assert time.monotonic() < end, plain(text)
            if select.select([self.terminal], [], [], 0.2)[0]:
                part = os.read(self.terminal, 65536).decode(errors="replace")
                if "\x1b[c" in part or "\x1b[0c" in part:  # fish asks what terminal this is
                    os.write(self.terminal, b"\x1b[?62c")
                text += part
        return plain(text)

    def close(self) -> None:
        os.close(self.terminal)
        with suppress(ProcessLookupError):
            os.kill(self.process, 9)
        os.waitpid(self.process, 0)


def plain(text: str) -> str:
    """A text without controls of the terminal."""
    return re.sub(r"\x1b(\[[?>=\d;]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])", "", text).replace(
        "\r", "\n"
    )


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, program: dict[str, str]) -> Iterator[Shell]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    found = Shell(request.param, program)
    yield found
    found.close()


@pytest.mark.slow
def test_the_tab_key_completes_the_line(shell: Shell) -> None:
    Path("photos").mkdir()
    expected = {
        "runner descr": "runner describe ",
        "runner model=lenet5_1": "runner model=lenet5_1998 ",
        "runner optimizer.lear": "runner optimizer.learning_rate=",
        "runner train.device=cp": "runner train.device=cpu ",
        "runner -m optimizer=adam,mom": "runner -m optimizer=adam,momentum ",
        "runner data=folder data.root=pho": "runner data=folder data.root=photos/",
        "python -m runner describe model.layers.0.conv.pad": "python -m runner describe model.layers.0.conv.padding",
        "python -m runner sched": "python -m runner schedule",
        "runner --multi": "runner --multirun ",
        "runner show max_p": "runner show max_pool ",
    }
    shell.says(f"cd {Path.cwd()}")
    assert {line: shell.complete(line) for line in expected} == expected


# Without a shell


def test_the_names_are_those_of_the_project() -> None:
    assert verbs() == names()
    assert set(groups()) == {path.name for path in shipped.configurations().iterdir() if path.is_dir()} - {
        "hydra",
        "block",
    }
    assert "lenet5" in choices("model")
    top = {word.rstrip(".=") for word in candidates([], "")}
    assert {*names(), *groups(), *Experiment.model_fields} <= top


@pytest.mark.parametrize("name", names())
def test_what_a_verb_takes_is_what_its_record_says(name: str) -> None:
    found, own = taken(name), verb(name)
    assert (found is not None) == isinstance(own, SettingsVerb)
    if isinstance(own, SettingsVerb):
        assert found is not None
        assert dict(found.settings) == dict(listed(own.settings))
        assert (found.words, found.most_words) == ((own.words.completed_by, own.words.most) if own.words else ("", 0))
        assert found.reads_store == own.reads_store
        wanted = {f"{field}=" for field in found.settings} | ({"tracking=", "tracking."} if own.reads_store else set())
        assert wanted <= set(candidates([name], ""))
        assert {word for word in candidates([name], "") if word.endswith("=")} <= wanted


def listed(record: type[Record], above: str = "") -> Iterator[tuple[str, list[str]]]:
    """By path, the values that a setting is chosen from, by pydantic."""
    for name, field in record.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Record):
            yield from listed(field.annotation, f"{above}{name}.")
        else:
            schema = TypeAdapter(field.annotation).json_schema()
            chosen = next((one for one in (schema, *schema.get("anyOf", [])) if {"enum", "const"} & set(one)), {})
            values = chosen.get("enum", [chosen["const"]] if "const" in chosen else [])
            yield f"{above}{name}", ["true", "false"] if schema.get("type") == "boolean" else values


def test_the_words_after_list_and_show_are_those_that_they_take(tmp_path: Path) -> None:
    (tmp_path / "conf" / "block").mkdir(parents=True)
    (tmp_path / "conf" / "block" / "mine.yaml").write_text("# a block\nparams: {width: 1}\nlayers: [relu]\n")
    assert candidates(["list"], "") == sorted(catalogue.kinds())
    assert candidates(["show"], "") == sorted(
        {entry.name for kind in catalogue.kinds() for entry in catalogue.entries(kind)}
    )
    assert candidates(["show"], "min") == ["mine"]


def test_the_settings_of_a_verb_are_read_from_its_source(tmp_path: Path) -> None:
    record = 'class Weigh(RunSettings):\n    unit: Literal["kB", "MB"] | None = None\n    deep: bool = False\n'
    (tmp_path / "weigh.py").write_text(record + "VERB = SettingsVerb(Weigh, go)\n")
    found = taken("weigh", tmp_path)
    assert found is not None
    assert found.settings == {"run": [], "unit": ["kB", "MB"], "deep": ["true", "false"]}


def test_an_own_folder_adds_groups_and_options(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("name: mine\nlayers: [{conv: {filters: 3}}, classifier]\n")
    assert candidates([], "model=m") == ["model=mine", "model=mobilenet_v1", "model=mobilenet_v2"]
    assert candidates(["model=mine"], "model.layers.") == ["model.layers.0.", "model.layers.0=", "model.layers.1="]
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("name: [broken\n")
    assert "model.layers=" in candidates(["model=mine"], "model.l")


def test_files_that_are_based_on_each_other_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/one.yaml").write_text("defaults: [two, _self_]\nlayers: [relu]\n")
    (tmp_path / "conf/model/two.yaml").write_text("defaults: [one, _self_]\nname: two\n")
    monkeypatch.chdir(tmp_path)
    assert candidates(["model=two"], "model.layers.") == ["model.layers.0="]


def test_values_without_a_list_are_files() -> None:
    Path("photos").mkdir()
    Path("photos", "cat.jpg").touch()
    for before, key in (([], "data.root"), (["predict"], "images"), (["predict"], "run")):
        assert candidates(before, f"{key}=ph") == [f"{key}=photos/"]
        assert candidates(before, f"{key}=photos/") == [f"{key}=photos/cat.jpg"]


@pytest.mark.parametrize(
    ("before", "current", "found"),
    [
        (["optimizer=momentum"], "optimizer.m", ["optimizer.momentum="]),
        ([], "optimizer.b", ["optimizer.b1=", "optimizer.b2=", "optimizer.bias_scale="]),
        ([], "loss.label_smoothing=", ["loss.label_smoothing=0.0"]),
        ([], "train.debug_nans=", ["train.debug_nans=false", "train.debug_nans=true"]),
        ([], "+debug=n", ["+debug=nan"]),
        (["describe"], "describ", ["describe."]),
        ([], "describe.f", ["describe.format="]),
        ([], "describ", ["describe"]),
        (["schema"], "sch", []),
        (["init", "flowers"], "", ["images="]),
        (["list"], "la", ["layers"]),
        (["list", "layers"], "", []),
        (["show"], "max_p", ["max_pool"]),
        (["show"], "label_smooth", []),
        (["runs"], "format=", ["format=json", "format=table"]),
        (["runs"], "status=f", ["status=failed", "status=finished"]),
        (["runs"], "tracking=o", ["tracking=off"]),
        (["runs"], "optimizer", []),
        (["resume"], "train.", ["train.epochs="]),
        (["delete"], "only=", ["only=checkpoints"]),
        (["diff"], "format=", ["format=json", "format=table"]),
        (["diff", "a", "b"], "", ["everything=", "format=", "tracking.", "tracking="]),
        (["--cfg"], "j", ["job"]),
        ([], "nonsense.path.", []),
        ([], "model.layers.99.", []),
    ],
)
def test_candidates(before: list[str], current: str, found: list[str]) -> None:
    assert candidates(before, current) == found


def ask(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment | {"PYTHONPATH": str(shipped.configurations().parent)},
        check=False,
    )


def test_an_answer_loads_neither_jax_nor_hydra() -> None:
    done = ask("-X", "importtime", "-m", "runner", "-sc", "query=bash", COMP_LINE="runner model.layers.0.")
    assert done.stdout == "model.layers.0.conv.\n"
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"jax", "hydra", "mlflow", "pydantic", "numpy", "omegaconf"}
    assert "yaml" in loaded


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_printed(shell: str) -> None:
    done = ask("-m", "runner", "-sc", f"install={shell}")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"-sc query={shell}" in done.stdout
    assert ask("-m", "runner", f"--shell-completion=uninstall={shell}").stdout


def test_another_request_is_rejected() -> None:
    rule = "must ask completion to install=SHELL or uninstall=SHELL, with a SHELL of bash, zsh, fish"
    for asked in ("install=tcsh", "query", "nothing"):
        done = ask("-m", "runner", "-sc", *([asked] if asked != "nothing" else []))
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"command line: {rule}, got {asked}\n")


def test_lines_with_quotes_are_read_as_a_shell_reads_them() -> None:
    for line, found in (
        ("runner model.name='a b' optimizer=adamw", "optimizer=adamw\n"),
        ("runner 'seed=1 ", "\n"),
    ):
        assert ask("-m", "runner", "-sc", "query=fish", COMP_LINE=line).stdout == found
