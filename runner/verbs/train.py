"""`runner train`: trains one experiment, and is the verb of a command that names none; with -m, a sweep."""

from typing import TYPE_CHECKING

from runner.command import Command

if TYPE_CHECKING:
    from runner.composition import Job


def train(command: Command) -> int:
    """Trains what the overrides describe. Returns the worst exit status of its runs."""
    from runner import composition
    from runner.launchable import launchable

    def one(job: "Job") -> tuple[float, ...]:
        from runner.recording import Context
        from runner.run import run  # training takes more to import than a mistake should cost

        configuration = job.configuration
        context = Context(
            folder=job.folder,
            tracking=configuration.tracking,
            config=launchable(job.values, "config", "trains this again", job.from_environment),
            from_environment=job.from_environment,
            overrides=job.overrides,
            command=command.text,
        )
        outcome = run(configuration.experiment, context)
        known = outcome.metrics | outcome.costs
        return tuple(known[name] for name, _ in configuration.sweep.objectives)

    return composition.train(command, one)


VERB = train
