"""What the store has of a sweep whose process was killed, against what its search knows.

A member's run is delivered before the search is told of it. So the store has every member that the search knows. A
member that ended in the store alone is adopted by the search. Runs of members that were killed are left, as their
members go on with them. All other runs of members are deleted: they failed, and their members will be trained again.
"""

import json
import logging
import time
from pathlib import Path
from typing import Final

from runner.observers import costs
from runner.sweep.tags import MEMBER, STATUS
from runner.sweep.tally import RUN_ID, Search
from runner.tracking import Tracking, begun
from runner.tracking.reading import Reader, Recorded
from runner.tracking.store import IDENTITY
from runner.training.outcome import ONCE, Outcome, Status
from runner.withheld import withheld

_log = logging.getLogger(__name__)
_DONE: Final = ("FINISHED", "PRUNED")
_PAUSES: Final = (1.0, 2.0, 4.0)  # seconds, after each try to read a store that may soon answer again


def reconcile(study: Search, tracking: Tracking) -> None:
    """Has search and store agree on which members ended.

    If the store cannot be read, not even after some seconds, a warning says what that may cost.
    """
    if not tracking.enabled:
        return
    for pause in (*_PAUSES, None):
        try:
            _reconcile(study, Reader(tracking))
        except Exception as error:  # noqa: BLE001 - MLflow, database drivers and the network share no base
            if pause is None:
                reason = withheld(str(error).split("\n")[0])
                _log.warning(
                    "tracking.uri: the runs of the sweep cannot be read (%s); members that only the store knows as "
                    "finished are trained again, and then have two runs",
                    reason,
                )
            else:
                time.sleep(pause)
        else:
            return


def _reconcile(study: Search, reader: Reader) -> None:
    runs = reader.runs(*study.mark)
    study.refresh()  # now, so that the search has every member that another process has ended in the store
    known = {result.run_id for result in study.earlier()}
    trained = {result.overrides for result in study.earlier()}
    parent = study.recall(RUN_ID)
    parents = [run.run_id for run in runs if MEMBER not in run.tags]
    if parent is None and parents:
        parent = parents[-1]  # the store had made it before the search knew
        study.remember(RUN_ID, parent)
    for run in runs:
        if MEMBER not in run.tags:
            if run.status == "RUNNING" and run.run_id != parent:
                reader.close(run.run_id)
        elif run.run_id not in known and study.concerns(json.loads(run.tags[MEMBER])["number"]):
            # Its status is set last of all.
            if run.status == "RUNNING" or run.tags.get(STATUS) not in _DONE:
                if not _goes_on(study, run):
                    reader.delete(run.run_id)
            elif tuple(json.loads(run.tags[MEMBER])["overrides"]) not in trained:  # a run that was sent later has no id
                study.adopt(_result(run, reader))


def _goes_on(study: Search, run: Recorded) -> bool:
    """Whether a member was killed, and its next process will go on with this run, as its folder says."""
    own = json.loads(run.tags[MEMBER])
    found = begun.read(Path(own["folder"])) if study.is_waiting_for(own["number"]) else None
    return found is not None and found.identity == run.tags.get(IDENTITY)


def _result(run: Recorded, reader: Reader) -> Outcome:
    """A member from its run alone."""
    own = json.loads(run.tags[MEMBER])
    status: Status = "PRUNED" if run.tags[STATUS] == "PRUNED" else "FINISHED"
    metrics = {name: value for name, value in run.metrics.items() if name not in costs.NAMES}
    epochs = reader.history(run.run_id, [name for name in metrics if not name.startswith(ONCE)])
    return Outcome(
        number=own["number"],
        name=own["name"],
        overrides=tuple(own["overrides"]),
        varied=own["varied"],
        status=status,
        reason=run.tags.get("end_reason", ""),
        run_id=run.run_id,
        folder=own["folder"],
        group=run.tags.get("group", ""),
        metrics=metrics,
        history=tuple(epochs.values()),
        parameters=own["parameters"],
        multiply_adds=own["multiply_adds"],
        seconds=run.metrics.get("seconds/train", 0.0),
    )
