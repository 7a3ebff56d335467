"""The same weights in PyTorch and here: the same outputs, statistics and gradients, in evaluation and in training.

What is loaded is what users have: a .safetensors file of the module's state dict, which has lost its order.
"""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy
from configurations import experiment

from runner import weights
from runner.layers import places
from runner.layers.base import Tree
from runner.layers.passes import Pass
from runner.network import Network
from runner.state_dicts import slots, translated
from runner.state_dicts.layout import modules
from runner.state_dicts.matching import matched

torch = pytest.importorskip("torch", reason="PyTorch, the oracle of these tests, is not installed (make oracle)")

from networks import PAIRS, Pair  # noqa: E402 - it imports torch

IMAGES, CLASSES, BATCHES = 4, 10, 20
LABELS = np.array([3, 0, 7, 3], np.int32)
TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Loaded:
    """One network in both, with the same weights, for images of `shape` (h, w, c)."""

    theirs: Any
    ours: Network
    params: Tree
    statistics: Tree
    shape: tuple[int, int, int]

    def images(self, seed: int) -> tuple[Any, jax.Array]:
        """A batch as PyTorch has it, (n, c, h, w), and as we have it, (n, h, w, c)."""
        height, width, channels = self.shape
        theirs = torch.randn(IMAGES, channels, height, width, generator=torch.Generator().manual_seed(seed))
        return theirs, jnp.asarray(theirs.numpy().transpose(0, 2, 3, 1))

    def translated(self, state: dict[str, Any]) -> dict[str, np.ndarray]:
        """What PyTorch has under the names of its state dict, under our names and in our layout."""
        arrays = {name: tensor.detach().numpy() for name, tensor in state.items()}
        return translated(slots(self.ours.layers, self.shape), arrays)


# The deepest compile for seconds. What they alone have is held by the others as well.
DEEP = ("resnet18", "vgg11", "densenet")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name in DEEP else name for name in PAIRS],
)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    pair: Pair = PAIRS[request.param]
    torch.manual_seed(0)
    theirs = pair.theirs()
    for module in theirs.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):  # else gradients vanish on the way down
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):  # begins with what would hide a mistake: ones and zeros
            for values, low, high in (
                *((module.weight, 0.7, 1.3), (module.bias, -0.2, 0.2)),
                *((module.running_mean, -0.2, 0.2), (module.running_var, 0.5, 1.5)),
            ):
                torch.nn.init.uniform_(values, low, high)
    path = tmp_path_factory.mktemp("weights") / "theirs.safetensors"
    save(path, theirs.state_dict())
    model = experiment(*pair.ours).model.model_copy(update={"input": None})  # images come in their own size
    ours = model.bind(pair.shape, CLASSES)
    params, statistics = weights.load(str(path), ours)
    return Loaded(theirs, ours, params, statistics, pair.shape)


def save(path: Path, state: dict[str, Any]) -> None:
    safetensors.numpy.save_file({name: np.asarray(tensor.numpy(), order="C") for name, tensor in state.items()}, path)


def is_near(ours: Any, theirs: Any) -> bool:
    """Whether two arrays are equal to the tolerance, relative to the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max())


def test_every_array_has_its_place(loaded: Loaded) -> None:
    wanted = jax.eval_shape(lambda: loaded.ours.init(jax.random.key(0)))
    found = (loaded.params, loaded.statistics)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, wanted)


def test_outputs_are_equal_in_evaluation(loaded: Loaded) -> None:
    images, x = loaded.images(seed=0)
    with torch.no_grad():
        expected = loaded.theirs.eval()(images).numpy()
    apply = jax.jit(lambda p, s, x: loaded.ours.apply(p, s, x, Pass(training=False, key=jax.random.key(0)))[0])
    assert is_near(apply(loaded.params, loaded.statistics, x), expected)


def test_the_activations_of_every_layer_are_equal(loaded: Loaded) -> None:
    images, x = loaded.images(seed=0)
    state = {name: tensor.detach().numpy() for name, tensor in loaded.theirs.state_dict().items()}
    pairs = matched(slots(loaded.ours.layers, loaded.shape), modules(state), ordered=True)
    named = dict(loaded.theirs.named_modules())
    expected: dict[str, np.ndarray] = {}
    # Copied at once: a ReLU in place would change them.
    hooks = [
        named[module.name].register_forward_hook(
            lambda _, __, y, path=slot.path: expected.update({path: y.detach().clone().numpy()})
        )
        for slot, module in pairs
    ]
    with torch.no_grad():
        loaded.theirs.eval()(images)
    for hook in hooks:
        hook.remove()

    def activations(params: Tree, x: jax.Array) -> dict[str, jax.Array]:
        found: dict[str, jax.Array] = {}
        at = Pass(training=False, key=jax.random.key(0), tap=lambda path, y: found.setdefault(path, y))
        loaded.ours.apply(params, loaded.statistics, x, at)
        return found

    found = jax.jit(activations)(loaded.params, x)
    assert expected
    assert expected.keys() == found.keys() & {slot.path for slot, _ in pairs}
    for path, theirs in expected.items():
        assert is_near(found[path], np.moveaxis(theirs, 1, -1)), path


def test_outputs_statistics_and_gradients_are_equal_in_training(loaded: Loaded) -> None:
    @jax.jit
    def step(params: Tree, x: jax.Array) -> dict[str, jax.Array]:
        def objective(params: Tree) -> tuple[jax.Array, tuple[jax.Array, Tree]]:
            y, after = loaded.ours.apply(params, loaded.statistics, x, Pass(training=True, key=jax.random.key(0)))
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(y, LABELS)), (y, after)

        (loss, (y, after)), gradients = jax.value_and_grad(objective, has_aux=True)(params)
        return {"loss": loss, "outputs": y} | places.dotted(gradients) | places.dotted(after)

    # Where a unit is so near to zero, or to its rival in a pooling, that rounding decides, gradients differ between
    # any two ways to compute them, and PyTorch's own from those in float64. Not every batch has such a unit.
    for seed in range(BATCHES):
        images, x = loaded.images(seed)
        found, expected = step(loaded.params, x), trained(loaded, images)
        assert found.keys() == expected.keys()
        near = {name: is_near(array, expected[name]) for name, array in found.items()}
        forward = {"loss", "outputs", *places.dotted(loaded.statistics)}
        assert all(near[name] for name in forward), near
        if all(near.values()):
            return
    raise AssertionError(f"gradients differ in every batch: {near}")


def trained(loaded: Loaded, images: Any) -> dict[str, np.ndarray]:
    """The loss of a batch, the outputs, every gradient and the statistics after it, by PyTorch."""
    theirs = copy.deepcopy(loaded.theirs).train()
    outputs = theirs(images)
    loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(LABELS, dtype=torch.long))
    loss.backward()
    state = theirs.state_dict() | {name: parameter.grad for name, parameter in theirs.named_parameters()}
    return {"loss": loss.detach().numpy(), "outputs": outputs.detach().numpy(), **loaded.translated(state)}
