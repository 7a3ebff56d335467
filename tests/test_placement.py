"""Where programs run: what is chosen, what it is called, and that programs are kept."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from runner import placement
from runner.errors import ConfigError
from runner.placement import Placement


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """JAX's settings end with the test."""
    names = ("jax_default_device", "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_the_cpu_is_chosen_where_there_is_nothing_better(name: str) -> None:
    if any(found.platform != "cpu" for found in jax.devices()) and name == "auto":
        pytest.skip("there is something better here")
    chosen = placement.choose(name)
    assert chosen.platform == "cpu"
    assert jax.config.jax_default_device == chosen.device
    assert str(chosen).startswith("cpu (")
    assert str(chosen).endswith(" threads)")


@pytest.mark.parametrize("name", ["gpu", "tpu"])
def test_a_device_that_is_not_there_is_said_so(name: str) -> None:
    if any(Placement(found).platform == name for found in jax.devices()):
        pytest.skip(f"there is a {name} here")
    with pytest.raises(ConfigError) as caught:
        placement.choose(name)
    assert str(caught.value) == f"train.device: must be a device that JAX finds here (cpu), got {name}"


@pytest.mark.parametrize(
    ("platform", "kind", "text"),
    [
        ("cuda", "NVIDIA H100", "gpu (NVIDIA H100)"),
        ("gpu", "NVIDIA A100", "gpu (NVIDIA A100)"),
        ("rocm", "MI300", "gpu (MI300)"),
        ("tpu", "TPU v4", "tpu (TPU v4)"),
    ],
)
def test_a_device_is_called_what_people_call_it(platform: str, kind: str, text: str) -> None:
    assert str(Placement(SimpleNamespace(platform=platform, device_kind=kind))) == text  # type: ignore[arg-type]


def test_programs_are_kept_in_the_cache_unless_another_place_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    placement.choose("cpu")
    assert jax.config.jax_compilation_cache_dir == before
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    placement.choose("cpu")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "programs")
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0.0


def test_a_cpu_beside_an_accelerator_keeps_its_own_lowerings(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = placement.choose("cpu")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # what JAX says where both are there
    assert (cpu.lowering("auto"), cpu.lowering("portable")) == ("auto", "portable")
    accelerator = Placement(SimpleNamespace(platform="cuda"))  # type: ignore[arg-type]
    assert accelerator.lowering("auto") == "reference"
