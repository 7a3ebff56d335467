"""The recipes for ImageNet: their settings are the published ones, and each trains a miniature, streamed."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from commands import Runner
from configurations import experiment
from PIL import Image

IMAGES = 1_281_167  # of ILSVRC 2012, for training

# The published numbers: batch, learning rate, weight decay, epochs, and the learning rates at the beginnings of epochs.
PUBLISHED: dict[str, tuple[int, float, float, int, dict[int, float]]] = {
    "resnet50": (256, 0.1, 1e-4, 90, {0: 0.1, 29: 0.1, 30: 0.01, 59: 0.01, 60: 1e-3, 79: 1e-3, 80: 1e-4, 89: 1e-4}),
    "alexnet": (128, 0.01, 5e-4, 90, {0: 0.01, 29: 0.01, 30: 1e-3, 60: 1e-4, 80: 1e-5, 89: 1e-5}),
    "vgg16": (256, 0.01, 5e-4, 74, {0: 0.01, 19: 0.01, 20: 1e-3, 40: 1e-4, 60: 1e-5, 73: 1e-5}),
    "googlenet": (32, 0.01, 2e-4, 250, {0: 0.01, 7: 0.01, 8: 0.0096, 16: 0.01 * 0.96**2, 249: 0.01 * 0.96**31}),
}
# Models, sides of the network's input and of the crops' margin, and parameters.
NETWORKS = {
    "resnet50": ("resnet50", 224, 32, 25_557_032),
    "alexnet": ("alexnet_2012", 227, 29, 60_965_224),
    "vgg16": ("vgg16", 224, 32, 138_357_544),
    "googlenet": ("googlenet_aux", 224, 32, 13_004_888),
}
CHANGES = {
    "resnet50": {"random_resized_crop": {"least_area": 0.08, "ratio": 1.3333, "original": True}},
    "alexnet": {"lighting": {"strength": 0.1}},
    "vgg16": {"lighting": {"strength": 0.1}},
    "googlenet": {
        "random_resized_crop": {"least_area": 0.08, "ratio": 1.3333, "original": True},
        "brightness": {"strength": 0.5},
        "contrast": {"strength": 0.5},
        "saturation": {"strength": 0.5},
        "lighting": {"strength": 0.1},
    },
}
SIDES = {
    "resnet50": 32,
    "alexnet": 67,
    "vgg16": 32,
    "googlenet": 80,
}  # the least that the layers take, or a little more


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_settings_are_the_published_ones(name: str) -> None:
    found = experiment(f"experiment=imagenet_{name}", "data.root=imagenet")
    batch, rate, decay, epochs, rates = PUBLISHED[name]
    assert (found.train.batch_size, found.train.epochs, found.train.accumulate) == (batch, epochs, 1)
    settings = found.optimizer.model_dump()
    assert (settings["name"], settings["learning_rate"], settings["weight_decay"]) == ("sgd", rate, decay)
    assert (settings["momentum"], settings["nesterov"]) == (0.9, name == "resnet50")
    assert found.loss.model_dump() == {"name": "softmax_cross_entropy", "label_smoothing": 0.0} | _unweighted(found)

    steps = IMAGES * 99 // 100 // batch
    every = found.schedule.learning_rates(rate, total_steps=epochs * steps, steps_per_epoch=steps)
    np.testing.assert_allclose([every[epoch * steps] for epoch in rates], list(rates.values()), rtol=1e-5)
    before = [every[epoch * steps - 1] for epoch in rates if epoch]
    assert all(one >= other for one, other in zip(before, list(rates.values())[1:], strict=True))

    model, side, margin, parameters = NETWORKS[name]
    assert (found.model.name, found.data.shape, found.data.residence) == (model, (256, 256, 3), "auto")
    assert found.model.input is not None
    assert (found.model.input.height, found.model.input.width, found.model.input.fit) == (side, side, "crop")
    assert found.model.bind((256, 256, 3), 1000).totals.parameters == parameters
    assert found.train.test_time.model_dump() == {"views": "ten_crops", "margin": margin}
    assert side + margin == 256
    changes = {key: value for key, value in found.augment.model_dump().items() if value is not None}
    assert changes.pop("horizontal_flip") == {"probability": 0.5}
    crop = changes.pop("random_crop", None)
    assert (crop and crop["padding"]) == {"alexnet": 14, "vgg16": 16}.get(name)  # ± half the margin
    assert changes == CHANGES[name]
    assert found.train.ema_decay == (0.9999 if name == "googlenet" else None)


def _unweighted(found: Any) -> dict[str, Any]:
    """What a loss has for class weights, which no recipe uses."""
    rest = {key: value for key, value in found.loss.model_dump().items() if key not in ("name", "label_smoothing")}
    assert rest.get("class_weights") in (None, "none")
    return rest


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """JPEGs of varying sizes, some grey, in ImageNet's folders: 6 classes of 4 for training and 1 for validation."""
    draw, root = np.random.default_rng(0), tmp_path / "imagenet"
    for label, wordnet in enumerate(("n01440764", "n01443537", "n01484850", "n01491361", "n01494475", "n01496331")):
        for part, count in (("train", 4), ("val", 1)):
            (root / part / wordnet).mkdir(parents=True)
            for number in range(count):
                height, width = draw.integers(60, 140, 2)
                pixels = draw.integers(0, 120 + 20 * label, (height, width, 3), np.uint8)
                image = Image.fromarray(pixels).convert("L" if label == number else "RGB")
                image.save(root / part / wordnet / f"{wordnet}_{number}.JPEG", quality=80)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_trains_a_miniature_from_start_to_end(name: str, imagenet: Path, runner: Runner) -> None:
    side, margin = SIDES[name], 8
    size = f"height: {side + margin}, width: {side + margin}, channels: 3"
    done = runner(
        f"experiment=imagenet_{name}", f"data.root={imagenet}", "data.classes=6", f"data.image={{{size}}}",
        "data.residence=stream", f"model.input.height={side}", f"model.input.width={side}",
        f"train.test_time.margin={margin}", "train.epochs=1", "train.batch_size=4", "train.evaluation_batch_size=4",
        "figures=off", "tracking.uri=sqlite:///mlflow.db", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.status == 0, done.err
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    [run] = client.search_runs([one.experiment_id for one in client.search_experiments()])
    metrics, params = run.data.metrics, run.data.params
    assert params["data.residence"] == "stream"
    of_epochs = ("train/loss", "val/loss", "val/accuracy", "val/top_5_accuracy")
    for metric in (*of_epochs, "test_loss", "test_accuracy", "test_top_5_accuracy"):
        assert np.isfinite(metrics[metric]), metric
    assert metrics["test_accuracy"] in (0, 1), "one image, 1 % of 24, is held out"
    kept = [path.stat().st_size for path in Path("cache").rglob("*") if path.is_file() and "stores" not in path.parts]
    assert max(kept, default=0) < 20 * 3 * (side + margin) ** 2, "decoded images are not kept"
