"""Data that need no files of their own: photographs of scikit-learn, signals that are computed, images in YAML."""

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import signal
from sklearn.datasets import load_sample_image

from runner.data import Data, load
from runner.data.waves import Waves
from runner.data.written import Written
from runner.faults import fault
from runner.records import frozen


def source(**fields: Any) -> Any:
    return TypeAdapter(Data).validate_python(frozen(fields))


def faults(**fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        source(**fields)
    return [str(fault(item, frozen(fields))) for item in caught.value.errors(include_url=False)]


def test_photographs_are_those_of_scikit_learn_in_every_part() -> None:
    dataset = load(source(source="photograph"))
    for part in (dataset.train, dataset.val, dataset.test):
        for image, name in zip(part.inputs, ("china.jpg", "flower.jpg"), strict=True):
            np.testing.assert_array_equal(image, load_sample_image(name))
    assert dataset.classes == ("china", "flower")
    assert dataset.val.files == ("china.jpg", "flower.jpg")


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sine", np.sin),
        ("square", signal.square),
        ("triangle", lambda turn: signal.sawtooth(turn + np.pi, width=0.5)),
        ("sawtooth", signal.sawtooth),
    ],
)
def test_forms_are_those_of_scipy(name: str, theirs: Any) -> None:
    at = (np.arange(200) + 0.5) / 200
    np.testing.assert_allclose(Waves.form(name, at), theirs(2 * np.pi * at), atol=1e-9)


def test_waves_have_two_to_six_periods_and_the_noise_that_is_asked_for() -> None:
    quiet, loud = (load(source(source="waves", count=400, noise=noise)) for noise in (0.0, 0.5))
    assert quiet.train.inputs.shape[1:] == (128, 1)
    assert {len(part) for part in (quiet.train, quiet.val, quiet.test)} == {288, 32, 80}
    sines = quiet.train.inputs[quiet.train.labels == 0][..., 0]
    strongest = np.abs(np.fft.rfft(sines)).argmax(axis=1)
    assert set(strongest) == {2, 3, 4, 5, 6}
    assert 0.45 < np.abs(loud.train.inputs - quiet.train.inputs).max() <= 0.5
    again = load(source(source="waves", count=400, noise=0.5))
    assert again.digest == loud.digest != load(source(source="waves", count=400, noise=0.5, split_seed=1)).digest


IMAGES = [{"label": "a", "pixels": [[0, 255]]}, {"label": "b", "pixels": [[7, 0]]}, {"label": "a", "pixels": [[1, 2]]}]


def test_written_images_are_what_is_written() -> None:
    data = source(source="written", images=IMAGES, evaluated=[1])
    assert isinstance(data, Written)
    assert (data.shape, data.class_count) == ((1, 2, 1), 2)
    dataset = load(data)
    np.testing.assert_array_equal(dataset.train.inputs[..., 0], [[[0, 255]], [[7, 0]], [[1, 2]]])
    assert dataset.train.labels.tolist() == [0, 1, 0]
    assert dataset.val.inputs.tolist() == dataset.test.inputs.tolist() == [[[[7], [0]]]]
    assert dataset.classes == ("a", "b")
    assert len(load(source(source="written", images=IMAGES)).val) == 3


def ones(*pixels: list[int]) -> dict[str, Any]:
    return {"label": "a", "pixels": list(pixels)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"images": [*IMAGES, ones([1], [2])]}, "must have 1×2 pixels in images[3] too, got [[1], [2]]"),
        ({"images": [ones([1, 2], [3]), IMAGES[1]]}, "must have 2×2 pixels in images[0] too, got [[1, 2], [3]]"),
        ({"images": [ones(), IMAGES[1]]}, "must have 1×1 pixels in images[0] too, got []"),
        ({"images": [IMAGES[0], IMAGES[2]]}, "must have images of at least two classes, got [a]"),
        ({"images": IMAGES, "evaluated": [3]}, "must have evaluated below 3, the number of images, got [3]"),
        ({"images": [ones([256, 0]), IMAGES[1]]}, "images[0].pixels[0][0]: must be ≤ 255, got 256"),
    ],
)
def test_faults_of_written_images(fields: dict[str, Any], expected: str) -> None:
    assert faults(source="written", **fields) == [expected]
