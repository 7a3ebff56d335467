"""Limits on the cost of one input. An input beyond a limit is refused before it uses much time or memory.

Each limit is far above the needs of ordinary inputs. No setting changes them; divide a larger input.
"""

from typing import Final

IMAGE_FILE_BYTES: Final = 2**30
"""The largest image file, in a folder or unpacked from a .zip: eight bytes for each of `IMAGE_PIXELS`. A .zip of 10 MB
can contain a file of 10 GB."""

IMAGE_PIXELS: Final = 2**27
"""The most pixels of one image file: 11,585 × 11,585, which need 512 MiB at four bytes each. A PNG of a few KB can
claim more; Pillow itself refuses more than 178,956,970."""

ROW_GROUP_BYTES: Final = 2**31
"""The most bytes of images in one row group of a Parquet file: each thread that decodes has one in memory."""

LABEL_BYTES: Final = 2**20
"""The largest entry with a label in a .tar shard, .cls, .txt or .json: all are read when the shard is listed."""

SHARDS: Final = 100_000
"""The most shards that a pattern such as train-{000000..000146}.tar may name."""

TEXT_FILE_BYTES: Final = 2**28
"""The largest file of one text: "War and Peace" has 3 MB."""

TABLE_BYTES: Final = 2**32
"""The largest table, alone, in a folder or in a .zip. Python needs several times as much memory for the
texts of its columns."""

TAR_BYTES: Final = 2**30
"""The most bytes that the .tar.gz of CIFAR may unpack to, including headers: six times the published archives."""

IDX_BYTES: Final = 2**32
"""The most bytes of an IDX file, after unpacking: ninety times those of MNIST."""

NPZ_BYTES: Final = 2**32
"""The most bytes that an .npz of data or weights may unpack to: twenty times CIFAR-10; see also `NPZ_RATIO`."""

NPZ_RATIO: Final = 64
"""An .npz larger than `NPZ_BYTES` may unpack to this many times its compressed size. Photographs reach 2, masks of
five round classes 26 at 64×64 pixels and 73 at 256×256, an array of zeros 1,000. Uncompressed arrays have a ratio of
1."""

FIELD_PERIOD: Final = 1024
"""The largest product of upsampling factors along an axis for which receptive fields are kept exactly, one for each
position of a period. It turns one pixel into a row of 1,024."""

YAML_BYTES: Final = 2**20
"""The largest YAML file of a configuration: the longest shipped model, googlenet, has 4 KB when composed."""

YAML_VALUES: Final = 100_000
"""The most values of one YAML file, including repeats by aliases: nine lists of nine aliases, nested nine times, are
387,420,489 values in 400 bytes."""

YAML_DEPTH: Final = 48
"""The deepest nesting of lists and mappings, in a YAML file or in an override. OmegaConf and Hydra's parser recurse for
each level, and Python stops the program some hundred levels deeper."""

TEXT_CHARACTERS: Final = 16_384
"""The longest text in YAML, and the longest override. Hydra's parser takes 6 seconds for a list of 10,000 numbers, and
its time grows with the square of the length."""

NUMBER_DIGITS: Final = 400
"""The most characters of a number in YAML: the largest float64 has 309 digits, and Python refuses 4,301."""

SWEEP_VALUES: Final = 100_000
"""The most values in one entry of a sweep, and the most combinations of all entries. Intervals have no such limit,
because their values are not listed."""

SWEEP_TRIALS: Final = 100_000
"""The largest `sweep.trials`. All trials are kept in memory, and the sampler uses all of them."""

SWEEP_BATCH: Final = 4096
"""The largest `sweep.batch`: all members of a batch are composed before the first is trained."""

INTERPOLATIONS: Final = 10_000
"""The most interpolations resolved in one configuration, counted at each use: `a: ${b}${b}`, nested thirty times,
would be 2³⁰. OmegaConf takes about 0.2 ms for each."""

INTERPOLATION_DEPTH: Final = 24
"""The deepest nesting of interpolations: OmegaConf recurses for each level, and Python stops the program some hundred
levels deeper."""

INTERPOLATED_SIZE: Final = 2**20
"""The largest total size of resolved interpolations in one configuration: characters of texts, values of lists and
mappings."""

EXPERIMENT_CHARACTERS: Final = 500
"""The longest name of an MLflow experiment, a limit of MLflow."""

ARRAY_VALUES: Final = 2**31 - 1
"""The most values of one array, for one image: the outputs of a layer, its parameters, its padded input. Indices have
32 bits."""

LAYERS: Final = 10_000
"""The most layers of a network, including each copy of a repeated layer: DenseNet-201 has 816. XLA's compile time grows
faster than their number."""

WINDOW_PIXELS: Final = 65_536
"""The largest size, stride, dilation and padding of a window, in pixels along an axis, and the most neighbours of a
local response normalisation."""

WIDTH: Final = 1000.0
"""The largest factor of `model.width`."""

BLOCK_VALUES: Final = 100_000
"""The most values of a model after its blocks are expanded, including list entries and keys."""

BLOCK_DEPTH: Final = 32
"""The deepest nesting of blocks."""

EVALUATED_IMAGES: Final = 65_536
"""The most images evaluated at once: a smaller data set is padded to that number."""

TRAINING_STEPS: Final = 100_000_000
"""The most steps of one training: the learning rates of all steps are kept in memory."""
