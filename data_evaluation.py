"""Stage 4: the registered model scored on rows that training never saw; the alias moved if it earned it.

Reads: the registered model; test.parquet of its data run, or a labelled file.
Writes: a run with MLflow's metrics and plots, our metrics with 95 % intervals, SHAP values, the baseline and the
decision; the alias `champion` where the model is promoted.
Parameters: `python data_evaluation.py --help`.
Run: mlflow run . -e data-evaluation -P eval-dataset=file.csv
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import matplotlib
import mlflow
import numpy as np
import pandas as pd
import xgboost as xgb
from loguru import logger
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.models.evaluation import EvaluationResult, MetricThreshold
from mlflow.models.evaluation.validation import ModelValidationFailedException

from config import EvaluationSettings
from treeline import UserError
from treeline.checks import check_columns
from treeline.gate import Predictions, better, check_thresholds, dummy_predictions, intervals, parse_thresholds
from treeline.metrics import metrics_of
from treeline.model import TreelineClassifier, TreelineRegressor
from treeline.plots import bars, contributions_summary
from treeline.problem import Problem
from treeline.tables import nearest, read_file
from utils import command, find_run, forms, load_problem, load_split, log_input, move_alias, stage_run

EXPLAINED = 1000  # rows whose contributions are computed


def find_training(settings: EvaluationSettings) -> Run:
    """Find the training run whose model is judged: the one named, the one behind the challenger, or the last.

    Raises:
        UserError: the registered model has no challenger, or no such run finished.
    """
    if settings.training_run_id or not settings.model_name:
        return find_run("model-training", settings.training_run_id)
    try:
        version = mlflow.MlflowClient().get_model_version_by_alias(settings.model_name, "challenger")
    except MlflowException:
        known = [model.name for model in mlflow.search_registered_models() if "challenger" in model.aliases]
        hint = nearest(settings.model_name, known)
        raise UserError(
            f"No registered model {settings.model_name!r} with a challenger.{hint} Train one first: mlflow run . "
            f"-e model-training -P model-name={settings.model_name}"
        ) from None
    return find_run("model-training", version.tags["training_run_id"])


def labelled_rows(eval_dataset: str, problem: Problem) -> pd.DataFrame:
    """Read a labelled file and hold it against the model's columns; rows without a target are left out.

    Raises:
        UserError: the file is unreadable, lacks a column or the target, or has no labelled row.
    """
    frame = read_file(eval_dataset)
    check_columns(frame, problem.kinds, eval_dataset)
    if problem.target not in frame.columns:
        raise UserError(f"{eval_dataset} lacks the target {problem.target!r}: rows without labels cannot be judged.")
    labelled = frame[frame[problem.target].notna()].reset_index(drop=True)
    if labelled.empty:
        raise UserError(
            f"Every value of the target {problem.target!r} in {eval_dataset} is missing: there is nothing to judge by."
        )
    if len(labelled) < len(frame):
        logger.warning(f"{len(frame) - len(labelled)} of {len(frame)} rows have no target and are left out")
    if (
        problem.classes
        and pd.api.types.is_float_dtype(labelled[problem.target])
        and isinstance(problem.classes[0], int)
    ):
        labelled = labelled.assign(**{problem.target: labelled[problem.target].astype("int64")})
    return labelled


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


def explain(estimator: TreelineClassifier | TreelineRegressor, rows: pd.DataFrame) -> None:
    """Log SHAP values from XGBoost's exact contributions: their mean size as table and picture, and the summary."""
    features = estimator.feature_frame(rows)
    matrix = xgb.DMatrix(features, feature_types=estimator.features_.feature_types, enable_categorical=True)
    contributions = estimator.booster_.predict(matrix, pred_contribs=True)[..., :-1]
    sizes = np.abs(contributions).mean(axis=0)
    shares = pd.Series(sizes if sizes.ndim == 1 else sizes.sum(axis=0), index=features.columns, name="mean_abs_shap")
    shares = shares.sort_values(ascending=False)
    mlflow.log_text(shares.to_csv(index_label="feature"), "shap_importance.csv")
    mlflow.log_figure(
        bars(shares, "Mean size of the SHAP values", "mean |contribution| to the margin"), "shap_importance.png"
    )
    if contributions.ndim == 2:
        mlflow.log_figure(
            contributions_summary(contributions, features.to_numpy(), list(features.columns)), "shap_summary.png"
        )


def reasons_to_hold(
    settings: EvaluationSettings, metric: str, predictions: Predictions, dummy: Predictions
) -> list[str]:
    """Say why the model is not to be promoted; an empty list where it is."""
    if settings.promote != "better":
        return ["--promote never"] if settings.promote == "never" else []
    scores, baseline = predictions.scores(), dummy.scores()
    reasons = []
    if not better(predictions.task, metric, scores[metric], baseline[metric]):
        reasons.append(f"{metric} {scores[metric]:.4g} does not beat the dummy baseline's {baseline[metric]:.4g}")
    known = metrics_of(predictions.task)
    for name, threshold in parse_thresholds(settings.min_score).items():
        limit = MetricThreshold(threshold=threshold, greater_is_better=known[name].greater_is_better)
        try:
            mlflow.validate_evaluation_results({name: limit}, EvaluationResult(metrics=scores, artifacts={}))
        except ModelValidationFailedException:
            reasons.append(f"{name} {scores[name]:.4g} does not reach the threshold {threshold:g}")
    return reasons


def run(settings: EvaluationSettings) -> str:
    """Run the stage; return its run id."""
    with stage_run("data-evaluation", settings) as active:
        training_run = find_training(settings)
        tags = training_run.data.tags
        name, version, metric = tags["model_name"], tags["model_version"], tags["metric"]
        data_run = find_run("data-preprocessing", tags["data_run_id"])
        problem = load_problem(data_run)
        check_thresholds(parse_thresholds(settings.min_score), problem.task)
        lineage = {key: tags[key] for key in ("data_run_id", "tuning_run_id", "data_digest")}
        mlflow.set_tags(
            {**lineage, "training_run_id": training_run.info.run_id, "model_name": name, "model_version": version}
        )
        if settings.eval_dataset:
            frame, side = labelled_rows(settings.eval_dataset, problem), "evaluation"
        else:
            frame, side = load_split(data_run.info.run_id, "test"), "test"
        problem.truth(frame)
        numbers = {name: "float64" for name, kind in problem.kinds.items() if kind == "number"}
        frame = frame[[*problem.kinds, problem.target]].astype(
            numbers
        )  # whole numbers may stand in a fraction's column
        dataset = log_input(problem, frame, side, "evaluation", settings.eval_dataset)

        model_uri = f"models:/{name}/{version}"
        estimator = mlflow.sklearn.load_model(model_uri)
        known = evaluate_by_mlflow(model_uri, problem, dataset)
        predictions = problem.predictions(estimator, frame)
        train_truth = problem.truth(load_split(data_run.info.run_id, "train"))
        dummy = dummy_predictions(problem.task, train_truth, predictions.y, len(problem.classes))
        logged = {key: value for key, value in predictions.scores().items() if key not in known}
        for key, (low, high) in intervals(predictions, seed=0).items():
            logged |= {f"{key}_low": low, f"{key}_high": high}
        logged |= {f"dummy_{key}": value for key, value in dummy.scores().items()}
        mlflow.log_metrics({key: value for key, value in logged.items() if np.isfinite(value)})
        explain(estimator, problem.rows(frame.sample(min(len(frame), EXPLAINED), random_state=0)))

        reasons = reasons_to_hold(settings, metric, predictions, dummy)
        mlflow.set_tags({"metric": metric, "decision": "hold" if reasons else "promote", "reasons": "; ".join(reasons)})
        if reasons:
            logger.warning(f"{name} version {version} is not promoted: {'; '.join(reasons)}")
        else:
            move_alias(forms(name), "champion", version)
            logger.info(f"{name} version {version} is the champion")
        return str(active.info.run_id)


def _no_extra_inputs(record: logging.LogRecord) -> bool:
    return "Found extra inputs" not in record.getMessage()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(EvaluationSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
