"""The page as a figure of a run: its examples, the network before training, recorded maps, its size."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configurations import here
from page.made import trained

from runner import page
from runner.page import writing
from runner.run_figures.subject import Example, Subject, figure


def model_of(html: bytes | str) -> dict[str, Any]:
    """What the page knows of its network."""
    text = html.decode() if isinstance(html, bytes) else html
    found = re.search(r'<script type="application/json" id="model">(.*?)</script>', text, re.DOTALL)
    assert found
    known: dict[str, Any] = json.loads(found[1])
    return known


@pytest.fixture(scope="module")
def subject() -> Subject:
    training, network = trained()
    return Subject(network, here(), lambda: training.plan.dataset)


def test_the_page_of_a_run_has_right_and_wrong_examples_and_the_network_before_training(subject: Subject) -> None:
    one = figure("page")
    assert one.file("page") == "page/page.html"
    model = model_of(one.draw(subject))
    assert [snapshot["epoch"] for snapshot in model["snapshots"]] == [0]
    labels = [example["label"] for example in model["examples"]]
    data = [np.frombuffer(base64.b64decode(example["data"]), np.uint8) for example in model["examples"]]
    answers = subject.trained.answers(np.stack(data).reshape(-1, 8, 8, 1), here()).argmax(axis=1)
    right = [label for label, answer in zip(labels, answers, strict=True) if label == answer]
    assert right[: len(set(right))] == sorted(set(right))  # one of each class before any comes twice
    assert any(label != answer for label, answer in zip(labels, answers, strict=True))


def test_an_image_that_the_user_chose_comes_first(subject: Subject) -> None:
    own = Example(np.full((8, 8, 1), 7, np.uint8), None, "own.png")
    chosen = Subject(subject.trained, subject.placement, subject.data, chosen=(own,))
    first = model_of(figure("page").draw(chosen))["examples"][0]
    assert first == {"data": base64.b64encode(bytes([7] * 64)).decode(), "label": None}


def test_maps_of_a_network_that_is_too_large_are_recorded(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MULTIPLY_ADDS", 10)
    val = subject.dataset.val
    shown = page.examples(val.inputs, val.labels, subject.probabilities)
    model = model_of(page.html(subject.trained, shown, here()))
    assert model["recorded"]["because"] == "multiplyAdds"
    assert len(model["records"]) == len(model["examples"]) == 6
    expected = Subject(subject.trained, here(), subject.data, chosen=tuple(Example(e.data, e.label, "") for e in shown))
    for node, recorded in zip(model["nodes"][1:], model["records"][0]["maps"], strict=True):
        steps = np.frombuffer(zlib.decompress(base64.b64decode(recorded["data"])), np.uint8)
        low, high = recorded["low"], recorded["high"]
        values = low + steps.reshape(recorded["shape"]) / 255 * (high - low)
        np.testing.assert_allclose(values, expected.activations[node["paths"][0]][0], atol=(high - low) / 500 + 1e-6)


def test_a_name_cannot_end_the_script(tmp_path: Path) -> None:
    _, network = trained("model.name='</script><b>'")
    text = page.html(network, [], here())
    assert text.count("</script>") == 3
    assert model_of(text)["name"] == "</script><b>"
