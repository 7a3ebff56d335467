"""Limits on what one input may cost: what goes beyond is refused in one line before much time or memory is used.

Each stands far above what honest inputs need. No setting changes them: divide an input that is larger.
"""

from typing import Final

IMAGE_FILE_BYTES: Final = 2**30
"""The largest image file, in a folder or unpacked from a .zip: twice four bytes for each of `IMAGE_PIXELS`. A .zip of
10 MB can hold a file of 10 GB."""

IMAGE_PIXELS: Final = 2**27
"""The most pixels of one image file, 11,585 × 11,585: at four bytes each 512 MiB while it is decoded. A PNG of a few KB
can claim more; Pillow by itself refuses above 178,956,970."""

TEXT_FILE_BYTES: Final = 2**28
"""The largest file that holds one text: "War and Peace" has 3 MB."""

TABLE_BYTES: Final = 2**32
"""The largest .csv of texts, by itself, in a folder or in a .zip. As Python strings its texts take several times as
much."""

TAR_BYTES: Final = 2**30
"""The most bytes that the .tar.gz of CIFAR is unpacked to, headers included: the published ones have a sixth of it."""

IDX_BYTES: Final = 2**32
"""The most bytes that an IDX file holds, unpacked if it is gzipped: ninety times MNIST's."""

NPZ_BYTES: Final = 2**32
"""The most bytes that any .npz, of data or of weights, may unpack to: twenty times CIFAR-10; see also `NPZ_RATIO`."""

NPZ_RATIO: Final = 64
"""Beyond `NPZ_BYTES`, how many times its compressed size an .npz may unpack to: photographs reach 2, masks of five
round classes 26 at 64×64 pixels and 73 at 256×256, an array of zeros 1,000. Uncompressed arrays have a ratio of 1."""

FIELD_PERIOD: Final = 1024
"""The most positions that upsamplings make of one position of the map, multiplied along the axis: receptive fields are
kept for each of them. So much makes a row of 1,024 pixels out of one."""

YAML_BYTES: Final = 2**20
"""The largest YAML file of a configuration: the longest of the shipped models, googlenet, has 4 KB when composed."""

YAML_VALUES: Final = 100_000
"""The most values of one YAML file, those that aliases repeat counted each time: nine lists of nine aliases, nine deep,
are 387,420,489 values in 400 bytes."""

YAML_DEPTH: Final = 48
"""The most lists and mappings inside one another, in a YAML file or in an override. OmegaConf and Hydra's parser call
themselves for each, and Python ends a program that is some hundred calls deeper."""

TEXT_CHARACTERS: Final = 16_384
"""The longest text in YAML, and the longest override. Hydra's parser takes 6 seconds for a list of 10,000 numbers, and
four times as long for twice as many."""

NUMBER_DIGITS: Final = 400
"""The most characters of a number in YAML: float64 ends at 309 digits, and Python refuses to read 4,301."""

SWEEP_VALUES: Final = 100_000
"""The most values that one entry of a sweep lists, and the most combinations of all entries. An interval has no such
limit, as its values are not listed."""

SWEEP_TRIALS: Final = 100_000
"""The most members that a sampler proposes, `sweep.trials`. Each is kept in memory, and the sampler learns from all."""

SWEEP_BATCH: Final = 4096
"""The most members that a sampler proposes at once, `sweep.batch`: each is composed before the first is trained."""

INTERPOLATIONS: Final = 10_000
"""The most interpolations that one configuration resolves, each counted whenever it is used: `a: ${b}${b}`, thirty
deep, would be 2³⁰. OmegaConf takes some 0.2 ms for each."""

INTERPOLATION_DEPTH: Final = 24
"""The most interpolations inside one another: OmegaConf calls itself for each, and Python ends a program that is some
hundred calls deeper."""

INTERPOLATED_SIZE: Final = 2**20
"""The most characters of texts, and values of lists and mappings, that interpolations come to in one configuration."""

EXPERIMENT_CHARACTERS: Final = 500
"""The longest name of an MLflow experiment, as MLflow has it."""

ARRAY_VALUES: Final = 2**31 - 1
"""The most values of one array, for one image: a layer's outputs, its parameters, its input with the padding around it.
Indices are 32 bits wide."""

LAYERS: Final = 10_000
"""The most layers of a network, each copy of a repeated one counted: DenseNet-201 has 816. XLA's time to compile grows
faster than their number."""

WINDOW_PIXELS: Final = 65_536
"""The largest size, stride, dilation and padding of a window, in pixels along an axis, and the most neighbours of a
local response normalisation."""

WIDTH: Final = 1000.0
"""The largest factor of `model.width`."""

BLOCK_VALUES: Final = 100_000
"""The most values that a model's blocks and parameters come to when expanded, list entries and keys counted."""

BLOCK_DEPTH: Final = 32
"""The most blocks that lie within each other."""

EVALUATED_IMAGES: Final = 65_536
"""The most images evaluated at once: a data set that is smaller is filled up to that many."""

TRAINING_STEPS: Final = 100_000_000
"""The most steps of one training: the learning rate of each is kept in memory."""
