"""What export gives for every network of conf/model, with random weights: deviation, size and seconds.

    python benchmarks/export.py [MODEL …] [--formats onnx stablehlo] [--again]

Each network is written as ONNX and as StableHLO, and what the file computes for random images is compared with ours:
the probabilities, and the outputs before the softmax. The last layer is scaled so that the largest output is 3, since
with saturated probabilities nothing could differ. The seconds are the processor's, for the whole export, in which
compiling the file's program takes most; a busy machine changes them little. Writes results/export.json after each
network, and measures those that are not there yet, or all with --again. Needs the extra `onnx`.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import machine
from hydra import compose, initialize_config_dir
from page import read

from runner import compiling, composition, exporting, placement, train
from runner.configuration import parse
from runner.describe import bound
from runner.experiment import Experiment
from runner.layers import places
from runner.layers.base import Tree
from runner.trained import Facts, Trained

FORMS: tuple[exporting.Format, ...] = ("onnx", "stablehlo")
WORDS = 20_000
LARGEST_OUTPUT = 3.0


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    every = sorted(path.stem for path in composition.shipped().glob("model/*.yaml"))
    parser.add_argument("models", nargs="*", default=every)
    parser.add_argument("--formats", nargs="*", choices=FORMS, default=FORMS)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = (read("export") or {}).get("networks", {})
    for name in options.models:
        wanted = [form for form in options.formats if options.again or form not in found.get(name, {})]
        if not wanted:
            continue
        trained = unsaturated(untrained(name))
        found[name] = found.get(name, {}) | {form: measured(trained, form) for form in wanted}
        machine.write("export", machine.facts() | {"networks": dict(sorted(found.items()))})
        print(name, *(f"{form} {values}" for form, values in found[name].items()), flush=True)
        jax.clear_caches()


def measured(trained: Trained, form: exporting.Format) -> dict[str, float | None]:
    """The deviation from ours, the size, and the processor's seconds of an export."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        done = exporting.export(trained, form, Path(folder) / "network")
        seconds = time.process_time() - began
    return {"deviation": done.deviation, "size_bytes": done.size_bytes, "seconds": seconds}


def unsaturated(trained: Trained) -> Trained:
    """The network with its last layer scaled, so that its largest output for random inputs is `LARGEST_OUTPUT`."""
    dotted = places.dotted(trained.params)
    last = max((name.partition(".")[0] for name in dotted), key=lambda name: int(name.partition("_")[0]))
    factor = LARGEST_OUTPUT / largest_output(trained)
    scaled = {name: value * factor if name.partition(".")[0] == last else value for name, value in dotted.items()}
    return replace(trained, params=places.nested(scaled))


def drawn(params: Tree) -> Tree:
    """Parameters with random kernels in place of those that are zero until the data are known."""
    dotted = places.dotted(params)
    empty = [name for name, value in dotted.items() if name.endswith(".kernel") and not value.any()]
    keys = jax.random.split(jax.random.key(1), len(empty))
    found = {name: jax.random.normal(key, dotted[name].shape) for name, key in zip(empty, keys, strict=True)}
    return places.nested(dotted | found)


def largest_output(trained: Trained) -> float:
    """The largest output for random inputs."""
    compute = compiling.special(trained.program, placement.choose("cpu"), train.results)
    inputs = exporting.drawn_inputs(trained, 2)
    _, outputs = compute(compiling.leaves(trained.program), trained.params, trained.statistics, inputs)
    return float(abs(outputs).max())


def untrained(name: str) -> Trained:
    """A network of the zoo with random weights, for the data that it is made for."""
    experiment = configured(f"model={name}", f"data={data_of(name)}")
    texts = name == "textcnn"
    network = experiment.network((64, 1), 2, WORDS) if texts else bound(experiment)
    params, statistics = network.init(jax.random.key(0))
    channels = network.input_shape[-1]
    return Trained(
        experiment=experiment,
        program=experiment.program(network, mean=(0.5,) * channels, std=(0.25,) * channels),
        params=drawn(params),
        statistics=statistics,
        classes=tuple(map(str, range(network.classes))),
        vocabulary=tuple(f"word{number}" for number in range(WORDS)) if texts else (),
        input_dtype="int32" if texts else "uint8",
        facts=Facts("", "", {}),
    )


def data_of(name: str) -> str:
    """The data set of conf/data for a model."""
    if name == "textcnn":
        return "text"
    if name.endswith("_cifar") or name in ("allcnn_c", "cnn_3x", "cifar10_fast"):
        return "cifar10"
    return "mnist" if name.startswith(("lenet", "lecun")) else "imagenet"


def configured(*overrides: str) -> Experiment:
    """The experiment of a command line."""
    with initialize_config_dir(version_base="1.3", config_dir=str(composition.shipped())):
        config = composition.plain(compose("config", overrides=composition.for_hydra(list(overrides))))
    return parse(config, composition.BlockLibrary()).experiment


if __name__ == "__main__":
    main()
