"""The champion loaded and met on the same rows, and the alias moved where a challenger earned it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from loguru import logger
from mlflow.entities.model_registry import ModelVersion

from tracking.datasets import load_problem, load_split
from tracking.registry import aliased, finish_interrupted_promotion, promote
from tracking.runs import Lineage, find_run
from treeline import UserError
from treeline.data.problem import Problem
from treeline.data.tables import hash_rows
from treeline.evaluation.comparison import Contest, Decision, compare
from treeline.evaluation.criteria import Criteria
from treeline.evaluation.predictions import Predictions, predict
from treeline.model.estimator import TreelineClassifier, TreelineRegressor

MIN_ROWS_TO_COMPARE = 30  # on which two models can be told apart


@dataclass(frozen=True)
class Challenger:
    """A registered version that is judged.

    Attributes:
        name: of the pipeline's registered model.
        version: of all three forms.
        problem: that it solves.
        train: the rows that it was trained on.
        frame: the rows that judge it, as they were read.
        predictions: its, for those rows.
        golden: requests recorded at training, with its answers.
    """

    name: str
    version: str
    problem: Problem
    train: pd.DataFrame
    frame: pd.DataFrame
    predictions: Predictions
    golden: Mapping[str, Any]


def meet_champion(challenger: Challenger, criteria: Criteria) -> Contest | None:
    """Compare a challenger with the champion on rows that neither was trained on.

    Returns:
        None where there is no champion but the challenger itself, or the criteria ask for no comparison.
    """
    champion = aliased(challenger.name, "champion")
    if champion is None or str(champion.version) == challenger.version or not criteria.compares:
        return None
    known = f"{challenger.name} version {champion.version}"
    try:
        return _compare(challenger, champion, criteria.metric, known)
    except UserError as error:
        return Contest(known, obstacle=f"the champion {known} cannot be compared: {error}")


def load_pipeline(name: str, version: str) -> TreelineClassifier | TreelineRegressor:
    """Load a registered pipeline.

    Raises:
        UserError: this version of Treeline, or of a library, cannot load it.
    """
    uri = f"models:/{name}/{version}"
    try:
        return mlflow.sklearn.load_model(uri)
    # Whatever MLflow, skops and the classes it names raise where a class has moved or a file is gone.
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        raise UserError(
            f"{uri} cannot be loaded here ({reason}): it was made by another version of Treeline or of a library, or "
            "its files are gone. Train and evaluate again, or replace it with promote=always"
        ) from error


def apply_decision(decision: Decision, challenger: Challenger, facts: dict[str, object]) -> None:
    """Move the aliases where a challenger is promoted, and tell what was decided.

    Args:
        decision: taken.
        challenger: it is about.
        facts: for the history of champions; JSON values.
    """
    known = f"{challenger.name} version {challenger.version}"
    if decision.outcome == "promote":
        promote(challenger.name, challenger.version, facts)
        logger.info(f"{known} is the champion")
    else:
        outcome = "refused" if decision.outcome == "refuse" else "not promoted"
        logger.warning(f"{known} is {outcome}: {'; '.join(decision.reasons)}")


def finish_earlier(name: str) -> None:
    """Finish a move of aliases that a crash left half done, and tell of it."""
    if finish_interrupted_promotion(name):
        logger.warning(f"an earlier move of the aliases of {name} was cut short; it is finished now")


def _compare(challenger: Challenger, champion: ModelVersion, metric: str, known: str) -> Contest:
    """Compare with a champion, or say what stands in the way.

    Raises:
        UserError: the champion, its problem or its rows are not to be had.
    """
    problem, frame = challenger.problem, challenger.frame
    data_run = find_run("data-preprocessing", Lineage.from_tags(champion.tags).data_run_id)
    theirs = load_problem(data_run)
    if (theirs.task, theirs.classes, theirs.target) != (problem.task, problem.classes, problem.target):
        return Contest(known, obstacle=f"the champion {known} predicts something else and cannot be compared")
    frame = theirs.read(frame, "the evaluated table")
    fresh = _new_rows(problem, frame, challenger.train)
    fresh &= _new_rows(theirs, frame, load_split(data_run.info.run_id, "train"))
    about = f"{fresh.sum()} of {len(frame)} rows are new to the champion {known} and to this model"
    if fresh.sum() < MIN_ROWS_TO_COMPARE:
        few = f"only {about}, fewer than {MIN_ROWS_TO_COMPARE}"
        return Contest(known, obstacle=few, about=few)
    estimator = load_pipeline(champion.name, str(champion.version))
    ours = challenger.predictions.take(np.flatnonzero(fresh))
    return Contest(known, compare(ours, predict(theirs, estimator, frame[fresh]), metric, seed=0), about=about)


def _new_rows(problem: Problem, frame: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    """Tell which rows are not among the training rows, by what the model sees of them; shape (n_rows,)."""
    return ~np.isin(hash_rows(frame, problem.kinds, problem.target), hash_rows(train, problem.kinds, problem.target))
