"""`runner explain run=RUN`: figures of what a network sees, and of why it answers as it does."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from annotated_types import Ge
from pydantic import BeforeValidator, Field

from runner import atomic, folders
from runner.errors import ConfigError, ConvrunnerError, DataError, Fault, must
from runner.run_figures.settings import Name
from runner.verb import Asked, RunSettings, SettingsVerb

if TYPE_CHECKING:
    from runner.run_figures.subject import Example, RunFigure, Subject
    from runner.trained import Trained

# In the order of a lesson; figures that were added come after them.
_ORDER: Final = (
    *("diagram", "filters", "feature_maps", "class_probabilities", "label_probabilities", "estimates"),
    *("grad_cam", "occlusion", "saliency", "integrated_gradients"),
    *("receptive_field", "exciting_images", "made_images", "embedding", "page"),
)
_FOLDER: Final = "explain"

Names = Annotated[
    tuple[Name, ...], BeforeValidator(lambda value: tuple(value.split(",")) if isinstance(value, str) else value)
]


class Explain(RunSettings):
    """What is explained.

    By default all figures are drawn, of an image that is classified rightly and of one that is not.
    """

    image: str | None = Field(None, min_length=1, description="The file of an image.")
    index: Annotated[int, Ge(0)] | None = Field(
        None, description="The number of a validation image, as in worst_images."
    )
    layer: str | None = Field(
        None, min_length=1, description="The layer to look at: 3_conv, layers[3] or conv; null: the last one with maps."
    )
    what: Names = Field(_ORDER, description="Names of figures, as in what=grad_cam,occlusion.")
    device: Literal["auto", "cpu", "gpu", "tpu"] = Field("auto", description="Where the network runs.")


def explain(settings: Explain, asked: Asked) -> int:
    """Draws figures into the run's folder, and logs them to its run in MLflow. Returns 1 if one could not be drawn."""
    with asked.folder(settings.run) as folder:
        return _explained(folder, settings, asked)


def _explained(folder: Path, settings: Explain, asked: Asked) -> int:
    from runner import trained
    from runner.run_figures.subject import figure

    known = {name: figure(name) for name in settings.what}
    subject = _subject(trained.load(folder), settings, folder)
    chosen = {name: one for name, one in known.items() if one.fits(subject) and not one.of_training}
    if others := [name for name in known if name not in chosen]:
        print(f"does not apply to this network and task: {', '.join(others)}")
    if any(one.of_layer for one in chosen.values()):
        print(f"layer: {subject.place(subject.path)}")
    into = Path(_FOLDER, *(_file_name(example.name) for example in subject.chosen))
    drawn = [path for name, one in chosen.items() if (path := _drawn(name, one, subject, folder / into)) is not None]
    if drawn:
        _log(drawn, into, folder, settings.run, asked)
    return 0 if len(drawn) == len(chosen) else 1


def _subject(network: "Trained", settings: Explain, folder: Path) -> "Subject":
    """The network with the chosen image and layer. Raises ConfigError or DataError."""
    import dataclasses

    from runner import data, placement
    from runner.explaining.layers import named_layer
    from runner.run_figures.subject import Subject

    if settings.image is not None and settings.index is not None:
        raise ConfigError(Fault("index", "must not be given beside image"))
    here = placement.choose(settings.device)
    layer = None if settings.layer is None else named_layer(network.program.network, settings.layer)
    subject = Subject(network.on(here), here, lambda: data.load(network.experiment.source), layer=layer, folder=folder)
    chosen = _chosen(subject, settings)
    return subject if chosen is None else dataclasses.replace(subject, chosen=(chosen,))


def _chosen(subject: "Subject", settings: Explain) -> "Example | None":
    """The image that the user names."""
    from runner.predicting import Predictor
    from runner.run_figures.subject import Example, has_images

    if settings.image is not None:
        if not has_images(subject.network):
            raise ConfigError(Fault("image", "must not be given for this network, which reads no images"))
        path = Path(settings.image).expanduser()
        predictor = Predictor(subject.trained, device=settings.device)
        label = predictor.label_of(str(path.absolute()))
        classes = subject.trained.classes
        return Example(predictor.image(path), None if label is None else classes.index(label), path.name)
    if settings.index is not None:
        count = len(subject.dataset.val)
        if settings.index >= count:
            rule = f"be the number of a validation image, 0 to {count - 1}"
            raise ConfigError(must("index", rule, settings.index))
        return subject.validation_example(settings.index)
    return None


def _file_name(name: str) -> str:
    """The name of an example as that of a folder: `#12` becomes `index_12`."""
    return re.sub(r"[^\w.-]", "_", re.sub(r"^#", "index_", name)).lstrip(".") or "image"


def _drawn(name: str, figure: "RunFigure", subject: "Subject", folder: Path) -> Path | None:
    """The file of a figure once it is drawn; None, and a line that says why, if it cannot be."""
    path = folder / Path(figure.file(name)).name
    try:
        content = figure.draw(subject)
    except (ConvrunnerError, DataError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, content)
    print(f"{figure.about}: {folders.short(path)}")
    return path


def _log(files: Sequence[Path], into: Path, folder: Path, run: str, asked: Asked) -> None:
    """Logs files to the run, and says where they are; a store that does not have the run costs a line."""
    from runner.tracking.locating import log_files

    try:
        run_id = log_files(asked.tracking(), run, folder, files, into.as_posix())
    except ConvrunnerError as error:
        print(f"not logged to MLflow: {error}", file=sys.stderr)
        return
    print(f"logged to the MLflow run {run_id}, in {into.as_posix()}; see it with: python -m runner ui")


VERB = SettingsVerb(Explain, explain, examples=("run=outputs/first what=grad_cam,occlusion",))
