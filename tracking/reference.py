"""What a registered version is compared with later: a sample of its training rows, its answers when it was judged."""

from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pandas as pd
from loguru import logger
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tracking.adoption import refuse_deleted
from tracking.datasets import load_problem, log_parquet, split_path
from tracking.kept_files import load_rows
from tracking.runs import Lineage, find_run
from treeline import UserError
from treeline.data.chunks import chunks
from treeline.data.drift import sample_rows
from treeline.data.problem import Problem

ANSWERS = "answers"  # of the evaluation, on its run


@dataclass(frozen=True)
class Reference:
    """What is known of a version.

    Attributes:
        problem: that it solves.
        train: a sample of its training rows; empty where they were not handed over with it.
        answers: its answers to the rows that judged it; empty where it was not judged.
    """

    problem: Problem
    train: pd.DataFrame = field(default_factory=pd.DataFrame)
    answers: pd.DataFrame = field(default_factory=pd.DataFrame)


def load_reference(version: ModelVersion) -> Reference:
    """Gather what is known of a version from the runs that made and judged it.

    Raises:
        UserError: its data run is not in this store.
    """
    lineage = Lineage.from_tags(version.tags)
    data_run = find_run("data-preprocessing", lineage.data_run_id)
    try:
        train = sample_rows(chunk.frame for chunk in chunks(split_path(data_run.info.run_id, "train")))
    except UserError as error:  # a model can be handed over without its rows; it scores all the same
        logger.warning(f"drift is not measured: {error}")
        train = pd.DataFrame()
    return Reference(load_problem(data_run), train, _judged_answers(lineage.evaluation_run_id))


def log_answers(answers: pd.DataFrame) -> None:
    """Log answers to the rows that judge a model, on the active run."""
    log_parquet(answers, ANSWERS)


def _judged_answers(evaluation_run_id: str) -> pd.DataFrame:
    if not evaluation_run_id:
        return pd.DataFrame()
    try:
        refuse_deleted(mlflow.get_run(evaluation_run_id))
        path = Path(mlflow.artifacts.download_artifacts(run_id=evaluation_run_id, artifact_path=f"{ANSWERS}.parquet"))
    except (MlflowException, OSError, UserError) as error:
        logger.warning(f"the drift of the answers is not measured: {error}")
        return pd.DataFrame()
    return load_rows(evaluation_run_id, path)
