"""Every `>>>` example of a docstring runs, and gives the result that it shows.

An example sees the names of its module. What else it names, such as an experiment to train, is made by STAND_INS. A
line that shows no result may give any.
"""

import ast
import doctest
import functools
import importlib
import io
import operator
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import optax
import optuna
import pyarrow
import pytest
from annotated_types import Ge
from configurations import TINY as SMALL
from configurations import UNTRACKED, composed, here
from configurations import experiment as described
from PIL import Image
from pyarrow import parquet
from test_house import files, module

from runner import data, page, tracking, train
from runner.composition.reading import read
from runner.data import Folder
from runner.data.files import open_tree
from runner.data.parquet import ParquetTree
from runner.data.pixels import shape_in
from runner.data.shard_listing import Wanted, listings
from runner.data.streamed import Streamed
from runner.experiment import Experiment
from runner.explaining.sight import Sight
from runner.geometry import ReceptiveField, Window
from runner.launchable import as_yaml
from runner.layers.conv import Conv
from runner.layers.dense import Classifier
from runner.layers.reshape import Flatten
from runner.model import Model
from runner.ops import native
from runner.serving import save_model
from runner.sweep.members import Proposed
from runner.sweep.search import Suggestion, open_study
from runner.sweep.search.attributes import Attributes
from runner.sweep.settings import Sweep
from runner.tracking.messages import Opening
from runner.training.alone import Training
from runner.training.checkpoints import Facts
from runner.training.member import Context
from runner.training.outcome import Outcome
from runner.training.plan import planned

TINY = (*SMALL, "model.layers=[flatten, classifier]")
KNOWN = {"Path": Path, "np": np, "jax": jax, "optax": optax, "operator": operator, "Annotated": Annotated, "Ge": Ge}


def pictures() -> dict[str, Any]:
    """Two images of one channel and their targets."""
    targets = jax.nn.one_hot(np.array([0, 1]), 10, dtype=np.float32)
    return {"images": np.zeros((2, 28, 28, 1), np.uint8), "targets": targets, "key": jax.random.key(0)}


def in_float32() -> dict[str, Any]:
    """What a small network is given, and what it answers."""
    kinds = {"Model": Model, "Flatten": Flatten, "Classifier": Classifier, "outputs": np.zeros((2, 10), np.float32)}
    weights = np.ones(2, np.float32)
    network = Model(name="tiny", layers=(Flatten(), Classifier())).bind((8, 8, 1), 10)
    params, statistics = network.init(jax.random.key(0))
    kinds |= {"network": network, "params": params, "statistics": statistics}
    return pictures() | kinds | {"images": jax.numpy.zeros((2, 8, 8, 1)), "weights": weights}


def convolution() -> dict[str, Any]:
    """An image and a kernel to slide over it."""
    sizes = {"x": np.zeros((1, 8, 8, 3), np.float32), "kernel": np.zeros((3, 3, 3, 16), np.float32)}
    return sizes | {"native": native, "windows": (Window(size=3), Window(size=3)), "groups": 1, "step": jax.numpy.sin}


def stored() -> dict[str, Any]:
    """A model, and values for it as PyTorch stores them."""
    model = Model(name="tiny", layers=(Conv(filters=6, kernel_size=3), Flatten(), Classifier()))
    network = model.bind((32, 32, 1), 10)
    state = {"features.0.weight": np.zeros((6, 1, 3, 3), np.float32), "features.0.bias": np.zeros(6, np.float32)}
    params, statistics = network.init(jax.random.key(0))
    state |= {"classifier.weight": np.zeros((10, 6 * 30 * 30), np.float32), "classifier.bias": np.zeros(10, np.float32)}
    return {"network": network, "state": state, "params": params, "statistics": statistics}


def beginning() -> dict[str, Any]:
    """A run that a store did not take."""
    return {"folder": Path("outputs/now"), "opening": Opening("http://host", "digits", "lenet5", {}, 0)}


def nothing_to_send() -> dict[str, Any]:
    """A folder of output that stores have accepted."""
    Path("outputs").mkdir()
    return {}


def files_to_read() -> dict[str, Any]:
    """Some files, a function that decodes them, and a cache file of their digests."""
    paths = [Path(f"{number}.png") for number in range(8)]
    for path in paths:
        path.write_bytes(path.name.encode())
    np.savez("a.npz", x_train=np.zeros((2, 4, 4, 1)), y_train=np.zeros(2, int))
    image = Image.new("RGB", (4, 2))
    image.getexif()[0x0112] = 6
    return {
        "paths": paths,
        "files": paths,
        "cache_file": Path("digests.sealed"),
        "decode": Path.read_bytes,
        "path": Path("array.sealed"),
        "array": np.arange(6, dtype=np.uint8),
        "image": image,
    }


def photographs() -> dict[str, Any]:
    """A folder with an image and a file that is none."""
    Image.new("RGB", (500, 375)).save("1.png")
    Path("2.png").write_bytes(b"")
    return {"tree": open_tree(Path.cwd())}


def streamed_images() -> dict[str, Any]:
    """A folder of images, as a source and as a streamed set."""
    for number in range(8):
        for label in "ab":
            path = Path(label, f"{number}.png")
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    own = Folder(source="folder", root=".", residence="stream")
    inputs = own.read(lambda line: None).train.inputs
    return {"data": own, "inputs": Streamed(inputs, tuple(inputs.paths[:8]))}


def images_in_parquet() -> dict[str, Any]:
    """A Parquet file with an image."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 2)).save(stream, "PNG")
    parquet.write_table(pyarrow.table({"image": [stream.getvalue()]}), "shard.parquet")
    return {}


def shards() -> dict[str, Any]:
    """Two .tar files with a photograph and its class."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 2)).save(stream, "PNG")
    for name, entries in (
        ("a.tar", {"1.png": stream.getvalue(), "1.cls": b"7"}),
        ("photos.tar", {"1.jpg": b"jpg", "1.cls": b"7"}),
    ):
        with tarfile.open(name, "w") as archive:
            for path, content in entries.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    [listing] = listings(Path(), ["a.tar"], Wanted(None, "cls", ()))
    return {"descriptor": os.open("photos.tar", os.O_RDONLY), "listing": listing}


def image_file() -> dict[str, Any]:
    """The content of an image file."""
    file = io.BytesIO()
    Image.new("RGB", (500, 375)).save(file, "JPEG")
    return {"content": file.getvalue()}


def small_file() -> dict[str, Any]:
    """A folder with an image, and the function that tells its shape."""
    Path("images").mkdir()
    Image.new("RGB", (500, 375)).save("images/cat.jpg")
    return {
        "tree": open_tree(Path("images")),
        "paths": ["cat.jpg"],
        "shape_in": functools.partial(shape_in, whole=False),
    }


def serving_images() -> dict[str, Any]:
    """The folder of a saved model, and images for it."""
    own, folder = pictures(), Path("model")
    save_model(
        folder,
        function=lambda weights, images: jax.nn.softmax(images.reshape(-1, 784).astype("float32") @ weights),
        variables=np.zeros((784, 3), np.float32),
        images=own["images"],
        classes=("cat", "dog", "owl"),
    )
    return own | {"folder": folder}


def decoded_images() -> dict[str, Any]:
    """The key, the digest and the decoder of some images."""
    return {"key": "ab", "digest": lambda: "cd", "decode": lambda: [np.zeros((500, 32, 32, 3), np.uint8)]}


def experiment() -> dict[str, Any]:
    """An experiment, what it trains on, and where."""
    values = {name: value for name, value in composed(*TINY).items() if name in Experiment.model_fields}
    context = functools.partial(Context, tracking=UNTRACKED)
    return {"values": values, "experiment": described(*TINY), "placement": here(), "Context": context}


def training() -> dict[str, Any]:
    """An experiment that is about to train, and its first epoch."""
    own = experiment()
    dataset = data.load(own["experiment"].data)
    plan = planned(own["experiment"], dataset, here())
    inputs, labels = jax.numpy.asarray(dataset.val.inputs), jax.numpy.asarray(dataset.val.labels)
    steps = {"step": 0, "start": np.int32(0), "count": np.int32(2), "learning_rates": jax.numpy.full(2, 0.1)}
    batch = {"inputs": inputs, "labels": labels, "weights": jax.numpy.ones(len(labels))}
    feed = train.Feed(jax.numpy.asarray(dataset.train.inputs), jax.numpy.asarray(dataset.train.labels), plan.order(1))
    plans = {"planned": planned, "plans": [plan], "dataset": dataset, "examples": dataset.train}
    return own | steps | batch | plans | {"program": plan.program, "feed": feed}


def having_trained() -> dict[str, Any]:
    """A network that trained for no step, and images for it."""
    own = training()
    made = Training(own["plans"][0]).trained({"val/loss": 1.0})
    folder, config = Path("outputs/now"), as_yaml(composed(*TINY))
    folder.mkdir(parents=True)
    return own | {"trained": made, "folder": folder, "config": config, "images": own["dataset"].val.inputs[:5]}


def explaining() -> dict[str, Any]:
    """A network of images that trained for no step."""
    layers = "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, flatten, classifier]"
    plan = planned(described(*SMALL, layers), data.load(described(*SMALL).data), here())
    own: dict[str, Any] = {"trained": Training(plan).trained({}), "network": plan.program.network, "placement": here()}
    own["sight"] = Sight(own["trained"], here())
    return own | {"images": plan.dataset.val.inputs[:5], "ReceptiveField": ReceptiveField, "draw": lambda subject: b""}


def saving() -> dict[str, Any]:
    """A training to save, and where."""
    made = Training(training()["plans"][0])
    list(made.epochs())
    facts = Facts("a run", {"seed": "0"}, "digits", {})
    return {"training": made, "folder": Path("outputs/now/checkpoints"), "facts": facts}


def sweeping() -> dict[str, Any]:
    """Two members to train, and a way to have trained them."""
    proposed = [
        Proposed(seed, {"seed": seed}, described(*TINY, f"seed={seed}"), Context(Path(str(seed)), UNTRACKED))
        for seed in (0, 1)
    ]
    settings = Sweep()

    def trained(one: Suggestion) -> Outcome:
        return Outcome(one.number, "", one.overrides, one.varied, "FINISHED")

    own = {"space": read(["seed=0,1"], settings), "settings": settings, "base": {}, "open_study": open_study}
    return own | {"proposed": proposed, "train": trained}


def attributes_of_a_sweep() -> dict[str, Any]:
    """The attributes of a new sweep."""
    storage = optuna.storages.RDBStorage("sqlite:///sweeps.db")
    number = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "a")
    return {"attributes": Attributes(storage, number), "mine": '"mine"'}


def searching_together() -> dict[str, Any]:
    """A search of one worker."""
    own, settings = sweeping(), Sweep(engine="workers")
    study = open_study(own["space"], settings, base={}, storage="sqlite:///sweeps.db", epochs=1)
    return own | {"study": study}


def drawing() -> dict[str, Any]:
    """A run that figures are drawn for."""
    run = tracking.start(tracking.Tracking(enabled=False), run_name="", tags={}, params={}, folder=Path())
    return {"run": run, "history": [{"train/loss": 1.0}]}


def configuration_file() -> dict[str, Any]:
    """The file of a configuration in the current folder."""
    layers = [{"conv": {"filters": 6, "kernel_size": 5}}, "flatten", "classifier"]
    config = {"model": {"layers": layers}, "optimizer": {"name": "adam", "learning_rate": 0.003}}
    Path("config.yaml").write_text(as_yaml(config))
    return {}


STAND_INS: dict[str, Callable[[], dict[str, Any]]] = {
    "runner.comparing.sides": configuration_file,
    "runner.data.augment": in_float32,
    "runner.data.digests": files_to_read,
    "runner.data.image_cache": decoded_images,
    "runner.data.survey": photographs,
    "runner.data.residence": streamed_images,
    "runner.data.streamed": streamed_images,
    "runner.training.streams": training,
    "runner.data.fit": pictures,
    "runner.data.npz": files_to_read,
    "runner.data.orientation": files_to_read,
    "runner.data.parquet": images_in_parquet,
    "runner.data.encoded_copy": lambda: {**images_in_parquet(), "ParquetTree": ParquetTree},
    "runner.data.shard_listing": shards,
    "runner.data.shards": shards,
    "runner.data.small_files": small_file,
    "runner.data.tar_entries": shards,
    "runner.data.pixels": image_file,
    "runner.data.pixels.depth": image_file,
    "runner.data.sealed": files_to_read,
    "runner.data.threads": files_to_read,
    "runner.compiling": training,
    "runner.configuration": lambda: {"values": composed(*TINY)},
    "runner.describe": experiment,
    "runner.experiment": experiment,
    "runner.explaining.excitation": explaining,
    "runner.explaining.fields": explaining,
    "runner.explaining.layers": explaining,
    "runner.explaining.outline": explaining,
    "runner.explaining.relevance": explaining,
    "runner.explaining.sight": explaining,
    "runner.exporting": having_trained,
    "runner.exporting.stablehlo": having_trained,
    "runner.figures": drawing,
    "runner.run_figures.subject": explaining,
    "runner.serving.model": serving_images,
    "runner.serving.shipping": lambda: {"folder": Path("model")},
    "runner.judging": training,
    "runner.layers.passes": in_float32,
    "runner.layers.places": lambda: {"k": 0, "b": 0},
    "runner.losses": in_float32,
    "runner.metrics": in_float32,
    "runner.model": in_float32,
    "runner.network": in_float32,
    "runner.ops.lowering": convolution,
    "runner.ops.native": convolution,
    "runner.optim": lambda: {"step": 0, "decays": {}},
    "runner.run": experiment,
    "runner.state_dicts": stored,
    "runner.sweep.session": sweeping,
    "runner.sweep.search.study": sweeping,
    "runner.sweep.search.attributes": attributes_of_a_sweep,
    "runner.sweep.search.joint": searching_together,
    "runner.tracking": lambda: {"Tracking": functools.partial(tracking.Tracking, enabled=False)},
    "runner.tracking.sending": nothing_to_send,
    "runner.tracking.begun": lambda: {"folder": Path("outputs/now")},
    "runner.tracking.untracked": beginning,
    "runner.train": training,
    "runner.page": lambda: having_trained() | {"examples": page.examples},
    "runner.predicting": having_trained,
    "runner.trained": having_trained,
    "runner.training.alone": training,
    "runner.training.checkpoints": saving,
    "runner.training.feed": training,
    "runner.training.mapped": training,
    "runner.training.plan": training,
    "runner.weights": stored,
}


def examples(path: Path) -> list[str]:
    """The docstrings of a file that hold examples."""
    nodes = ast.walk(ast.parse(path.read_text()))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]
    return [text for text in texts if ">>>" in text]


FILES = {module(path): path for path in files("runner", "hydra_plugins", suffixes=(".py",)) if examples(path)}


class Shown(doctest.OutputChecker):
    """Compares results where one is shown."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


@pytest.mark.parametrize("name", FILES)
def test_an_example_gives_what_it_shows(name: str) -> None:
    names = KNOWN | vars(importlib.import_module(name)) | STAND_INS.get(name, dict)()
    said: list[str] = []
    runs = doctest.DocTestRunner(Shown(), optionflags=doctest.NORMALIZE_WHITESPACE)
    for text in examples(FILES[name]):
        runs.run(doctest.DocTestParser().get_doctest(text, names, name, str(FILES[name]), 0), out=said.append)
    assert runs.summarize(verbose=False).failed == 0, "".join(said)


def test_no_stand_in_is_left_of_an_example_that_is_gone() -> None:
    assert set(STAND_INS) <= set(FILES)
