"""Records runs in MLflow. Only this package imports MLflow; only `check`, `run_id`, `wait` and `finish` wait for it.

    >>> run = start(Tracking(), run_name="lenet5", tags={}, params={"seed": "0"}, folder=Path("outputs/lenet5"))
    >>> run.log_metrics({"train/loss": 0.3}, step=1)
    >>> run.finish("FINISHED")

A separate thread imports MLflow and opens the store while the caller continues. Messages of a run are queued in order
until the store has accepted them; if a server is unavailable for a while, they are only delayed.
"""

from runner.tracking.messages import PARAM_CHARACTERS, DatasetFacts, Status
from runner.tracking.run import Run
from runner.tracking.settings import Tracking
from runner.tracking.ui import serve_ui
from runner.tracking.writer import reopen, start

__all__ = ["PARAM_CHARACTERS", "DatasetFacts", "Run", "Status", "Tracking", "reopen", "serve_ui", "start"]
