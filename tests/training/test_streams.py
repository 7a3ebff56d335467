"""Streamed images train as decoded ones do, bit for bit, and go on at the same image after a kill."""

import itertools
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import jax
import numpy as np
import pyarrow
import pytest
from commands import Runner
from configurations import TINY, begun, tiny
from PIL import Image
from pyarrow import parquet

from runner import data, memory
from runner.data.threads import ahead
from runner.data.value_range import UNIT
from runner.errors import DataError
from runner.placement import Placement
from runner.training import checkpoints
from runner.training.alone import Training
from runner.training.mapped import Mapped

SIZE = "data.image={height: 12, width: 10, channels: 3}"
RESIDENCES = ("device", "host", "stream")


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of 60 JPEGs of varying sizes, one of them twice."""
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "cache"))
    return drawn(tmp_path / "photographs", 60)


def drawn(root: Path, count: int) -> Path:
    draw = np.random.default_rng(0)
    for label, top in (("dark", 120), ("light", 255)):
        (root / label).mkdir(parents=True)
        for number in range(count):
            pixels = draw.integers(0, top, (14 + number % 5, 11 + number % 3, 3), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:03}.jpg")
    return root


def sharded(root: Path) -> Path:
    """The images of class folders in three .tar shards."""
    shards = root.with_name("shards")
    shards.mkdir()
    files = sorted(root.glob("*/*"))
    for number in range(3):
        with tarfile.open(shards / f"{number:06}.tar", "w") as archive:
            for path in files[number::3]:
                name = f"{path.parent.name}-{path.stem}"
                (cls := shards / "cls").write_text(path.parent.name)
                archive.add(path, f"{name}.jpg")
                archive.add(cls, f"{name}.cls")
    return shards


def in_rows(root: Path) -> Path:
    """The images of class folders in two Parquet files."""
    rows = root.with_name("rows")
    rows.mkdir()
    files = sorted(root.glob("*/*"))
    for number in range(2):
        own = files[number::2]
        columns = {"image": [path.read_bytes() for path in own], "label": [path.parent.name for path in own]}
        parquet.write_table(pyarrow.table(columns), rows / f"train-{number:05}-of-00002.parquet", row_group_size=7)
    return rows


def deep(root: Path) -> Path:
    """The images of class folders in grey of 16 bits."""
    for path in sorted(root.glob("*/*")):
        grey = np.asarray(Image.open(path).convert("L"), np.uint16) * 150 + len(path.stem)
        (copy := root.with_name("deep") / path.parent.name / f"{path.stem}.png").parent.mkdir(
            parents=True, exist_ok=True
        )
        Image.fromarray(grey).save(copy)
    return root.with_name("deep")


def stored(root: Path, kind: str) -> Path:
    """The images of class folders as they are, or in another form."""
    if kind == "zip":
        subprocess.run([sys.executable, "-m", "zipfile", "-c", "all.zip", "photographs"], cwd=root.parent, check=True)
        return root.parent / "all.zip"
    return {"folder": lambda path: path, "shards": sharded, "rows": in_rows, "deep": deep}[kind](root)


def settings(root: Path, residence: str, *others: str) -> tuple[str, ...]:
    kind = {"shards": "webdataset", "rows": "parquet"}.get(root.name, "folder")
    own = (SIZE.replace("3}", "1}"), "data.depth=keep") if root.name == "deep" else (SIZE,)
    return (f"data={kind}", f"data.root={root}", *own, "data.limit=null", f"data.residence={residence}", *others)


def trained(root: Path, residence: str, *others: str) -> Training:
    experiment = tiny(*settings(root, residence, "train.keep=best", *others))
    training = begun(experiment, data.load(experiment.source))
    list(training.epochs())
    return training


def numbers(training: Training) -> list[dict[str, float]]:
    return [epoch.metrics | {"images_per_second": 0.0} for epoch in training.ledger.history]


@pytest.mark.parametrize("kind", ["folder", "zip", "shards", "rows", "deep"])
def test_streamed_images_train_bit_for_bit_as_decoded_ones(photographs: Path, kind: str) -> None:
    root = stored(photographs, kind)
    device, host, stream = (trained(root, residence, "augment.random_crop.padding=1") for residence in RESIDENCES)
    assert [one.plan.dataset.train.streamed for one in (device, host, stream)] == [False, False, True]
    for other in (host, stream):
        assert other.plan.program == device.plan.program, "the same mean, standard deviation and range"
        assert numbers(other) == numbers(device)
        jax.tree.map(np.testing.assert_array_equal, other.learnt, device.learnt)
        assert other.test() == device.test()


def test_members_of_one_seed_share_streamed_batches(photographs: Path) -> None:
    found = []
    for residence in ("host", "stream"):
        changes = ("optimizer.learning_rate=0.01", "optimizer.learning_rate=0.001")
        experiments = [tiny(*settings(photographs, residence, change)) for change in changes]
        dataset = data.load(experiments[0].source)
        mapped = Mapped([begun(one, dataset).plan for one in experiments])
        mapped.advance()
        found.append(
            [epoch.metrics | {"images_per_second": 0.0} for [epoch] in (one.history for one in mapped.ledgers)]
        )
    assert found[0] == found[1]


def test_members_of_other_seeds_do_not_stream_together(photographs: Path, runner: Runner) -> None:
    done = runner(
        *TINY, *settings(photographs, "stream"), "--multirun", "seed=0,1", "sweep.strategy=vmap",
        "tracking.enabled=true",
    )  # fmt: skip
    assert done.status != 0
    assert done.err.endswith(
        "data.residence: must be auto, device or host with sweep.strategy=vmap, whose members of other seeds read "
        "other images, got stream\n"
    )


def test_a_streamed_set_is_indexed_as_an_array(photographs: Path) -> None:
    own = {name: data.load(tiny(*settings(photographs, name)).source).val.inputs for name in ("host", "stream")}
    array, streamed = own["host"], own["stream"]
    assert (streamed.shape, streamed.dtype, streamed.ndim) == (array.shape, array.dtype, array.ndim)
    assert (len(streamed), streamed.nbytes) == (len(array), array.nbytes)
    for index in (
        0,
        -1,
        np.int32(2),
        slice(3),
        slice(None, None, -2),
        [2, 0, 2],
        np.array([[1, 1], [0, 3]]),
        array[:, 0, 0, 0] > 50,
    ):
        np.testing.assert_array_equal(streamed[index], array[index])
    np.testing.assert_array_equal(np.asarray(streamed), array)
    with pytest.raises(IndexError):
        streamed[len(array)]


def test_copies_in_two_sets_and_other_contents_are_noticed(photographs: Path) -> None:
    source = tiny(*settings(photographs, "stream")).source
    before = data.load(source)
    assert before.leaks == ()
    train, val = before.train.files[0], before.val.files[0]
    (photographs / val).write_bytes((photographs / train).read_bytes())
    after = data.load(source)
    [leak] = after.leaks
    assert (leak.split, leak.within, leak.copies, leak.example, leak.copy) == ("val", "train", 1, val, train)
    assert after.digest != before.digest
    assert data.load(source).digest == after.digest


def test_a_file_that_cannot_be_decoded_ends_the_training_in_one_line(photographs: Path, runner: Runner) -> None:
    bad = photographs / "dark" / "007.jpg"
    bad.write_bytes(bad.read_bytes()[:100])
    done = runner(*TINY, *settings(photographs, "stream"))
    assert done.status != 0
    assert f"{bad}: must be an image that decodes, got " in done.err
    assert "Traceback" not in done.err


def test_what_is_no_file_of_its_own_is_not_streamed() -> None:
    with pytest.raises(
        DataError,
        match=r"^data\.residence: must be auto, device or host for data other than image files, got stream$",
    ):
        data.load(tiny("data.residence=stream").source)


def test_what_fits_nowhere_is_streamed_and_said_so(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, told = tiny(*settings(photographs, "auto")).source, list[str]()
    assert not data.load(source, report=told.append).train.streamed
    monkeypatch.setenv("CONVRUNNER_CACHE_SIZE", "30 kB")
    del told[:]
    assert data.load(source, report=told.append).train.streamed
    assert told[0] == (
        "streamed: 120 images, decoded, take 43.2 kB; the cache has room for 30.0 kB; data.residence=host decodes them "
        "into memory at each start"
    )
    monkeypatch.setattr(memory, "available_bytes", lambda: 20_000.0)
    data.load(source, report=told.append)
    assert told[-1] == (
        "streamed: 120 images, decoded, take 43.2 kB; 20.0 kB of memory are free and the cache has room for 30.0 kB"
    )
    monkeypatch.delenv("CONVRUNNER_CACHE_SIZE")
    data.load(source, report=told.append)
    assert told[-1] == (
        "streamed: 120 images, decoded, take 43.2 kB; 20.0 kB of memory are free; data.residence=host decodes them "
        "once, to the disk"
    )


def test_hashing_that_takes_long_says_how_far_it_is(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, told = tiny(*settings(photographs, "stream")).source, list[str]()
    data.load(source, report=told.append)
    assert not any("hashed" in line for line in told)
    monkeypatch.setattr(time, "monotonic", itertools.count(step=3).__next__)
    count = len(data.load(source, report=told.append).train)
    assert f"hashed {count} of {count} files" in told


def test_statistics_of_streamed_images_are_kept(photographs: Path) -> None:
    source, told = tiny(*settings(photographs, "stream")).source, list[str]()
    first, again = (data.load(source, report=told.append).statistics for _ in range(2))
    assert first == again == data.load(tiny(*settings(photographs, "device")).source).statistics
    assert sum("measuring mean" in line for line in told) == 1


def test_statistics_and_range_of_deep_images_are_kept(photographs: Path) -> None:
    root, told = deep(photographs), list[str]()
    source = tiny(*settings(root, "stream")).source
    first, again = (data.load(source, report=told.append) for _ in range(2))
    other = data.load(tiny(*settings(root, "host")).source)
    assert first.statistics == again.statistics == other.statistics
    assert first.range == again.range == other.range != UNIT
    assert sum("measuring mean, deviation and range of" in line for line in told) == 1
    assert first.train.inputs.nbytes == other.train.inputs.nbytes
    assert first.train.inputs[:3].dtype == np.float32
    shallow = data.load(tiny(*settings(photographs, "stream", "data.depth=keep")).source)
    assert shallow.digest not in (first.digest, data.load(tiny(*settings(photographs, "stream")).source).digest)


def test_an_accelerator_is_not_sent_all_images(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Placement, "platform", "gpu")
    residents = {}
    for residence in (*RESIDENCES, "auto"):
        experiment = tiny(*settings(photographs, residence))
        residents[residence] = begun(experiment, data.load(experiment.source)).plan.feeder.resident
    assert residents == {"device": True, "host": False, "stream": False, "auto": True}


def test_what_is_made_ahead_comes_in_order_and_is_bounded() -> None:
    made, most = list[int](), 0

    def make(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        made.append(item)
        return item

    for taken, item in enumerate(ahead(make, range(20))):
        assert item == taken
        most = max(most, len(made) - taken)
    assert most <= 3


def test_an_error_of_what_is_made_ahead_comes_in_its_place() -> None:
    def make(item: int) -> int:
        if item == 2:
            raise ValueError(item)
        return item

    found = ahead(make, range(9))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="2"):
        next(found)


_LONG = (
    "tracking.enabled=false",
    "train.epochs=12",
    "train.save_every=2 steps",
    "train.batch_size=16",
    "figures.draw=[]",
)


@pytest.mark.slow  # four processes, two of them at once
@pytest.mark.parametrize("kind", ["folder", "shards", "rows", "windows"])
def test_a_killed_stream_goes_on_at_the_same_image(photographs: Path, kind: str) -> None:
    root = photographs if kind == "windows" else stored(photographs, kind)
    model = "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, flatten, {dropout: {rate: 0.3}}, classifier]"
    windows = ("augment.random_resized_crop={original: true}",) if kind == "windows" else ()
    own = (*settings(root, "stream"), *_LONG, "model.input=null", model, *windows)

    def started(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runner", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    twins = [started(*own, f"hydra.run.dir={folder}") for folder in ("whole", "twin")]
    for twin in twins:
        _, error = twin.communicate(timeout=300)
        assert not error, error
    killed = started(*own, "hydra.run.dir=mine")
    end = time.monotonic() + 120
    while not any(path.stem >= "step-000000008" for path in checkpoints.found(Path("mine/checkpoints"))):
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    assert not Path("mine/weights.safetensors").exists()
    _, error = started("resume", "run=mine").communicate(timeout=300)
    assert not error, error
    weights = [Path(folder, "weights.safetensors").read_bytes() for folder in ("whole", "twin", "mine")]
    assert weights[0] == weights[1] == weights[2]
    metrics = [json.loads(Path(folder, "network.json").read_text())["metrics"] for folder in ("whole", "mine")]
    names = [name for name in metrics[0] if name.startswith(("train/", "val/", "test/"))]
    assert [metrics[0][name] for name in names] == [metrics[1][name] for name in names] != []
