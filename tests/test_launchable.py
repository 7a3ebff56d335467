"""Recorded configurations launch again, whatever texts they hold, and hold no value of the environment."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from commands import Runner
from configurations import TINY, composed, parse
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from runner import composition, strict_yaml
from runner.errors import ConfigError
from runner.launchable import as_yaml, launchable, overrides_yaml, single

MISTAKABLE = (
    "1e3", "695e0514", "-1e3", "1.e5", "a${x}b", "${", "\x85", "\u2028", "\ufeff", "\\${a}", "\\\\${", "yes", "NO",
    "010", "1:30", "1_000", "2024-01-01", "~", "null", "", " ", "<<", "=", "y", "?", "- a", "a: b", "# a",
    "${oc.env:HOME}", "0x1",
)  # fmt: skip
texts = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(MISTAKABLE)
    | st.text("\\${}x'\" \n\t", max_size=10)
).filter(lambda text: text != "???")
scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(texts, values, max_size=4))
@example({text: [text, {text: text}] for text in MISTAKABLE})
@example({"a": [1e-05, float("inf"), float("-inf"), -0.0, 1e300, 5e-324]})
def test_every_text_key_and_number_comes_back(value: dict[str, Any]) -> None:
    text = as_yaml(value)
    read = strict_yaml.read(text, "x")
    assert repr(read) == repr(yaml.safe_load(text))
    for config in (OmegaConf.create(read), OmegaConf.create(yaml.safe_load(text))):
        found = OmegaConf.to_container(config, resolve=True)
        assert repr(found) == repr(value)  # tells -0.0 from 0.0, and 1 from 1.0 and true


def test_nan_comes_back() -> None:
    assert repr(strict_yaml.read(as_yaml({"a": float("nan")}), "x")) == "{'a': nan}"


def test_what_cannot_be_held_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        composition.plain(OmegaConf.create({"a": [{"b": "${oc.decode:\"'???'\"}"}]}))
    assert str(caught.value) == "a[0].b: must be another text than ???, got ???"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10), max_size=4))
def test_overrides_survive_yaml_and_the_shell(found: list[str]) -> None:
    overrides = tuple(f"a{index}={QuotedString(text, Quote.single).with_quotes()}" for index, text in enumerate(found))
    assert tuple(yaml.safe_load(overrides_yaml(overrides)) or ()) == overrides
    assert OmegaConf.to_container(OmegaConf.create(overrides_yaml(overrides) or "[]")) == list(overrides)
    again = shlex.split(single((), overrides))[1:]
    assert tuple(again) == overrides
    for line, text in zip(again, found, strict=True):
        assert str(OverridesParser.create().parse_override(line).value()) == text


def test_overrides_survive_a_real_shell() -> None:
    overrides = [f"a={text}" for text in MISTAKABLE]
    line = single((), overrides)
    program = "runner() { printf '%s\\0' \"$@\"; }; " + line
    done = subprocess.run(["sh", "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == overrides


def test_an_override_is_given_again_as_it_was() -> None:
    given_once = [
        "seed=1",
        "model=lenet5",
        "+mine/group=x",
        "~augment",
        "model.name='a b'",
        "++model.name=b",
        "debug=nan",
    ]
    freed = composition.for_hydra(given_once)
    assert composition.for_hydra(list(composition.as_typed(freed))) == freed
    assert freed[-1] == "debug='nan'"
    assert composition.as_typed(freed) == (*given_once[:5], "model.name=b", "debug=nan")


def launched_by(path: Path) -> list[str]:
    """The arguments that the first line of a file names, as a shell takes them."""
    line = path.read_text(encoding="utf-8").splitlines()[0]
    command = line.removeprefix("# python -m runner ").split("        ")[0]
    return shlex.split(command.replace("FOLDER", shlex.quote(str(path.parent))))


def test_a_recorded_configuration_composes_the_identical_experiment(runner: Runner, tmp_path: Path) -> None:
    overrides = [*TINY, "tracking.tags={a: '1e3', b: '695e0514', c: 'x: y'}", "model.name='1e3 # \u0085'"]
    whole = composed(*overrides)
    folder = tmp_path / "a folder's"
    folder.mkdir()
    for stem in ("config", "best"):
        path = folder / f"{stem}.yaml"
        path.write_text(launchable(whole, stem, "trains this again"), encoding="utf-8")
        assert launched_by(path) == ["--config-dir", str(folder), "--config-name", stem]
        shown = runner(*launched_by(path), "--cfg=job")
        assert shown.status == 0, shown.err
        found: Any = OmegaConf.to_container(OmegaConf.create(strict_yaml.read(shown.out, "x")), resolve=True)
        assert parse(found) == parse(whole)


@pytest.mark.parametrize("mode", [(), pytest.param(("seed=0,1", "-m"), marks=pytest.mark.slow)])
def test_no_value_of_the_environment_is_recorded(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, mode: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TOKEN", "very-secret-value")
    tracked = [line for line in TINY if not line.startswith("tracking")]
    extra = (
        "model.name=tiny",
        "train.epochs=1",
        "tracking.uri=sqlite:///store.db",
        "figures=off",
        "++ui.host=${oc.env:TOKEN}",
        "++sweep.name=${ui.host}",
        "optimizer.b1='${oc.decode:${oc.env:B1}}'",
    )
    monkeypatch.setenv("B1", "0.87654321")
    done = runner(*tracked, *extra, *mode)
    assert done.status == 0, done.err
    client = mlflow.MlflowClient(tracking_uri="sqlite:///store.db")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    own = [run for run in runs if "optimizer.b1" in run.data.params]
    assert [run.data.params["optimizer.b1"] for run in own] == ["${oc.decode:${oc.env:B1}}"] * (2 if mode else 1)
    folders = [Path(client.download_artifacts(run.info.run_id, "")) for run in runs]
    everything = [path for root in (*folders, Path("outputs")) for path in root.rglob("*") if path.is_file()]
    assert {path.name for path in everything} >= {"config.yaml", "overrides.yaml", "hydra.yaml"}
    for path in (*everything, Path("store.db")):
        for secret in (b"very-secret-value", b"0.87654321"):
            assert secret not in path.read_bytes(), path
    folder = folders[runs.index(own[0])]
    config = (folder / "config.yaml").read_text()
    assert "host: ${oc.env:TOKEN}" in config or 'host: "${oc.env:TOKEN}"' in config
    again = runner(*launched_by(folder / "config.yaml"))
    assert again.status == 0, again.err
