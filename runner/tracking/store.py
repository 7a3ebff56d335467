"""An MLflow store, to which runs write. MLflow is imported when a store is opened.

All calls go through MlflowClient, so that nothing depends on MLflow's one active run per thread.
"""

import itertools
import json
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from runner.data.download import cache_folder
from runner.metrics import names
from runner.processes import Process
from runner.tracking.creating import alone
from runner.tracking.faults import not_opened, not_recorded, reason
from runner.tracking.messages import (
    PARAM_CHARACTERS,
    Batch,
    DatasetFacts,
    End,
    File,
    Input,
    Message,
    Model,
    Opening,
    Registration,
    RunTag,
    Text,
)
from runner.tracking.models import METRICS_PER_CALL, chunks, log_model, register
from runner.tracking.reaching import UnreachableError, is_server, reach
from runner.tracking.settings import Tracking, absolute_uri, artifact_root, database_file
from runner.tracking.template import prepare
from runner.tracking.view import ACCURACY, METRIC_TAG, NO_DEBUG_RUNS, VIEW_TAG, experiment_tags, next_colour

# Environment variables for MLflow: no telemetry, no progress bars, and short timeouts. MLflow must not retry by itself:
# after a timeout it would create a run twice; the writer first looks for the run that a slow server may have created.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

FOLDER = "runner.folder"  # the tag of a run that holds the path of its output folder
PROCESS = "runner.process"  # the tag of a run that holds the process that sends it
ENDINGS = ("end_reason", "failure")  # the tags that say why a run ended
LONGER = "resumed.epochs"  # the tag of a run that was made longer: its number of epochs
IDENTITY = "runner.identity"  # the tag of a run by which its own process finds it again
PARENT = "mlflow.parentRunId"
# MLflow's own limits on one call and on one value.
_PAIRS_PER_CALL = 100
_EXPERIMENTS_PER_CALL, _RUNS_PER_CALL = 50_000, 1000
_TAG_CHARACTERS, _DIGEST_CHARACTERS = 8000, 36


@dataclass(frozen=True)
class _Recorded:
    """What a store has of a run that an earlier process has begun."""

    points: dict[tuple[str, int], float] = field(default_factory=dict)  # of metrics, by name and step
    params: frozenset[str] = frozenset()  # which MLflow refuses to change
    is_longer: bool = False  # it had finished, and trains for more epochs: the values of its end are others then

    def new(self, metrics: Iterable[tuple[str, float, int, int]]) -> Iterable[tuple[str, float, int, int]]:
        """The first of each point that the store does not have: earlier processes may have left some to send, too."""
        first: dict[tuple[str, int], tuple[str, float, int, int]] = {}
        for metric in metrics:
            first.setdefault((metric[0], metric[3]), metric)
        return [metric for point, metric in first.items() if point not in self.points or self._is_replaced(metric)]

    def _is_replaced(self, metric: tuple[str, float, int, int]) -> bool:
        """Whether a value that is known once, at step 0, is another one now; MLflow shows the latest."""
        name, value, _, step = metric
        return self.is_longer and step == 0 and self.points[name, step] != value


class Store:
    """An open tracking store."""

    def __init__(self, uri: str) -> None:
        """Imports MLflow and opens the store; creates a new SQLite file if needed. Takes seconds.

        Raises UnreachableError if a server does not answer now, else the errors of MLflow and the database driver.
        """
        reach(uri)
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        _quieten()
        import mlflow

        # Hides messages about each table of a new database.
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        # Hides the SQL of an error; the error itself is raised as well, and the writer logs one line of it.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        if file := database_file(uri):
            prepare(file, mlflow, cache_folder() / "stores")
        self.mlflow = mlflow
        self.uri = uri
        self.client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        try:
            with alone(uri):
                self.client.search_experiments(max_results=1)
        except mlflow.MlflowException as error:
            if not is_server(uri) or self.is_refusal(error) or _has_no_tls(error):
                raise
            is_json = "not in a valid JSON format" not in str(error)
            raise UnreachableError(reason(error) if is_json else "something else answers there") from error
        self._colours: dict[str, dict[str, str]] = {}  # by experiment id: the colour tag of its latest run
        self._identities: dict[str, str] = {}  # by run id: identities of runs that may have been created twice
        self._ids: dict[str, str] = {}  # by identity: ids of parents and of runs named in tags
        self._recorded: dict[str, _Recorded] = {}  # by run id, of runs that an earlier process has begun

    def begin(self, opening: Opening, *, seek: bool = False) -> tuple[str, str]:
        """Creates the run in an experiment of the given name, or continues the run with the id `opening.run_id`.

        With `seek`, looks first for a run that an earlier request created although its answer was lost.
        Returns the ids of the experiment and the run.
        """
        if opening.run_id is not None:
            self.client.update_run(opening.run_id, "RUNNING")
            self.client.set_tag(opening.run_id, PROCESS, Process.here().text)
            return str(self.client.get_run(opening.run_id).info.experiment_id), opening.run_id
        experiment_id = self._experiment(opening.experiment, opening.tags.get(METRIC_TAG, ACCURACY))
        if seek and opening.identity and (found := self._with_identity(experiment_id, opening.identity)):
            self._identities[found[0]] = opening.identity
            if opening.repeats:
                self.recall(found[0])
            return experiment_id, found[0]
        if experiment_id not in self._colours:
            latest = self.client.search_runs([experiment_id], max_results=1)
            self._colours[experiment_id] = latest[0].data.tags if latest else {}
        colour = self._colours[experiment_id] = next_colour(self._colours[experiment_id])
        tags = colour | {name: text[:_TAG_CHARACTERS] for name, text in opening.tags.items()}
        tags[PROCESS] = opening.process or Process.here().text
        if opening.identity:
            tags[IDENTITY] = opening.identity
        if opening.parent and PARENT not in tags:
            tags[PARENT] = self._id_of(opening.parent)
        run_id = str(self.client.create_run(experiment_id, opening.started_ms, tags, opening.run_name).info.run_id)
        if opening.repeats:  # its earlier process was killed before it was created, and has left messages to send
            self._recorded[run_id] = _Recorded()
        if seek and opening.identity:
            self._identities[run_id] = opening.identity
        return experiment_id, run_id

    def recall(self, run_id: str) -> None:
        """Goes on with a run that an earlier process has begun."""
        run = self.look_up(run_id)
        for tag in ENDINGS:
            if tag in run.data.tags:
                self.client.delete_tag(run_id, tag)
        self.client.set_tag(run_id, PROCESS, Process.here().text)
        self.client.update_run(run_id, "RUNNING")

    def look_up(self, run_id: str) -> Any:
        """Reads which points and params a run has: from now on, these are not sent again. Returns the run."""
        run = self.client.get_run(run_id)
        found = [point for name in run.data.metrics for point in self.client.get_metric_history(run_id, name)]
        points = {(point.key, point.step): point.value for point in sorted(found, key=lambda point: point.timestamp)}
        is_longer = run.info.status == "FINISHED" or LONGER in run.data.tags
        self._recorded[run_id] = _Recorded(points, frozenset(run.data.params), is_longer)
        return run

    def runs(self, condition: str) -> Iterator[Any]:
        """The runs of all experiments for which a condition in MLflow's filter language is true, the latest first."""
        found = self.client.search_experiments(max_results=_EXPERIMENTS_PER_CALL)
        experiments, token = [experiment.experiment_id for experiment in found], None
        while True:
            page = self.client.search_runs(experiments, condition, max_results=_RUNS_PER_CALL, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _with_identity(self, experiment_id: str, identity: str) -> list[str]:
        """The ids of the runs with an identity; several if a slow server has created a run more than once."""
        runs = self.client.search_runs([experiment_id], f"tags.`{IDENTITY}` = '{identity}'")
        return [str(run.info.run_id) for run in runs]

    def _delete_copies(self, experiment_id: str, run_id: str) -> None:
        """Deletes copies of the run that a slow server created by earlier requests."""
        if identity := self._identities.get(run_id):
            for other in self._with_identity(experiment_id, identity):
                if other != run_id:
                    self.client.delete_run(other)

    def _id_of(self, run: Opening) -> str:
        """The id of a run that is a parent or is named in a tag; creates the run if the store has none."""
        found = run.run_id or self._ids.get(run.identity) or self.begin(run, seek=True)[1]
        if run.identity:
            self._ids[run.identity] = found
        return found

    def _experiment(self, name: str, metric: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                tags = experiment_tags(self._condition(), metric)
                return str(self.client.create_experiment(name, artifact_root(self.uri), tags))
            except self.mlflow.MlflowException:
                # Another process may have created it in the meantime.
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            # The name of a deleted experiment stays in use, so a new one cannot be created.
            self.client.restore_experiment(found.experiment_id)
        self._renew_view(found, metric)
        return str(found.experiment_id)

    def _renew_view(self, experiment: Any, metric: str) -> None:
        """Replaces a view that an earlier version of this program made."""
        known = experiment.tags.get(VIEW_TAG)
        ours = itertools.product((NO_DEBUG_RUNS, ""), {ACCURACY, metric, *names()})
        if known is None or known in (experiment_tags(*both)[VIEW_TAG] for both in ours):
            return
        tags = experiment_tags(self._condition(), metric)
        self.client.set_experiment_tag(experiment.experiment_id, VIEW_TAG, tags[VIEW_TAG])

    def _condition(self) -> str:
        """The condition of the view; none on a server of an earlier MLflow, which does not understand it."""
        try:
            self.client.search_runs(["0"], NO_DEBUG_RUNS, max_results=1)
        except self.mlflow.MlflowException as error:
            if not self.is_refusal(error):
                raise
            return ""
        return NO_DEBUG_RUNS

    def deliver(self, experiment_id: str, run_id: str, message: Message) -> None:
        """Sends a message to the store. A message sent twice is recorded once, except for a model."""
        match message:
            case Batch():
                self._log_batch(run_id, message)
            case Text(path, text):
                self.client.log_text(run_id, text, path)
            case File(local, folder):
                self.client.log_artifact(run_id, local, folder or None)
            case Input(facts):
                self._log_inputs(run_id, facts)
            case Model(folder):
                log_model(self.client, experiment_id, run_id, Path(folder))
            case Registration(name, alias):
                register(self.client, run_id, name, alias)
            case RunTag(name, run):
                self.client.set_tag(run_id, name, self._id_of(run))
            case End(status, ended_ms):
                self._delete_copies(experiment_id, run_id)
                self.client.set_terminated(run_id, status, ended_ms)
            case _:
                raise TypeError(f"a {type(message).__name__} cannot be delivered")

    def _log_batch(self, run_id: str, batch: Batch) -> None:
        entities = self.mlflow.entities
        known = self._recorded.get(run_id)
        metrics = [entities.Metric(*own) for own in (known.new(batch.metrics) if known else batch.metrics)]
        known_params = known.params if known else ()
        params = [
            entities.Param(name, text[:PARAM_CHARACTERS]) for name, text in batch.params if name not in known_params
        ]
        tags = [entities.RunTag(name, text[:_TAG_CHARACTERS]) for name, text in batch.tags]
        calls: Any = zip_longest(
            chunks(metrics, METRICS_PER_CALL),
            chunks(params, _PAIRS_PER_CALL),
            chunks(tags, _PAIRS_PER_CALL),
            fillvalue=[],
        )
        for some_metrics, some_params, some_tags in calls:
            self.client.log_batch(run_id, some_metrics, some_params, some_tags)
            if known:
                known.points.update({(metric.key, metric.step): metric.value for metric in some_metrics})

    def _log_inputs(self, run_id: str, facts: DatasetFacts) -> None:
        entities = self.mlflow.entities
        shape = [-1, *facts.shape]
        features = [{"name": "images", "type": "tensor", "tensor-spec": {"dtype": facts.dtype, "shape": shape}}]
        spec = {"dtype": "int32", "shape": [-1]}
        if facts.form != "classes":
            spec = {"dtype": "float32", "shape": [-1, len(facts.classes)]}
        targets = [{"name": "labels", "type": "tensor", "tensor-spec": spec}]
        # The two lists are JSON texts inside the JSON text, the format of MLflow's own data sets and of its UI.
        schema = {"mlflow_tensorspec": {"features": json.dumps(features), "targets": json.dumps(targets)}}
        inputs = []
        for split, count in facts.counts.items():
            dataset = entities.Dataset(
                name=f"{facts.name}/{split}",
                digest=facts.digest[:_DIGEST_CHARACTERS],
                source_type="local",
                source=json.dumps({"uri": facts.source or facts.name}),
                schema=json.dumps(schema),
                profile=json.dumps({"num_rows": count, facts.form: list(facts.classes)}),
            )
            context = entities.InputTag("mlflow.data.context", split)
            inputs.append(entities.DatasetInput(dataset, [context]))
        self.client.log_inputs(run_id, inputs)

    def is_refusal(self, error: Exception) -> bool:
        """Whether sending the message again would fail again; otherwise the store may answer later."""
        if isinstance(error, self.mlflow.MlflowException):
            status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]
            return 400 <= status < 500 and status not in (408, 429)
        # Network errors and a full disk are OSErrors; any other error is a mistake in the message.
        return isinstance(error, FileNotFoundError) or not isinstance(error, OSError)


def opened(tracking: Tracking) -> Store:
    """The store in which runs were recorded. Raises TrackingError if there is none, or if it cannot be opened."""
    file = database_file(tracking.uri)
    if file is not None and not file.is_file():
        raise not_recorded(tracking.uri)
    try:
        return Store(absolute_uri(tracking.uri))
    except Exception as error:
        raise not_opened(tracking.uri, error) from error


def _has_no_tls(error: Exception) -> bool:
    """Whether an https address belongs to a server without TLS, or with another certificate."""
    return any("SSLError" in type(cause).__name__ for cause in (error.__cause__, error.__context__))


def _quieten() -> None:
    """Hides MLflow's warnings about its own code: deprecated calls of SQLAlchemy, missing type hints."""
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="mlflow")
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred", module="mlflow")
