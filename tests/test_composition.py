"""Composing: a folder of one's own joins and wins, values are set without ++, and what Hydra says comes to one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Runner
from configurations import command, composed, composed_here, parse
from omegaconf import DictConfig, OmegaConf

from runner import composition, launchable
from runner.composition import trust
from runner.composition.complaints import own_name
from runner.errors import ConfigError, Fault


def write(path: str, text: str) -> None:
    """A file of the current folder."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


MODEL = "name: mine\nlayers: [flatten, classifier]\n"


def test_a_folder_of_ones_own_joins_the_shipped_one() -> None:
    write("conf/model/mine.yaml", MODEL)
    assert composed_here("model=mine")["model"]["name"] == "mine"
    assert composed_here("model=lenet5")["model"]["name"] == "lenet5"
    assert composed_here("data=mnist", "model=mine")["data"]["name"] == "mnist"


def test_and_wins_where_names_agree() -> None:
    write("conf/model/lenet5.yaml", MODEL)
    assert composed_here()["model"]["name"] == "mine"


def test_a_folder_of_ones_own_may_hold_a_group_of_its_own() -> None:
    write("conf/experiment/first.yaml", "# @package _global_\nseed: 7\ntrain: {epochs: 2}\n")
    found = composed_here("experiment=first", "train.batch_size=16")
    assert (found["seed"], found["train"]["epochs"], found["train"]["batch_size"]) == (7, 2, 16)


def test_the_shipped_folder_is_not_its_own_rival(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    assert composed_here() == composed()


def test_shipped_configurations_lie_inside_the_package_or_beside_it() -> None:
    assert (composition.shipped() / "config.yaml").is_file()


def test_a_value_is_set_whether_a_file_mentions_it_or_not() -> None:
    found = composed_here("train.ema_decay=0.5", "optimizer.b1=0.8", "data.val_fraction=0.2", "train.clip={norm: 1.0}")
    assert found["train"]["ema_decay"] == 0.5
    assert found["optimizer"]["b1"] == 0.8
    assert found["train"]["clip"] == {"norm": 1.0}
    assert parse(found).train.clip.norm == 1.0


@pytest.mark.parametrize(
    ("argument", "freed"),
    [
        ("train.epochs=5", "++train.epochs=5"),
        ("train.epochs=1,2", "++train.epochs=1,2"),
        ("seed=1", "++seed=1"),
        ("model.layers.0.conv.filters=3", "++model.layers.0.conv.filters=3"),
        ("data=mnist", "data=mnist"),
        ("data=mnist,digits", "data=mnist,digits"),
        ("debug=nan", "debug='nan'"),
        ("model=3", "model='3'"),
        ("model=null", "model='null'"),
        ("schedule={name: linear_schedule}", "++schedule={name: linear_schedule}"),
        ("+debug=fast", "+debug=fast"),
        ("++seed=1", "++seed=1"),
        ("~augment", "~augment"),
        ("hydra.run.dir=x", "hydra.run.dir=x"),
        ("hydra/launcher=basic", "hydra/launcher=basic"),
        ("--multirun", "--multirun"),
        ("-m", "-m"),
    ],
)
def test_only_changed_values_are_freed(argument: str, freed: str) -> None:
    assert composition.for_hydra([argument]) == [freed]


def test_a_part_can_be_written_out_on_the_command_line() -> None:
    found = parse(composed_here("schedule={name: linear_schedule, end_value: 0.5}", "augment={mixup: {alpha: 0.2}}"))
    assert found.schedule.name == "linear_schedule"
    assert found.augment.mixup is not None


def test_interpolations_are_resolved() -> None:
    assert composed_here("data=mnist")["tracking"]["experiment"] == "mnist"
    assert composed_here("tracking.experiment=${model.name}-${seed}")["tracking"]["experiment"] == "lenet5-0"
    with pytest.raises(ConfigError) as caught:
        composition.plain(OmegaConf.create({"seed": "${nowhere}"}))
    assert str(caught.value) == "seed: must be resolvable: Interpolation key 'nowhere' not found"


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("flowers", "flowers"),
        ("a/flowers.v2/", "flowers.v2"),
        ("photos.zip", "photos"),
        ("'Zwölf Blumen'", "Zwölf Blumen"),
        ("a/b/..", "a"),
        (r"'\${oc.env:DATA}/flowers'", "flowers"),
        (r"'\${oc.env:DATA}'", "folder"),  # the name would be a value of the environment
        ("null", "folder"),
    ],
)
def test_data_of_ones_own_and_their_experiment_are_named_after_the_folder_or_file(
    root: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA", "/secret/place")
    found = composed_here("data=folder", f"data.root={root.replace(chr(92), '')}")
    assert (found["data"]["name"], found["tracking"]["experiment"]) == (name, name)
    assert composed_here("data=folder", "data.root=flowers", "data.name=mine")["tracking"]["experiment"] == "mine"
    assert composed_here("data=imagenet", "data.root=flowers")["data"]["name"] == "imagenet"


@pytest.mark.parametrize("debug", ["fast", "nan", "overfit", "profile"])
def test_debug_runs_are_tagged(debug: str) -> None:
    assert composed_here(f"debug={debug}", "tracking.tags={week: 3}")["tracking"]["tags"] == {"debug": debug, "week": 3}


def test_what_is_written_down_reads_back_as_it_was() -> None:
    config = composed_here(
        "model.name='3×3 “net”'", "data.mean=[0.1]", "tracking.tags={a: b}", "optimizer.weight_decay=1e-4"
    )
    assert yaml.safe_load(launchable.as_yaml(config)) == config
    assert parse(yaml.safe_load(launchable.as_yaml(config))) == parse(config)


def test_what_a_task_raises_comes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(job: composition.Job) -> int:
        raise ValueError("a mistake of ours")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["runner"])
    with pytest.raises(ValueError, match="a mistake of ours"):
        composition.look(command(), use)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("conf/model/x.yaml", "conf/model/x.yaml"),
        ("/a/conf/b/conf/model/x.yaml", "conf/model/x.yaml"),
        ("/a/myconf/model/x.yaml", "/a/myconf/model/x.yaml"),
        ("/a/runs/1/config.yaml", "/a/runs/1/config.yaml"),
    ],
)
def test_a_file_goes_by_the_name_that_a_user_knows(file: str, name: str) -> None:
    assert own_name(file) == name


def test_a_place_that_cannot_be_written_to_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    write("file", "")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["runner"])
    with pytest.raises(ConfigError) as caught:
        composition.train(command("hydra.run.dir=file/below"), lambda job: ())
    assert str(caught.value) == "file/below: must be a place to write to, got Not a directory"


# Mistakes in files of experiments


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "train: {epochs: 1}",
            'conf/experiment/mine.yaml: must have the first line "# @package _global_", as its values are those of '
            "other groups",
        ),
        (
            "# @package _global_\ndefaults: [{/optimizer: sgd}]",
            "defaults: must choose each group once: write - override /optimizer: sgd",
        ),
        (
            "# @package _global_\ndefaults: [{override optimizer: sgd}]",
            'conf/experiment/mine.yaml: must override a group of conf/ by its path, as in "override /optimizer: adam", '
            "got experiment/optimizer",
        ),
        (
            "# @package _global_\ndefaults: [{override /optimizer: sdg}]",
            'optimizer: unknown optimizer "sdg"; did you mean "sgd"?',
        ),
        ("# @package _global_\noptimizer: sgd", "optimizer: must be a mapping, got sgd"),
    ],
)
@pytest.mark.parametrize("mode", [(), ("-m", "seed=1,2")])
def test_a_mistake_in_an_experiment_is_one_line(runner: Runner, text: str, line: str, mode: tuple[str, ...]) -> None:
    write("conf/experiment/mine.yaml", f"{text}\n")
    done = runner("describe", "experiment=mine", *mode)
    assert (done.status, done.out) == (2, "")
    assert set(done.err.splitlines()) == {line}


def test_a_choice_with_null_is_shown_as_a_list() -> None:
    with pytest.raises(
        ConfigError, match=r"^train\.ema_decay: must be written as train\.ema_decay=null,0\.9, as "
    ) as told:
        composed_here("train.ema_decay=choice(null,0.9)")
    assert str(told.value).endswith("choice() takes no null, got choice(null,0.9)")


# Composed once


def test_a_file_can_ask_for_a_sweep(runner: Runner) -> None:
    write("conf/experiment/both.yaml", "# @package _global_\nhydra: {mode: MULTIRUN}\n")
    done = runner("describe", "experiment=both", "model=lenet1,lenet5")
    assert (done.status, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines() if " on digits: " in line] == ["lenet1", "lenet5"]


@pytest.mark.parametrize(("how", "is_hinted"), [((), True), (("--run",), False)])
def test_a_space_without_a_sweep_is_hinted_at(
    runner: Runner, how: tuple[str, ...], is_hinted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise ConfigError(Fault("here", "must end"))

    monkeypatch.setattr("runner.run.run", stop)
    write("conf/experiment/varied.yaml", '# @package _global_\nsweep: {space: {seed: "range(0, 3)"}}\n')
    hint = "sweep.space varies seed, but this trains a single run; -m trains the sweep\n"
    assert runner("experiment=varied", *how).err == hint * is_hinted + "here: must end\n"


def test_a_missing_choice_is_told(runner: Runner) -> None:
    write("conf/experiment/open.yaml", "# @package _global_\ndefaults:\n  - /mine: ???\n")
    write("conf/mine/a.yaml", "b: 1\n")
    for mode in ((), ("-m",)):
        done = runner("describe", "experiment=open", *mode)
        assert done.status == 2
        assert done.err.startswith("command line: must compose, but You must specify 'mine'")


@pytest.mark.parametrize("arguments", [("seed=1",), ("seed=1,2", "-m"), ("hydra/sweeper=basic", "--multirun")])
def test_a_command_is_composed_once(
    runner: Runner, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    composed_as: list[Any] = []
    found: list[DictConfig] = []
    load = trust.CheckedLoader._load_configuration_impl

    def counted(*positional: Any, **named: Any) -> DictConfig:
        composed_as.append(named["run_mode"].name)
        found.append(load(*positional, **named))
        return found[-1]

    def stop(folder: Path) -> Path:
        raise ConfigError()

    monkeypatch.setattr(trust.CheckedLoader, "_load_configuration_impl", counted)
    monkeypatch.setattr("runner.folders.make", stop)
    assert runner("train", *arguments).status == 2
    mode = "RUN" if arguments == ("seed=1",) else "MULTIRUN"
    assert composed_as == [mode]
    [config] = found
    assert config.hydra.mode.name == mode
    assert config.hydra.overrides.hydra[-1] == f"hydra.mode={mode}"
