"""`runner explain`: what a user of a recorded run sees, and the mistakes of one line."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Done, Runner
from configurations import TINY
from PIL import Image
from sweep.swept import store

ALL = (
    *("diagram.svg", "filters.png", "feature_maps.png", "class_probabilities.png", "grad_cam.png", "occlusion.png"),
    *("saliency.png", "integrated_gradients.png", "receptive_field.png", "exciting_images.png", "made_images.png"),
    *("embedding.png", "page.html"),
)
_BEGINS = {"svg": b"<svg", "png": b"\x89PNG", "html": b"<!doctype html>"}
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # from MLflow's use of SQLAlchemy


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recorded run in outputs/run, and an image."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def explain(home: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(home)
    if not Path("outputs/run").is_dir():
        tracked = (line for line in TINY if not line.startswith("tracking"))
        done = runner(*tracked, "train.epochs=1", "figures=off", "hydra.run.dir=outputs/run")
        assert done.status == 0, done.err
        Path("8").mkdir()
        Image.fromarray(np.full((20, 30), 90, np.uint8)).save("8/grey pixels.png")

    def explained(*arguments: str, run: str = "outputs/run") -> Done:
        return runner("explain", f"run={run}", *arguments)

    return explained


def logged(folder: str) -> tuple[str, list[str]]:
    """The id of the run in the store, and the names of its artifacts in a folder."""
    client = store()
    [run] = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return run.info.run_id, sorted(Path(entry.path).name for entry in client.list_artifacts(run.info.run_id, folder))


@pytest.mark.slow  # every figure compiles programs of its own
def test_every_figure_is_written_into_the_run_and_logged(explain: Any) -> None:
    done = explain()
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    run_id, names = logged("explain")
    assert lines[0] == "layer: layers[2].max_pool"
    assert lines[1] == "a diagram of the network: outputs/run/explain/diagram.svg"
    assert lines[-1] == f"logged to the MLflow run {run_id}, in explain; see it with: python -m runner ui"
    assert len(lines) == 2 + len(ALL)
    assert sorted(path.name for path in Path("outputs/run/explain").iterdir()) == sorted(ALL) == names
    for name in ALL:
        content = Path("outputs/run/explain", name).read_bytes()
        assert content.startswith(_BEGINS[name.partition(".")[2]])


def test_an_image_of_the_data_or_of_a_file_has_a_folder_of_its_own(explain: Any) -> None:
    by_index = explain("index=3", "what=class_probabilities,grad_cam", "layer=conv")
    assert by_index.status == 0, by_index.err
    assert by_index.out.splitlines()[0] == "layer: layers[0].conv"
    assert logged("explain/index_3")[1] == ["class_probabilities.png", "grad_cam.png"]
    by_file = explain("image=8/grey pixels.png", "what=[occlusion]", run=logged("")[0][:8])
    assert by_file.status == 0, by_file.err
    assert Path("outputs/run/explain/grey_pixels.png/occlusion.png").is_file()
    assert logged("explain/grey_pixels.png")[1] == ["occlusion.png"]


def test_a_run_that_the_store_does_not_have_is_explained_all_the_same(explain: Any) -> None:
    elsewhere = Path("copied")
    os.rename("outputs/run", elsewhere)  # noqa: PTH104
    try:
        done = explain("what=diagram", run="copied")
    finally:
        os.rename(elsewhere, "outputs/run")  # noqa: PTH104
    assert done.status == 0
    assert done.out == "a diagram of the network: copied/explain/diagram.svg\n"
    assert done.err.startswith("not logged to MLflow: run: must be a run that sqlite:")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("index=144",), "index: must be the number of a validation image, 0 to 143, got 144"),
        (("index=-1",), "index: must be ≥ 0, got -1"),
        (("image=none.png",), "none.png: must be a file that exists, got nothing"),
        (("image=8/grey pixels.png", "index=1"), "index: must not be given beside image"),
        (("what=grad_kam",), 'what[0]: unknown figure "grad_kam"; did you mean "grad_cam"?'),
        (("layer=9_conv",), 'layer: unknown layer "9_conv"; did you mean "0_conv"?'),
    ],
)
def test_a_mistake_is_one_line(explain: Any, arguments: tuple[str, ...], line: str) -> None:
    done = explain(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines() == [line]


def test_the_settings_of_a_user_are_told_by_help(runner: Runner) -> None:
    out = runner("explain", "--help").out
    assert "3_conv, layers[3] or conv" in out


@pytest.mark.slow
def test_a_network_of_texts_is_told_what_does_not_apply(runner: Runner, tmp_path: Path) -> None:
    rows = [
        f"a {('fine', 'lovely')[n % 2]} film {n % 7},good\na {('dull', 'poor')[n % 2]} film {n % 5},bad"
        for n in range(40)
    ]
    (tmp_path / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    layers = (
        "model.layers=[{embedding: {dim: 6}}, {conv: {filters: 5, kernel_size: 2}}, relu, global_max_pool, classifier]"
    )
    texts = ("data=text", "data.root=texts.csv", "data.length=6", "data.limit=80", layers)
    done = runner(
        *TINY[:2], *texts, "train.batch_size=16", "train.epochs=1", "tracking=off", "hydra.run.dir=outputs/run"
    )
    assert done.status == 0, done.err
    told = runner("explain", "run=outputs/run")
    assert told.status == 0, told.err
    assert told.out.splitlines()[0].startswith("does not apply to this network: filters, feature_maps, ")
    made = {path.name for path in Path("outputs/run/explain").iterdir()}
    assert made == {"diagram.svg", "embedding.png", "page.html"}
