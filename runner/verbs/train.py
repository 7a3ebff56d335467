"""`runner train`: trains one experiment, or with -m a sweep."""

from typing import TYPE_CHECKING, Any

from runner.command import Command
from runner.verb import OVERRIDES, PlainVerb

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


def _takes() -> tuple[tuple[str, str], ...]:
    """The options, and the files of the groups that no kind of `runner list` has."""
    from runner.composition import files, unlisted

    return (
        (
            "GROUP=OPTION",
            "A file conf/GROUP/OPTION.yaml, such as model=vgg16. runner list shows models, data and more.",
        ),
        ("PATH=VALUE", "Any value: train.epochs=5, model.layers.0.conv.filters=12"),
        ("-m", "Trains every combination of values with commas: seed=0,1,2"),
        ("--cfg job", "Prints the configuration with all paths, and trains nothing."),
        *((f"{group}=", ", ".join(files(group))) for group in unlisted()),
    )


VERB = PlainVerb(
    train,
    f"{OVERRIDES} [-m]",
    _takes,
    "The verb can be left out. Options of Hydra: runner --hydra-help",
    ("model=lenet5_bn optimizer.learning_rate=0.002", "-m model=lenet5 seed=0,1 train.epochs=3"),
)
