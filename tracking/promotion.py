"""Whether a registered model earns the alias: thresholds, recorded requests, the champion on the same rows."""

import json
import math
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models.evaluation import EvaluationResult, MetricThreshold
from mlflow.models.evaluation.validation import ModelValidationFailedException
from mlflow.pyfunc import scoring_server

from config import EvaluationSettings
from tracking.registry import aliased
from tracking.runs import find_run, load_problem, load_split
from treeline import UserError
from treeline.data.problem import Problem
from treeline.data.tables import hash_rows
from treeline.data.target import check_columns
from treeline.evaluation.comparison import Comparison, Predictions, compare, parse_thresholds
from treeline.metrics import metrics_of

MIN_ROWS_TO_COMPARE = 30  # rows on which two models can be told apart


def missed_thresholds(min_score: str, predictions: Predictions) -> list[str]:
    """Hold the scores against the absolute thresholds, by MLflow's own validation; say which are missed."""
    scores, known, reasons = predictions.scores(), metrics_of(predictions.task), []
    for name, threshold in parse_thresholds(min_score).items():
        limit = MetricThreshold(threshold=threshold, greater_is_better=known[name].greater_is_better)
        try:
            mlflow.validate_evaluation_results({name: limit}, EvaluationResult(metrics=scores, artifacts={}))
        except ModelValidationFailedException:
            reasons.append(f"{name} {scores[name]:.4g} does not reach the threshold {threshold:g}")
    return reasons


def replay_golden_requests(service_uri: str, golden: dict[str, Any]) -> list[str]:
    """Ask the served form the requests recorded at training, as JSON; say where its answers differ."""
    try:
        service = mlflow.pyfunc.load_model(service_uri)
        asked = json.dumps({"dataframe_split": golden["request"]})
        schema = service.metadata.get_input_schema()
        answer = scoring_server.invocations(asked, "application/json", service, schema)
        told = json.loads(answer.response)["predictions"] if answer.status == 200 else answer.response
    except Exception as error:  # whatever keeps a model from answering, it does not answer
        return [f"the served form does not answer: {type(error).__name__}: {error}"[:500]]
    if answer.status != 200:
        return [f"the served form answers {answer.status}: {told}"[:500]]
    differ = sum(not _alike(one, other) for one, other in zip(told, golden["answer"], strict=True))
    return [f"the served form answers {differ} of {len(told)} recorded requests differently"] if differ else []


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        math.isclose(value, other[name], rel_tol=1e-4, abs_tol=1e-5)
        if isinstance(value, float) and isinstance(other[name], float | int)
        else value == other[name]
        for name, value in one.items()
    )


def against_champion(
    settings: EvaluationSettings,
    problem: Problem,
    name: str,
    version: str,
    metric: str,
    frame: pd.DataFrame,
    train: pd.DataFrame,
    ours: Predictions,
) -> tuple[Comparison | None, list[str], str]:
    """Compare with the champion on rows that neither was trained on.

    Args:
        settings: `promote` and `margin` say what is asked.
        problem: that the challenger solves.
        name: of the registered model.
        version: of the challenger.
        metric: that decides.
        frame: the evaluated rows, as they were read.
        train: the rows that the challenger was trained on.
        ours: the challenger's predictions for `frame`.

    Returns:
        The comparison, if there was one; why not to promote; and a sentence about the rows.
    """
    champion = aliased(name, "champion")
    if champion is None or str(champion.version) == version or settings.promote in ("always", "never"):
        return None, [], ""
    known = f"{name} version {champion.version}"
    try:
        data_run = find_run("data-preprocessing", champion.tags["data_run_id"])
        theirs = load_problem(data_run)
        if (theirs.task, theirs.classes, theirs.target) != (problem.task, problem.classes, problem.target):
            return None, [f"the champion {known} predicts something else and cannot be compared"], ""
        check_columns(frame, theirs.kinds, "the evaluated table")
        fresh = _new_rows(problem, frame, train)
        fresh &= _new_rows(theirs, frame, load_split(data_run.info.run_id, "train"))
        rows = frame[fresh]
        if len(rows) < MIN_ROWS_TO_COMPARE:
            why = f"only {len(rows)} of {len(frame)} rows are new to the champion {known} and to this model, fewer "
            why += f"than {MIN_ROWS_TO_COMPARE}"
            return None, [why], why
        estimator = mlflow.sklearn.load_model(f"models:/{name}/{champion.version}")
        comparison = compare(ours.take(np.flatnonzero(fresh)), theirs.predictions(estimator, rows), metric, seed=0)
    except (UserError, MlflowException, KeyError) as error:
        return None, [f"the champion {known} cannot be compared: {error}"], ""
    about = f"{len(rows)} of {len(frame)} rows are new to the champion {known} and to this model"
    limit = 0.0 if settings.promote == "better" else -settings.margin
    if not comparison.low > limit:
        wanted = "better than" if settings.promote == "better" else f"no worse by {settings.margin:g} than"
        return (
            comparison,
            [
                f"{metric} is not surely {wanted} that of the champion {known}: gain {comparison.gain:.4g}, 95 % "
                f"interval [{comparison.low:.4g}, {comparison.high:.4g}] on {comparison.rows} rows"
            ],
            about,
        )
    return comparison, [], about


def _new_rows(problem: Problem, frame: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    """Tell which rows are not among the training rows, by what the model sees of them; shape (n_rows,)."""
    return ~np.isin(hash_rows(frame, problem.kinds, problem.target), hash_rows(train, problem.kinds, problem.target))
