"""The golden configurations: between them they use every part of training that a change of the house could disturb."""

from pathlib import Path

TINY = (
    "model.name=tiny",
    "model.input=null",
    "data.limit=160",
    "train.batch_size=32",
    "train.epochs=2",
    "figures=off",
)


def layers(*entries: str) -> str:
    """The override that makes these entries the layer list."""
    return f"model.layers=[{', '.join(entries)}]"


CONV = "{conv: {filters: 4, kernel_size: 3}}"
HEAD = ("flatten", "classifier")
PLAIN = layers(CONV, "relu", "{max_pool: {size: 2}}", *HEAD)
NORMALISED = layers(CONV, "batch_norm", "relu", "{max_pool: {size: 2}}", *HEAD)

ALONE: dict[str, tuple[str, ...]] = {
    "plain": (PLAIN,),
    "portable": (PLAIN, "train.lowering=portable"),
    "reference": (PLAIN, "train.lowering=reference"),
    "auxiliary": (
        layers(CONV, "relu", "{auxiliary: {weight: 0.4, layers: [global_avg_pool, classifier]}}", CONV, "relu", *HEAD),
    ),
    "frozen_batch_norm": (NORMALISED, "train.freeze=[batch_norm]"),
    "averaged": (NORMALISED, "train.ema_decay=0.9", "optimizer=adamw", "optimizer.weight_decay=0.01"),
    "accumulated": (
        layers(CONV, "batch_norm", "relu", "{dropout: {rate: 0.3}}", *HEAD),
        "train.accumulate=4",
        "train.clip.norm=1.0",
    ),
    "mixed": (NORMALISED, "augment={affine: {degrees: 10.0, translate: 0.1}, mixup: {alpha: 0.4}}"),
    "bfloat16": (NORMALISED, "train.precision=bfloat16", "optimizer=momentum", "optimizer.learning_rate=0.05"),
    "whitened": (
        layers("{conv: {filters: 6, kernel_size: 2, use_bias: false, kernel_init: whitening}}", "gelu", *HEAD),
        "train.test_time.views=mirror",
    ),
    "stopped": (
        PLAIN,
        "train.epochs=12",
        "optimizer.learning_rate=0.3",
        "train.keep=best",
        "train.early_stopping={patience: 2}",
        "train.monitor.metric=val/loss",
    ),
    "steps": (
        layers("{residual: {layers: [{conv: {filters: 1, kernel_size: 3, padding: same}}, tanh]}}", *HEAD),
        "train.steps=7",
        "schedule=warmup_cosine",
        "schedule.warmup_epochs=1",
        "loss=squared_error",
    ),
    "wide": (
        layers(
            "{conv: {filters: 4, kernel_size: 3}}",
            "{conv: {filters: 4, kernel_size: 3, groups: 4}}",
            "relu",
            "{branches: {paths: [[global_avg_pool], [global_max_pool]]}}",
            "classifier",
        ),
        "model.width=1.5",
    ),
    "text": (
        "data=text",
        "data.root=texts.csv",
        "data.length=6",
        layers(
            "{embedding: {dim: 6}}", "{conv: {filters: 5, kernel_size: 2}}", "relu", "global_max_pool", "classifier"
        ),
    ),
}

SWEPT: dict[str, tuple[str, ...]] = {
    "plain": (PLAIN, "optimizer.learning_rate=0.003,0.01", "seed=0,1"),
    "mixed": (*ALONE["mixed"], "seed=3,4"),
    "averaged": (*ALONE["averaged"], "train.ema_decay=0.5,0.9"),
    "stopped": (*ALONE["stopped"], "optimizer.learning_rate=0.3,0.01"),
}
STRATEGIES = ("loop", "parallel", "vmap")


def write_texts(folder: Path) -> None:
    """Sentences of two classes as texts.csv."""
    good, bad = ("fine", "great", "lovely", "bright"), ("awful", "dull", "poor", "grey")
    rows = [
        f"a {words[index % 4]} film number {index % 7},{name}"
        for index in range(80)
        for name, words in (("good", good), ("bad", bad))
    ]
    (folder / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
