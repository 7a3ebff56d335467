"""Sending what runs could not deliver, from the files `untracked.jsonl` that they left in their folders."""

from pathlib import Path

from runner.errors import ConfigError, TrackingError, must
from runner.tracking import messages
from runner.tracking.messages import Opening
from runner.tracking.run import UNTRACKED, reason
from runner.tracking.settings import absolute_uri, without_secrets
from runner.tracking.store import Store


def replay(path: Path, uri: str | None = None) -> list[str]:
    """Sends a file, or all such files below the folder of a sweep, and removes each that was taken. Returns the ids
    of the runs.

    `uri` is the store to send them to, where the one in a file is no longer right or had a password. A run that the
    store has already is gone on with, and a member of a sweep is listed under the run of the sweep.
    Raises ConfigError for what is no such file, TrackingError where the store does not take it.
    """
    if not path.is_dir():
        return [_sent(path, uri)]
    files = sorted(path.rglob(UNTRACKED), key=lambda file: (len(file.parts), file))
    if not files:
        raise ConfigError(must("", f"be a folder that holds {UNTRACKED}, or such a file", path.name))
    return [_sent(file, uri) for file in files]


def _sent(path: Path, uri: str | None) -> str:
    try:
        # Not splitlines: texts in these lines may hold U+0085 or U+2028, at which it would divide them.
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        said = [messages.from_line(line) for line in lines]
        if not isinstance(said[0], Opening):
            raise ValueError("it does not begin with a run")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else reason(error)
        raise ConfigError(must("", f"be a file of what was not tracked ({why})", path.name)) from None
    address = absolute_uri(uri or said[0].uri)
    experiment_id = run_id = ""
    try:
        store = Store(address)
        for message in said:
            if not isinstance(message, Opening):
                store.deliver(experiment_id, run_id, message)
            elif message.run_id is None:
                experiment_id, run_id = store.begin(message, seek=True)
            else:
                run_id = message.run_id
                experiment_id = store.client.get_run(run_id).info.experiment_id
    except Exception as error:  # noqa: BLE001 - MLflow, database drivers and the network share no base
        rule = f"be a store that takes what was not tracked ({reason(error)})"
        raise TrackingError(must("tracking.uri", rule, without_secrets(address))) from None
    path.unlink()
    return run_id
