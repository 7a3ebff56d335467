"""Parts the processes of a run after its last common step, so that none has to wait for what the first one records."""

from runner import hosts
from runner.trained import Trained
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome


class Parting(Observer):
    """Comes before all others. Of a training that fails the process ends, and the others with it."""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        if outcome.status == "FINISHED":
            hosts.leave()
