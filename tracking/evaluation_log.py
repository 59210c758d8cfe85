"""What an evaluation logs beside its decision: MLflow's own metrics and plots, tables, pictures and explanations.

A part that fails is named on the run, and the rest stands.
"""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import mlflow
import numpy as np
import pandas as pd
import xgboost as xgb
from loguru import logger
from matplotlib.figure import Figure
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.exceptions import MlflowException

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
from treeline.reporting.plots import (
    bars,
    calibration_curve,
    confusion_table,
    contributions_summary,
    residuals,
    threshold_curves,
)

TEST = "test_"  # before the name of every metric of the evaluated rows
# What MLflow's evaluator warns of without need, by its logger: the target stands in the frame on purpose, and the task
# was settled with the table, however many numbers are its labels.
EXPECTED = {
    "mlflow.models.utils": "Found extra inputs",
    "mlflow.models.evaluation.evaluators.classifier": "the model type looks like",
}
MAX_ROWS_EXPLAINED = 1000  # rows whose contributions are computed


def evaluate_by_mlflow(model_uri: str, problem: Problem, dataset: PandasDataset) -> dict[str, float]:
    """Log the metrics and plots of MLflow's default evaluator, without its SHAP step, which fails on text columns.

    Where the evaluator gives up, as it does on rows that lack a class and on labels that are fractions, its reason is
    the tag `evaluator_error` and the evaluation goes on without it.

    Returns:
        The metrics that it logged.
    """
    matplotlib.use("Agg")
    config: dict[str, Any] = {"log_explainer": False, "log_model_explainability": False, "metric_prefix": TEST}
    if problem.task == "binary":
        config["pos_label"] = problem.classes[1]
    noise = [logging.getLogger(name) for name in EXPECTED]
    for each in noise:
        each.addFilter(_not_expected)
    try:
        result = mlflow.models.evaluate(
            model_uri,
            dataset,
            model_type="regressor" if problem.task == "regression" else "classifier",
            evaluators="default",
            evaluator_config=config,
        )
    except (MlflowException, ValueError) as error:
        mlflow.set_tag("evaluator_error", str(error)[:5000])
        logger.warning(f"MLflow's evaluator gave up, so its plots are missing: {error}")
        return {}
    finally:
        for each in noise:
            each.removeFilter(_not_expected)
    return dict(result.metrics)


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


def log_diagnostics(found: Findings, evaluated: Evaluated) -> None:
    """Log everything beyond the headline metrics, each part on its own."""
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


def _not_expected(record: logging.LogRecord) -> bool:
    return not any(each in record.getMessage() for each in EXPECTED.values())
