"""`runner export run=RUN format=onnx`: a trained network as a file for other programs, and a model card."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from runner.errors import ConfigError, must
from runner.verb import Asked, RunSettings, SettingsVerb


class Export(RunSettings):
    """What is written.

    onnx and stablehlo have the preprocessing inside and take any number of inputs. Their outputs are compared
    with ours.
    """

    format: Literal["stablehlo", "onnx", "safetensors"] = Field(
        description="onnx (needs convrunner[onnx]); stablehlo for CPU, CUDA and TPU; safetensors: the weights alone."
    )
    file: str | None = Field(None, min_length=1, description="The file; null: MODEL.FORMAT in the current folder.")


def export(settings: Export, asked: Asked) -> int:
    """Writes the file and the card, and prints both names."""
    from runner import exporting, trained

    with asked.folder(settings.run) as folder:
        network = trained.load(folder)
    name = network.experiment.model.name.replace("/", "_")
    path = Path(settings.file or f"{name}.{settings.format}").expanduser()
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(must("file", "be a file in a folder that exists", str(path)))
    try:
        done = exporting.export(network, settings.format, path)
    except OSError as error:
        raise ConfigError(must("file", "be one that can be written", f"{path} ({error.strerror})")) from error
    print(f"{done.path}: {done.size_bytes / 1e6:.3g} MB; {done.compared}")
    print(f"{done.card}: the model card")
    return 0


VERB = SettingsVerb(Export, export, examples=("run=outputs/first format=onnx file=digits.onnx",))
