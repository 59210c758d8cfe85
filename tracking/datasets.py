"""Rows and problems handed from run to run: logged as artifacts and as MLflow inputs, and read back."""

import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tracking.kept_files import load_document, load_rows
from treeline import UserError
from treeline.data.problem import Problem

# What a problem has had from the first version on; later ones added values with defaults.
PROBLEM = {"table": str, "source": str, "target": str, "task": str, "reason": str, "classes": list}
PROBLEM |= {"kinds": dict, "derived": dict, "digest": str}


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
    """Read `train` or `test` of a data run.

    Raises:
        UserError: the rows are not there, or their file is damaged.
    """
    return load_rows(run_id, split_path(run_id, name))


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
    """Read the problem that a data run settled.

    Raises:
        StoreError: it cannot be read.
    """
    return Problem(**load_document(data_run.info.run_id, "problem.json", PROBLEM))
