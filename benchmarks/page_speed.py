"""How long the page of a run takes for all layers of an image, in a headless Chromium.

    python benchmarks/page_speed.py [MODEL …] [--passes 20]

For each network a page with random weights is opened at 32×32 pixels. After warm passes, in which the browser compiles
the scripts, it computes one image in each pass, from its bytes to the class probabilities, without drawing. Chromium
rounds its clock to 0.1 ms. Takes half a minute; needs Chromium on PATH and the extra `dev`. Writes results/page.json.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import machine
import numpy as np
from export import untrained

from runner import page, placement

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from browser import started

MODELS: Final = ("lenet5", "resnet20_cifar")
WARM: Final = 20
SEED: Final = 0
PASS: Final = "(page.show(page.examples[0].data, 0), page.milliseconds)"


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--passes", type=int, default=20)
    options = parser.parse_args()
    networks: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, started() as browser:
        for model in options.models:
            path = Path(folder) / f"{model}.html"
            path.write_text(of_random_weights(model), encoding="utf-8")
            browser.open(path.as_uri())
            browser.until("globalThis.page")
            took = [round(browser.value(PASS), 1) for _ in range(WARM + options.passes)][WARM:]
            assert browser.faults == [], browser.faults
            layers, median = browser.value("page.net.nodes.length"), statistics.median(took)
            networks[model] = {
                "layers": layers,
                "median_ms": round(median, 2),
                "fastest_ms": min(took),
                "slowest_ms": max(took),
            }
            print(f"{model}: {median:.1f} ms ({min(took):.1f}–{max(took):.1f})", flush=True)
        chromium = browser.call("Browser.getVersion")["product"].partition("/")[2]
    known: dict[str, Any] = machine.facts()
    known["versions"] |= {"chromium": chromium}
    known["processes_waiting"] = round(os.getloadavg()[0], 1)  # more than cores: other work ran beside it
    machine.write("page", {**known, "warm": WARM, "passes": options.passes, "seed": SEED, "networks": networks})


def of_random_weights(model: str) -> str:
    """The page of a network of the zoo, with one random image as its example."""
    trained = untrained(model)
    pixels = np.random.default_rng(SEED).integers(0, 256, trained.program.network.data_shape, np.uint8)
    return page.html(trained, [page.Example(pixels, 0)], placement.choose("cpu"))


if __name__ == "__main__":
    main()
