"""What every test stands on: JAX on the CPU and strict about types and ranks, and nothing written outside its folder.

The environment is set before JAX, MLflow or matplotlib is imported, so that programs which tests start inherit it.
"""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import hypothesis
import hypothesis.configuration
import pytest
from browser import Page, started
from commands import Done, Runner

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # A developer's own tracking server or Hydra settings are none of the tests' business.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "HYDRA_FULL_ERROR"):
        os.environ.pop(name, None)

    cache: pytest.Cache | None = getattr(config, "cache", None)  # None under `-p no:cacheprovider`
    if cache is not None:
        # Compiled programs and matplotlib's list of fonts outlive a test run, so that the next one starts faster.
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache.mkdir("jax"))
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        os.environ["MPLCONFIGDIR"] = str(cache.mkdir("matplotlib"))
        hypothesis.configuration.set_hypothesis_home_dir(cache.mkdir("hypothesis"))
        # A run that was cut short can leave half an entry: JAX says so and compiles again.
        config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache:UserWarning")

    import jax

    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")

    # Deadlines would time compilation. `ci` tries the same examples every time, `dev` new ones.
    hypothesis.settings.register_profile("dev", deadline=None)
    hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Downloads land in a folder of this test run, never in the developer's own cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's current folder is its own empty one, so that `outputs/` and the like never land in the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Where real images lie (`mnist/`, `cifar10/`): CONVRUNNER_TEST_DATA, by default ../shared/data of the checkout."""
    folder = Path(os.environ.get("CONVRUNNER_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no images in {folder}: CONVRUNNER_TEST_DATA names a folder with mnist/ and cifar10/")
    return folder.resolve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    """A headless Chromium; tests that use it are skipped without one."""
    with started() as page:
        yield page


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Runner]:
    """`runner ARGUMENTS` in this process, in a folder of its own and without a network."""
    import absl.logging
    from hydra.core.global_hydra import GlobalHydra

    from runner import cli

    def refuse(*args: object, **kwargs: object) -> str:
        raise ConnectionError("no network in tests")

    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr("pooch.retrieve", refuse)
    # Hydra closes the handlers it finds, and absl's (which comes with Optax) then closes pytest's own stream.
    monkeypatch.setattr(absl.logging.get_absl_handler().python_handler, "stream", sys.__stderr__)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str) -> Done:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["runner", *arguments])
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
        assert "Traceback" not in err.getvalue()
        return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    yield run
    for handler in root.handlers:
        if isinstance(handler, logging.FileHandler) and handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
