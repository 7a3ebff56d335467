"""What the README shows is what happens: its YAML is the shipped file, its commands parse, its outputs are printed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import Runner

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[tuple[list[str], str]]:
    """Every `$ python -m runner …` of the README, with the output that it shows."""
    found = []
    for language, text in BLOCKS:
        if language == "console":
            for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, output = entry.partition("\n")
                found.append((shlex.split(line.split("  #")[0]), output))
    return found


def write_own(folder: Path) -> None:
    """Puts the YAML that the README shows where it says that it stands."""
    for language, text in BLOCKS:
        named = re.match(r"# (conf/\S+\.yaml)", text)
        if language == "yaml" and named:
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def said(arguments: list[str], folder: Path) -> str:
    """What the command prints in 80 columns, in a folder with nothing but the YAML that the README shows."""
    write_own(folder)
    environment = os.environ | {"COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "runner", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return "\n".join(line.rstrip() for line in (done.stdout + done.stderr).strip().splitlines())


def test_there_is_something_to_hold() -> None:
    assert len([text for language, text in BLOCKS if language == "yaml"]) >= 1
    assert len(commands()) >= 6


def test_the_network_shown_is_the_one_shipped() -> None:
    text = next(text for language, text in BLOCKS if text.startswith("# conf/model/lenet5.yaml"))
    assert yaml.safe_load(text) == yaml.safe_load((ROOT / "conf/model/lenet5.yaml").read_text())


@pytest.mark.parametrize(("command", "output"), [pair for pair in commands() if pair[1].strip()], ids=str)
def test_an_output_shown_is_the_one_printed(command: list[str], output: str, tmp_path: Path) -> None:
    assert command[:3] == ["python", "-m", "runner"]
    expected = "\n".join(line.rstrip() for line in output.strip().splitlines())
    assert said(command[3:], tmp_path) == expected


def _chosen(command: list[str]) -> str:
    """The sweep that a command chooses."""
    return next(word.partition("=")[2] for word in command if word.startswith("sweep="))


@pytest.mark.parametrize("command", [pair[0] for pair in commands() if not pair[1].strip()], ids=" ".join)
def test_a_command_shown_composes(command: list[str], tmp_path: Path, runner: Runner) -> None:
    assert command[:3] == ["python", "-m", "runner"]
    if "ui" in command:
        pytest.skip("the UI serves until it is interrupted; tests/tracking/test_ui.py starts it")
    if {"list", "show", "why"} & set(command[3:4]):  # they compose nothing, or tell what they composed
        done = runner(*command[3:])
        assert (done.status, done.err) == (0, "")
        assert done.out
        return
    # Hydra's own flag composes and prints, and runs nothing. Of a sweep it prints what all members have.
    if any(word.startswith("sweep=") for word in command):
        assert (ROOT / "conf" / "sweep" / f"{_chosen(command)}.yaml").is_file()
        command = ["python", "-m", "runner", *(word for word in command[3:] if not word.startswith(("sweep", "'")))]
        command = [word for word in command if "interval(" not in word]
    arguments = [word for word in command[3:] if word != "-m" and "," not in word and word != "describe"]
    write_own(tmp_path)
    assert yaml.safe_load(runner(*arguments, "--cfg", "job").out)["model"]["layers"]
