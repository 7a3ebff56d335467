"""What a user may say of tracking: stores, tags, and passwords that are never shown."""

from pathlib import Path

import pydantic
import pytest

from runner.tracking import Tracking, settings


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("outputs/mlruns", "outputs/mlruns"),
        ("file:///mlruns", "file:///mlruns"),
        ("ftp://me:pw@host", "ftp://***@host"),
    ],
)
def test_a_uri_that_is_not_a_store_is_refused(uri: str, shown: str) -> None:
    with pytest.raises(pydantic.ValidationError) as fault:
        Tracking(uri=uri)
    rule = "must be a database such as sqlite:///outputs/mlflow.db or a server such as http://localhost:5000"
    assert fault.value.errors()[0]["msg"] == f"Value error, {rule}, got {shown}"


def test_tags_are_a_mapping_in_yaml_and_hashable_in_the_record() -> None:
    tracking = Tracking.model_validate({"tags": {"week": 3, "course": "cnn"}})
    assert tracking.tags == (("course", "cnn"), ("week", "3"))
    assert hash(tracking) == hash(Tracking.model_validate(tracking.model_dump()))
    assert Tracking.model_json_schema()["properties"]["tags"]["type"] == "object"
    with pytest.raises(pydantic.ValidationError, match=r"must map names to texts, got \{week: \[3\]\}"):
        Tracking.model_validate({"tags": {"week": (3,)}})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:5000/a", "http://***@host:5000/a"),
        ("tracking.uri=postgresql://me:se%40cret@db/x data=mnist", "tracking.uri=postgresql://***@db/x data=mnist"),
        ("mysql://db/x?user=me&password=secret&charset=utf8", "mysql://db/x?user=***&password=***&charset=utf8"),
        ("someone@example.org reads http://host/a@b", "someone@example.org reads http://host/a@b"),
    ],
)
def test_no_uri_is_shown_with_its_password(text: str, shown: str) -> None:
    assert settings.without_secrets(text) == shown


def test_an_sqlite_uri_does_not_depend_on_the_working_folder(tmp_path: Path) -> None:
    assert settings.absolute_uri("sqlite:///outputs/mlflow.db") == f"sqlite:///{tmp_path}/outputs/mlflow.db"
    assert settings.artifact_root("sqlite:///outputs/mlflow.db") == f"file://{tmp_path}/outputs/artifacts"
    assert settings.artifact_root("http://host") is None
