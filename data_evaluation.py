"""Stage 4: the registered model scored on rows that training never saw; the alias moved if it earned it.

Reads: the registered model; test.parquet of its data run, or a labelled file.
Writes: a run with MLflow's metrics and plots, our metrics with 95 % intervals, tables, pictures and explanations, the
model card and the decision; the alias `champion` where the model is promoted.
Parameters: `python data_evaluation.py --help`.
Run: mlflow run . -e data-evaluation -P eval-dataset=file.csv
"""

import sys
from collections.abc import Collection, Sequence

import mlflow
import numpy as np
import pandas as pd
from loguru import logger
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from config import EvaluationSettings
from tracking.evaluation_log import Findings, evaluate_by_mlflow, log_diagnostics
from tracking.model_card import log_card
from tracking.promotion import against_champion, missed_thresholds, replay_golden_requests
from tracking.registry import finish_interrupted_promotion, promote
from tracking.runs import find_run, load_problem, load_split, log_input, log_parquet, stage_run
from treeline import UserError, nearest
from treeline.cpus import cpu_budget
from treeline.data.drift import sample_rows
from treeline.data.problem import Problem
from treeline.data.tables import read_file
from treeline.data.target import check_columns
from treeline.data.values import to_numeric
from treeline.evaluation.comparison import (
    Predictions,
    better,
    check_thresholds,
    dummy_predictions,
    intervals,
    parse_thresholds,
)
from treeline.evaluation.diagnostics import parse_costs
from treeline.tuning.search_space import DEFAULTS
from utils import command

DEFAULTS_ROUNDS = 100  # of XGBoost's defaults, which are reported beside the model


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


def log_scores(
    problem: Problem, frame: pd.DataFrame, train: pd.DataFrame, predictions: Predictions, known: Collection[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Log the metrics with their intervals, and those of a dummy and of XGBoost's defaults on the same rows.

    Args:
        problem: that the model solves.
        frame: the evaluated rows.
        train: the rows that the dummy and the defaults learn from.
        predictions: the model's, for `frame`.
        known: metrics that MLflow has logged already.

    Returns:
        The model's scores, and the dummy's.
    """
    dummy = dummy_predictions(problem.task, problem.truth(train), predictions.y, len(problem.classes)).scores()
    plain = problem.estimator({**DEFAULTS, "seed": 0}, DEFAULTS_ROUNDS, cpu_budget())
    plain.fit(problem.rows(train), train[problem.target])
    scores = predictions.scores()
    logged = {key: value for key, value in scores.items() if key not in known}
    for key, (low, high) in intervals(predictions, seed=0).items():
        logged |= {f"{key}_low": low, f"{key}_high": high}
    logged |= {f"dummy_{key}": value for key, value in dummy.items()}
    logged |= {f"defaults_{key}": value for key, value in problem.predictions(plain, frame).scores().items()}
    mlflow.log_metrics({key: value for key, value in logged.items() if np.isfinite(value)})
    return scores, dummy


def run(settings: EvaluationSettings) -> str:
    """Run the stage; return its run id.

    Raises:
        UserError: the model is refused: it misses a threshold, or its served form does not answer as it did.
    """
    with stage_run("data-evaluation", settings) as active:
        training_run = find_training(settings)
        tags = training_run.data.tags
        name, version, metric = tags["model_name"], tags["model_version"], tags["metric"]
        if finish_interrupted_promotion(name):
            logger.warning(f"an earlier move of the aliases of {name} was cut short; it is finished now")
        data_run = find_run("data-preprocessing", tags["data_run_id"])
        problem = load_problem(data_run)
        check_thresholds(parse_thresholds(settings.min_score), problem.task)
        costs = parse_costs(settings.costs)
        lineage = {key: tags[key] for key in ("data_run_id", "tuning_run_id", "data_digest")}
        mlflow.set_tags(
            {**lineage, "training_run_id": training_run.info.run_id, "model_name": name, "model_version": version}
        )
        if settings.eval_dataset:
            frame, side = labelled_rows(settings.eval_dataset, problem), "evaluation"
        else:
            frame, side = load_split(data_run.info.run_id, "test"), "test"
        problem.truth(frame)
        raw = frame
        # Whole numbers may stand in a fraction's column, and numbers may be spelled as text.
        numbers = {name: to_numeric(frame[name]) for name, kind in problem.kinds.items() if kind == "number"}
        frame = frame[[*problem.kinds, problem.target]].assign(**numbers)
        dataset = log_input(problem, frame, side, "evaluation", settings.eval_dataset)

        model_uri = f"models:/{name}/{version}"
        estimator = mlflow.sklearn.load_model(model_uri)
        known = evaluate_by_mlflow(model_uri, problem, dataset)
        predictions = problem.predictions(estimator, frame)
        log_parquet(estimator.answer(sample_rows([problem.rows(frame)])), "answers")  # batches are compared with them
        train = load_split(data_run.info.run_id, "train")
        scores, dummy = log_scores(problem, frame, train, predictions, known)
        found = Findings()
        log_diagnostics(found, problem, estimator, frame, predictions, metric, costs)

        golden = mlflow.artifacts.load_dict(f"{training_run.info.artifact_uri}/golden.json")
        refusals = missed_thresholds(settings.min_score, predictions)
        refusals += replay_golden_requests(f"models:/{name}Service/{version}", golden)
        holds = [] if settings.promote != "never" else ["--promote never"]
        if not better(problem.task, metric, scores[metric], dummy[metric]):
            holds.append(f"{metric} {scores[metric]:.4g} does not beat the dummy baseline's {dummy[metric]:.4g}")
        comparison, worse, about = against_champion(settings, problem, name, version, metric, raw, train, predictions)
        holds += worse
        if comparison is not None:
            gains = {"gain": comparison.gain, "gain_low": comparison.low, "gain_high": comparison.high}
            mlflow.log_metrics({**gains, "rows_new_to_champion": comparison.rows})
        decision = "refuse" if refusals else "hold" if holds else "promote"
        reasons = "; ".join([*refusals, *holds])
        mlflow.set_tags({"metric": metric, "decision": decision, "reasons": reasons, "compared": about})
        if decision == "promote":
            facts = {
                "run_id": active.info.run_id,
                "metric": metric,
                "score": scores[metric],
                "gain": comparison.gain if comparison else "",
                "interval": [comparison.low, comparison.high] if comparison else "",
                "rows": comparison.rows if comparison else len(frame),
                "data": settings.eval_dataset or f"test rows of {data_run.info.run_id}",
                "why": f"--promote {settings.promote}",
            }
            promote(name, version, facts)
            logger.info(f"{name} version {version} is the champion")
        else:
            logger.warning(f"{name} version {version} is {'refused' if refusals else 'not promoted'}: {reasons}")
        found.attempt("model card", lambda: log_card(active.info.run_id, problem, frame, found))
        if refusals:
            raise UserError(f"{name} version {version} is refused: {'; '.join(refusals)}.")
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(EvaluationSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
