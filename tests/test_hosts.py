"""Runs of two real processes over loopback, started as a user starts them, and what is said of wrong settings."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from commands import Runner
from configurations import TINY

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]
# Batch statistics over the whole batch, dropout and augmentation: each would differ if processes worked on their own.
# Without a bias, which batch normalisation takes out again: Adam would make steps of the rounding of its gradient.
SHARED = (
    *(line for line in TINY if not line.startswith(("model.layers", "tracking", "data.limit", "train."))),
    "model.layers=[{conv: {filters: 4, kernel_size: 3, use_bias: false}}, batch_norm, relu, "
    "{max_pool: {size: 2}}, flatten, {dropout: {rate: 0.3}}, classifier]",
    "data.limit=400", "train.batch_size=16", "train.epochs=2", "augment.random_crop={padding: 1}",
    "train.lowering=portable", "figures.draw=[]",
)  # fmt: skip
LOST = (
    "distributed: must keep all 2 processes, but another one ended or cannot be reached; "
    "`runner resume` goes on from the last checkpoint\n"
)


def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def begun(*arguments: str) -> subprocess.Popen[str]:
    """A process of the command line."""
    command = [sys.executable, "-m", "runner", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment | {"JAX_PLATFORMS": "cpu"}
    )


def pair(*arguments: str, indices: tuple[int, int] = (0, 1)) -> list[subprocess.Popen[str]]:
    """Two processes of one run."""
    where = f"distributed.coordinator=127.0.0.1:{unused_port()}"
    return [begun(*arguments, where, f"distributed.index={index}") for index in indices]


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit status, and what it printed."""
    try:
        out, err = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def recorded(folder: str) -> tuple[list[dict[str, float]], dict[str, float]]:
    found = json.loads((Path(folder) / "reproduce.json").read_text(encoding="utf-8"))
    return found["history"], found["once"]


def runs() -> int:
    client = mlflow.MlflowClient(f"sqlite:///{Path('outputs/mlflow.db').absolute()}")
    return len(client.search_runs([one.experiment_id for one in client.search_experiments()]))


TWO = ("distributed.processes=2",)
MEET = "distributed.coordinator=node1:9876"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(
            (MEET, "distributed.processes=2", "distributed.index=2"),
            "distributed.index: must be less than distributed.processes (2), got 2",
            id="index",
        ),
        pytest.param(
            ("distributed.coordinator=node1", "distributed.processes=2", "distributed.index=0"),
            "distributed.coordinator: must be HOST:PORT of the first process, or auto, or null, got node1",
            id="address",
        ),
        pytest.param(
            (MEET, "distributed.index=0"),
            "distributed.processes: must be given with distributed.coordinator=node1:9876, got null",
            id="processes",
        ),
        pytest.param(
            ("distributed.processes=2",),
            "distributed.processes: must be null where distributed.coordinator is null, got 2",
            id="coordinator",
        ),
        pytest.param(
            ("-m", "seed=0,1", MEET, "distributed.processes=2", "distributed.index=0"),
            "distributed.coordinator: must be null for a sweep, whose members are processes of their own "
            "(see sweep.engine), got node1:9876",
            id="sweep",
        ),
    ],
)
def test_wrong_processes_are_one_line(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    done = runner(*TINY, *arguments)
    assert (done.status, done.err) == (2, f"{line}\n")
    assert not list(Path("outputs").rglob("run.json"))


def test_a_run_of_one_process_needs_no_other(runner: Runner) -> None:
    done = runner(*TINY, "distributed.coordinator=node1:9876", "distributed.processes=1", "distributed.index=0")
    assert done.status == 0


@pytest.mark.slow
def test_fifty_steps_on_one_and_two_processes_are_equal_to_rounding() -> None:
    processes = pair(*SHARED, *TWO, "hydra.run.dir=outputs/two", "train.accumulate=2", "train.ema_decay=0.9")
    (status, out, err), others = map(ended, processes)
    assert (status, err) == (0, "")
    assert "each batch is divided among 2 devices of 2 processes" in out
    assert others == (0, "", ""), "the first one alone writes to the terminal"
    assert runs() == 1
    assert sorted(path.name for path in Path().iterdir()) == ["outputs"]
    assert sorted(path.name for path in Path("outputs").glob("[!.]*")) == ["artifacts", "mlflow.db", "two"]
    alone = ended(begun(*SHARED, "hydra.run.dir=outputs/one", "train.accumulate=2", "train.ema_decay=0.9"))
    assert alone[0] == 0, alone[2]
    (one, one_end), (two, two_end) = recorded("outputs/one"), recorded("outputs/two")
    for name in ("train/loss", "val/loss", "train/accuracy"):
        np.testing.assert_allclose([epoch[name] for epoch in two], [epoch[name] for epoch in one], rtol=2e-4)
    np.testing.assert_allclose(two_end["test/loss"], one_end["test/loss"], rtol=2e-4)


@pytest.mark.slow
def test_images_are_streamed_by_two_processes_as_by_one(tmp_path: Path) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    for number in range(120):
        image = Image.fromarray(generator.integers(0, 255, (12, 12, 3), np.uint8))
        path = tmp_path / "photographs" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    layers = "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, flatten, classifier]"
    source = (
        "data=folder",
        f"data.root={tmp_path}/photographs",
        "data.image={height: 8, width: 8, channels: 3}",
        "data.residence=stream",
    )
    arguments = ("model.name=tiny", "model.input=null", layers, *source, *SHARED[-5:], "data.limit=null")
    processes = pair(*arguments, *TWO, "hydra.run.dir=outputs/two")
    assert [ended(process)[::2] for process in processes] == [(0, "")] * 2
    assert ended(begun(*arguments, "hydra.run.dir=outputs/one"))[0] == 0
    for one, two in zip(recorded("outputs/one")[0], recorded("outputs/two")[0], strict=True):
        np.testing.assert_allclose(
            [two["train/loss"], two["val/loss"]], [one["train/loss"], one["val/loss"]], rtol=2e-4
        )


@pytest.mark.slow
def test_if_a_process_is_killed_the_other_ends_and_resume_goes_on_to_the_bits_of_the_whole() -> None:
    arguments = (*SHARED, "train.epochs=8", "train.save_every=5 steps")
    assert [ended(process)[0] for process in pair(*arguments, *TWO, "hydra.run.dir=outputs/whole")] == [0, 0]
    for killed in (1, 0):
        folder = Path(f"outputs/killed{killed}")
        processes = pair(*arguments, *TWO, f"hydra.run.dir={folder}")
        while not list(folder.glob("checkpoints/*.checkpoint")):
            assert processes[killed].poll() is None
            time.sleep(0.01)
        processes[killed].kill()
        began = time.monotonic()
        status, _, err = ended(processes[1 - killed])
        assert time.monotonic() - began < 60
        assert (status, err) == (1, LOST)
        assert ended(processes[killed])[0] == -signal.SIGKILL
        assert not (folder / "weights.safetensors").exists()
        (status, out, err), others = map(ended, pair("resume", f"run={folder}"))
        assert (status, err) == (0, ""), out
        assert "goes on after step " in out
        assert others == (0, "", "")
        weights = [(path / "weights.safetensors").read_bytes() for path in (folder, Path("outputs/whole"))]
        assert weights[0] == weights[1]
    assert runs() == 3, "each has one run, also those that were resumed"


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_process_that_hangs_ends_the_other_within_a_minute(stopped: int) -> None:
    processes = pair(*SHARED, *TWO, "train.epochs=5000", "train.save_every=5 steps", "hydra.run.dir=outputs/two")
    while not list(Path("outputs/two").glob("checkpoints/*.checkpoint")):
        assert processes[stopped].poll() is None
        time.sleep(0.05)
    processes[stopped].send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        status, _, err = ended(processes[1 - stopped])
    finally:
        processes[stopped].kill()
    assert time.monotonic() - began < 60
    assert (status, err) == (1, LOST)
    ended(processes[stopped])


@pytest.mark.slow
def test_an_interrupt_of_both_keeps_a_checkpoint() -> None:
    processes = pair(*SHARED, *TWO, "train.epochs=5000", "train.save_every=20 steps", "hydra.run.dir=outputs/two")
    while not list(Path("outputs/two").glob("checkpoints/*.checkpoint")):
        assert processes[0].poll() is None
        time.sleep(0.05)
    processes[0].send_signal(signal.SIGTERM)
    status, out, _ = ended(processes[0])
    assert (status, out.splitlines()[-1].partition(";")[0]) == (143, "terminated, with a checkpoint")
    assert ended(processes[1])[::2] == (1, LOST)


@pytest.mark.slow
def test_processes_that_do_not_fit_together_end_in_one_line() -> None:
    quick = ("distributed.timeout_seconds=8", *TWO)
    late = "distributed.coordinator: must be met by all processes within 8 s, each with an index of its own, got 127."
    for processes in (pair(*SHARED, *quick, indices=(1, 1)), pair(*SHARED, *quick, indices=(0, 0))):
        for status, out, err in map(ended, processes):
            assert (status, out, err.count("\n")) == (2, "", 1)
            assert err.startswith(late)
    where = f"distributed.coordinator=127.0.0.1:{unused_port()}"
    assert ended(begun(*SHARED, *quick, where, "distributed.index=1"))[2].startswith(late), "nobody listens there"
    where = f"distributed.coordinator=127.0.0.1:{unused_port()}"
    others = [
        begun(*SHARED, *TWO, where, "distributed.index=0"),
        begun(*SHARED, *TWO, where, "distributed.index=1", "train.batch_size=32"),
    ]
    line = "train.batch_size: must be the same in all processes, got 16 in process 0 and 32 in process 1\n"
    assert [ended(process) for process in others] == [(2, "", line)] * 2
    status, _, err = ended(begun(*SHARED, "distributed=auto"))
    assert (status, err) == (
        2,
        "distributed.coordinator: must be announced by SLURM, Open MPI, a TPU pod or Kubernetes, got auto "
        "(coordinator_address should be defined.)\n",
    )
    assert not list(Path("outputs").rglob("run.json"))
