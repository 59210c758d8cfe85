"""What search.py compares us with: fits on train.npz, writes what it predicts for test.npz.

FLAML runs in the environment of benchmarks/requirements.txt, the others in the project's own; so each imports what it
needs itself. Run: python rivals.py NAME FOLDER TASK SECONDS SEED
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from scipy.stats import loguniform, randint, uniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV, KFold, StratifiedKFold

FOLDS, ROUNDS, PATIENCE = 5, 1000, 50


def kind_of(task: str) -> type[Any]:
    """Give XGBoost's scikit-learn estimator of a task."""
    return xgb.XGBRegressor if task == "regression" else xgb.XGBClassifier


def defaults(X: pd.DataFrame, y: np.ndarray, task: str, seconds: float, seed: int) -> Any:
    """Fit XGBoost as it comes."""
    return kind_of(task)(random_state=seed).fit(X, y)


def with_optuna(X: pd.DataFrame, y: np.ndarray, task: str, seconds: float, seed: int) -> Any:
    """Search with plain Optuna, `xgb.cv`, early stopping and `XGBoostPruningCallback`; refit the best."""
    import optuna
    from optuna.storages import InMemoryStorage
    from optuna_integration import XGBoostPruningCallback

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = xgb.DMatrix(X, y)
    metric = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}[task]
    fixed: dict[str, Any] = {"eval_metric": metric, "seed": seed}
    objectives: dict[str, dict[str, Any]] = {
        "binary": {"objective": "binary:logistic"},
        "multiclass": {"objective": "multi:softprob", "num_class": int(y.max()) + 1},
        "regression": {"objective": "reg:squarederror"},
    }
    fixed |= objectives[task]
    cut = (KFold if task == "regression" else StratifiedKFold)(FOLDS, shuffle=True, random_state=seed)
    folds = list(cut.split(X, y))

    def objective(trial: optuna.Trial) -> float:
        params = {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_depth": trial.suggest_int("max_depth", 3, 10),
            "min_child_weight": trial.suggest_float("min_child_weight", 0.1, 10, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.5, 1),
            "reg_alpha": trial.suggest_float("reg_alpha", 1e-8, 10, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-8, 10, log=True),
        }
        watch = XGBoostPruningCallback(trial, f"test-{metric}")
        table = xgb.cv(
            fixed | params, data, ROUNDS, folds=folds, early_stopping_rounds=PATIENCE, callbacks=[watch], seed=seed
        )
        trial.set_user_attr("rounds", len(table))
        return float(table[f"test-{metric}-mean"].iloc[-1])

    study = optuna.create_study(
        storage=InMemoryStorage(),
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=5),
    )
    study.optimize(objective, timeout=seconds)
    best = study.best_trial
    return kind_of(task)(n_estimators=best.user_attrs["rounds"], random_state=seed, **best.params).fit(X, y)


def halving(X: pd.DataFrame, y: np.ndarray, task: str, seconds: float, seed: int) -> Any:
    """Search by scikit-learn's successive halving over the rounds; it knows no time limit."""
    space = {
        "learning_rate": loguniform(0.01, 0.3),
        "max_depth": randint(3, 11),
        "min_child_weight": loguniform(0.1, 10),
        "subsample": uniform(0.5, 0.5),
        "colsample_bytree": uniform(0.5, 0.5),
        "reg_lambda": loguniform(1e-8, 10),
    }
    search = HalvingRandomSearchCV(
        kind_of(task)(random_state=seed),
        space,
        n_candidates=27,
        resource="n_estimators",
        min_resources=30,
        max_resources=810,
        scoring="neg_root_mean_squared_error" if task == "regression" else "neg_log_loss",
        cv=FOLDS,
        random_state=seed,
    )
    return search.fit(X, y)


def with_flaml(X: pd.DataFrame, y: np.ndarray, task: str, seconds: float, seed: int) -> Any:
    """Search with FLAML, XGBoost only."""
    from flaml import AutoML

    automl = AutoML()
    automl.fit(
        X,
        y,
        task="regression" if task == "regression" else "classification",
        metric="rmse" if task == "regression" else "log_loss",
        estimator_list=["xgboost"],
        time_budget=seconds,
        seed=seed,
        verbose=0,
    )
    return automl


RIVALS: dict[str, Callable[..., Any]] = {
    "XGBoost's defaults": defaults,
    "Optuna": with_optuna,
    "halving": halving,
    "FLAML": with_flaml,
}


def main() -> None:
    """Fit one rival and write its predictions and its seconds."""
    name, folder, task, seconds, seed = sys.argv[1:]
    sides = [np.load(Path(folder) / f"{side}.npz") for side in ("train", "test")]
    X, rows = (pd.DataFrame(side["X"]).rename(columns=str) for side in sides)
    y = sides[0]["y"]
    start = time.perf_counter()
    fitted = RIVALS[name](X, y, task, float(seconds), int(seed))
    spent = time.perf_counter() - start
    answers = fitted.predict(rows) if task == "regression" else fitted.predict_proba(rows)
    np.savez(Path(folder) / "answers.npz", answers=answers, seconds=spent)


if __name__ == "__main__":
    main()
