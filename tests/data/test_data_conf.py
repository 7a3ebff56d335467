"""What conf/data and conf/augment offer is valid, says how it is used, and repeats no default."""

import pytest
import yaml
from pydantic import TypeAdapter

from runner.data import SOURCES, Augment, Data
from runner.records import frozen

KNOWN = {
    "digits": ((8, 8, 1), 10),
    "mnist": ((28, 28, 1), 10),
    "fashion_mnist": ((28, 28, 1), 10),
    "kmnist": ((28, 28, 1), 10),
    "cifar10": ((32, 32, 3), 10),
    "cifar100": ((32, 32, 3), 100),
    "imagenet": ((224, 224, 3), 1000),
    "folder": (None, None),
    "table": (None, None),
    "parquet": (None, None),
    "webdataset": (None, None),
    "arrays": (None, None),
    "text": ((64, 1), None),
    "photograph": ((427, 640, 3), 2),
    "waves": ((128, 1), 4),
    "written": ((3, 3, 1), 2),
}


def read(path):
    text = path.read_text()
    assert text.startswith("# python -m runner "), f"{path.name} does not open with the command that uses it"
    return frozen(yaml.safe_load(text))


def test_every_data_set_is_valid_and_known_without_files(repository):
    paths = {path.stem: path for path in (repository / "conf/data").glob("*.yaml")}
    assert set(paths) == set(KNOWN)
    sources = set()
    for name, path in paths.items():
        data = TypeAdapter(Data).validate_python(read(path))
        assert (data.shape, data.class_count) == KNOWN[name]
        assert data.name == name
        sources.add(data.source)
    assert sources == set(SOURCES)


@pytest.mark.parametrize(
    "name",
    [
        *("none", "crop_flip", "affine", "mnist_affine", "cutout", "mixup", "cutmix", "colour", "imagenet"),
        *("colour_jitter", "trivial_augment", "rand_augment"),
    ],
)
def test_every_augmentation_is_valid(repository, name):
    augment = Augment.model_validate(read(repository / f"conf/augment/{name}.yaml"))
    assert (augment == Augment()) == (name == "none")


def test_every_augmentation_is_tested(repository):
    assert len(list((repository / "conf/augment").glob("*.yaml"))) == 12
