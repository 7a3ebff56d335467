"""What the machine can do: 2,048² float32 products on all cores, in GFLOP/s (reported as images_per_second)."""

import time

import numpy as np
from blocks import arguments, report

SIDE, PRODUCTS = 2048, 12


def main() -> None:
    """Multiplies and reports."""
    options = arguments(__doc__)
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(SIDE, SIDE)).astype(np.float32) for _ in range(2))
    # `report` divides images by seconds; a product is as many images as it has GFLOP.
    options.steps, options.batch = PRODUCTS, 2 * SIDE**3 / 1e9

    def block() -> float:
        began = time.perf_counter()
        for _ in range(PRODUCTS):
            np.dot(a, b)
        return time.perf_counter() - began

    report(options, block)


if __name__ == "__main__":
    main()
