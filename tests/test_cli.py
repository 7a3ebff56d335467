"""The command line as a user meets it: exit statuses, one line for a mistake, never a traceback."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from commands import Runner
from configurations import TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]


def write(path: str, text: str | bytes) -> None:
    """A file of the current folder."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)


# Mistakes

MISTAKES = [
    (("describe", "train.epohcs=3"), 'train.epohcs: unknown key "epohcs"; did you mean "epochs"?'),
    (("describe", "model.layers.3=cnov"), 'model.layers[3]: unknown layer "cnov"; did you mean "conv"?'),
    (("describe", "data=mnst"), 'data: unknown data "mnst"; did you mean "mnist"?'),
    (("describe", "debug=slow"), 'debug: unknown debug "slow"; must be one of fast, nan, overfit, profile'),
    (
        ("describe", "model=3"),
        'model: unknown model "3"; the nearest are vgg13, cnn_3x, vgg13_bn; runner list models lists all',
    ),
    (
        ("describe", "model=foo"),
        'model: unknown model "foo"; the nearest are googlenet, zfnet, googlenet_aux; runner list models',
    ),
    (
        ("describe", "optimizer=nadam"),
        'optimizer: unknown optimizer "nadam"; optimizer.name=nadam chooses that of Optax',
    ),
    (
        ("describe", "schedule=exponential_decay"),
        'schedule: unknown schedule "exponential_decay"; schedule.name=exponential_decay chooses that of Optax',
    ),
    (
        ("describe", "model=conf/model/lenet5.yaml"),
        "model: must be the name of a file in conf/model/ without its folder and .yaml, got conf/model/lenet5",
    ),
    (
        ("describe", "data=folder", "data.root=my", "old", "photos"),
        "command line: must be made of overrides such as train.epochs=5 (a text with spaces stands in quotes, as in "
        "'data.root=\"my old photos\"'), got old photos",
    ),
    (("describe", "model=[lenet5,nope]"), "command line: must name a configuration that exists, got model/nope"),
    (("describe", "model=[]"), "model: must be given, got nothing"),
    (("describe", "=3"), "command line: must be the name of a configuration, got 3"),
    (
        ("describe", "a=[1"),
        "a: must stand in quotes if it is text, as in 'a=\"[1\"', else have closed brackets and quotes, got [1",
    ),
    (("describe", "nothing"), "command line: must be made of overrides such as train.epochs=5, got nothing"),
    (("trian",), 'command line: unknown verb "trian"; did you mean "train"?'),
    (("trian", "data=mnist"), 'command line: unknown verb "trian"; did you mean "train"?'),
    (("describe", "model.name=${nowhere}"), "model.name: must be resolvable: Interpolation key 'nowhere' not found"),
    (("describe", "model.name=${model.name}"), "model.name: must be resolvable: Recursive interpolation detected"),
    (("describe", "model.name=???"), "model.name: must be resolvable: Missing mandatory value: name"),
    (
        ("describe", "train.epochs=1,2"),
        "train.epochs: must have one value, or several with -m (--multirun), got 1,2",
    ),
    (("describe", "seed=range(0,3)"), "seed: must have one value, or several with -m (--multirun), got range(0,3)"),
    (
        ("describe", "optimizer=adam,sgd"),
        "optimizer: must have one value, or several with -m (--multirun), got adam,sgd",
    ),
    (("describe", "seed=range(0"), "seed: must have arguments that range() takes, and closed brackets, got range(0"),
    (
        ("describe", "model.layers.99.conv.filters=3"),
        "model.layers.99.conv.filters: must be a place that exists (list index out of range)",
    ),
    (
        ("describe", "model.layers.x=3"),
        "model.layers.x: must be a place that exists (invalid literal for int() with base 10: 'x')",
    ),
    (
        ("describe", "hydra.nothing=1"),
        "hydra.nothing: must be a value that exists (To append to your config use +hydra.nothing=1)",
    ),
    (("describe", "~nope"), "command line: must compose, but Could not delete from config. 'nope' does not exist."),
    (("describe", "~model"), "model: must be given, got nothing"),
    (("describe", "hydra/launcher=nope"), 'hydra/launcher: unknown hydra launcher "nope"; must be one of basic'),
    (("describe", "data=folder"), "data.image: must be given, since only the files tell it otherwise, got null"),
    (("train", "data=folder"), "data.root: must be a folder or a .zip of class folders, got null"),
    (("train", "data=arrays", "data.root=no.npz"), "data.root: must be an .npz file of arrays, got no.npz"),
    (("train", "train.device=tpu"), "train.device: must be a device that JAX finds here (cpu), got tpu"),
    (("train", "train.batch_size=5000"), "train.batch_size: must be at most the 1294 training images, got 5000"),
    (
        ("train", "model.layers.0.conv.filters=1000000000000"),
        "model.layers[0].conv: must have at most 2147483647 outputs and parameters, got 784000000000000",
    ),
]


@pytest.mark.parametrize(("arguments", "line"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_is_one_line_and_status_2(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    quiet = ("tracking.enabled=false",) if arguments[0] == "train" else ()
    done = runner(*arguments, *quiet)
    assert (done.status, done.out) == (2, "")
    [said] = done.err.splitlines()
    assert said.startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\nlayers: [relu\n", "conf/model/x.yaml:3: must be YAML, but "),
        ("name: x\n\tlayers: []\n", "conf/model/x.yaml:2: must be YAML, but found "),
        ("name: x\nname: y\n", "conf/model/x.yaml:2: must have every key once, got name again"),
        (b"\xff\xfe\x00\x01\x89PNG", "conf/model/x.yaml: must be UTF-8 text, but 'utf-8' codec can't decode byte 0xff"),
        (b"\x01\x02\n", "conf/model/x.yaml: must be YAML, but unacceptable character #x0001"),
        ("- a\n- b\n", "conf/model/x.yaml: must be a mapping, got [a, b]"),
        ("3\n", "conf/model/x.yaml: must be a mapping, got 3"),
        ("just a word\n", "conf/model/x.yaml: must be a mapping, got just a word"),
        ("", "model.layers: must be given, got nothing"),
        ("name: x\nlayers: &a [flatten, *a]\n", "conf/model/x.yaml:2: must have anchors before their aliases, got *a"),
        ("name: x\nlayers: !!python/object:os.system [a]\n", "conf/model/x.yaml:2: must be without tags, got tag:"),
        ("name: x\nlayers: ???\n", "model.layers: must be resolvable: Missing mandatory value: layers"),
        ("name: ${oc.env:NOWHERE}\nlayers: [relu]\n", "model.name: must be resolvable: KeyError raised while"),
        ("name: ${nope:3}\nlayers: [relu]\n", "model.name: must be resolvable: Unsupported interpolation type nope"),
        ('name: "${"\nlayers: [relu]\n', "command line: must compose, but no viable alternative at input '${'"),
        ("defaults: [nope]\nname: x\n", "command line: must name a configuration that exists, got model/nope"),
        ("defaults: 3\nname: x\n", "conf: must compose, but Invalid defaults list in 'model/x', defaults must"),
        ("_target_: os.system\nname: x\n", "conf/model/x.yaml: _target_: must be left out, as YAML calls no Python"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_named(runner: Runner, text: str | bytes, line: str) -> None:
    write("conf/model/x.yaml", text)
    done = runner("describe", "model=x")
    assert done.status == 2
    assert done.err.splitlines()[0].startswith(line)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    override=st.text(max_size=25)
    | st.builds(
        "{}{}={}".format,
        st.sampled_from(["", "+", "++", "~"]),
        st.sampled_from(
            ["model", "data", "data.limit", "model.layers", "model.layers.0", "model.layers.0.conv.stride", "train",
             "a.b", "seed", "hydra.job.name", "model.layers[0]", "schedule.name", "loss@x", "a/b", "tracking.tags"]
        ),
        st.text(max_size=10) | st.sampled_from(
            ["null", "nan", "1e400", "[", "{a: 1}", "[relu,flatten,classifier]", "${seed}", "choice(1,2)", "'", "\\"]
        ),
    )
)  # fmt: skip
def test_any_override_is_taken_or_refused_in_lines(runner: Runner, override: str) -> None:
    if "\0" in override or override.startswith("-") or any("\ud800" <= sign <= "\udfff" for sign in override):
        return  # no command line holds these, or they are options
    done = runner("describe", override)
    assert done.status in (0, 2)
    assert bool(done.err) == (done.status == 2)
    assert all(": " in line for line in done.err.splitlines())


def test_missing_files_are_named_with_their_place(runner: Runner, tmp_path: Path) -> None:
    done = runner("train", "data=mnist", "tracking.enabled=false")
    assert done.status == 2
    assert done.err == (
        "data.root: must hold train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
        "t10k-labels-idx1-ubyte.gz (download failed: no network in tests; nor are they in "
        f"{tmp_path / 'cache' / 'mnist'}), got null\n"
    )
    assert "got there\n" in runner("train", "data=mnist", "data.root=there", "tracking.enabled=false").err


# What works


def test_describe_prints_and_leaves_nothing_behind(runner: Runner) -> None:
    done = runner("describe", "data=mnist")
    assert (done.status, done.err) == (0, "")
    assert "61,706" in done.out
    assert runner("describe", "describe.format=json").out.startswith("{")
    assert list(Path.cwd().iterdir()) == []


def test_describe_keeps_the_warnings_of_other_rooms(runner: Runner) -> None:
    logger = logging.getLogger("runner.endings")
    assert runner("describe", "model=lenet5").status == 0
    assert logger.isEnabledFor(logging.WARNING)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--cfg", "job", "seed=5"), "seed: 5"),
        (("--cfg", "job", "--package", "data", "data=mnist"), "source: idx"),
        (("train", "--cfg", "job"), "model:"),
        (("--hydra-help",), "--multirun"),
        (("--info", "defaults"), "model/lenet5"),
        (("--version",), "Hydra"),
    ],
)
def test_hydras_own_flags_work(runner: Runner, arguments: tuple[str, ...], expected: str) -> None:
    done = runner(*arguments)
    assert done.status == 0
    assert expected in done.out


def test_the_schema_is_written_where_asked(runner: Runner) -> None:
    done = runner("schema", "here")
    assert done.status == 0
    assert {Path(line) for line in done.out.splitlines()} == set(Path("here").iterdir())
    write("file", "")
    done = runner("schema", "file")
    assert (done.status, done.err) == (2, "command line: must name a folder to write to (File exists), got file\n")


def test_training_ends_with_status_0_and_what_it_came_to(runner: Runner) -> None:
    done = runner(*TINY)
    assert done.status == 0
    assert "tiny on digits: test accuracy" in done.out
    [log] = Path("outputs").rglob("runner.log")
    assert log.read_text().count("INFO epoch") == 2


def test_a_loss_that_is_lost_ends_with_status_1(runner: Runner) -> None:
    done = runner(*TINY, "optimizer=sgd", "optimizer.learning_rate=1e30", "schedule=constant")
    assert done.status == 1
    [line] = done.err.splitlines()
    assert line.startswith("loss: must stay finite, was not at step 2 under learning rate 1e+30 (last finite loss ")
    [log] = Path("outputs").rglob("runner.log")
    assert line in log.read_text()


# Debug presets


def test_debug_fast_runs_from_end_to_end(runner: Runner) -> None:
    done = runner("debug=fast", "tracking=off")
    assert done.status == 0
    assert "in epoch 1 of 1" in done.out


def test_debug_overfit_learns_its_images(runner: Runner) -> None:
    done = runner("debug=overfit", "tracking=off")
    assert done.status == 0
    assert "(train/accuracy reached 1)" in done.out


def test_debug_nan_names_the_layer_and_the_operation(runner: Runner) -> None:
    layers = "model.layers=[flatten, {dense: {units: 8}}, {dense: {units: 8}}, classifier]"
    ruinous = ("optimizer=sgd", "optimizer.learning_rate=1e30", "schedule=constant")
    done = runner(*TINY, layers, "debug=nan", *ruinous)
    assert done.status == 1
    line = done.err.splitlines()[-1]
    # In which of the two depends on how JAX adds up; see tests/test_nans.py.
    assert line.startswith(("model.layers[2].dense: ", "model.layers[3].classifier: "))
    assert line.endswith("must stay finite, made a NaN in dot_general")


# Interrupted


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_with_its_status_and_the_run_as_killed(
    tmp_path: Path, number: signal.Signals, status: int, word: str
) -> None:
    command = [
        sys.executable,
        "-m",
        "runner",
        *TINY,
        "tracking.enabled=true",
        "train.epochs=100000",
        "schedule=constant",
    ]
    environment = os.environ | {"CONVRUNNER_CACHE": str(tmp_path / "cache")}
    # A shell starts what it puts in the background deaf to interrupts, and its children inherit that.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    finally:
        signal.signal(signal.SIGINT, heard)
    try:
        end = time.monotonic() + 60
        while not any("epoch" in log.read_text() for log in Path("outputs").rglob("runner.log")):
            assert started.poll() is None, started.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)
        started.send_signal(number)
        _, err = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == status
    assert "Traceback" not in err
    assert err.splitlines()[-1] == word
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'outputs' / 'mlflow.db'}")
    [run] = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert (run.info.status, run.data.tags["end_reason"]) == ("KILLED", word)
    assert "val/loss" in run.data.metrics
