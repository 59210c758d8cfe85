"""What an evaluation logs beside its decision: MLflow's own metrics and plots, tables, pictures and explanations.

A part that fails is named on the run, and the rest stands.
"""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
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
from treeline.evaluation.comparison import Predictions
from treeline.evaluation.diagnostics import (
    calibration,
    class_table,
    confusion,
    raw_importance,
    slices,
    thresholds,
    worst_rows,
)
from treeline.model.estimator import TreelineClassifier, TreelineRegressor
from treeline.reporting.plots import (
    bars,
    calibration_curve,
    confusion_table,
    contributions_summary,
    residuals,
    threshold_curves,
)

MAX_ROWS_EXPLAINED = 1000  # rows whose contributions are computed


def evaluate_by_mlflow(model_uri: str, problem: Problem, dataset: PandasDataset) -> dict[str, float]:
    """Log the metrics and plots of MLflow's default evaluator, without its SHAP step, which fails on text columns.

    Where the evaluator gives up, as it does on rows that lack a class and on labels that are fractions, its reason is
    the tag `evaluator_error` and the evaluation goes on without it.

    Returns:
        The metrics that it logged.
    """
    matplotlib.use("Agg")
    config: dict[str, Any] = {"log_explainer": False, "log_model_explainability": False}
    if problem.task == "binary":
        config["pos_label"] = problem.classes[1]
    # The target stands in the frame on purpose; MLflow warns that the signature does not know it.
    noise = logging.getLogger("mlflow.models.utils")
    noise.addFilter(_no_extra_inputs)
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
        noise.removeFilter(_no_extra_inputs)
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


def explain(found: Findings, estimator: TreelineClassifier | TreelineRegressor, rows: pd.DataFrame) -> None:
    """Log SHAP values from XGBoost's exact contributions: their mean size as table and picture, and the summary."""
    features = estimator.feature_frame(rows)
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


def log_diagnostics(
    found: Findings,
    problem: Problem,
    estimator: TreelineClassifier | TreelineRegressor,
    frame: pd.DataFrame,
    predictions: Predictions,
    metric: str,
    costs: dict[str, float],
) -> None:
    """Log everything beyond the headline metrics, each part on its own."""

    def decisions() -> None:
        table = thresholds(predictions, costs)
        places = table["threshold"].to_numpy()
        best = float(places[table["f1"].argmax()])
        found.values |= {"best_f1": float(table["f1"].max()), "best_f1_threshold": best}
        if costs:
            cheapest = float(places[table["cost"].argmin()])
            found.values |= {"best_cost": float(table["cost"].min()), "best_cost_threshold": cheapest}
        found.table("thresholds", table)
        found.picture("thresholds", threshold_curves(table, best, str(problem.classes[1])))

    def classes() -> None:
        found.table("classes", class_table(predictions, problem.classes))
        counts = confusion(predictions, problem.classes)
        found.table("confusion", counts.reset_index(names="true"))
        found.picture("confusion", confusion_table(counts))

    def calibrated() -> None:
        table, error = calibration(predictions)
        found.values["calibration_error"] = error
        found.table("calibration", table)
        found.picture("calibration", calibration_curve(table, error))

    def permuted() -> None:
        shares = raw_importance(problem, estimator, frame, metric)
        found.table("permutation_importance", shares.rename_axis("column").reset_index())
        title = "Permutation importance of the raw columns"
        found.picture("permutation_importance", bars(shares, title, f"how much worse {metric} gets"))

    if problem.task == "binary":
        found.attempt("thresholds", decisions)
    if problem.classes:
        found.attempt("classes", classes)
        found.attempt("calibration", calibrated)
    else:
        found.attempt(
            "residuals", lambda: found.picture("residuals", residuals(predictions.y, predictions.labels.astype(float)))
        )
    found.attempt("slices", lambda: found.table("slices", slices(problem, frame, predictions, metric)))
    found.attempt("worst rows", lambda: found.table("worst_rows", worst_rows(problem, frame, predictions)))
    found.attempt("permutation importance", permuted)
    sample = problem.rows(frame.sample(min(len(frame), MAX_ROWS_EXPLAINED), random_state=0))
    found.attempt("explanations", lambda: explain(found, estimator, sample))
    mlflow.log_metrics(found.values)


def _no_extra_inputs(record: logging.LogRecord) -> bool:
    return "Found extra inputs" not in record.getMessage()
