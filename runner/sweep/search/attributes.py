"""The attributes of a sweep in its storage, with changes that happen only if nobody else has changed the text before.

Optuna's table is used; Optuna itself overwrites an attribute without comparing. Every text is JSON, as Optuna reads all
attributes of a study at once.

    >>> attributes.change([("lease", None, mine)])  # if there is none
    True
    >>> attributes.change([("lease", mine, None)])  # if it is still mine
    True
"""

from collections.abc import Iterable
from typing import Final

from optuna.storages import RDBStorage
from sqlalchemy import Connection, column, select, table
from sqlalchemy.exc import IntegrityError

_TABLE: Final = table("study_user_attributes", column("study_id"), column("key"), column("value_json"))
Change = tuple[str, str | None, str | None]  # the key, the text before, and the text after; None: there is none


class _ChangedError(Exception):
    """Another process has changed an attribute."""


class Attributes:
    """The attributes of one study."""

    def __init__(self, storage: RDBStorage, study_id: int) -> None:
        self._engine, self._study_id = storage.engine, study_id

    def read(self, key: str) -> str | None:
        """The text of an attribute; None if there is none."""
        condition = (_TABLE.c.study_id == self._study_id) & (_TABLE.c.key == key)
        with self._engine.connect() as connection:
            row = connection.execute(select(_TABLE.c.value_json).where(condition)).first()
        return None if row is None else str(row.value_json)

    def beginning(self, start: str) -> dict[str, str]:
        """The texts of attributes whose key begins so, by the rest of the key, all of one moment."""
        condition = (_TABLE.c.study_id == self._study_id) & _TABLE.c.key.startswith(start, autoescape=True)
        with self._engine.connect() as connection:
            rows = connection.execute(select(_TABLE.c.key, _TABLE.c.value_json).where(condition)).all()
        return {str(key)[len(start) :]: str(text) for key, text in rows}

    def change(self, changes: Iterable[Change]) -> bool:
        """Makes all of the changes if every text is the one before, else none. Returns whether they were made."""
        try:
            with self._engine.begin() as connection:
                for key, before, after in changes:
                    self._change(connection, key, before, after)
        except (IntegrityError, _ChangedError):
            return False
        return True

    def _change(self, connection: Connection, key: str, before: str | None, after: str | None) -> None:
        if before is None:
            row = {"study_id": self._study_id, "key": key, "value_json": after}
            connection.execute(_TABLE.insert().values(**row))
            return
        columns = _TABLE.c
        same = (columns.study_id == self._study_id) & (columns.key == key) & (columns.value_json == before)
        change = _TABLE.delete().where(same) if after is None else _TABLE.update().where(same).values(value_json=after)
        if connection.execute(change).rowcount != 1:
            raise _ChangedError
