"""Hydra's options: what is wrong with them is one line, and what they ask for is done."""

import shlex
from pathlib import Path

import pytest
from commands import Runner

from runner.composition import options
from runner.errors import ConfigError
from runner.launchable import single

KNOWN = (
    "--cfg, --config-dir, --config-name, --config-path, --help, --hydra-help, --info, --multirun, --package, "
    "--resolve, --run, --shell-completion, --version"
)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--xyz", f'command line: unknown option "--xyz"; must be one of {KNOWN}'),
        ("-m --multirunn=3 seed=1", 'command line: unknown option "--multirunn"; did you mean "--multirun"?'),
        ("--config-file x", 'command line: unknown option "--config-file"; did you mean "--config-dir"?'),
        ("-m word seed=1,2", "command line: must be made of overrides such as train.epochs=5, got word"),
        ("--cfg", "command line: must have options that Hydra can read, but argument --cfg/-c: expected one argument"),
        ("--cfg all -m", "command line: must ask for one thing, got --multirun, --cfg"),
        ("-r -m", "command line: must ask for one thing, got --run, --multirun"),
        ("--resolve", "command line: must have --cfg where it has --resolve, got --resolve alone"),
        ("--exp x", "command line: must launch a recorded config.yaml in place of a pickle, got --exp"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "describe"])
def test_an_option_that_is_wrong_is_one_line(runner: Runner, verb: str, arguments: str, line: str) -> None:
    done = runner(verb, *arguments.split())
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[0].startswith(line)
    if not arguments.startswith("--config-file"):  # its value is a word, which has a line of its own
        assert len(done.err.splitlines()) == 1


def test_an_argument_list_is_read_in_any_order() -> None:
    assert options.ordered(["-m", "seed=1", "--cfg", "job", "~augment"]) == ["seed=1", "~augment", "-m", "--cfg", "job"]
    found = options.read(["seed=1", "-cd", "mine", "model=x"])
    assert (found.config_dir, found.overrides) == ("mine", ["seed=1", "model=x"])


def test_a_member_is_trained_from_the_folders_that_the_sweep_was_launched_from() -> None:
    command = shlex.join(["runner", "train", "-cd", "my folder", "sweep=lr", "--config-n=best", "-m"])
    line = single(options.places(command), ["sweep=lr", "sweep.trials=3", "++a.b=1"])
    assert shlex.split(line) == [
        "runner",
        "--config-dir=my folder",
        "--config-name=best",
        "--run",
        "sweep=lr",
        "++a.b=1",
    ]
    with pytest.raises(ConfigError):
        options.read(["--config"])  # of which Hydra has three


def test_a_folder_that_is_named_comes_first_however_its_option_is_written(runner: Runner) -> None:
    for folder, name in (("mine", "first"), ("conf", "second")):
        Path(folder, "model").mkdir(parents=True)
        Path(folder, "model/lenet5.yaml").write_text(f"name: {name}\nlayers: [flatten, classifier]\n")
    for option in (["--config-dir", "mine"], ["--config-dir=mine"], ["-cd", "mine"], ["--config-d=mine"]):
        assert "\n  name: first\n" in runner(*option, "--cfg=job").out
    assert "\n  name: second\n" in runner("--cfg=job").out


def test_a_sweep_that_is_chosen_can_be_shown(runner: Runner) -> None:
    done = runner("sweep=lr", "--cfg", "job")
    assert (done.status, done.err) == (0, "")
    assert "\nsweep:\n" in done.out


def test_the_schema_is_written_to_one_folder(runner: Runner) -> None:
    done = runner("schema", "a", "b")
    assert (done.status, done.err) == (2, "command line: must name one folder, got a b\n")
    assert list(Path().iterdir()) == []
