"""Runs that are there already: the one that `mlflow run` opened for a command, and those that lie in MLflow's trash."""

import os
import re

import mlflow
from loguru import logger
from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException

from treeline import UserError
from treeline.secrets import without_secrets

GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")  # what MLflow calls a run that nobody named


def refuse_deleted(run: Run) -> None:
    """Refuse a run that lies in MLflow's trash.

    Raises:
        UserError: it does; says how to restore it.
    """
    if run.info.lifecycle_stage == LifecycleStage.ACTIVE:
        return
    home = mlflow.get_experiment(run.info.experiment_id)
    what = f"runs restore --run-id {run.info.run_id}"
    if home.lifecycle_stage != LifecycleStage.ACTIVE:
        what = f"experiments restore --experiment-id {home.experiment_id}"
    raise UserError(
        f"The run {run.info.run_id} of {run.data.tags.get('stage', 'no stage')} lies in MLflow's trash: restore it "
        f"with `mlflow {what}`, or choose another one."
    )


def check_environment() -> None:
    """Refuse a run or an experiment that the environment names and MLflow cannot use.

    Raises:
        UserError: it is unknown, or lies in the trash.
    """
    named = {key: os.environ.get(key, "") for key in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")}
    run_id, experiment_id = named.values()
    try:
        if run_id:
            refuse_deleted(mlflow.get_run(run_id))
        elif experiment_id and mlflow.get_experiment(experiment_id).lifecycle_stage != LifecycleStage.ACTIVE:
            raise UserError(
                f"The experiment {experiment_id}, which MLFLOW_EXPERIMENT_ID names, lies in MLflow's trash: restore it "
                f"with `mlflow experiments restore --experiment-id {experiment_id}`, or name another one."
            )
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        told = " and ".join(f"{key}={value}" for key, value in named.items() if value)
        raise UserError(f"{error.message.rstrip('.')}. The environment says {told}: unset it.") from None


def take_over(run: Run, stage: str) -> None:
    """Make a run that `mlflow run` opened the stage's own: named after it, and without the secrets in its tags; warn of
    those in its parameters, which nobody can change.
    """
    tags = {key: without_secrets(value) for key, value in run.data.tags.items()}
    tags = {key: value for key, value in tags.items() if value != run.data.tags[key]}
    if GENERATED_NAME.fullmatch(run.info.run_name or ""):
        tags["mlflow.runName"] = stage
    for key, value in tags.items():
        mlflow.MlflowClient().set_tag(run.info.run_id, key, value)
    open_ = [name for name, value in run.data.params.items() if without_secrets(value) != value]
    if open_:
        logger.warning(
            f"`mlflow run` has logged {', '.join(open_)} as typed, with what may be a password or a signature: change "
            "it if it is one, for all who see the run can read it; docs/use-the-model.md tells how to hand one over "
            "unseen"
        )


def close_unused_run(error: str = "") -> None:
    """Close the run that `mlflow run` opened for a command that opens none, or ended before: named after the entry
    point, it says what went wrong.

    It has no `stage`, so that no stage builds on it. It cannot be deleted, for `mlflow run` sets its status afterwards.

    Args:
        error: what the command ended with, in a sentence; empty where it did what it was asked for.
    """
    run_id = os.environ.pop("MLFLOW_RUN_ID", "")
    if not run_id:
        return
    client = mlflow.MlflowClient()
    try:
        run = client.get_run(run_id)
        if run.info.status == "RUNNING" and (entry_point := run.data.tags.get("mlflow.project.entryPoint")):
            take_over(run, entry_point)
            if error:
                client.set_tag(run_id, "error", without_secrets(error[:5000]))
            client.set_terminated(run_id, "FAILED" if error else "FINISHED")
    except MlflowException as problem:  # `mlflow run` closes it; the last line is the command's own error
        logger.debug(f"the run {run_id} keeps its name: {problem}")
