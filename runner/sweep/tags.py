"""The tags of a sweep's runs in MLflow. Every run also has the tag of `tracking.store`."""

from typing import Final

# The sweep's name. It is not unique: machines may share a store, and `sweeps.db` may have been deleted.
SWEEP: Final = "sweep"
# A random text, unique to a sweep.
SWEEP_IDENTITY: Final = "sweep.identity"
# JSON from which the search restores a member that only the store has; not set on the parent run.
MEMBER: Final = "sweep.member"
# The status of a member; MLflow has none for a pruned one.
STATUS: Final = "sweep.status"
