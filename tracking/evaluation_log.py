"""What an evaluation logs beside its decision and MLflow's own metrics: tables, pictures and explanations.

A part that fails is named on the run, and the rest stands.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import xgboost as xgb

from tracking.findings import Findings
from treeline.data.problem import Problem
from treeline.evaluation.answers import interval_values
from treeline.evaluation.calibration import calibration
from treeline.evaluation.diagnostics import class_table, confusion, worst_rows
from treeline.evaluation.importance import REPEATS, gains, permutation_importance
from treeline.evaluation.intervals import ROWS, interval
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import Sampling
from treeline.evaluation.slices import Judged, slice_table
from treeline.evaluation.thresholds import Rule, at_threshold, choose_threshold, decision_row, thinned, threshold_table
from treeline.model.estimator import TreelineClassifier, TreelineRegressor
from treeline.reporting.fonts import legible
from treeline.reporting.plots import (
    bars,
    calibration_curve,
    confusion_table,
    contributions_summary,
    importance_bars,
    residuals,
    slice_intervals,
    threshold_curves,
)

MAX_ROWS_EXPLAINED = 1000  # rows whose contributions are computed
EVALUATION_SECONDS = 60.0  # after which no slice is measured and no column permuted any more
SLICES_SHARE = 0.4  # of the time that is left for slices
MAX_NAMED = 5  # columns of a sentence


@dataclass(frozen=True)
class Evaluated:
    """A model and the rows that judge it.

    Attributes:
        problem: that the model solves.
        estimator: the model.
        frame: the rows, numbers read as numbers.
        predictions: for these rows.
        metric: that decides.
        costs: of each cell of the confusion matrix; empty where there are none.
        sampling: how the rows hang together.
        out_of_fold: predictions of training rows by boosters that did not see them; None where there are none.
        deadline: on the clock of `time.monotonic`, after which parts that can stop do.
    """

    problem: Problem
    estimator: TreelineClassifier | TreelineRegressor
    frame: pd.DataFrame
    predictions: Predictions
    metric: str
    costs: dict[str, float]
    sampling: Sampling = ROWS
    out_of_fold: Predictions | None = None
    deadline: float = float("inf")

    @property
    def judged(self) -> Judged:
        """The predictions, and how they are judged."""
        return Judged(self.predictions, self.metric, self.sampling)


def names_drawn(problem: Problem, estimator: TreelineClassifier | TreelineRegressor) -> list[str]:
    """Give the names that stand in the pictures of a model."""
    features = map(str, estimator.features_.get_feature_names_out())
    return [problem.target, *map(str, problem.classes), *problem.kinds, *features]


def log_diagnostics(found: Findings, evaluated: Evaluated) -> None:
    """Log everything beyond the headline metrics, each part on its own."""
    with legible(names_drawn(evaluated.problem, evaluated.estimator)):
        for each in DIAGNOSTICS:
            if evaluated.problem.task in each.tasks:
                found.attempt(each.name, partial(each.log, found, evaluated))
    mlflow.log_metrics(found.values)


def _log_thresholds(found: Findings, evaluated: Evaluated) -> None:
    """Log what each threshold is worth on the evaluated rows, and those that were chosen on out-of-fold predictions."""
    predictions, costs = evaluated.predictions, evaluated.costs
    table = threshold_table(predictions, costs)
    rows: list[dict[str, Any]] = [{"chosen by": "as labelled", **decision_row(predictions, costs)}]
    if costs:
        found.values["cost_as_labelled"] = rows[0]["cost"]
    chosen: dict[str, float] = {}
    if evaluated.out_of_fold is None:
        found.leave_out("No threshold is chosen: the tuning run holds no out-of-fold predictions to choose it on.")
    else:
        rules: list[Rule] = ["f1", "cost"] if costs else ["f1"]
        chosen = {rule: choose_threshold(evaluated.out_of_fold, rule, costs) for rule in rules}
    for rule, threshold in chosen.items():
        labelled = at_threshold(predictions, threshold)
        around = interval(labelled, "f1", evaluated.sampling)
        worth = decision_row(labelled, costs) | {"f1_low": around.low, "f1_high": around.high}
        rows.append({"chosen by": rule, "threshold": threshold, **worth})
        values = {f"{rule}_threshold": threshold, **{f"{rule}_threshold_{name}": each for name, each in worth.items()}}
        found.values |= {name: value for name, value in values.items() if np.isfinite(value)}
    found.table("thresholds", thinned(table))
    found.table("chosen_thresholds", pd.DataFrame(rows))
    names = {f"chosen by {rule}": threshold for rule, threshold in chosen.items()}
    found.picture("thresholds", threshold_curves(thinned(table), names, str(evaluated.problem.classes[1])))


def _log_classes(found: Findings, evaluated: Evaluated) -> None:
    found.table("classes", class_table(evaluated.predictions, evaluated.problem.classes))
    counts = confusion(evaluated.predictions, evaluated.problem.classes)
    found.table("confusion", counts.reset_index(names="true"))
    found.picture("confusion", confusion_table(counts))


def _log_calibration(found: Findings, evaluated: Evaluated) -> None:
    measured = calibration(evaluated.predictions, evaluated.sampling)
    found.values |= measured.values()
    found.table("calibration", measured.table)
    found.picture("calibration", calibration_curve(measured.table, measured.error, measured.chance))


def _log_intervals(found: Findings, evaluated: Evaluated) -> None:
    """Log how many of the evaluated rows the intervals around predictions hold, where the model gives any."""
    estimator = evaluated.estimator
    if isinstance(estimator, TreelineRegressor) and estimator.coverage_:
        ends = estimator.predict_interval(evaluated.problem.rows(evaluated.frame))
        measured = interval_values(evaluated.predictions, ends, evaluated.sampling)
        found.values |= {name: value for name, value in measured.items() if np.isfinite(value)}


def _log_residuals(found: Findings, evaluated: Evaluated) -> None:
    predictions = evaluated.predictions
    found.picture("residuals", residuals(predictions.y_true, predictions.y_pred.astype(float)))


def _log_slices(found: Findings, evaluated: Evaluated) -> None:
    now = time.monotonic()
    deadline = now + SLICES_SHARE * (evaluated.deadline - now)
    columns = list(gains(evaluated.estimator).index)
    table, left_out = slice_table(evaluated.problem, evaluated.frame, evaluated.judged, columns, deadline)
    if left_out:
        found.leave_out(f"Time ended before the slices of {_listed(left_out, len(columns))} were measured.")
    found.table("slices", table)
    if len(table):
        overall = evaluated.predictions.metric(evaluated.metric)
        found.picture("slices", slice_intervals(table, evaluated.metric, overall))


def _log_worst_rows(found: Findings, evaluated: Evaluated) -> None:
    found.table("worst_rows", worst_rows(evaluated.problem, evaluated.frame, evaluated.predictions))


def _log_permutation_importance(found: Findings, evaluated: Evaluated) -> None:
    metric = evaluated.metric
    measured = permutation_importance(
        evaluated.problem, evaluated.estimator, evaluated.frame, metric, evaluated.deadline
    )
    read = measured.table[measured.table["repeats"] > 0]
    if measured.left_out:
        listed = _listed(measured.left_out, len(read) + len(measured.left_out))
        found.leave_out(f"Time ended before {listed} were permuted, those of least gain.")
    elif len(read) and read["repeats"].min() < REPEATS:
        found.leave_out(f"Time ended after {read['repeats'].min()} of {REPEATS} permutations of each column.")
    found.table("permutation_importance", measured.table)
    title = "Permutation importance of the raw columns"
    found.picture("permutation_importance", importance_bars(measured.table, title, f"how much worse {metric} gets"))


def _listed(columns: Sequence[str], count: int) -> str:
    names = ", ".join(map(repr, columns[:MAX_NAMED]))
    more = f" and {len(columns) - MAX_NAMED:,} more" if len(columns) > MAX_NAMED else ""
    return f"{len(columns):,} of {count:,} columns ({names}{more})"


def _log_explanations(found: Findings, evaluated: Evaluated) -> None:
    """Log SHAP values from XGBoost's exact contributions: their mean size as table and picture, and the summary."""
    estimator, frame = evaluated.estimator, evaluated.frame
    sample = frame.sample(min(len(frame), MAX_ROWS_EXPLAINED), random_state=0)
    features = estimator.feature_frame(evaluated.problem.rows(sample))
    matrix = xgb.DMatrix(features, feature_types=estimator.features_.feature_types, enable_categorical=True)
    contributions = estimator.booster_.predict(matrix, pred_contribs=True)[..., :-1]
    sizes = np.abs(contributions).mean(axis=0)
    shares = pd.Series(sizes if sizes.ndim == 1 else sizes.sum(axis=0), index=features.columns, name="mean_abs_shap")
    shares = shares.sort_values(ascending=False)
    found.table("shap_importance", shares.rename_axis("feature").reset_index())
    found.picture("shap_importance", bars(shares, "Mean size of the SHAP values", "mean |contribution| to the margin"))
    if contributions.ndim == 2:
        summary = contributions_summary(contributions, features.to_numpy(), list(features.columns))
        found.picture("shap_summary", summary)


CLASSES, EVERY = ("binary", "multiclass"), ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Diagnostic:
    """A part of an evaluation: its name, the tasks that have it, and what logs it."""

    name: str
    tasks: tuple[str, ...]
    log: Callable[[Findings, Evaluated], None]


DIAGNOSTICS = [
    Diagnostic("thresholds", ("binary",), _log_thresholds),
    Diagnostic("classes", CLASSES, _log_classes),
    Diagnostic("calibration", CLASSES, _log_calibration),
    Diagnostic("intervals", ("regression",), _log_intervals),
    Diagnostic("residuals", ("regression",), _log_residuals),
    Diagnostic("worst rows", EVERY, _log_worst_rows),
    Diagnostic("explanations", EVERY, _log_explanations),
    Diagnostic("slices", EVERY, _log_slices),
    Diagnostic("permutation importance", EVERY, _log_permutation_importance),
]
