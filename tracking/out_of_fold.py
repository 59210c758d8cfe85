"""What the boosters of the folds said of training rows that they had not seen; tuning logs it, thresholds need it."""

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from treeline.data.problem import Problem
from treeline.evaluation.predictions import Predictions

OUT_OF_FOLD = "out_of_fold.parquet"


def load_out_of_fold(problem: Problem, train: pd.DataFrame, tuning_run_id: str) -> Predictions | None:
    """Load the out-of-fold predictions of the training rows; None where tuning logged none, as older versions did.

    Args:
        problem: whose rows they are.
        train: the training rows, in the order of the data run.
        tuning_run_id: of the run that logged them.
    """
    try:
        found = pd.read_parquet(mlflow.artifacts.download_artifacts(run_id=tuning_run_id, artifact_path=OUT_OF_FOLD))
    except (MlflowException, OSError):
        return None
    seen = train.iloc[found["row"].to_numpy()]
    y, weight = problem.truth(seen), problem.weights(seen)
    answers = found.drop(columns="row").to_numpy(dtype=np.float64)
    if problem.task == "regression":
        return Predictions(problem.task, y, answers[:, 0], np.empty((len(y), 0)), weight)
    return Predictions(problem.task, y, answers.argmax(axis=1), answers, weight)
