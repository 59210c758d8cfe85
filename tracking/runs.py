"""The runs of stages: opened, found again, and the lineage that leads from one to the next."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, fields
from typing import Protocol

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tracking.adoption import check_environment, refuse_deleted, take_over
from tracking.closing import HEARTBEAT, heartbeat
from tracking.kept_files import load_document
from tracking.owners import this_process
from tracking.store import check_room, choose_experiment
from treeline import UserError
from treeline.interruption import stop_if_wished
from treeline.secrets import without_secrets

REPRODUCTION = "reproduction"  # tag of a run that only makes an earlier one again
SETTINGS = "settings.json"  # every setting of a stage as it was given, which the parameters of a run may not be


class StageSettings(Protocol):
    """What a stage's run needs to know of its settings."""

    def check(self) -> None:
        """Refuse what can be refused without the data.

        Raises:
            UserError: a setting cannot be.
        """

    def parameters(self) -> dict[str, str]:
        """Give each setting by its name on the command line, as text for MLflow."""


@dataclass(frozen=True)
class Lineage:
    """The runs that a model comes from, and the digest of the table; the tags of runs and versions carry it.

    Attributes:
        data_run_id, tuning_run_id, training_run_id, evaluation_run_id: empty where there is none, or none yet.
        data_digest: of all rows and columns, the target included.
    """

    data_run_id: str = ""
    tuning_run_id: str = ""
    training_run_id: str = ""
    evaluation_run_id: str = ""
    data_digest: str = ""

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Lineage":
        """Read it from the tags of a run or a version."""
        return cls(**{each.name: tags[each.name] for each in fields(cls) if each.name in tags})

    def tags(self) -> dict[str, str]:
        """Give what is known of it as tags."""
        return {name: value for name, value in asdict(self).items() if value}

    def runs(self) -> dict[str, Run]:
        """Fetch the runs by what they are: `data`, `tuning`, `training` and, where the model was judged, `evaluation`.

        Raises:
            UserError: one of the first three is not known, or one is not in this store or lies in its trash.
        """
        found = {}
        for key in ("data", "tuning", "training", "evaluation"):
            run_id = getattr(self, f"{key}_run_id")
            if not run_id and key == "evaluation":
                continue
            try:
                found[key] = mlflow.get_run(run_id)
            except MlflowException as error:
                raise UserError(
                    f"The runs that made this model are not in this store: its {key} run is {run_id or 'not known'!r}. "
                    f"{error.message.rstrip('.')}."
                ) from None
            refuse_deleted(found[key])
        return found


@contextmanager
def stage_run(stage: str, settings: StageSettings, system_metrics: bool = False) -> Iterator[Run]:
    """Check the settings of a stage, open its run, tag it and log them; it ends FAILED when the block raises.

    The run is, in this order: a child of the active run; the run that `mlflow run` opened; a new one in the experiment
    that the environment names, or else `treeline`.

    Args:
        stage: the entry point's name; also the run's name and its `stage` tag.
        settings: logged under their names on the command line, but for those that `mlflow run` has logged as typed;
            and all of them whole, as `settings.json`.
        system_metrics: sample CPU and memory every second.

    Raises:
        UserError: a setting cannot be, or the disk has no room, and no run is opened then; or the environment names a
            run or an experiment that cannot be used.
    """
    settings.check()
    stop_if_wished()
    nested = mlflow.active_run() is not None
    adopted = not nested and "MLFLOW_RUN_ID" in os.environ
    if not nested:
        check_room()
    if not nested and not adopted:
        choose_experiment()
    if not nested:
        check_environment()
    if system_metrics:
        mlflow.set_system_metrics_sampling_interval(1)
    tags = {"stage": stage, **this_process().tags()}
    tags |= _inherited_tags() if nested else {HEARTBEAT: f"{time.time():.0f}"}
    name = None if adopted else stage
    with (
        mlflow.start_run(run_name=name, nested=nested, tags=tags, log_system_metrics=system_metrics) as run,
        nullcontext() if nested else heartbeat(run.info.run_id),
    ):
        given = settings.parameters()
        if adopted:
            take_over(run, stage)
        logged = run.data.params
        mlflow.log_params({name: value for name, value in given.items() if name not in logged})
        mlflow.log_dict(given, SETTINGS)
        try:
            yield run
        except UserError as error:
            mlflow.set_tag("error", without_secrets(str(error))[:5000])
            raise


def _inherited_tags() -> dict[str, str]:
    """Give what a stage takes over from the run that it is part of: that it only makes an earlier one again."""
    tags = mlflow.get_run(mlflow.active_run().info.run_id).data.tags
    return {REPRODUCTION: "true"} if tags.get("stage") == "reproduce" or REPRODUCTION in tags else {}


def logged_settings(run: Run) -> dict[str, str]:
    """Read the settings that a stage ran with, as text by their names in Python.

    They come from `settings.json`: `mlflow run` logs parameters as a shell would spell them (an empty one is two
    quotes), and MLflow cuts them at 6,000 characters. The parameters are all that runs of before that file have.
    """
    kept = {each.path for each in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    given = load_document(run.info.run_id, SETTINGS) if SETTINGS in kept else run.data.params
    return {name.replace("-", "_"): value for name, value in given.items()}


def find_run(stage: str, run_id: str = "") -> Run:
    """Find the finished run of a stage that another one builds on.

    Args:
        stage: the stage it must be a run of.
        run_id: the run to take; empty takes the last FINISHED one of the active run's experiment.

    Raises:
        UserError: there is none, or the run named is unknown, deleted, unfinished or of another stage.
    """
    if not run_id:
        return _last_run(stage)
    try:
        run = mlflow.get_run(run_id)
    except MlflowException:
        raise UserError(
            f"No run {run_id!r} in the store {mlflow.get_tracking_uri()}: copy the id of a run of {stage}."
        ) from None
    if run.data.tags.get("stage") != stage:
        raise UserError(
            f"The run {run_id} is one of {run.data.tags.get('stage', 'no stage')}, not of {stage}: give the id of "
            f"a run of {stage}."
        )
    refuse_deleted(run)
    if run.info.status != "FINISHED":
        raise UserError(f"The run {run_id} of {stage} is {run.info.status}, not FINISHED: give one that finished.")
    return run


def _last_run(stage: str) -> Run:
    """Find the last FINISHED run of a stage in the active run's experiment, those aside that made one again."""
    experiment = mlflow.active_run().info.experiment_id
    query, token = f"tags.stage = '{stage}' and attributes.status = 'FINISHED'", None
    while True:
        page = mlflow.MlflowClient().search_runs([experiment], query, order_by=["end_time DESC"], page_token=token)
        for run in page:
            if REPRODUCTION not in run.data.tags:
                return run
        token = page.token
        if not token:
            break
    name = mlflow.get_experiment(experiment).name
    where = "" if name == "Default" else f" --experiment-name {name}"
    raise UserError(
        f"No finished run of {stage} in the experiment {name!r}. Run it first: mlflow run . -e {stage}{where}"
    )
