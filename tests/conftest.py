"""What every test stands on: JAX on the CPU and strict about types and ranks, and nothing written outside its folder.

The environment is set before JAX, MLflow or matplotlib is imported, so that programs which tests start inherit it.
"""

import os
from pathlib import Path

import hypothesis
import hypothesis.configuration
import pytest

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
