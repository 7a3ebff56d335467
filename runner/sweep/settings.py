"""The settings of a sweep, `conf/sweep`: its search space, its objectives, and how its members are trained."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from runner import limits, metrics
from runner.errors import Fault, must, shown, unknown
from runner.metrics import Direction, natural_direction
from runner.records import Record

Strategy = Literal["auto", "vmap", "loop", "parallel"]
Engine = Literal["local", "ray", "slurm", "workers"]
Objectives = tuple[tuple[str, Direction], ...]  # (metric name, direction); members are ranked by the first
COSTS = ("parameters", "multiply_adds", "seconds")


def _texts(value: Any) -> Any:
    """A mapping as pairs of texts in its order, so that the record is hashable."""
    if isinstance(value, dict):
        if not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in value.values()):
            raise ValueError(
                must("", "map paths to what they take, as on the command line: interval(0, 1)", value).text
            )
        return tuple((str(name), str(item)) for name, item in value.items())
    return value


def _options(value: Any) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(item, str | int | float | bool) for item in value.values()):
            raise ValueError(must("", "map names to texts, numbers or true and false", value).text)
        return tuple((str(name), item) for name, item in value.items())
    return value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _conditions(value: Any) -> Any:
    """`{momentum: {name: [sgd, rmsprop]}}` as hashable pairs, each value as text."""
    if not isinstance(value, dict):
        return value
    found = []
    for path, where in value.items():
        if not isinstance(where, dict) or not where:
            raise ValueError(must("", "map a path to what others have to be: {optimizer: momentum}", where).text)
        pairs = (
            (
                str(other),
                tuple(shown(item, longest=500) for item in (wanted if isinstance(wanted, tuple | list) else (wanted,))),
            )
            for other, wanted in where.items()
        )
        found.append((str(path), tuple(pairs)))
    return tuple(found)


def _comparable() -> list[str]:
    """What members can be compared by: metrics of validation images, and costs."""
    measured = ("accuracy", "loss", *(name for name in metrics.names() if name != "accuracy"))
    return [*(f"{of}{name}" for of in ("val/", "best/val_") for name in measured), *COSTS]


def _metrics(value: Any) -> Any:
    names = _listed(value)
    for name in names if isinstance(names, tuple | list) else ():
        if str(name).startswith("test/"):
            raise ValueError(
                must("", "be a validation metric, since choosing by the test set would spoil it", name).text
            )
        if name not in (known := _comparable()):
            raise ValueError(unknown("", "metric", str(name), known).text)
    return names


Texts = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_texts),
    PlainSerializer(dict, when_used="always"),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number"]}}),
]
Options = Annotated[
    tuple[tuple[str, str | int | float | bool], ...],
    BeforeValidator(_options),
    PlainSerializer(dict, when_used="always"),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
]
Conditions = Annotated[
    tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...],
    BeforeValidator(_conditions),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "object"}}),
]
Constraints = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Metrics = Annotated[
    tuple[str, ...],
    BeforeValidator(_metrics),
    MinLen(1),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": _comparable()},
                {"type": "array", "items": {"enum": _comparable()}, "minItems": 1},
            ]
        }
    ),
]


class Pruner(Record):
    """Which members end early, compared with others after the same number of epochs."""

    name: Literal["none", "median", "successive_halving", "hyperband"] = Field(
        "none",
        description="median: ends members that are worse than the median of the others; successive_halving, "
        "hyperband: at every rung, only the best 1 / reduction_factor of the members go on.",
    )
    startup_members: Annotated[int, Ge(0)] = Field(
        5, description="median: number of first members that are never ended."
    )
    warmup_epochs: Annotated[int, Ge(0)] = Field(
        1, description="median: number of epochs before a member can be ended."
    )
    min_epochs: Annotated[int, Ge(1)] = Field(
        1, description="successive_halving, hyperband: number of epochs to the first rung."
    )
    reduction_factor: Annotated[int, Ge(2)] = Field(
        3,
        description="successive_halving, hyperband: the ratio of the epochs, and of the members, of one rung and the "
        "next.",
    )


class Sweep(Record):
    """The settings of a sweep; a single run ignores them."""

    name: Annotated[str, MinLen(1)] | None = Field(
        None, description="Name of the sweep, by which it can be continued; null: made of what it varies."
    )
    space: Texts = Field(
        (),
        description="The values that vary, by path, written as on the command line: 'choice(relu, tanh)', 'range(1, "
        "9)', 'tag(log, interval(1e-4, 1e-1))'. Values on the command line replace them.",
    )
    conditions: Conditions = Field(
        (),
        description="Paths that vary only if others have these values: {optimizer.momentum: {optimizer: momentum}}.",
    )
    zip: tuple[tuple[str, ...], ...] = Field(
        (), description="Paths that vary together, the first value of one with the first value of the other: [[a, b]]."
    )
    constraints: Constraints = Field(
        (), description="Conditions that each member must meet: 'train.batch_size * optimizer.learning_rate < 1'."
    )
    sampler: Literal["grid", "random", "tpe", "gp", "cmaes", "nsga2"] = Field(
        "grid", description="How members are proposed: grid is every combination; the others are samplers of Optuna."
    )
    trials: Annotated[int, Ge(1), Le(limits.SWEEP_TRIALS)] | None = Field(
        None, description="Number of members that a sampler other than grid proposes; null: 20."
    )
    seconds: Annotated[float, Ge(1)] | None = Field(
        None,
        description="Seconds of wall time after which no further member begins; at least one does. Those that train go "
        "on to their end, and the same command goes on with the rest. null: no limit.",
        examples=[3600],
    )
    batch: Annotated[int, Ge(1), Le(limits.SWEEP_BATCH)] = Field(
        8,
        description="Number of members that a sampler other than grid proposes at once, to be trained together; with "
        "sweep.engine=workers, the number that each worker takes at once, also of a grid.",
    )
    seed: Annotated[int, Ge(0)] = Field(0, description="Seed of the sampler.")
    metric: Metrics = Field(
        ("val/accuracy",),
        description="The metric that compares members: val/loss, val/accuracy or another of train.metrics (val/NAME) "
        "in the last epoch, best/val_loss, best/val_accuracy or best/val_NAME in the best epoch by "
        "train.monitor, or a cost (parameters, multiply_adds, seconds). Of several metrics, the first "
        "ranks the members.",
    )
    direction: Annotated[tuple[Direction, ...] | None, BeforeValidator(_listed)] = Field(
        None,
        description="maximize or minimize, for every metric; null: losses and costs are minimized, another metric "
        "has its own direction.",
    )
    pruner: Pruner = Field(Pruner(), description="Which members end early.")
    strategy: Strategy = Field(
        "auto",
        description="How members of one structure share the device: vmap (one mapped program), loop (in turn), "
        "parallel (side by side on the cores of a CPU); auto: the fastest of these.",
    )
    max_members: Annotated[int, Ge(1)] | None = Field(
        None,
        description="Largest number of members that vmap trains at once; null: as many as the device has memory for.",
    )
    engine: Engine = Field(
        "local",
        description="Where members train: local (in this process), ray (in other processes, of this machine or of a "
        "cluster; needs convrunner[ray]), slurm (in jobs of SLURM; needs convrunner[slurm]) or workers (in every "
        "process that the same command starts, on any machine, with one sweep.storage).",
    )
    engine_address: Annotated[str, MinLen(1)] | None = Field(
        None,
        description="ray: the address of a cluster, such as auto; null: this machine alone. slurm: local runs jobs as "
        "processes of this machine, as a trial; null: SLURM.",
    )
    engine_workers: Annotated[int, Ge(1)] | None = Field(
        None,
        description="Number of parts into which members of one structure are divided for other processes; null: as "
        "many as Ray has room for, 8 with slurm.",
    )
    engine_cpus: Annotated[int, Ge(1)] = Field(1, description="Cores that the engine reserves for each process.")
    engine_gpus: Annotated[float, Ge(0)] = Field(
        0,
        description="GPUs that the engine reserves for each process: 1, or 0.5 with ray; 0: it trains on the CPU.",
    )
    engine_options: Options = Field(
        (),
        description="slurm: parameters of submitit for each job, such as {slurm_partition: gpu, timeout_min: 240}; "
        "without timeout_min, a job has 60 minutes.",
    )
    log_models: Literal["best", "all", "none"] = Field(
        "best", description="The members whose model and figures are logged: the best, all, or none."
    )
    resume: Annotated[str, MinLen(1)] = Field(
        "auto",
        description="auto: the same command continues its sweep; never: it begins a new sweep; otherwise the name of "
        "the sweep to continue.",
    )
    storage: Annotated[str, MinLen(1)] | None = Field(
        None,
        description="URL of Optuna's storage with the state of sweeps; null: sweeps.db beside the tracking store.",
    )

    @property
    def objectives(self) -> tuple[tuple[str, Direction], ...]:
        """Every metric with its direction."""
        natural = tuple(natural_direction(name) for name in self.metric)
        return tuple(zip(self.metric, self.direction or natural, strict=True))

    def faults(self) -> list[Fault]:
        """What does not fit together in it."""
        found = []
        if self.direction is not None and len(self.direction) != len(self.metric):
            found.append(must("sweep.direction", f"have one for each of {len(self.metric)} metrics", self.direction))
        several = len(self.metric) > 1
        if several and self.pruner.name != "none":
            found.append(must("sweep.pruner.name", "be none where there are several metrics", self.pruner.name))
        if several and self.sampler in ("cmaes",):
            found.append(must("sweep.sampler", "be one for several metrics, such as nsga2 or tpe", self.sampler))
        if self.engine in ("ray", "slurm") and self.pruner.name != "none":
            rule = "be none with sweep.engine=" + self.engine + ", whose processes do not compare members"
            found.append(must("sweep.pruner.name", rule, self.pruner.name))
        if self.engine in ("local", "workers") and self.engine_address is not None:
            found.append(must("sweep.engine_address", f"be null with sweep.engine={self.engine}", self.engine_address))
        if self.engine == "workers" and self.resume == "never":
            rule = "be auto with sweep.engine=workers, as every worker would begin a sweep of its own"
            found.append(must("sweep.resume", rule, self.resume))
        if self.engine == "slurm" and self.engine_address not in (None, "local"):
            found.append(must("sweep.engine_address", "be null or local with sweep.engine=slurm", self.engine_address))
        if self.engine == "slurm" and self.engine_gpus % 1:
            found.append(must("sweep.engine_gpus", "be whole with sweep.engine=slurm", self.engine_gpus))
        if self.engine != "slurm" and self.engine_options:
            rule = "be empty without sweep.engine=slurm"
            found.append(must("sweep.engine_options", rule, dict(self.engine_options)))
        if self.pruner.name != "none" and self.metric[0] in COSTS:
            found.append(must("sweep.metric", "be measured every epoch where members are pruned", self.metric[0]))
        return found
