"""How MLflow loads a logged model. What is wrong with a request is answered by one line, with the HTTP status 400.

This module is part of every logged model.
"""

from pathlib import Path
from typing import Any

from click import ClickException
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from runner.errors import ConvrunnerError
from runner.serving.model import ServedModel


class RefusedError(MlflowException, ClickException):
    """An input that a model cannot use.

    MLflow's server answers it with the status 400; its command line, which is made by click, prints one line.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        super().__init__(text, error_code=INVALID_PARAMETER_VALUE)

    @property  # type: ignore[misc]  # click declares a plain attribute
    def message(self) -> str:
        """The line; MLflow's server would put all the data before it."""
        return self._text

    @message.setter
    def message(self, text: str) -> None:
        """Changes nothing."""


class Model:
    """A model as MLflow calls it."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The answers; see `ServedModel.predict`. Raises RefusedError if an input cannot be used."""
        try:
            return self.served.predict(data, params)
        except ConvrunnerError as error:
            raise RefusedError(str(error.faults[0])) from error


def _load_pyfunc(path: str) -> Model:
    """The entry point of MLflow."""
    return Model(ServedModel(Path(path)))
