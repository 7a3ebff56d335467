"""The settings of tracking, and the URI of the store: as used, and as shown without secrets."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator, model_validator

from runner import limits
from runner.errors import must
from runner.records import Record

_ALIAS = "champion"
_REGISTERED = re.compile(r"""[^/:.%"'@]+(?:@(?!(?i:latest|v\d+)$)[\w-]+)?""", re.ASCII)
_SQLITE = "sqlite:///"
_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")
_CREDENTIALS = re.compile(r"(://)[^/\s@]+@")
_SECRET_ARGUMENTS = re.compile(r"(?i)([?&](?:password|passwd|token|secret|user)=)[^&\s]+")


def _pairs(value: Any) -> Any:
    """Converts a mapping to sorted pairs of texts, so that the record is hashable."""
    if isinstance(value, dict):
        if not all(isinstance(item, str | int | float) for item in value.values()):
            raise ValueError(must("", "map names to texts", value).text)
        return tuple(sorted((str(name), str(item)) for name, item in value.items()))
    if not isinstance(value, tuple) or not all(isinstance(pair, tuple) for pair in value):
        raise ValueError(must("", "be a mapping", value).text)
    return value


Tags = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_pairs),
    PlainSerializer(dict, when_used="always"),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
]


with warnings.catch_warnings():
    # Each class of pydantic has `register` from its metaclass, which instances do not see.
    warnings.filterwarnings("ignore", 'Field name "register"', UserWarning)

    class Tracking(Record):
        """Where runs are recorded in MLflow, and what is recorded besides metrics and parameters."""

        renamed: ClassVar[Mapping[str, str]] = {"figures": "figures.draw"}

        enabled: bool = Field(default=True, description="Whether the run is recorded.")
        uri: str = Field(
            default="sqlite:///outputs/mlflow.db",
            description="MLflow tracking store: a database (sqlite:///PATH, postgresql://…) or a server (http://HOST:PORT).",
        )
        experiment: str = Field(
            default="convrunner",
            min_length=1,
            max_length=limits.EXPERIMENT_CHARACTERS,
            description="MLflow experiment of the run.",
        )
        run_name: str | None = Field(
            default=None, description="Name of the run; null = the model's name and the overrides."
        )
        tags: Tags = Field(default=(), description="Tags of the run, as names and texts.")
        log_model: bool = Field(default=True, description="Whether the trained model is logged, ready for serving.")
        register: str | None = Field(
            default=None,
            max_length=limits.EXPERIMENT_CHARACTERS,
            description="NAME or NAME@ALIAS in MLflow's registry, where the model (of a sweep: of the best member) "
            "becomes a version with this alias, by default champion; null: none.",
        )

        @property
        def registered(self) -> tuple[str, str] | None:
            """The name and the alias of the model in the registry; None if it is not registered."""
            if self.register is None:
                return None
            name, _, alias = self.register.partition("@")
            return name, alias or _ALIAS

        @field_validator("register")
        @classmethod
        def _is_a_name(cls, register: str | None) -> str | None:
            if register is not None and not _REGISTERED.fullmatch(register):
                # The aliases that MLflow does not take: latest, and v with a number.
                rule = (
                    "be NAME or NAME@ALIAS, the name without / : . % and quotes, the alias of letters, digits, - and _"
                )
                raise ValueError(must("", rule, register).text)
            return register

        @model_validator(mode="after")
        def _has_a_model(self) -> Self:
            if self.register is not None and not self.log_model:
                raise ValueError("register must be null with log_model=false, as no model is logged")
            return self

        @field_validator("uri")
        @classmethod
        def _is_a_store(cls, uri: str) -> str:
            scheme, separator, _ = uri.partition("://")
            # `postgresql+psycopg` names a driver after the plus; `databricks` alone is a store too.
            if scheme.split("+")[0] not in _SCHEMES or not (separator or uri == "databricks"):
                rule = "be a database such as sqlite:///outputs/mlflow.db or a server such as http://localhost:5000"
                raise ValueError(must("", rule, without_secrets(uri)).text)
            return uri


def without_secrets(text: str) -> str:
    """Replaces user names, passwords and tokens in URLs within a text by `***`."""
    return _SECRET_ARGUMENTS.sub(r"\1***", _CREDENTIALS.sub(r"\1***@", text))


def database_file(uri: str) -> Path | None:
    """The absolute path of the file of an SQLite store; None for other stores."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]).absolute()


def absolute_uri(uri: str) -> str:
    """The URI of a store, with an absolute path if it is a file."""
    file = database_file(uri)
    if file is None:
        return uri
    _, mark, arguments = uri.partition("?")
    return f"{_SQLITE}{file}{mark}{arguments}"


def artifact_root(uri: str) -> str | None:
    """The artifact folder of an SQLite store, next to its file, as a file URI; None: other stores choose their own."""
    file = database_file(uri)
    return None if file is None else (file.parent / "artifacts").as_uri()
