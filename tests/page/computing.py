"""The page's modules in node, for tests: networks as the page has them, and what it computes of them."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
import pytest

from runner.layers.base import Tree
from runner.network import Network
from runner.page.graph import Node, flat_values, nodes_of

MODULES: Final = Path(__file__).resolve().parents[2] / "runner" / "page" / "web"


def node(folder: Path, script: str, given: Any, arrays: Sequence[np.ndarray] = ()) -> Any:
    """What a script of JavaScript prints as JSON. It finds `given`, and the `arrays` as Float32Array.

    `load(name)` imports a module of the page.
    """
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node on PATH, which runs the page's JavaScript outside a browser")
    (folder / "given.json").write_text(json.dumps(given, default=lambda value: np.asarray(value).tolist()))
    for number, array in enumerate(arrays):
        (folder / f"{number}.f32").write_bytes(np.ascontiguousarray(array, "<f4").tobytes())
    head = f"""
import {{ readFileSync, writeFileSync }} from "node:fs";
const load = (name) => import("{MODULES.as_uri()}/" + name + ".mjs");
const floats = (bytes) => new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const given = JSON.parse(readFileSync("given.json", "utf8"));
const arrays = Array.from({{ length: {len(arrays)} }}, (_, i) => floats(readFileSync(`${{i}}.f32`)));
const print = (value) => console.log(JSON.stringify(value, (_, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v)));
"""
    (folder / "script.mjs").write_text(head + script)
    done = subprocess.run([program, "script.mjs"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def described(nodes: Sequence[Node], loss: str = "softmax_cross_entropy") -> dict[str, Any]:
    """The nodes as the page's engine takes them."""
    _, where = flat_values(nodes)
    return {
        "loss": loss,
        "output": len(nodes) - 1,
        "nodes": [vars(one) | {"tensors": tensors} for one, tensors in zip(nodes, where, strict=True)],
    }


def with_values(network: Network, seed: int = 0) -> tuple[Tree, Tree]:
    """Parameters and statistics of a network, all different from where they begin."""
    random = np.random.default_rng(seed)
    params, statistics = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    return (
        jax.tree.map(lambda leaf: random.normal(0, 0.5, leaf.shape).astype(np.float32), params),
        jax.tree.map(lambda leaf: random.uniform(0.5, 1.5, leaf.shape).astype(np.float32), statistics),
    )


def drawn_nodes(network: Network, params: Tree, statistics: Tree) -> tuple[dict[str, Any], np.ndarray]:
    """A network as the engine takes it: the description, and its values."""
    nodes = nodes_of(network, params, statistics)
    return described(nodes), flat_values(nodes)[0]
