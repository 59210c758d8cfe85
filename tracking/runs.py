"""The run store: open a stage's run, find the last good one, hand a dataset over."""

import fcntl
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

import mlflow
import pandas as pd
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy import make_url

from treeline import UserError
from treeline.data.problem import Problem

EXPERIMENT = "treeline"
GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")  # what MLflow calls a run that nobody named
REPRODUCTION = "reproduction"  # tag of a run that only makes an earlier one again


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
            UserError: one of the first three is not known, or one is not in this store.
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
        return found


@dataclass(frozen=True)
class Origin:
    """Where rows come from.

    Attributes:
        name: of the dataset.
        source: a path, a URL, or where else; noted where it is a local file.
        digest: of everything that was read.
    """

    name: str
    source: str
    digest: str


@contextmanager
def stage_run(stage: str, settings: StageSettings, system_metrics: bool = False) -> Iterator[Run]:
    """Check the settings of a stage, open its run, tag it and log them; it ends FAILED when the block raises.

    The run is, in this order: a child of the active run; the run that `mlflow run` opened; a new one in the experiment
    that the environment names, or else `treeline`.

    Args:
        stage: the entry point's name; also the run's name and its `stage` tag.
        settings: logged under their names on the command line, but for those that `mlflow run` has logged as typed.
        system_metrics: sample CPU and memory every second.

    Raises:
        UserError: a setting cannot be; no run is opened then.
    """
    settings.check()
    nested = mlflow.active_run() is not None
    adopted = not nested and "MLFLOW_RUN_ID" in os.environ
    if not nested and not adopted:
        choose_experiment()
    if system_metrics:
        mlflow.set_system_metrics_sampling_interval(1)
    tags = _inherited_tags() if nested else {}
    name = None if adopted else stage
    with mlflow.start_run(run_name=name, nested=nested, tags=tags, log_system_metrics=system_metrics) as run:
        if adopted and GENERATED_NAME.fullmatch(run.info.run_name or ""):
            mlflow.set_tag("mlflow.runName", stage)
        mlflow.set_tag("stage", stage)
        logged = mlflow.get_run(run.info.run_id).data.params
        mlflow.log_params({name: value for name, value in settings.parameters().items() if name not in logged})
        try:
            yield run
        except UserError as error:
            mlflow.set_tag("error", str(error)[:5000])
            raise


def _inherited_tags() -> dict[str, str]:
    """Give what a stage takes over from the run that it is part of: that it only makes an earlier one again."""
    tags = mlflow.get_run(mlflow.active_run().info.run_id).data.tags
    return {REPRODUCTION: "true"} if tags.get("stage") == "reproduce" or REPRODUCTION in tags else {}


def choose_experiment() -> None:
    """Make the experiment of this process the one that the environment names, or else `treeline`.

    Raises:
        UserError: the store cannot be opened: an old file store, a deleted experiment, a server that does not answer.
    """
    if mlflow.get_tracking_uri().startswith(("file:", "/", "./")):
        raise UserError(
            f"The tracking store {mlflow.get_tracking_uri()} is a file store, which MLflow no longer writes. "
            "Convert it "
            "with `mlflow migrate-filestore`, or move the folder mlruns away."
        )
    if "MLFLOW_EXPERIMENT_ID" in os.environ:
        return
    try:
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT))
    except MlflowException as error:
        raise UserError(f"Cannot open the tracking store {mlflow.get_tracking_uri()}: {error.message}") from error


def find_run(stage: str, run_id: str = "") -> Run:
    """Find the finished run of a stage that another one builds on.

    Args:
        stage: the stage it must be a run of.
        run_id: the run to take; empty takes the last FINISHED one of the active run's experiment.

    Raises:
        UserError: there is none, or the run named is unknown, unfinished or of another stage.
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


def download_artifact(uri: str, folder: Path) -> Path:
    """Fetch an artifact by its URI into a folder; give the file.

    Raises:
        OSError: why it cannot be fetched.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except MlflowException as error:
        raise OSError(error.message) from error


def log_split(problem: Problem, frame: pd.DataFrame, name: str, context: str) -> None:
    """Log one side of the split as `<name>.parquet` and as an MLflow input."""
    log_parquet(frame, name)
    log_input(problem, frame, name, context)


def log_parquet(frame: pd.DataFrame, name: str) -> None:
    """Log rows as `<name>.parquet`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.parquet"
        frame.to_parquet(path, index=False)
        mlflow.log_artifact(str(path))


def load_split(run_id: str, name: str) -> pd.DataFrame:
    """Read `train` or `test` of a data run."""
    return pd.read_parquet(split_path(run_id, name))


def split_path(run_id: str, name: str) -> Path:
    """Give the file of `train` or `test` of a data run.

    Raises:
        UserError: the rows are not there.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=f"{name}.parquet"))
    except (MlflowException, OSError) as error:
        raise UserError(
            f"The {name} rows of the data run {run_id} are not in this store: they were deleted or moved, or left out "
            "when the model was exported."
        ) from error


def log_input(problem: Problem, frame: pd.DataFrame, side: str, context: str, source: str = "") -> PandasDataset:
    """Log rows as an MLflow input: named after the table and the side, with the digest of the whole table.

    Args:
        problem: that the table poses.
        frame: the rows.
        side: `train`, `test` or `evaluation`.
        context: what they are used for.
        source: the file they come from; empty takes the table's. What is no file, such as a built-in table, is said to
            come from this code, for MLflow resolves no other source on every store.
    """
    origin = Origin(f"{problem.table}-{side}", source or problem.source, problem.digest)
    return log_dataset(frame, origin, context, problem.target)


def log_dataset(frame: pd.DataFrame, origin: Origin, context: str, target: str | None = None) -> PandasDataset:
    """Log rows as an MLflow input.

    Args:
        frame: the rows, or a part of them that describes the rest.
        origin: where they come from.
        context: what they are used for.
        target: the column of labels.
    """
    with warnings.catch_warnings():
        # MLflow registers the same source class twice for a local path, and picks the one there is.
        warnings.filterwarnings("ignore", "The specified dataset source can be interpreted in multiple ways")
        # The dataset's schema only describes rows; the signature of the model deals with missing integers itself.
        warnings.filterwarnings("ignore", "(?s).*Inferred schema contains integer column")
        path = origin.source if Path(origin.source).is_file() else None
        dataset = mlflow.data.from_pandas(frame, source=path, targets=target, name=origin.name, digest=origin.digest)
        # MLflow looks at every value for the schema, half a minute for a million rows; a thousand say as much.
        dataset.schema = mlflow.data.from_pandas(frame.head(1000)).schema
        mlflow.log_input(dataset, context=context)
    return dataset


def log_problem(problem: Problem) -> None:
    """Log the problem as `problem.json`."""
    mlflow.log_dict(asdict(problem), "problem.json")


def load_problem(data_run: Run) -> Problem:
    """Read the problem that a data run settled."""
    return Problem(**mlflow.artifacts.load_dict(f"{data_run.info.artifact_uri}/problem.json"))


def check_store() -> None:
    """Refuse a folder whose store MLflow would look for elsewhere: its default URI says %20 for a blank, and SQLAlchemy
    before 2.1, the last for Python 3.10, takes that for the folder's name.

    Raises:
        UserError: it is such a folder.
    """
    uri = mlflow.get_tracking_uri()
    if uri.startswith("sqlite:///") and "%" in uri and make_url(uri).database == uri.removeprefix("sqlite:///"):
        raise UserError(
            f"MLflow cannot find its store in {str(store_folder())!r}, for a character in the folder's name: set "
            "MLFLOW_TRACKING_URI=sqlite:///mlflow.db for every command, rename the folder, or use Python 3.11 or later."
        )


@contextmanager
def registry_lock() -> Iterator[None]:
    """Let one process at a time change the registry, of those that share the folder of a store: they lock the folder
    itself, which leaves no file behind and is undone by the system when a process is killed.
    """
    folder = os.open(store_folder(), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def store_folder() -> Path:
    """Give the folder of the SQLite store, or this one where the store is a server's."""
    uri = mlflow.get_tracking_uri()
    return (
        Path(unquote(uri.removeprefix("sqlite:///"))).absolute().parent if uri.startswith("sqlite:///") else Path.cwd()
    )
