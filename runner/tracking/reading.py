"""What a store has of runs that ended, or were left behind when their process was killed."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.tracking.faults import not_opened
from runner.tracking.settings import Tracking, absolute_uri
from runner.tracking.store import Store


@dataclass(frozen=True)
class Recorded:
    """A run as the store has it; `metrics` are the last values by name."""

    run_id: str
    status: str
    tags: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)


class Reader:
    """A tracking store that is read from. Raises TrackingError where it cannot be opened."""

    def __init__(self, tracking: Tracking) -> None:
        try:
            self._store = Store(absolute_uri(tracking.uri))
        except Exception as error:
            raise not_opened(tracking.uri, error) from error

    def runs(self, tag: str, value: str) -> list[Recorded]:
        """The runs with a tag, of all experiments."""
        client = self._store.client
        experiments = [found.experiment_id for found in client.search_experiments()]
        quoted = value.replace("'", "")
        token, found = None, []
        while True:
            page = client.search_runs(experiments, f"tags.`{tag}` = '{quoted}'", max_results=1000, page_token=token)
            found += [
                Recorded(run.info.run_id, run.info.status, dict(run.data.tags), dict(run.data.metrics)) for run in page
            ]
            token = page.token
            if not token:
                return found

    def history(self, run_id: str, names: Iterable[str]) -> dict[int, dict[str, float]]:
        """The values of metrics by step, beginning with 1."""
        found: dict[int, dict[str, float]] = {}
        for name in names:
            for value in self._store.client.get_metric_history(run_id, name):
                if value.step:
                    found.setdefault(value.step, {})[name] = value.value
        return dict(sorted(found.items()))

    def delete(self, run_id: str) -> None:
        """Has MLflow list a run no more; it can be restored."""
        self._store.client.delete_run(run_id)

    def close(self, run_id: str) -> None:
        """Ends a run that nobody writes to any more."""
        self._store.client.set_terminated(run_id, "KILLED")
