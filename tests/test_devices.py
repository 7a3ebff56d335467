"""Training on several devices that XLA simulates, in processes of their own: JAX counts devices once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Runner
from configurations import TINY

TESTS = Path(__file__).parent
# Batch statistics over the whole batch, dropout and augmentation: each would differ if devices worked on their own.
# Without a bias, which batch normalisation takes out again: Adam would make steps of the rounding of its gradient.
LAYERS = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3, use_bias: false}}, batch_norm, relu, "
    "{max_pool: {size: 2}}, flatten, {dropout: {rate: 0.3}}, classifier]"
)
SHARED = (
    LAYERS,
    "train.batch_size=16",
    "train.steps=50",
    "augment.random_crop={padding: 1}",
    "train.lowering=portable",
)
SCRIPT = """
import json, sys
import jax, numpy as np
from configurations import tiny
from runner import compiling, data, placement
from runner.training.alone import Training
from runner.training.plan import planned

found = {}
for count in json.loads(sys.argv[1]):
    here = placement.choose("cpu", count=count)
    experiment = tiny(*json.loads(sys.argv[2]))
    training = Training(planned(experiment, data.load(experiment.source), here))
    epochs = [epoch.metrics for epoch in training.epochs()]
    state, chunk = training.state, next(training.plan.feeder.chunks(training.plan.order(1), 1))
    arguments = (training.plan.values, state, chunk.feed, training.plan.rates(0, 1), chunk.start, np.int32(1))
    advance = compiling.compiled(training.plan.program, here).advance
    found[count] = {
        "losses": [epoch["train/loss"] for epoch in epochs] + [epoch["val/loss"] for epoch in epochs],
        "test": training.test()["test/loss"],
        "sums over devices": advance.lower(*arguments).compile().as_text().count("all-reduce"),
        "weights": float(sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(jax.device_get(training.learnt.params)))),
        "devices": len(jax.tree.leaves(training.learnt.params)[0].sharding.device_set),
    }
print(json.dumps(found))
"""


def on_devices(script: str, *arguments: Any, count: int = 8) -> Any:
    """What a script prints as JSON, in a process with so many devices."""
    flags = f"--xla_force_host_platform_device_count={count}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", script, *map(json.dumps, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("further", [(), ("train.accumulate=2",), ("train.sampling=balanced", "train.ema_decay=0.9")])
def test_fifty_steps_on_one_two_and_eight_devices_are_equal_to_rounding(further: tuple[str, ...]) -> None:
    found = on_devices(SCRIPT, [1, 2, 8], [*SHARED, *further])
    one = found["1"]
    assert (one["devices"], one["sums over devices"]) == (1, 0)
    for count in ("2", "8"):
        other = found[count]
        assert other["devices"] == int(count)
        assert other["sums over devices"] > 0, "the batch is divided"
        np.testing.assert_allclose(other["losses"], one["losses"], rtol=2e-4)
        np.testing.assert_allclose([other["test"], other["weights"]], [one["test"], one["weights"]], rtol=2e-4)


MAPPED = """
import json, sys
import jax, numpy as np
from configurations import tiny
from runner import data, placement
from runner.training.mapped import Mapped
from runner.training.plan import planned

found = {}
for count in (1, 4):
    here = placement.choose("cpu", count=count)
    experiments = [tiny(*json.loads(sys.argv[1]), f"seed={seed}") for seed in range(8)]
    dataset = data.load(experiments[0].source)
    mapped = Mapped([planned(one, dataset, here) for one in experiments])
    epochs = [epoch.metrics["val/loss"] for _ in range(2) for _, epoch in mapped.advance()]
    leaf = jax.tree.leaves(mapped._state.params)[0]
    found[count] = {"losses": epochs, "rows": leaf.sharding.shard_shape(leaf.shape)[0]}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_members_of_a_mapped_sweep_are_divided_among_devices() -> None:
    found = on_devices(MAPPED, [LAYERS, "train.batch_size=16", "train.lowering=portable"], count=4)
    assert (found["1"]["rows"], found["4"]["rows"]) == (8, 2)
    np.testing.assert_allclose(found["4"]["losses"], found["1"]["losses"], rtol=2e-4)


@pytest.mark.slow
def test_a_run_on_two_devices_repeats_its_bits_and_says_what_it_does(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-m", "runner", *TINY, LAYERS, "train.device_count=all"]
    outputs = []
    for name in ("one", "two"):
        done = subprocess.run(
            [*command, f"hydra.run.dir=outputs/{name}"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "each batch is divided among 2 devices; convolutions are portable ones" in done.stdout
        outputs.append(Path(f"outputs/{name}/weights.safetensors").read_bytes())
    assert outputs[0] == outputs[1]
    refused = subprocess.run(
        [*command, "train.batch_size=31"], env=environment, capture_output=True, text=True, check=False
    )
    expected = "train.batch_size: must be a multiple of 2, which are the devices and the parts of a batch, got 31\n"
    assert (refused.returncode, refused.stderr) == (2, expected)


def test_more_devices_than_there_are_is_one_line(runner: Runner) -> None:
    done = runner(*TINY, "train.device_count=1000")
    assert done.status == 2
    assert done.err.startswith("train.device_count: must be at most ")
    assert done.err.endswith(", got 1000\n")
