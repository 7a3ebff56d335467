"""The handle of one MLflow run: what it says waits in its queue until the store has taken it.

What cannot be delivered by the end of a run is written to `untracked.jsonl` in the run's folder, from where
`python -m runner.tracking FILE` sends it later.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from runner.errors import TrackingError
from runner.tracking import messages, untracked
from runner.tracking.faults import not_opened, reason
from runner.tracking.messages import DatasetFacts, Message, Opening, Status
from runner.tracking.outbox import Outbox
from runner.tracking.settings import without_secrets
from runner.tracking.store import Store
from runner.tracking.view import run_link

_NAME_CHARACTERS = 250

_log = logging.getLogger(__name__)
# At the end, how long the last messages may take: while the store is away, and while it takes them.
_AWAY_SECONDS, _BUSY_SECONDS = 15.0, 600.0


class Run:
    """One run of an MLflow store. Every method that logs returns at once."""

    def __init__(
        self,
        opening: Opening,
        folder: Path,
        *,
        figures: bool = True,
        enabled: bool = True,
        parent: "Run | None" = None,
        patient: bool = False,
        again: bool = False,
    ) -> None:
        """A run that begins, or with `again` one that the store may have already.

        A store that cannot be opened is no fault of a `patient` run, which waits for the store until it ends.
        """
        self.opening = opening
        self.parent = parent
        self.patient = patient
        self.folder = folder.absolute()
        self.experiment_id: str | None = None
        self._run_id: str | None = None
        self.figures = figures
        self.enabled = enabled
        self._fault: TrackingError | None = None
        self.hurry = threading.Event()
        # Shared by the runs of a store: it does not answer, and a run has waited for it in vain.
        self.away, self.spent = threading.Event(), threading.Event()
        self._is_sought = again
        self._has_kept = False  # the run, or a child of it, has written `untracked.jsonl`
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._ending = False
        self._outbox = Outbox()

    # What a run says ------------------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Values by name at a step, with the time of this call.

        What is known once, such as the test accuracy, goes at step 0: the UI then compares runs by bars, and draws
        curves of what has other steps.
        """
        now = int(time.time() * 1000)
        self._say(messages.Batch(metrics=tuple((name, float(value), now, step) for name, value in metrics.items())))

    def log_params(self, params: Mapping[str, object]) -> None:
        """Parameters by dotted path. `layers[3].conv` is recorded as `layers.3.conv`: MLflow takes no brackets."""
        pairs = ((_plain(name), without_secrets(str(value))) for name, value in params.items())
        self._say(messages.Batch(params=tuple(pairs)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags by name; a name said before is overwritten."""
        self._say(messages.Batch(tags=tuple((name, without_secrets(text)) for name, text in tags.items())))

    def tag_run(self, name: str, other: "Run") -> None:
        """A tag that holds the id of another run, also where the store makes that run later."""
        self._say(messages.RunTag(name, other.told_later()))

    def log_text(self, text: str, path: str) -> None:
        """A text as an artifact at `path`, with the passwords of addresses in it left out."""
        self._say(messages.Text(path, without_secrets(text)))

    def log_artifact(self, local: Path, folder: str = "") -> None:
        """A local file, which has to stay where it is until the run ends, as an artifact in `folder`."""
        self._say(messages.File(str(local.absolute()), folder))

    def log_figure(self, path: str, make: Callable[[], bytes]) -> None:
        """A PNG at `path`, which the writing thread draws by calling `make`; nothing where figures are off."""
        if self.figures:
            self._say(messages.Figure(path, str(self.folder / path), make))

    def log_input(self, facts: DatasetFacts) -> None:
        """The data set, once per split, so that runs can be found by it."""
        self._say(messages.Input(facts))

    def log_model(self, folder: Path) -> None:
        """The model that `runner.serving.save_model` wrote to `folder`, as `runs:/<run_id>/model`."""
        self._say(messages.Model(str(folder.absolute())))

    def _say(self, message: Message) -> None:
        if not self.enabled or self._ending:
            return
        self._outbox.put(message)

    # What waits -----------------------------------------------------------------------------------------------

    def check(self, *, wait: bool = True) -> None:
        """Waits until the store has made the run, unless told not to.

        Raises TrackingError where it cannot be opened, as far as that is known.
        """
        if self.enabled and wait:
            self._begun.wait()
        if self._fault is not None:
            raise self._fault

    @property
    def run_id(self) -> str:
        """MLflow's id of the run, empty where tracking is off. Waits, and raises, as `check` does."""
        self.check()
        return self._run_id or ""

    @property
    def known_id(self) -> str:
        """MLflow's id of the run as far as it is known; empty otherwise. Never waits."""
        return self._run_id or ""

    @property
    def url(self) -> str | None:
        """Where a server shows the run; None for a database, which `runner ui` opens, and before the run is made."""
        if self._run_id is None or not self.opening.uri.startswith("http"):
            return None
        address = without_secrets(self.opening.uri).replace("***@", "").rstrip("/")
        return run_link(address, self.experiment_id, self._run_id)

    def end(self, status: Status) -> None:
        """Says that the run has ended, and returns at once; `wait` has to follow."""
        if not self.enabled or self._ending:
            return
        self._say(messages.End(status, int(time.time() * 1000)))
        self._ending = True
        self.hurry.set()

    def finish(self, status: Status) -> None:
        """Ends the run and waits until that is delivered."""
        self.end(status)
        self.wait()

    def wait(self) -> None:
        """Delivers what is left of a run that was told to end; never raises for the store's sake.

        Waits while the store takes it, but no longer than 15 s while the store is away, and not at all where another
        run of the store has waited so long. What is left then is written to `untracked.jsonl` in the run's folder.
        """
        if not self._ending:
            return
        began = answered = time.monotonic()
        try:
            while not self._ended.wait(0.05):
                now = time.monotonic()
                if not self.away.is_set():
                    answered = now
                if now - answered > (0.0 if self.spent.is_set() else _AWAY_SECONDS) or now - began > _BUSY_SECONDS:
                    self.spent.set()
                    break
        finally:
            # Also where the user lost patience: an interrupt must not cost what was measured.
            self._ended.set()
            self._keep_the_rest()
            if self.parent is None:
                self._tell_what_is_kept()
            else:
                self.parent._has_kept |= self._has_kept

    def _keep_the_rest(self) -> None:
        rest = self._outbox.drain()
        never_begun = self._run_id is None
        measured = any(isinstance(item, messages.Batch) and item.metrics for item in rest)
        if not rest or (never_begun and not measured and not self.patient):
            return
        path = self.folder / untracked.UNTRACKED
        try:
            untracked.append(path, self.told_later(), rest)
        except OSError as error:
            uri, why = without_secrets(self.opening.uri), error.strerror or str(error)
            _log.warning("%s did not take everything, and the rest is lost: %s: %s", uri, path, why)
            return
        self._has_kept = True

    def told_later(self) -> Opening:
        """The run as files begin it that are sent later, with the run that it is listed under."""
        opening = replace(self.opening, uri=without_secrets(self.opening.uri), run_id=self._run_id)
        return opening if self.parent is None else replace(opening, parent=self.parent.told_later())

    def _tell_what_is_kept(self) -> None:
        if self._has_kept:
            # Of a sweep, what its members could not deliver lies in folders below.
            place = self.folder if self.patient else self.folder / untracked.UNTRACKED
            _log.warning(
                "%s did not take everything; the rest is in %s. Send it with: python -m runner.tracking %s",
                without_secrets(self.opening.uri),
                place,
                place,
            )

    # What the writer calls ------------------------------------------------------------------------------------

    def advance(self, store: Store) -> None:
        """Begins the run and delivers what is queued. Raises what a store raises that is away."""
        if self._run_id is None:
            try:
                if not self._has_parent():
                    return
                self.experiment_id, self._run_id = store.begin(self.opening, seek=self._is_sought)
            except Exception as error:
                if self.patient and not store.is_refusal(error):
                    self._is_sought = True  # the store may have made the run, and its answer been lost
                    raise
                self.give_up(error)
                return
            self.away.clear()
        self._begun.set()
        while not self.ended and (message := self._outbox.head()) is not None:
            try:
                store.deliver(self.experiment_id or "", self._run_id, message)
            except Exception as error:
                if not store.is_refusal(error):
                    raise
                _log.warning("MLflow refused a %s: %s", type(message).__name__.lower(), reason(error))
                self._outbox.refused(message)
            else:
                self._outbox.taken()
            self.away.clear()
            if isinstance(message, messages.End):
                self._ended.set()

    def _has_parent(self) -> bool:
        """Whether the run can be made: where it has a parent, that comes first, and its id is the child's to name."""
        if self.parent is None or "mlflow.parentRunId" in self.opening.tags:
            return True
        if self.parent._fault is not None:
            raise self.parent._fault
        if self.parent._run_id is None:
            return False
        tags = self.opening.tags | {"mlflow.parentRunId": self.parent._run_id}
        self.opening = replace(self.opening, tags=tags)
        return True

    def give_up(self, error: Exception) -> None:
        """The run could not begin."""
        self._fault = not_opened(self.opening.uri, error)
        self._begun.set()
        self._ended.set()

    @property
    def begun(self) -> bool:
        """Whether the store has made the run, so that `run_id` need not wait."""
        return self._run_id is not None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be delivered; always so where tracking is off."""
        return self._ended.is_set() or not self.enabled


def _plain(name: str) -> str:
    """A parameter's path with `[3]` as `.3`, and `_` for what else MLflow takes in no name."""
    return re.sub(r"[^\w\-./ :]", "_", re.sub(r"\[(\w+)\]", r".\1", name))[:_NAME_CHARACTERS]
