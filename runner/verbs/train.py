"""`runner train`: trains one experiment, and is the verb of a command that names none; with -m, a sweep."""

from typing import TYPE_CHECKING

from runner.command import Command

if TYPE_CHECKING:
    from runner.composition import Job


def train(command: Command) -> int:
    """Trains one experiment or a sweep. Returns the worst exit status of its runs."""
    from runner import composition

    def one(job: "Job") -> tuple[float | None, ...]:
        from runner.run import run  # slow to import; an invalid command should fail before
        from runner.sweep.results import objective
        from runner.training.member import Context

        configuration = job.configuration
        context = Context(
            folder=job.folder,
            tracking=configuration.tracking,
            config=job.values,
            from_environment=job.from_environment,
            overrides=job.overrides,
            command=command.text,
        )
        outcome = run(configuration.experiment, context)
        return tuple(objective(outcome, name) for name, _ in configuration.sweep.objectives)

    return composition.train(command, one)


VERB = train
