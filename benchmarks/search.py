"""A search of 60 seconds: the metric on rows that no contestant saw, ours against what a person would use instead.

Run: make bench-search (some 80 minutes: 6 tables, 3 seeds, four contestants of 60 s or more)
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from common import fresh_store, quiet
from sklearn import datasets

import data_preprocessing
import hyperparameters_tuning
import model_training
from config import DataSettings, TrainingSettings, TuningSettings
from tracking.datasets import load_problem, load_split
from treeline.evaluation.predictions import Predictions, predict
from treeline.metrics import metrics_of

OURS = "Treeline"
RIVALS = ["XGBoost's defaults", "Optuna", "halving", "FLAML"]


def tables() -> dict[str, tuple[str, pd.DataFrame]]:
    """Make the tables: task and frame, with class codes or numbers as `target`."""
    made = {
        "breast cancer": ("binary", datasets.load_breast_cancer(as_frame=True).frame),
        "digits": ("multiclass", datasets.load_digits(as_frame=True).frame),
        "diabetes": ("regression", datasets.load_diabetes(as_frame=True).frame),
        "binary 20,000 x 30": ("binary", _frame(*_classes(20_000, 30, 2))),
        "5 classes 5,000 x 20": ("multiclass", _frame(*_classes(5_000, 20, 5))),
        "Friedman 1 10,000 x 10": ("regression", _frame(*datasets.make_friedman1(10_000, noise=1.0, random_state=0))),
    }
    return {name: (task, frame.rename(columns=str)) for name, (task, frame) in made.items()}


def _classes(rows: int, columns: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    return datasets.make_classification(
        rows, columns, n_informative=columns // 2, n_redundant=2, n_classes=classes, flip_y=0.05, random_state=0
    )


def _frame(X: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]).assign(target=y)


@dataclass(frozen=True)
class Round:
    """One table and seed for every contestant: where the rows lie, the task, the seconds."""

    folder: Path
    task: str
    seconds: float
    seed: int


def ours(given: Round) -> tuple[float, float]:
    """Run the first three stages, tracked; leave the split for the others; give the metric on the test rows and the
    seconds.
    """
    folder, task, seed = given.folder, given.task, given.seed
    path = folder / "table.parquet"
    data = data_preprocessing.run(DataSettings(data=str(path), target="target", task=task, seed=seed))
    start = time.perf_counter()
    tuned = hyperparameters_tuning.run(
        TuningSettings(n_trials=100_000, timeout=given.seconds, data_run_id=data, seed=seed)
    )
    trained = model_training.run(TrainingSettings(tuning_run_id=tuned))
    spent = time.perf_counter() - start
    for side in ("train", "test"):
        rows = load_split(data, side)
        np.savez(folder / f"{side}.npz", X=rows.drop(columns="target"), y=rows["target"])
    version = mlflow.get_run(trained).data.tags["model_version"]
    estimator = mlflow.sklearn.load_model(f"models:/TableModel/{version}")
    predictions = predict(load_problem(mlflow.get_run(data)), estimator, load_split(data, "test"))
    return predictions.metric(next(iter(metrics_of(task)))), spent


def rival(name: str, python: str, given: Round) -> tuple[float, float]:
    """Let a rival fit on the same training rows; give its metric on the test rows and its seconds.

    One that knows no time limit (halving) is stopped after twice the seconds; it has no answer then, and an infinite
    loss.
    """
    folder, task = given.folder, given.task
    script = Path(__file__).with_name("rivals.py")
    python = python if name == "FLAML" else sys.executable
    command = [python, str(script), name, str(folder), task, str(given.seconds), str(given.seed)]
    try:
        subprocess.run(command, check=True, timeout=2 * given.seconds)
    except subprocess.TimeoutExpired:
        return float("inf"), 2 * given.seconds
    found = np.load(folder / "answers.npz")
    y, answers = np.load(folder / "test.npz")["y"], found["answers"]
    if task == "regression":
        predictions = Predictions(task, y, answers, np.empty((len(y), 0)))
    else:
        predictions = Predictions(task, y, answers.argmax(axis=1), answers.astype(np.float64))
    return predictions.metric(next(iter(metrics_of(task)))), float(found["seconds"])


def main() -> None:
    """Measure and print the metrics on the test rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tables", nargs="+", default=list(tables()), choices=list(tables()))
    parser.add_argument("--python", required=True, help="of FLAML's environment, benchmarks/requirements.txt")
    options = parser.parse_args()
    quiet()
    fresh_store()
    for name, (task, frame) in tables().items():
        if name not in options.tables:
            continue
        print(f"{name} ({next(iter(metrics_of(task)))}, {options.seconds:g} s, {options.seeds} seeds)", flush=True)
        found_by: dict[str, list[tuple[float, float]]] = {contestant: [] for contestant in [OURS, *RIVALS]}
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                frame.to_parquet(Path(folder) / "table.parquet")
                given = Round(Path(folder), task, options.seconds, seed)
                found_by[OURS].append(ours(given))
                for each in RIVALS:
                    found_by[each].append(rival(each, options.python, given))
        for contestant, found in found_by.items():
            values = [value for value, _ in found]
            print(
                f"  {contestant: <20} median {statistics.median(values):.4f}   by seed "
                f"{', '.join(f'{value:.4f}' for value in values)}   {statistics.mean(s for _, s in found):.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
