"""`runner train`: trains one experiment, and is the verb of a command that names none; with -m, a sweep."""

from typing import TYPE_CHECKING, Any

from runner.command import Command

if TYPE_CHECKING:
    from runner.composition import Job


def train(command: Command) -> int:
    """Trains one experiment or a sweep. Returns the worst exit status of its runs."""
    from runner import composition

    def one(job: "Job") -> Any:
        from runner.run import run  # slow to import; an invalid command should fail before
        from runner.sweep.results import return_value

        outcome = run(job.configuration.experiment, job.context)
        return return_value(outcome, job.configuration.sweep.objectives)

    return composition.train(command, one)


VERB = train
