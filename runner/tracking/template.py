"""A new SQLite store, there as a whole or not at all.

MLflow makes a new database by going through all of its migrations, which takes seconds; a process that is killed
meanwhile leaves a file behind that no MLflow opens any more. So one is made once for every version of MLflow, kept in
the cache, and copied.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from runner.data import sealed
from runner.tracking.settings import artifact_root


def prepare(file: Path, mlflow: Any, cache: Path) -> None:
    """Makes the store `file` where there is none. `mlflow` is the module, `cache` a folder that outlives the run."""
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
    """The content of a new store: from the cache where it is whole there, else made and put there."""
    path = cache / f"mlflow-{mlflow.__version__}.sealed"
    kept = sealed.read(path)
    if kept is not None:
        return kept.tobytes()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "mlflow.db"
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{scratch}", registry_uri=f"sqlite:///{scratch}")
        client.search_experiments(max_results=1)
        content = scratch.read_bytes()
    with suppress(OSError):  # a cache that cannot be written costs time alone
        sealed.write(path, content)
        (cache / f"mlflow-{mlflow.__version__}.db").unlink(missing_ok=True)  # of versions that kept no checksum
    return content


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """A file to be written, which comes to `path` once it is, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        scratch = Path(folder) / path.name
        yield scratch
        sealed.persist(scratch)
        try:
            os.link(scratch, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            scratch.replace(path)
    sealed.persist(path.parent)
