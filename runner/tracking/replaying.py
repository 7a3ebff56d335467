"""Sends undelivered messages of runs from the files `untracked.jsonl` in their folders."""

from collections.abc import Iterator
from pathlib import Path

from runner.errors import ConfigError, must
from runner.tracking.faults import failed
from runner.tracking.messages import Opening
from runner.tracking.settings import absolute_uri
from runner.tracking.store import Store
from runner.tracking.untracked import UNTRACKED, locked


def replay(path: Path, uri: str | None = None) -> Iterator[str]:
    """Sends a file, or all such files in the folder of a sweep, and deletes each after sending. Yields the run ids.

    `uri` replaces the store named in the files, for example if that had a password. A run that the store already has is
    continued. A member of a sweep is listed under the run of the sweep.
    Raises ConfigError for another kind of file, TrackingError if the store refuses it.
    """
    files = [path]
    if path.is_dir():
        files = sorted(path.rglob(UNTRACKED), key=lambda file: (len(file.parts), file))
    if not files:
        raise ConfigError(must("", f"be a folder that holds {UNTRACKED}, or such a file", path.name))
    stores: dict[str, Store] = {}
    for file in files:
        yield _send(file, uri, stores)


def _send(path: Path, uri: str | None, stores: dict[str, Store]) -> str:
    with locked(path) as lines:
        address = absolute_uri(uri or lines[0].uri)
        experiment_id = run_id = ""
        try:
            store = stores[address] = stores.get(address) or Store(address)
            for message in lines:
                if not isinstance(message, Opening):
                    store.deliver(experiment_id, run_id, message)
                elif message.run_id is None:
                    experiment_id, run_id = store.begin(message, seek=True)
                else:
                    run_id = message.run_id
                    experiment_id = store.client.get_run(run_id).info.experiment_id
        except Exception as error:  # noqa: BLE001 - MLflow, database drivers and the network share no base
            raise failed(address, "be a store that accepts the file", error) from None
    return run_id
