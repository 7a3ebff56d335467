"""What each kind of layer needs to stand in a network, for tests that go through all kinds."""

from typing import Any

from runner.layers.base import Shape

# What a kind cannot do without; a new kind with arguments of that sort is given its own here.
REQUIRED: dict[str, dict[str, Any]] = {
    "conv": {"filters": 4, "kernel_size": 3},
    "conv_transpose": {"filters": 4, "kernel_size": 3, "stride": 2},
    **{kind: {"size": 2} for kind in ("max_pool", "avg_pool", "sum_pool")},
    "group_norm": {"groups": 2},
    **{kind: {"size": [3, 2]} for kind in ("adaptive_avg_pool", "adaptive_max_pool")},
    "dense": {"units": 5},
    "subsampling": {"size": 2},
    "pad_channels": {"channels": 7},
    "partial_conv": {"connections": [[0, 1], [3], [1, 2, 3]], "kernel_size": 3},
    "embedding": {"dim": 5},
    "residual": {"layers": ["batch_norm", {"conv": {"filters": 4, "kernel_size": 1}}]},
    "branches": {"paths": [["relu"], [{"conv": {"filters": 3, "kernel_size": 3, "padding": 1}}]]},
    "dense_connection": {"layers": [{"conv": {"filters": 3, "kernel_size": 3, "padding": 1}}]},
    "auxiliary": {"layers": ["flatten", "classifier"]},
    "repeat": {"times": 2, "layers": ["batch_norm", {"conv": {"filters": 2, "kernel_size": 2}}]},
}

# The shapes that a kind takes, if it is not a feature map of two axes, and the type, if it is not numbers.
SHAPES: dict[str, Shape] = {"dense": (6,), "classifier": (6,), "embedding": (6, 1)}
TOKENS = {"embedding"}
