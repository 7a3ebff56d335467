"""The numbers in the README, in each language, from what the other scripts wrote to results/.

    python benchmarks/readme.py [--check] [FILE …]

A page marks its numbers with comments, which a reader does not see:

    <!-- fill: {startup[warm_median][step]:.1f} s -->1.7 s<!-- end -->     a file of results/, keys, and a format
    <!-- when: {thousand[members]:,} members -->1,000 members<!-- end -->  the same; empty if it was never measured
    <!-- rows: throughput -->                                              a table with its headings, up to `end`

--check changes nothing, and ends with status 1 if a page is not what the results give.
"""

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parent.parent
PAGES: Final = tuple(ROOT / name for name in ("README.md", "README.zh-CN.md", "docs/zoo.md", "docs/data.md"))
_MARK: Final = re.compile(r"<!-- (fill|when|rows): (.*?) -->(.*?)<!-- end -->", flags=re.DOTALL)
# The workloads of throughput.json that the table shows, with the images on which they train.
_WORKLOADS: Final = {
    ("lenet5", 32): "MNIST",
    ("lenet5", 128): "MNIST",
    ("vgg6_cifar", 128): "CIFAR-10",
    ("resnet20_cifar", 128): "CIFAR-10",
    ("alexnet", 32): "224×224",
    ("resnet18", 32): "224×224",
}
_TORCH: Final = ("torch_loop", "torch_loop:channels_last")
_MISSING: Final = "–"


def results() -> dict[str, Any]:
    """What each script wrote, by the name of its file."""
    folder = ROOT / "benchmarks" / "results"
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def accuracy_rows(found: dict[str, Any]) -> list[list[str]]:
    """Network, data, epochs, seeds, accuracy in per cent, the published one, the command."""
    rows = []
    for one in found["accuracy"]["experiments"].values():
        seeds = one["seeds"]
        deviation = f" ± {100 * one['deviation']:.2f}" if len(seeds) > 1 else ""
        rows.append(
            [
                f"`{one['network']}`",
                one["data"],
                str(one["epochs"]),
                f"{seeds[0]}–{seeds[-1]}" if len(seeds) > 1 else str(seeds[0]),
                f"{100 * one['mean']:.2f}{deviation}",
                one["published"],
                f"`{one['command']}`",
            ]
        )
    return rows


def throughput_rows(found: dict[str, Any]) -> list[list[str]]:
    """Network, images, batch; then images a second, with the ratio to PyTorch as it comes."""
    rows = []
    for one in found["throughput"]["workloads"]:
        images, of = _WORKLOADS.get((one["model"], one["batch"])), one["contestants"]
        if images is not None:
            kept = [name for layout in _TORCH if (name := f"{layout}+kept") in of]
            fastest = max(kept, key=lambda name: of[name]["images_per_second"]) if kept else ""
            columns = ("ours:auto", "ours:portable", fastest, "lightning_loader", "keras_jax", "flax_nnx")
            cells = [_rate(of.get(name), with_ratio=True) for name in columns]
            cells.insert(2, _rate(of[one["reference"]], with_ratio=False))
            rows.append([f"`{one['model']}`", images, str(one["batch"]), *cells])
    return rows


def _rate(contestant: dict[str, Any] | None, *, with_ratio: bool) -> str:
    if contestant is None:
        return _MISSING
    return f"{contestant['images_per_second']:,.0f}" + (f" ({contestant['ratio']:.2f})" if with_ratio else "")


def export_rows(found: dict[str, Any]) -> list[list[str]]:
    """Network; then for ONNX and for StableHLO the largest deviation, the size in MB and the seconds."""
    return [
        [f"`{name}`", *(cell for form in ("onnx", "stablehlo") for cell in _exported(own.get(form)))]
        for name, own in found["export"]["networks"].items()
    ]


def _exported(one: dict[str, Any] | None) -> list[str]:
    if one is None:
        return [_MISSING] * 3
    return [f"{one['deviation']:.1e}", f"{one['size_bytes'] / 1e6:,.1f}", f"{one['seconds']:,.1f}"]


def _over_seeds(interval: list[float] | None) -> str:
    """The interval of a mean over seeds; nothing of one seed."""
    return "" if interval is None else f" ({interval[0]:.2f} … {interval[1]:.2f})"


def published_rows(found: dict[str, Any]) -> list[list[str]]:
    """Experiment, published test error in per cent, ours with its 95 % interval, seeds, seconds for each, source."""
    return [
        [
            f"`{name}`",
            str(one["published"]),
            f"{one['mean_error']:.2f}" + _over_seeds(one["interval"]),
            str(len(one["seeds"])),
            _MISSING if one["seconds"] is None else f"{one['seconds'] / len(one['seeds']):,.0f}",
            one["source"],
        ]
        for name, one in found["published"]["experiments"].items()
    ]


def imbalance_rows(found: dict[str, Any]) -> list[list[str]]:
    """Way, test accuracy in per cent with its 95 % interval, difference from plain training, its p, what it means."""
    rows = []
    for name, one in found["imbalance"]["ways"].items():
        low, high = (100 * end for end in one["interval"])
        cells = [name, f"{100 * one['mean']:.1f} ({low:.1f} … {high:.1f})"]
        if one["p"] is None:
            rows.append([*cells, "", "", ""])
        else:
            differs = "yes" if one["p"] < 0.05 else "not distinguishable"
            rows.append([*cells, f"{100 * one['from_plain']:+.1f}", f"{one['p']:.2g}", differs])
    return rows


_ROWS: Final[dict[str, Callable[[dict[str, Any]], list[list[str]]]]] = {
    "accuracy": accuracy_rows,
    "export": export_rows,
    "imbalance": imbalance_rows,
    "published": published_rows,
    "throughput": throughput_rows,
}


def filled(text: str, found: dict[str, Any]) -> str:
    """A page with the numbers of the results between its marks.

    Raises KeyError for a number of a `fill`, or a table, that no file has.
    """

    def fill(mark: re.Match[str]) -> str:
        kind, template, inner = mark.groups()
        if kind == "rows":
            headings = inner.strip().splitlines()[:2]
            rows = ["| " + " | ".join(row) + " |" for row in _ROWS[template](found)]
            own = "\n\n" + "\n".join([*headings, *rows]) + "\n\n"
        else:
            try:
                own = template.format_map(found)
            except KeyError:
                if kind == "fill":
                    raise
                own = ""
        return f"<!-- {kind}: {template} -->{own}<!-- end -->"

    return _MARK.sub(fill, text)


def main() -> None:
    """Fills the pages, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("files", nargs="*", type=Path, default=PAGES)
    options = parser.parse_args()
    found, differs = results(), False
    for path in options.files:
        text = path.read_text(encoding="utf-8")
        new = filled(text, found)
        if not options.check:
            path.write_text(new, encoding="utf-8")
        elif new != text:
            differs = True
            sys.stdout.writelines(
                line if line.endswith("\n") else f"{line}\n"
                for line in difflib.unified_diff(text.splitlines(True), new.splitlines(True), path.name, "results")
            )
    sys.exit(1 if differs else 0)


if __name__ == "__main__":
    main()
