"""What a search says of other processes, if one process runs it; `joint` has another answer to each."""

from contextlib import AbstractContextManager, nullcontext


class OneProcess:
    """A search that no other process runs."""

    is_joint = False  # whether other processes run it too

    def turn(self) -> AbstractContextManager[None]:
        """Lets no other process begin or end the sweep during the block."""
        return nullcontext()

    def refresh(self) -> None:
        """Reads what other processes have stored."""

    def concerns(self, number: int) -> bool:
        """Whether this process decides on the run of a member that has not ended."""
        return True

    def others(self) -> int:
        """How many other processes train the sweep."""
        return 0

    def leaving(self) -> AbstractContextManager[bool]:
        """Yields whether this process writes the report of the sweep, as it ends."""
        return nullcontext(True)

    @property
    def others_train(self) -> bool:
        """Whether, after `ask` has returned nothing, it may still return something."""
        return False

    @property
    def is_first(self) -> bool:
        """Whether no other process trained the sweep when this one began."""
        return True

    @property
    def has_taken_over(self) -> bool:
        """Whether `ask` has returned members of a worker that has ended."""
        return False
