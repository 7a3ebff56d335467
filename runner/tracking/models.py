"""Logs a trained model in MLflow, beside its run."""

import re
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runner.tracking.summaries import own_name

if TYPE_CHECKING:
    from runner.serving.model import ModelFacts

METRICS_PER_CALL: Final = 800  # MLflow's limit
_NAME_CHARACTERS: Final = 250


def log_model(client: Any, experiment_id: str, run_id: str, folder: Path) -> None:
    """Logs the model that `runner.serving.save_model` wrote to a folder, by an MlflowClient.

    The model has the name, the parameters and the metrics of its run. A run that has it gets no second one.
    """
    import mlflow.pyfunc
    from mlflow.models import Model as ModelFile

    from runner.serving import shipping  # which imports JAX
    from runner.serving.model import described, sent_example

    run = client.get_run(run_id)
    name = _model_name(run.info.run_name or "model")
    if _has_model(client, experiment_id, run_id, name):
        return
    facts = described(folder)
    logged = client.create_logged_model(experiment_id, name, run_id, params=run.data.params)
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "model"
        mlflow.pyfunc.save_model(
            target,
            loader_module=shipping.loader(folder),
            data_path=str(folder),
            code_paths=list(map(str, (folder / shipping.CODE).iterdir())),
            mlflow_model=ModelFile(
                artifact_path=logged.artifact_location,
                run_id=run_id,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
                metadata={facts.form: list(facts.classes), "inputs": facts.inputs.described},
            ),
            signature=_signature(facts),
            input_example=sent_example(folder),
            # Given here, because MLflow would otherwise load the model in a new process to find them.
            pip_requirements=_requirements(),
        )
        shutil.rmtree(target / "data" / folder.name / shipping.CODE)  # MLflow has put the code beside the data
        client.log_model_artifacts(logged.model_id, str(target))
    client.finalize_logged_model(logged.model_id, "READY")
    _log_metrics(client, run, logged.model_id)
    # Last of all, as it shows that the run has its model.
    client.log_outputs(run_id, [mlflow.entities.LoggedModelOutput(logged.model_id, step=0)])


def _signature(facts: "ModelFacts") -> Any:
    """The signature: any input, as one model reads files, texts and arrays; answers; and `top_k` for classes."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, DataType, Object, Property

    if facts.form == "numbers":
        return ModelSignature(outputs=Schema([ColSpec(DataType.double, name) for name in facts.classes]))
    if facts.form == "labels":
        each = Object([Property(name, DataType.double) for name in facts.classes])
        return ModelSignature(
            outputs=Schema([ColSpec(Array(DataType.string), "labels"), ColSpec(each, "probabilities")])
        )
    choice = [Property("class", DataType.string), Property("probability", DataType.double)]
    return ModelSignature(
        outputs=Schema(
            [
                ColSpec(DataType.string, "class"),
                ColSpec(DataType.double, "probability"),
                ColSpec(Array(Object(choice)), "top"),
            ]
        ),
        params=ParamSchema([ParamSpec("top_k", DataType.long, 1)]),
    )


def _has_model(client: Any, experiment_id: str, run_id: str, name: str) -> bool:
    """Whether a run has its model; what a process left that was killed as it sent the model is deleted."""
    whole = False
    for found in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}' AND name = '{name}'"):
        outputs = client.get_run(run_id).outputs
        linked = {output.model_id for output in outputs.model_outputs} if outputs else set()
        if str(found.status) == "READY" and found.model_id in linked:
            whole = True
        else:
            client.delete_logged_model(found.model_id)
    return whole


def _log_metrics(client: Any, run: Any, model_id: str) -> None:
    """Gives a model the last values of the metrics of its run, and the data set on which each was measured."""
    from mlflow.entities import Metric

    datasets = {item.tags[0].value: item.dataset for item in run.inputs.dataset_inputs if item.tags}
    metrics = []
    for last in run.data.to_proto().metrics:  # run.data.metrics has no steps, and a history takes a call each
        # `val` of val/accuracy and best_val_accuracy, `test` of test_accuracy
        split = re.split("[/_]", own_name(last.key).removeprefix("best/"))[0]
        dataset = datasets.get(split)
        metrics.append(
            # With the step and the time of the value: the store would else give the run a second one.
            Metric(
                last.key,
                last.value,
                last.timestamp,
                last.step,
                model_id=model_id,
                dataset_name=dataset.name if dataset else None,
                dataset_digest=dataset.digest if dataset else None,
                run_id=run.info.run_id,
            )
        )
    for some in chunks(metrics, METRICS_PER_CALL):
        client.log_batch(run.info.run_id, some)


def register(client: Any, run_id: str, name: str, alias: str) -> None:
    """Makes the model of a run a version of the registered model, unless it is one, and sets the alias to it.

    Raises ValueError if the run has no model.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
    known = [version for version in client.search_model_versions(f"run_id='{run_id}'") if version.name == name]
    if not known:
        outputs = client.get_run(run_id).outputs
        if outputs is None or not outputs.model_outputs:
            raise ValueError("the run has no model")
        logged = client.get_logged_model(outputs.model_outputs[-1].model_id)
        known = [client.create_model_version(name, logged.artifact_location, run_id, model_id=logged.model_id)]
    client.set_registered_model_alias(name, alias, known[0].version)


def chunks(items: list[Any], size: int) -> list[list[Any]]:
    """The items in lists of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _model_name(run_name: str) -> str:
    """The name of a run without the characters that MLflow does not allow in names of models: 0.01 becomes 0·01."""
    return re.sub(r"[/:%\"']", "_", run_name.replace(".", "·"))[:_NAME_CHARACTERS]


def _requirements() -> list[str]:
    return [f"{name}=={version(name)}" for name in ("jax", "numpy", "flatbuffers", "pillow")]
