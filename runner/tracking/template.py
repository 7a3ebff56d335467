"""Creates a new SQLite store atomically, from a template.

MLflow creates a database by running all its migrations, which takes seconds; a process killed during this leaves a file
that MLflow cannot open. So a template is created once for each version of MLflow, cached, and copied.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from runner import atomic
from runner.data import sealed
from runner.tracking.settings import artifact_root


def prepare(file: Path, mlflow: Any, cache: Path) -> None:
    """Creates the store `file` if it does not exist. `mlflow` is the module, `cache` a permanent folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        return
    template = _template(mlflow, cache)
    with complete(file) as scratch:
        scratch.write_bytes(template)
        with closing(sqlite3.connect(scratch)) as database, database:
            root = artifact_root(f"sqlite:///{file}")
            database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (f"{root}/0",))


def _template(mlflow: Any, cache: Path) -> bytes:
    """The content of a new store, from the cache; if it is missing or damaged there, creates and caches it."""
    path = cache / f"mlflow-{mlflow.__version__}.sealed"
    cached = sealed.read(path)
    if cached is not None:
        return cached.tobytes()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "mlflow.db"
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{scratch}", registry_uri=f"sqlite:///{scratch}")
        client.search_experiments(max_results=1)
        content = scratch.read_bytes()
    with suppress(OSError):  # without a cache, creation only takes longer
        sealed.write(path, content)
        (cache / f"mlflow-{mlflow.__version__}.db").unlink(missing_ok=True)  # of versions that kept no checksum
    return content


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """Yields a temporary file to write, which is then moved to `path`, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        scratch = Path(folder) / path.name
        yield scratch
        atomic.persist(scratch)
        try:
            os.link(scratch, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            scratch.replace(path)
    atomic.persist(path.parent)
