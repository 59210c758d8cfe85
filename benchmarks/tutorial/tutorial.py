"""The tutorial way, for pipeline.py to measure: four stages, `log_metric` a round, requirements inferred.

What tutorials on MLflow, Optuna and XGBoost do, on the table, split, folds, space, sampler, first points and rounds of
our main job.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import xgboost as xgb
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold, train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from treeline.tuning.objective import MAX_ROUNDS, patience
from treeline.tuning.search_space import SPACE, known_points

METRICS = ["logloss", "error", "auc"]


def last_run(stage: str) -> str:
    """Find the last finished run of a stage."""
    query = f"tags.stage = '{stage}' and attributes.status = 'FINISHED'"
    return str(mlflow.search_runs(filter_string=query, search_all_experiments=True).iloc[0].run_id)


def load(stage: str, name: str) -> pd.DataFrame:
    """Read a table that a stage logged."""
    return pd.read_csv(mlflow.artifacts.download_artifacts(run_id=last_run(stage), artifact_path=name))


def preprocess() -> None:
    """Split the table and log its two sides."""
    frame = load_breast_cancer(as_frame=True).frame
    frame["additional_feature"] = frame["mean symmetry"] / frame["mean texture"]
    train, test = train_test_split(frame, test_size=0.33, random_state=0, stratify=frame["target"])
    for name, side in {"train": train, "test": test}.items():
        side.to_csv(f"{name}.csv", index=False)
        mlflow.log_artifact(f"{name}.csv")
        mlflow.log_input(mlflow.data.from_pandas(side, name=name), context=name)


def tune() -> None:
    """Run the study: a nested run a trial, `log_metric` for every metric of every round."""
    train = load("preprocess", "train.csv")
    X, y = train.drop(columns="target"), train["target"]
    data = xgb.DMatrix(X, y)
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y))

    def objective(trial: optuna.Trial) -> float:
        params = {name: trial._suggest(name, distribution) for name, distribution in SPACE.items()}
        with mlflow.start_run(run_name=f"trial-{trial.number}", nested=True):
            mlflow.log_params(params)
            table = xgb.cv(
                {"objective": "binary:logistic", "seed": 0, **params},
                data,
                MAX_ROUNDS,
                folds=folds,
                metrics=[*METRICS[1:], METRICS[0]],
                early_stopping_rounds=patience(params["learning_rate"]),
            )
            for i in range(len(table)):
                for metric in METRICS:
                    mlflow.log_metric(f"cv_{metric}", table[f"test-{metric}-mean"].iloc[i], step=i)
            score = float(table["test-logloss-mean"].min())
            mlflow.log_metric("score", score)
        trial.set_user_attr("rounds", int(table["test-logloss-mean"].argmin()) + 1)
        return score

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    for point in known_points("binary", SPACE):
        study.enqueue_trial(point)
    study.optimize(objective, n_trials=int(float(sys.argv[2])))
    best = {**study.best_params, "n_estimators": study.best_trial.user_attrs["rounds"]}
    mlflow.log_params(best)
    mlflow.log_metric("best_score", study.best_value)
    mlflow.log_dict(best, "best.json")


def train() -> None:
    """Fit the best parameters on all training rows; log and register the model in three forms."""
    frame = load("preprocess", "train.csv")
    X, y = frame.drop(columns="target"), frame["target"]
    best = json.loads(mlflow.artifacts.load_text(f"runs:/{last_run('tune')}/best.json"))
    model = xgb.XGBClassifier(**best, random_state=0).fit(X, y)

    class Service(mlflow.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: pd.DataFrame) -> np.ndarray:
            return model.predict_proba(model_input)

    given: dict[str, Any] = {"signature": infer_signature(X, model.predict(X)), "input_example": X.head(3)}
    mlflow.sklearn.log_model(
        model, name="model", registered_model_name="Tutorial", serialization_format="cloudpickle", **given
    )
    mlflow.xgboost.log_model(model.get_booster(), name="booster", registered_model_name="TutorialBooster", **given)
    mlflow.pyfunc.log_model(
        name="service", python_model=Service(), registered_model_name="TutorialService", input_example=X.head(3)
    )


def evaluate() -> None:
    """Evaluate the registered model on the test rows with MLflow's default evaluator."""
    test = load("preprocess", "test.csv")
    version = mlflow.MlflowClient().search_model_versions("name = 'Tutorial'")[0].version
    mlflow.models.evaluate(f"models:/Tutorial/{version}", test, targets="target", model_type="classifier")
    mlflow.MlflowClient().set_registered_model_alias("Tutorial", "champion", version)


STAGES: dict[str, Callable[[], None]] = {"preprocess": preprocess, "tune": tune, "train": train, "evaluate": evaluate}

if __name__ == "__main__":
    with mlflow.start_run():
        mlflow.set_tag("stage", sys.argv[1])
        STAGES[sys.argv[1]]()
