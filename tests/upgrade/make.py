"""How `before.tar.xz` was made: what the version before the change of the house (commit 2c2496c) left on a disk.

    git worktree add ../before 2c2496c && PYTHONPATH=../before python tests/upgrade/make.py before.tar.xz

A recorded run in `outputs/run`, a sweep of two members, and a sweep that was interrupted in its second member, all in
one MLflow store with Optuna's database beside it. Databases are kept as SQL, and the folder in which all this was made
is written as @FOLDER@, so that a test can lay it out in a folder of its own.
"""

import io
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

TINY = (
    "model.name=tiny",
    "model.input=null",
    "model.layers=[{conv: {filters: 2, kernel_size: 3}}, batch_norm, relu, {max_pool: {size: 2}}, flatten, classifier]",
    "data.limit=96",
    "train.batch_size=32",
    "train.epochs=1",
    "tracking.figures=false",
)
RUN = (*TINY, "hydra.run.dir=outputs/run", "seed=7", "optimizer.learning_rate=0.02")
SWEEP = ("-m", *TINY, "tracking.log_model=false", "optimizer.learning_rate=0.01,0.02")
INTERRUPTED = ("-m", *TINY, "tracking.log_model=false", "seed=0,1", "sweep.strategy=loop")
FOLDER = "@FOLDER@"
LEFT_OUT = ("report.html", "model.jax_export")  # large; and it names where the packages were installed

# A sweep whose second member ends by Ctrl+C after its first epoch.
INTERRUPT = """
from runner import cli
from runner.loop import Loop

record = Loop.record

def interrupted(self, number, *rest):
    if self.experiment.seed == 1:
        raise KeyboardInterrupt
    return record(self, number, *rest)

Loop.record = interrupted
cli.main()
"""


def packed(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their names, databases as SQL."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name in LEFT_OUT:
            continue
        name = str(path.relative_to(folder))
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as connection:
                name, data = f"{name}.sql", "\n".join(connection.iterdump()).encode()
        else:
            data = path.read_bytes()
        found[name] = data.replace(str(folder).encode(), FOLDER.encode())
    return found


def main(target: Path) -> None:
    """Makes everything in a scratch folder, and packs it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for command in (RUN, SWEEP):
            subprocess.run([sys.executable, "-m", "runner", *command], cwd=folder, check=True)
        assert subprocess.run([sys.executable, "-c", INTERRUPT, *INTERRUPTED], cwd=folder).returncode == 130
        files = packed(folder)
    with tarfile.open(target, "w:xz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
