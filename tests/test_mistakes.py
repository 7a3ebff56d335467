"""The page of mistakes: what it holds, and how it filters and speaks in a browser."""

import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import started
from configurations import begun, here, tiny
from golden.cases import write_texts
from sklearn.neighbors import NearestNeighbors
from trainings import digits, trained

from runner import mistakes
from runner.explaining.embedding import hidden, nearest
from runner.run_figures.subject import Subject, figure


@functools.cache
def subject() -> Subject:
    return Subject(trained("train.epochs=1").trained({}), here(), digits)


def held(page: bytes) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="found">(.*?)</script>', page.decode(), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_most_confident_mistakes_come_first_beside_the_nearest_training_examples() -> None:
    about = subject()
    found = held(figure("mistakes").draw(about))
    labels, probabilities = digits().val.labels, about.probabilities
    taken = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(taken != labels)
    assert (found["examples"], found["wrong"]) == (len(labels), len(wrong))
    shown = found["mistakes"]
    assert len(shown) == len(wrong) > 3
    confidences = [one["confidence"] for one in shown]
    assert confidences == sorted(confidences, reverse=True)
    for one in shown:
        index = int(one["example"]["name"].removeprefix("#"))
        assert (one["example"]["label"], one["taken"]) == (labels[index], taken[index])
        assert one["given"] == pytest.approx(float(probabilities[index, labels[index]]))
    index = int(shown[0]["example"]["name"].removeprefix("#"))
    values = hidden(about.sight, digits().train.inputs)
    search = NearestNeighbors(n_neighbors=5).fit(values)
    wanted = search.kneighbors(hidden(about.sight, digits().val.inputs[[index]]), return_distance=False)[0]
    near = [found["trained"][place] for place in shown[0]["near"]]
    assert [one["name"] for one in near] == [f"#{place}" for place in wanted]
    assert [one["label"] for one in near] == digits().train.labels[wanted].tolist()


@pytest.mark.parametrize(("count", "others"), [(1, 1), (3, 50), (20, 4)])
def test_the_nearest_are_those_of_scikit_learn(count: int, others: int) -> None:
    generator = np.random.default_rng(count)
    own, theirs = generator.normal(size=(count, 6)), generator.normal(size=(others, 6))
    most = min(5, others)
    wanted = NearestNeighbors(n_neighbors=most, algorithm="brute").fit(theirs).kneighbors(own, return_distance=False)
    assert nearest(own, theirs, 5).tolist() == wanted.tolist()


def test_texts_are_shown_as_their_words(tmp_path: Path) -> None:
    write_texts(tmp_path)
    layers = "[{embedding: {dim: 4}}, {conv: {filters: 3, kernel_size: 2}}, global_max_pool, classifier]"
    own = ("data=text", f"data.root={tmp_path}/texts.csv", "data.length=6", f"model.layers={layers}")
    training = begun(tiny(*own))
    about = Subject(training.trained({}), here(), lambda: training.plan.dataset)
    found = held(figure("mistakes").draw(about))
    assert found["wrong"] == len(found["mistakes"]) > 0
    assert all(one["example"]["picture"] == "" for one in found["mistakes"])
    assert all("film" in one["example"]["text"] for one in found["mistakes"])


def sample(count: int, classes: tuple[str, ...] = ("cat", "</script><b>dog</b>", "猫" * 30)) -> str:
    generator = np.random.default_rng(0)
    pictures = [mistakes.picture(generator.random((40 + 60 * (n % 2), 60, 3))) for n in range(4)]
    trained = [mistakes.Shown(pictures[n], "", f"train/caf\udce9 {n}.jpg", n % 3) for n in range(4)]
    shown = [
        mistakes.Mistake(
            mistakes.Shown(pictures[n % 4], "", f"cat/</script>{n}.png", n % 2),
            n % 2 + 1,
            0.999 - n / 2000,
            0.001,
            (0, 1, 2),
        )
        for n in range(count)
    ]
    found = mistakes.Mistakes("lenet5 <i>", classes, 5000, count and count + 7, shown, trained)
    return mistakes.html(found)


def test_a_large_picture_is_reduced_and_a_small_one_is_exact() -> None:
    assert mistakes.picture(np.zeros((8, 8, 3))).startswith("data:image/png;base64,")
    large = mistakes.picture(np.random.default_rng(0).random((500, 300, 3)))
    assert large.startswith("data:image/jpeg;base64,")
    assert len(large) < 20_000


def test_two_lists_filter_and_a_button_speaks_chinese(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(sample(50).encode("utf-8", "replace"))
    (tmp_path / "none.html").write_bytes(sample(0).encode("utf-8", "replace"))
    with started() as page:
        for width in (1400, 400):
            page.open(f"{path.as_uri()}#lang=en", width=width)
            assert page.value("document.documentElement.scrollWidth") <= width
        assert page.texts("h1") == ["mistakes of lenet5 <i>"]
        assert page.texts(".name")[0] == "cat/</script>0.png"
        assert page.texts(".count") == ["50 shown"]
        assert page.value("document.querySelector('p').textContent").endswith(
            "This page has the 50 most confident ones."
        )
        page.value("(e => { e.value = '0'; e.dispatchEvent(new Event('change')); })(document.getElementById('true'))")
        assert page.texts(".count") == ["25 shown"]
        assert set(page.texts(".taken")) == {answer for answer in page.texts(".taken") if "<b>dog</b>" in answer}
        page.click(".pairs button", 0)
        assert page.texts(".count") == ["25 shown"]
        assert "taken=" in page.value("location.hash")
        page.click("#clear")
        page.click("#language")
        assert page.value("document.documentElement.lang") == "zh-CN"
        assert page.texts(".count") == ["显示 50 个"]
        assert page.faults == []
        assert [address for address in page.asked if not address.startswith(("file:", "data:"))] == []
        page.open(f"{(tmp_path / 'none.html').as_uri()}#lang=en")
        assert page.texts("p") == ["All 5,000 validation examples were classified rightly."]
        assert page.texts("article") == []
