"""Where a run is recorded. Nothing else imports MLflow, and only `check`, `run_id`, `wait` and `finish` wait for it.

    >>> run = start(Tracking(), run_name="lenet5", tags={}, params={"seed": "0"}, folder=Path("outputs/lenet5"))
    >>> run.log_metrics({"train/loss": 0.3}, step=1)
    >>> run.finish("FINISHED")

MLflow is imported, and the store opened, in a thread of its own while the caller goes on. What a run says is kept
in order until the store has taken it; a server that goes away costs nothing but the delay.
"""

from runner.tracking.messages import DatasetFacts, Status
from runner.tracking.replaying import replay
from runner.tracking.run import Run
from runner.tracking.settings import Tracking
from runner.tracking.ui import serve_ui
from runner.tracking.writer import reopen, start

__all__ = ["DatasetFacts", "Run", "Status", "Tracking", "reopen", "replay", "serve_ui", "start"]
