"""The figures of a run: which are drawn, from what, and how one is added."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from commands import Runner
from configurations import TINY, composed, here, report, tiny, with_value
from contributing import added, example
from trainings import digits, trained

from runner import run_figures
from runner.layers.passes import Located
from runner.run_figures.feature_maps import in_order_of_outputs, shown_layers
from runner.run_figures.settings import Figures, names
from runner.run_figures.subject import Example, Subject, figure
from runner.trained import Trained

RESIDUAL = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, {dropout: {rate: 0.5}}, "
    "{residual: {layers: [{conv: {filters: 4, kernel_size: 3, padding: 1}}, batch_norm]}}, relu, flatten, classifier]"
)


def subject(*overrides: str) -> Subject:
    return Subject(trained(*overrides).trained({}), here(), digits)


def test_the_examples_are_the_surest_right_image_and_the_worst_one() -> None:
    about = subject("train.epochs=1")
    shares, labels = about.probabilities, digits().val.labels
    given = shares[np.arange(len(labels)), labels]
    right, worst = about.examples
    where = [int(one.name.removeprefix("#")) for one in (right, worst)]
    assert shares[where[0]].argmax() == labels[where[0]] == right.label
    assert given[where[0]] == max(given[shares.argmax(axis=1) == labels])
    assert given[where[1]] == min(given)
    np.testing.assert_array_equal(worst.input, digits().val.inputs[where[1]])
    np.testing.assert_allclose(about.answers, shares[where], atol=1e-6)


def test_chosen_examples_are_kept_and_need_no_data() -> None:
    image = Example(digits().val.inputs[3], None, "mine.png")
    about = Subject(trained().trained({}), here(), lambda: pytest.fail("read the data"), chosen=(image,))
    assert about.examples == (image,)
    assert about.answers.shape == (1, 10)
    assert figure("feature_maps").draw(about).startswith(b"\x89PNG")
    assert figure("class_probabilities").draw(about).startswith(b"\x89PNG")


def test_the_parameters_before_training_are_those_that_training_began_with() -> None:
    training = trained("train.epochs=1", "optimizer=sgd", "optimizer.learning_rate=0.0")
    about = Subject(training.trained({}), here(), digits, given=training.plan.given)
    np.testing.assert_array_equal(about.before.params["0_conv"]["kernel"], training.learnt.params["0_conv"]["kernel"])


@pytest.mark.slow
def test_layers_are_shown_in_the_order_of_their_outputs_without_those_that_change_nothing() -> None:
    about = subject(RESIDUAL, "train.epochs=1")
    located = about.network.located()
    assert in_order_of_outputs(located)[-4:] == ["3_residual", "4_relu", "5_flatten", "6_classifier"]
    inner = ["3_residual.layers.0_conv", "3_residual.layers.1_batch_norm"]
    outer = ["0_conv", "1_relu", "3_residual", "4_relu", "6_classifier"]
    assert shown_layers(located, about.activations) == [*outer[:2], *inner, *outer[2:]]
    assert shown_layers(located, about.activations, most=6) == outer
    assert shown_layers(located, about.activations, most=3) == [outer[0], outer[2], outer[4]]


def test_layers_of_layers_come_after_those_inside() -> None:
    paths = ("0_repeat", "0_repeat.layers.0_conv", "0_repeat.layers.1_block", "0_repeat.layers.1_block.layers.0_relu")
    located = [Located("", path) for path in (*paths, "1_relu")]
    assert in_order_of_outputs(located) == [paths[1], paths[3], paths[2], paths[0], "1_relu"]


def test_figures_suit_only_some_networks() -> None:
    dense = tiny("model.layers=[flatten, classifier]").network((8, 8, 1), 10)
    fitting = {name for name in Figures().draw if figure(name).suits(dense)}
    assert fitting == set(Figures().draw) - {"worst_texts", "first_filters"}


def test_the_figures_of_every_run_need_no_matplotlib(tmp_path: Path) -> None:
    """Importing it takes half a second, which a run of a minute must not spend."""
    program = """
import sys
import numpy as np
from runner.figures import Answered, LayerMaps, class_probabilities, feature_maps, filters_before_and_after, png
answered = [Answered(np.zeros((8, 8, 1), np.uint8), "#3", 0, np.array([0.25, 0.75]))]
assert png(filters_before_and_after(np.zeros((3, 3, 1, 4)), np.ones((3, 3, 1, 4)), name="layers[0].conv"))
assert png(feature_maps(answered, ("кошка", "ñandú"), [LayerMaps("layers[0].conv", np.ones((1, 6, 6, 4)))]))
assert png(class_probabilities(answered, ("кошка", "ñandú")))
sys.exit("matplotlib" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_examples_of_a_large_network_are_chosen_from_few_images() -> None:
    about, all_of_them = subject("train.epochs=1"), len(digits().val)
    assert len(about.judged[0]) == len(about.judged[1]) == all_of_them
    large = "model.layers=[{conv: {filters: 15000, kernel_size: 8, padding: same}}, global_avg_pool, classifier]"
    network = tiny(large).network((8, 8, 1), 10)
    asked: list[int] = []

    class Untrained:
        program = SimpleNamespace(network=network)

        def answers(self, inputs: np.ndarray, placement: object) -> np.ndarray:
            asked.append(len(inputs))
            return np.eye(10)[digits().val.labels[:1].repeat(len(inputs))]

    about = Subject(cast(Trained, Untrained()), here(), digits)
    indices, probabilities = about.judged
    assert asked == [len(indices)] == [len(probabilities)]
    assert 64 <= len(indices) < all_of_them
    assert 64 * network.totals.multiply_adds < 2**32


def test_a_run_writes_the_page_only_of_networks_that_it_can_run() -> None:
    page = figure("page")
    large = tiny("model.layers=[{conv: {filters: 4000, kernel_size: 25, padding: same}}, flatten, classifier]")
    networks = [one.network((8, 8, 1), 10) for one in (tiny("model.layers=[flatten, classifier]"), large)]
    assert [network.totals.multiply_adds > 100_000_000 for network in networks] == [False, True]
    assert [(page.suits(network), page.in_runs(network)) for network in networks] == [(True, True), (True, False)]


def test_an_unknown_figure_and_the_old_key_are_one_line() -> None:
    assert report(with_value(composed(), "figures.draw", ["filterz", "feature_maps"])) == [
        'figures.draw[0]: unknown figure "filterz"; did you mean "filters"?'
        if "filters" in names()
        else 'figures.draw[0]: unknown figure "filterz"; did you mean "first_filters"?'
    ]
    assert report(with_value(composed(), "tracking.figures", False)) == [
        "tracking.figures: must be given as figures.draw, got false"
    ]


# A new figure

ADDED = example("Add a figure")


@pytest.fixture
def _unsure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The figure of CONTRIBUTING.md, added to the package by its file."""
    with added(run_figures, "unsure", ADDED, tmp_path_factory.mktemp("added")):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_unsure")
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # from MLflow's use of SQLAlchemy
def test_a_figure_is_added_by_one_short_file_and_only_the_named_ones_are_drawn(runner: Runner) -> None:
    assert len(ADDED.splitlines()) < 30
    tracked = (line for line in TINY if not line.startswith("tracking"))
    done = runner(*tracked, "train.epochs=1", "figures.draw=[unsure,first_filters]", "hydra.run.dir=outputs/run")
    assert done.status == 0, done.err
    assert {path.name for path in Path("outputs/run/figures").iterdir()} == {"unsure.png", "first_filters.png"}
    assert Path("outputs/run/figures/unsure.png").read_bytes().startswith(b"\x89PNG")
