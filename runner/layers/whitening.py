"""Filters computed from images: their outputs on these images are uncorrelated with variance 1.

Source: Jordan 2024, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, arXiv:2404.00498, §3.2, after Page 2019.
"""

import numpy as np

from runner.layers.base import Shape


def whitening(images: np.ndarray, shape: Shape, epsilon: float) -> np.ndarray:
    """A kernel of `shape` (h, w, c, filters), float32, for images (n, h, w, c) as the network sees them.

    The eigenvectors of the second moments of patches, largest first, each divided by the root of its eigenvalue +
    `epsilon`: the first half of the filters, and the second half their negatives. Filters beyond two for each value
    of a window repeat these.
    """
    *window, channels, filters = shape
    patches = np.lib.stride_tricks.sliding_window_view(images, window, axis=(1, 2))  # (n, h', w', c, *window)
    size = int(np.prod(shape[:-1]))
    moments, count = np.zeros((size, size)), 0
    for image in patches:  # one at a time, to save memory
        rows = np.moveaxis(image, 2, -1).reshape(-1, size).astype(np.float64)
        moments += rows.T @ rows
        count += len(rows)
    values, vectors = np.linalg.eigh(moments / count)
    # The sign of an eigenvector is arbitrary: the component of largest magnitude is made positive.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(size)])
    directions = (vectors * signs / np.sqrt(np.maximum(values, 0) + epsilon))[:, ::-1]
    half = -(-filters // 2)
    kernel = np.concatenate([directions[:, :half], -directions[:, : filters - half]], axis=1)
    kernel = kernel[:, np.arange(filters) % kernel.shape[1]]
    return kernel.reshape(*window, channels, filters).astype(np.float32)
