"""`runner stop run=ID`: ends a run that trains on this machine, as Ctrl+C does."""

import os
import signal

from pydantic import Field

from runner.errors import ConfigError, Fault
from runner.records import Record
from runner.verb import Asked, SettingsVerb


class Stop(Record):
    """Which runs are ended.

    What was measured is kept. The process of a sweep ends with each of its members.
    """

    run: str = Field(min_length=4, description="The ids of runs, or their beginnings, with commas between them.")


def stop(settings: Stop, asked: Asked) -> int:
    """Sends SIGTERM to the process of each run."""
    from runner.processes import Process
    from runner.tracking import begun
    from runner.tracking.listing import end_gone, process_of
    from runner.tracking.locating import with_id
    from runner.tracking.settings import absolute_uri
    from runner.tracking.store import opened

    tracking = asked.tracking()
    names, processes = settings.run.split(","), {}
    for name in names:  # a run that has just begun is not in the store yet
        if (noted := begun.named(absolute_uri(tracking.uri), name)) is None:
            continue
        own = Process.from_text(noted[1].process)
        if own.is_of_this_machine() and not own.has_ended():
            processes[name] = own
    store = opened(tracking) if len(processes) < len(names) else None
    gone = end_gone(store) if store else []
    for run in [with_id(store, name) for name in names if store and name not in processes]:
        run_id, process = run.info.run_id, process_of(run)
        if run.info.status != "RUNNING":
            print(f"{run_id} has ended ({run.info.status.lower()}{', its process was gone' * (run_id in gone)})")
        elif process is None or not process.is_of_this_machine():
            where = f"on {process.host}" if process else "in an unknown process"
            raise ConfigError(Fault("run", f"must train on this machine, got {run_id}, which trains {where}"))
        else:
            processes[run_id] = process
    for process in {process.pid: process for process in processes.values()}.values():
        os.kill(process.pid, signal.SIGTERM)
    for run_id, process in processes.items():
        print(f"{run_id} is being ended (process {process.pid})")
    return 0


VERB = SettingsVerb(Stop, stop, examples=("run=3f2a",))
