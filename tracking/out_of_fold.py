"""What the boosters of the folds said of training rows that they had not seen; tuning logs it, thresholds need it."""

from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from tracking.kept_files import reading
from tracking.store_errors import raise_if_of_store
from treeline.data.problem import Problem
from treeline.evaluation.predictions import Predictions, as_predictions

OUT_OF_FOLD = "out_of_fold"  # on the tuning run


@dataclass(frozen=True)
class OutOfFold:
    """Training rows that the folds predicted.

    Attributes:
        seen: the rows, with the target.
        answers: numbers of shape (n_rows,), or probabilities of shape (n_rows, n_classes).
    """

    seen: pd.DataFrame
    answers: np.ndarray


def load_out_of_fold(train: pd.DataFrame, tuning_run_id: str) -> OutOfFold | None:
    """Load the out-of-fold predictions of the training rows; None where tuning logged none, as older versions did.

    Args:
        train: the training rows, in the order of the data run.
        tuning_run_id: of the run that logged them.

    Raises:
        StoreError: their file is damaged.
    """
    try:
        path = Path(mlflow.artifacts.download_artifacts(run_id=tuning_run_id, artifact_path=f"{OUT_OF_FOLD}.parquet"))
    except (MlflowException, OSError) as error:
        raise_if_of_store(error)
        return None
    with reading(tuning_run_id, path.name):
        found = pd.read_parquet(path)
        answers = found.drop(columns="row").to_numpy(dtype=np.float64)
        seen = train.iloc[found["row"].to_numpy()].reset_index(drop=True)
    return OutOfFold(seen, answers[:, 0] if list(found) == ["row", "prediction"] else answers)


def load_held_out_predictions(problem: Problem, train: pd.DataFrame, tuning_run_id: str) -> Predictions | None:
    """Load the out-of-fold predictions beside the truth; None where tuning logged none."""
    found = load_out_of_fold(train, tuning_run_id)
    return None if found is None else as_predictions(problem, found.seen, found.answers)
