"""What the page says again in JavaScript is what the program says: words of texts, images at a size, messages."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from layers.alone import told
from page.computing import node

from runner.data.fit import fit
from runner.data.vocabulary import words

TEXTS = [
    "It's NOT bad!",
    "Don’t   panic – 42.5 %, naïve cafe\u0301 under_score",
    "你好，世界！ 我喜欢这部电影",
    "हिन्दी में नमस्ते",
    "العربية جميلة",
    "👩‍👩‍👧 👍🏽 🇩🇪🇫🇷 ❤️ © ™",
    "soft\u00adhyphen zero\u200bwidth tab\tline\nend\u0085next\u2028par",
    "a'b 'quoted' rock'n'roll ''",
    "ÅNGSTRÖM İstanbul ΣΊΣΥΦΟΣ ﬁn",
    "",
]


def test_texts_are_split_as_in_training(tmp_path: Path) -> None:
    script = 'const { words } = await load("inputs"); print(given.map(words));'
    assert node(tmp_path, script, TEXTS) == [words(text) for text in TEXTS]


@pytest.mark.parametrize(
    ("shape", "size", "how"),
    [
        ((28, 28, 1), (32, 32), "resize"),
        ((8, 8, 1), (32, 32), "resize"),
        ((30, 20, 3), (12, 17), "resize"),
        ((9, 6, 2), (12, 11), "pad"),
        ((9, 12, 3), (4, 5), "crop"),
    ],
)
def test_images_come_to_the_size_of_the_input_as_in_training(
    shape: tuple[int, ...], size: tuple[int, int], how: str, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    script = 'const { fitted } = await load("inputs"); print(fitted(arrays[0], ...given));'
    found = node(tmp_path, script, [shape, [*size, shape[-1]], how, [0.25]], [image])
    np.testing.assert_allclose(found, np.ravel(fit(image[None], size, how, black=0.25)), atol=1e-6)  # type: ignore[arg-type]


def test_the_bench_says_what_the_yaml_would_be_told(tmp_path: Path) -> None:
    settings = [
        {"size": size, "stride": stride, "padding": padding, "dilation": dilation, "mode": mode}
        for size, stride, padding, dilation, mode in itertools.product(
            (0, 1, 3, 9),
            (0, 2),
            ("valid", "same", "full", "causal", 0, 3, 7, -1),
            (1, 4),
            ("zeros", "reflect", "circular"),
        )
    ]
    script = """
const { faultOf, windowOf } = await load("geometry"), { positions } = await load("convolution");
print(given.map((one) => {
  const fault = faultOf(one, 7);
  return fault ? fault.text : positions(7, windowOf(one, 7));
}));
"""
    found = node(tmp_path, script, settings)
    assert len({text for text in found if isinstance(text, str)}) > 8
    for setting, ours in zip(settings, found, strict=True):
        names = {"size": "kernel_size", "mode": "padding_mode"}
        conv = {"filters": 1} | {names.get(name, name): value for name, value in setting.items()}
        faults = told({"conv": conv}, "flatten", "classifier", shape=(7, 7, 1))
        if isinstance(ours, str):
            assert f"model.layers[0].conv.{ours}" in faults, setting
        else:
            assert faults == [], setting
