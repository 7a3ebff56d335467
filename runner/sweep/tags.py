"""The tags of the runs of a sweep in MLflow. Beside them, every run has one of its own; see `tracking.store`."""

from typing import Final

# The sweep's name, for people. Sweeps may share it: on machines that share a store, or after `sweeps.db` was deleted.
SWEEP: Final = "sweep"
# A random text, which no two sweeps share.
SWEEP_IDENTITY: Final = "sweep.identity"
# What the search must know of a member that only the store has, as JSON; the sweep's own run has no such tag.
MEMBER: Final = "sweep.member"
# How a member ended: MLflow has no word for a pruned one.
STATUS: Final = "sweep.status"
