"""Stage 3: the final fit on all training rows; the model logged in three forms and registered.

Reads: train.parquet and problem.json of a data run; best.json of a tuning run.
Writes: a run with the models NAME, NAMEBooster and NAMEService, registered in step under the alias `challenger`, and
the importance of each feature as picture and table.
Parameters: `python model_training.py --help`.
Run: mlflow run . -e model-training -P model-name=CancerModel
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import mlflow
import pandas as pd
from loguru import logger
from mlflow.models.model import ModelInfo

from config import TrainingSettings
from tracking.models import PACKAGE, SERVICE, TRUSTED, requirements, signatures
from tracking.registry import register_in_step
from tracking.runs import find_run, load_problem, load_split, log_input, stage_run
from treeline import UserError
from treeline.cpus import cpu_budget
from treeline.data.problem import Problem
from treeline.data.tables import model_name
from treeline.model.estimator import TreelineClassifier, TreelineRegressor
from treeline.reporting.plots import bars
from utils import command

MAX_GOLDEN_REQUESTS = 8  # requests whose answers are recorded
DESCRIPTIONS = {
    "": "The whole inference pipeline: raw columns in, labels as the table spelled them out.",
    "Booster": "The native XGBoost booster: a DMatrix (or, through pyfunc, the feature frame) in, scores out.",
    "Service": "The served form: raw columns in, a prediction and one probability a class out.",
}


def importance(estimator: TreelineClassifier | TreelineRegressor) -> pd.Series:
    """Give each feature's share of the booster's total gain, in descending order; a feature never used has 0."""
    gains = estimator.booster_.get_score(importance_type="total_gain")
    names = estimator.features_.get_feature_names_out()
    total = sum(gains.values()) or 1.0
    return pd.Series({name: gains.get(name, 0.0) / total for name in names}, name="importance").sort_values(
        ascending=False
    )


def golden_requests(estimator: TreelineClassifier | TreelineRegressor, rows: pd.DataFrame) -> dict[str, Any]:
    """Record a few requests as a caller sends them, and the answers; evaluation holds the served form against them."""
    asked = rows.sample(min(len(rows), MAX_GOLDEN_REQUESTS), random_state=0).reset_index(drop=True)
    return {
        "request": json.loads(asked.to_json(orient="split", date_format="iso", index=False, double_precision=15)),
        "answer": json.loads(estimator.answer(asked).to_json(orient="records", double_precision=15)),
    }


def log_models(
    estimator: TreelineClassifier | TreelineRegressor, rows: pd.DataFrame, problem: Problem, name: str
) -> dict[str, ModelInfo]:
    """Log the three forms on the active run; nothing is pickled, nothing is registered yet."""
    signature = signatures(estimator, rows, problem)
    example = rows.head(3)
    pins = requirements()
    pipeline = mlflow.sklearn.log_model(
        estimator,
        name=name,
        signature=signature[""],
        input_example=example,
        pip_requirements=pins,
        code_paths=[str(PACKAGE)],
        serialization_format="skops",
        skops_trusted_types=TRUSTED,
    )
    booster = mlflow.xgboost.log_model(
        estimator.booster_,
        name=f"{name}Booster",
        signature=signature["Booster"],
        input_example=estimator.feature_frame(example),
        pip_requirements=pins,
        model_format="ubj",
    )
    service = mlflow.pyfunc.log_model(
        name=f"{name}Service",
        python_model=str(SERVICE),
        artifacts={"pipeline": pipeline.model_uri},
        signature=signature["Service"],
        input_example=example,
        pip_requirements=pins,
    )
    return {name: pipeline, f"{name}Booster": booster, f"{name}Service": service}


def run(settings: TrainingSettings) -> str:
    """Run the stage; return its run id."""
    with stage_run("model-training", settings) as active:
        tuning_run = find_run("hyperparameters-tuning", settings.tuning_run_id)
        data_run = find_run("data-preprocessing", settings.data_run_id or tuning_run.data.tags["data_run_id"])
        problem = load_problem(data_run)
        if tuning_run.data.tags["data_digest"] != problem.digest:
            raise UserError(
                f"The tuning run {tuning_run.info.run_id} read another table than the data run "
                f"{data_run.info.run_id}: tune on this data run first."
            )
        best = mlflow.artifacts.load_dict(f"{tuning_run.info.artifact_uri}/best.json")
        name = settings.model_name or model_name(problem.table)
        lineage = {
            "data_run_id": data_run.info.run_id,
            "tuning_run_id": tuning_run.info.run_id,
            "data_digest": problem.digest,
        }
        mlflow.set_tags({**lineage, "model_name": name, "metric": best["metric"], "packages": " ".join(requirements())})
        frame = load_split(data_run.info.run_id, "train")
        log_input(problem, frame, "train", "training")

        start = time.perf_counter()
        estimator = problem.estimator(best["params"], best["rounds"], cpu_budget())
        estimator.fit(problem.rows(frame), frame[problem.target])
        mlflow.log_metric("fit_seconds", time.perf_counter() - start)
        mlflow.log_params({**best["params"], "rounds": best["rounds"]})
        shares = importance(estimator)
        mlflow.log_figure(
            bars(shares, "Importance of the features", "share of the total gain"), "feature_importance.png"
        )
        mlflow.log_text(shares.to_csv(index_label="feature"), "feature_importance.csv")

        mlflow.log_dict(golden_requests(estimator, problem.rows(frame)), "golden.json")
        models = log_models(estimator, problem.rows(frame), problem, name)
        about = f"Predicts {problem.target} ({problem.task}) of the table {problem.table}. "
        descriptions = {form: about + text for form, text in zip(models, DESCRIPTIONS.values(), strict=True)}
        lineage["training_run_id"] = active.info.run_id
        version = register_in_step({form: info.model_uri for form, info in models.items()}, descriptions, lineage)
        mlflow.set_tag("model_version", version)
        logger.info(f"registered {', '.join(models)} version {version} as challenger")
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(TrainingSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
