"""What an evaluation logs beside its decision and MLflow's own metrics: tables, pictures and explanations.

A part that fails is named on the run, and the rest stands.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import xgboost as xgb
from loguru import logger
from matplotlib.figure import Figure

from treeline.data.problem import Problem
from treeline.evaluation.diagnostics import (
    calibration,
    class_table,
    confusion,
    raw_importance,
    slices,
    thresholds,
    worst_rows,
)
from treeline.evaluation.predictions import Predictions
from treeline.model.estimator import TreelineClassifier, TreelineRegressor
from treeline.reporting.fonts import legible
from treeline.reporting.plots import (
    bars,
    calibration_curve,
    confusion_table,
    contributions_summary,
    residuals,
    threshold_curves,
)

MAX_ROWS_EXPLAINED = 1000  # rows whose contributions are computed


@dataclass
class Findings:
    """What an evaluation has found so far; the card is made of it.

    Attributes:
        pictures: PNG bytes by file name without its ending.
        tables: by file name without its ending.
        values: single numbers.
    """

    pictures: dict[str, bytes] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def picture(self, name: str, figure: Figure) -> None:
        """Log a figure and keep it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.png"
            figure.savefig(path, dpi=100)
            self.pictures[name] = path.read_bytes()
            mlflow.log_artifact(str(path))

    def table(self, name: str, table: pd.DataFrame) -> None:
        """Log a table and keep it."""
        self.tables[name] = table
        mlflow.log_text(table.to_csv(index=False), f"{name}.csv")

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """Do a part of the evaluation; one that fails is named on the run, and the rest stands."""
        try:
            work()
        except Exception as error:  # whatever a picture or a table raises, the judgement does not hang on it
            self.failed.append(f"{name}: {type(error).__name__}: {error}"[:500])
            logger.warning(f"{name} failed and is missing: {error}")
            mlflow.set_tag("failed_parts", "\n".join(self.failed)[:5000])


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
    """

    problem: Problem
    estimator: TreelineClassifier | TreelineRegressor
    frame: pd.DataFrame
    predictions: Predictions
    metric: str
    costs: dict[str, float]


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
    table = thresholds(evaluated.predictions, evaluated.costs)
    places = table["threshold"].to_numpy()
    best = float(places[table["f1"].argmax()])
    found.values |= {"best_f1": float(table["f1"].max()), "best_f1_threshold": best}
    if evaluated.costs:
        cheapest = float(places[table["cost"].argmin()])
        found.values |= {"best_cost": float(table["cost"].min()), "best_cost_threshold": cheapest}
    found.table("thresholds", table)
    found.picture("thresholds", threshold_curves(table, best, str(evaluated.problem.classes[1])))


def _log_classes(found: Findings, evaluated: Evaluated) -> None:
    found.table("classes", class_table(evaluated.predictions, evaluated.problem.classes))
    counts = confusion(evaluated.predictions, evaluated.problem.classes)
    found.table("confusion", counts.reset_index(names="true"))
    found.picture("confusion", confusion_table(counts))


def _log_calibration(found: Findings, evaluated: Evaluated) -> None:
    table, error = calibration(evaluated.predictions)
    found.values["calibration_error"] = error
    found.table("calibration", table)
    found.picture("calibration", calibration_curve(table, error))


def _log_residuals(found: Findings, evaluated: Evaluated) -> None:
    predictions = evaluated.predictions
    found.picture("residuals", residuals(predictions.y_true, predictions.y_pred.astype(float)))


def _log_slices(found: Findings, evaluated: Evaluated) -> None:
    found.table("slices", slices(evaluated.problem, evaluated.frame, evaluated.predictions, evaluated.metric))


def _log_worst_rows(found: Findings, evaluated: Evaluated) -> None:
    found.table("worst_rows", worst_rows(evaluated.problem, evaluated.frame, evaluated.predictions))


def _log_permutation_importance(found: Findings, evaluated: Evaluated) -> None:
    shares = raw_importance(evaluated.problem, evaluated.estimator, evaluated.frame, evaluated.metric)
    found.table("permutation_importance", shares.rename_axis("column").reset_index())
    title = "Permutation importance of the raw columns"
    found.picture("permutation_importance", bars(shares, title, f"how much worse {evaluated.metric} gets"))


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
    Diagnostic("residuals", ("regression",), _log_residuals),
    Diagnostic("slices", EVERY, _log_slices),
    Diagnostic("worst rows", EVERY, _log_worst_rows),
    Diagnostic("permutation importance", EVERY, _log_permutation_importance),
    Diagnostic("explanations", EVERY, _log_explanations),
]
