"""Stage 3: the final fit on all training rows; the model logged in three forms and registered.

Reads: train.parquet and problem.json of a data run; best.json of a tuning run.
Writes: a run with the models NAME, NAMEBooster and NAMEService, registered in step under the alias `challenger`, and
the importance of each feature as picture and table.
Parameters: `python model_training.py --help`.
Run: mlflow run . -e model-training -P model-name=CancerModel
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import mlflow
import pandas as pd
from loguru import logger
from mlflow.entities import Run

from config import TrainingSettings
from tracking.datasets import load_problem, load_split, log_input
from tracking.evaluation_log import names_drawn
from tracking.golden_requests import GOLDEN_REQUESTS, record_golden_requests
from tracking.kept_files import load_best
from tracking.models import describe_forms, log_models, requirements
from tracking.out_of_fold import OutOfFold, load_out_of_fold
from tracking.registry import register_in_step
from tracking.runs import Lineage, find_run, stage_run
from treeline import UserError, __version__
from treeline.cpus import cpu_budget
from treeline.data.names import is_dated, model_name
from treeline.data.problem import Problem
from treeline.evaluation.answers import AnswerSettings, settle_answers
from treeline.interruption import stop_if_wished
from treeline.model.estimator import TreelineClassifier, TreelineRegressor, make_estimator
from treeline.reporting.fonts import legible, missing_signs
from treeline.reporting.plots import bars
from utils import command


def importance(estimator: TreelineClassifier | TreelineRegressor) -> pd.Series:
    """Give each feature's share of the booster's total gain, in descending order; a feature never used has 0."""
    gains = estimator.booster_.get_score(importance_type="total_gain")
    names = estimator.features_.get_feature_names_out()
    total = sum(gains.values()) or 1.0
    return pd.Series({name: gains.get(name, 0.0) / total for name in names}, name="importance").sort_values(
        ascending=False
    )


def find_inputs(settings: TrainingSettings) -> tuple[Run, Run]:
    """Find the data run and the tuning run that belong together.

    Raises:
        UserError: one is not there, or they read different tables.
    """
    tuning_run = find_run("hyperparameters-tuning", settings.tuning_run_id)
    tuned = Lineage.from_tags(tuning_run.data.tags)
    data_run = find_run("data-preprocessing", settings.data_run_id or tuned.data_run_id)
    if tuned.data_digest != Lineage.from_tags(data_run.data.tags).data_digest:
        raise UserError(
            f"The tuning run {tuning_run.info.run_id} read another table than the data run "
            f"{data_run.info.run_id}: tune on this data run first."
        )
    return data_run, tuning_run


def fit(problem: Problem, best: Mapping[str, Any], frame: pd.DataFrame) -> TreelineClassifier | TreelineRegressor:
    """Fit the final estimator on all training rows; log what its booster got and how long it took."""
    start = time.perf_counter()
    estimator = make_estimator(problem, best["params"], best["final_rounds"], cpu_budget(), best["level"])
    estimator.fit(problem.rows(frame), frame[problem.target], problem.weights(frame))
    mlflow.log_metric("fit_seconds", time.perf_counter() - start)
    got = estimator.booster_params_
    mlflow.log_params({**{name: got[name] for name in best["params"]}, "rounds": best["final_rounds"]})
    return estimator


def settle(
    estimator: TreelineClassifier | TreelineRegressor,
    problem: Problem,
    found: OutOfFold | None,
    asked: AnswerSettings,
) -> dict[str, str]:
    """Give the estimator the threshold or the intervals that are asked for; tell it, and give tags that say so.

    Raises:
        UserError: they are to be chosen on out-of-fold predictions, and the tuning run has none.
    """
    if not asked.asks_threshold and not asked.interval:
        return {}
    if found is None:
        raise UserError(
            "The tuning run holds no out-of-fold predictions, which a threshold and intervals are settled on: tune "
            "again first."
        )
    told = settle_answers(estimator, problem, found.seen, found.answers, asked)
    logger.info(told)
    if isinstance(estimator, TreelineRegressor):
        tags = {"interval": f"{asked.interval:g}"}
    else:
        tags = {"threshold": f"{estimator.threshold_:.6g}"}
    mlflow.set_tags(tags | {"answers": told})
    return tags | {"answers": told}


def log_importance(estimator: TreelineClassifier | TreelineRegressor, problem: Problem) -> None:
    """Log the importance of each feature as a picture and a table; say which signs the pictures will lack."""
    shares, names = importance(estimator), names_drawn(problem, estimator)
    if missing := missing_signs(names):
        logger.warning(missing)
    with legible(names):
        picture = bars(shares, "Importance of the features", "share of the total gain")
        mlflow.log_figure(picture, "feature_importance.png")
    mlflow.log_text(shares.to_csv(index_label="feature"), "feature_importance.csv")


def run(settings: TrainingSettings) -> str:
    """Run the stage; return its run id."""
    with stage_run("model-training", settings) as active:
        data_run, tuning_run = find_inputs(settings)
        problem = load_problem(data_run)
        settings.check_for(problem)
        best = load_best(tuning_run.info.run_id)
        frame = load_split(data_run.info.run_id, "train")
        name = settings.model_name or model_name(problem.table)
        if not settings.model_name and is_dated(problem.table):
            logger.info(f"the model is {name}: the date in the table's name {problem.table!r} is no part of it")
        lineage = Lineage(data_run.info.run_id, tuning_run.info.run_id, data_digest=problem.digest)
        packages = " ".join(requirements())
        mlflow.set_tags({**lineage.tags(), "model_name": name, "metric": best["metric"], "packages": packages})
        log_input(problem, frame, "train", "training")

        estimator = fit(problem, best, frame)
        settled = settle(estimator, problem, load_out_of_fold(frame, tuning_run.info.run_id), settings.answers())
        log_importance(estimator, problem)
        mlflow.log_dict(record_golden_requests(estimator, problem.rows(frame)), GOLDEN_REQUESTS)
        stop_if_wished()
        uris = log_models(estimator, problem.rows(frame), problem, name)

        stop_if_wished()  # what is registered is also aliased and told
        lineage = replace(lineage, training_run_id=active.info.run_id)
        tags = {**lineage.tags(), "treeline_version": __version__, **settled}
        version = register_in_step(uris, describe_forms(problem, name), tags)
        mlflow.set_tag("model_version", version)
        logger.info(f"registered {', '.join(uris)} version {version} as challenger")
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(TrainingSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
