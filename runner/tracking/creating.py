"""Lets one process at a time open a database on a server: two that create the tables of a fresh one collide.

>>> with alone("sqlite:///mlflow.db"): pass      # a file is created otherwise, see `template`
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_KEY: Final = 7_286_011_935  # any number, the same in every process


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """Holds a lock of a PostgreSQL database during the block; does nothing for other stores.

    MLflow and Optuna look which tables there are, and create the others in several steps.
    Raises the errors of the database driver.
    """
    if not uri.startswith("postgresql"):
        yield
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:  # its end releases the lock
        connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({_KEY})"))
        yield
