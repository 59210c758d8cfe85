"""MLflow's own metrics and plots of an evaluation; what its libraries warn of is told in sentences, once."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import mlflow
import numpy as np
from loguru import logger
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from sklearn.exceptions import UndefinedMetricWarning

from treeline.data.problem import Problem
from treeline.reporting.fonts import legible

TEST = "test_"  # before the name of every metric of the evaluated rows
CALIBRATION_CURVE = f"{TEST}calibration_curve_plot.png"
MAX_CLASSES_DRAWN = 10  # up to which MLflow draws the curves of each class
# What needs no word: the target stands in the frame on purpose, the task is what we say it is, and classes that are
# absent or never predicted are named before (`treeline.evaluation.diagnostics.gaps_of_classes`).
EXPECTED = (
    "Found extra inputs",
    "the model type looks like",
    "skip logging ROC curve",
    "Computing sklearn model score failed",
    "Failed to calculate metrics due to class imbalance",
    "Tight layout not applied",  # of long labels, which our own pictures cut
    "A single label was found in",
    "y_pred contains classes not in y_true",
)
LISTENED_TO = ("mlflow.models.evaluation", "mlflow.models.utils")


def evaluate_by_mlflow(
    model_uri: str, problem: Problem, dataset: PandasDataset, weight: np.ndarray | None = None
) -> dict[str, float]:
    """Log the metrics and plots of MLflow's default evaluator, without its SHAP step, which fails on text columns.

    Where the evaluator gives up, as it does on rows that lack a class and on labels that are fractions, its reason is
    the tag `evaluator_error` and the evaluation goes on without it.

    Args:
        model_uri: of the pipeline.
        problem: that it solves.
        dataset: the evaluated rows.
        weight: how much each row counts, shape (n_rows,); None counts all alike.

    Returns:
        The metrics that it logged.
    """
    matplotlib.use("Agg")
    config: dict[str, Any] = {"log_explainer": False, "log_model_explainability": False, "metric_prefix": TEST}
    if problem.task == "binary":
        config["pos_label"] = problem.classes[1]
    if weight is not None:
        config["sample_weights"] = weight
    if len(problem.classes) > MAX_CLASSES_DRAWN:
        logger.info(f"MLflow draws ROC and precision-recall curves of at most {MAX_CLASSES_DRAWN} classes: none here")
    with legible([problem.target, *map(str, problem.classes)]), _told_once():
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
    _drop_calibration_curve()
    return dict(result.metrics)


def _drop_calibration_curve() -> None:
    """Take MLflow's calibration curve away, for it has no option: its bins are of equal width and show no chance.

    The one of `tracking.evaluation_log` stays, so that no two pictures of one thing contradict each other.
    """
    repository = get_artifact_repository(mlflow.active_run().info.artifact_uri)
    if any(each.path == CALIBRATION_CURVE for each in repository.list_artifacts()):
        try:
            repository.delete_artifacts(CALIBRATION_CURVE)
        except (MlflowException, NotImplementedError, OSError):
            logger.info(f"This store deletes nothing: {CALIBRATION_CURVE} is MLflow's, calibration.png the one to read")


@contextmanager
def _told_once() -> Iterator[None]:
    """Keep what MLflow's evaluator and its libraries warn of, and tell at the end what was not expected."""
    heard: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        ours = record.levelno >= logging.WARNING and record.name.startswith(LISTENED_TO)
        if ours:
            heard.append(record.getMessage())
        return not ours

    handlers = logging.getLogger("mlflow").handlers[:]
    for handler in handlers:
        handler.addFilter(keep)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", UndefinedMetricWarning)  # of classes absent or never predicted
            warnings.simplefilter("ignore", DeprecationWarning)  # addressed to MLflow
            warnings.simplefilter("ignore", FutureWarning)  # likewise
            warnings.filterwarnings("ignore", "Glyph .* missing from")  # told at training
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(keep)
    heard += [str(each.message) for each in caught]
    strange = [text.splitlines()[0] for text in heard if not any(known in text for known in EXPECTED)]
    failed = [re.match(r"Failed to log image artifact '(\w+)'", text) for text in strange]
    undrawn = dict.fromkeys(found[1] for found in failed if found)
    if undrawn:
        logger.warning(f"MLflow's evaluator could not draw {', '.join(undrawn)} of these rows")
    for text in dict.fromkeys(text for text in strange if not text.startswith("Failed to log image")):
        logger.warning(f"MLflow's evaluator says: {text}")
