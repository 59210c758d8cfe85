"""What one prediction costs on a mixed table, 20 numbers and 8 categories: raw columns in, probabilities out.

The yardstick is a bare `XGBClassifier.predict_proba` on a frame that is encoded already. Run: make bench-prediction
"""

import argparse
import logging
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import xgboost as xgb
from common import fresh_store, quiet

from tracking.models import log_models
from treeline.data.columns import settle_columns
from treeline.data.problem import Problem
from treeline.model.estimator import make_estimator

ROUNDS = 100


def mixed(rows: int, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Make 20 columns of numbers, one in ten missing, and 8 categories of 5 levels; and two labels."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 20))
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    frame = pd.DataFrame(numbers, columns=[f"number {i}" for i in range(20)])
    for i in range(8):
        frame[f"category {i}"] = np.array(["red", "green", "blue", "black", "white"])[rng.integers(0, 5, rows)]
    signal = np.nan_to_num(numbers[:, :5]).sum(axis=1) + (frame["category 0"] == "red") + rng.normal(size=rows)
    return frame, pd.Series(np.where(signal > 0, "yes", "no"))


def interleaved(work: dict[str, Callable[[], Any]], calls: int, repeats: int) -> dict[str, list[float]]:
    """Time each in turn, `repeats` times round; give the milliseconds of a call, the median within each turn."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for each in work.values():
        each()
    for _ in range(repeats):
        for name, each in work.items():
            times = []
            for _ in range(calls):
                start = time.perf_counter()
                each()
                times.append(time.perf_counter() - start)
            found[name].append(1000 * statistics.median(times))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 1_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    quiet()
    logging.getLogger("mlflow.models").setLevel(logging.ERROR)
    fresh_store()
    frame, y = mixed(20_000)
    kinds = settle_columns(frame).kinds
    problem = Problem("mixed", "", "y", "binary", "", ["no", "yes"], kinds, {}, "")
    estimator = make_estimator(problem, {"max_depth": 6, "learning_rate": 0.1}, ROUNDS, 2).fit(frame, y)
    encoded = estimator.feature_frame(frame).astype("float32")
    bare = xgb.XGBClassifier(n_estimators=ROUNDS, max_depth=6, learning_rate=0.1, n_jobs=2)
    bare.fit(encoded, (y == "yes").astype(int))
    with mlflow.start_run():
        service = mlflow.pyfunc.load_model(log_models(estimator, frame, problem, "Mixed")["MixedService"])
    for rows in options.rows:
        raw, _ = mixed(rows, seed=1)
        matrix = estimator.features_.transform(raw)
        ready = pd.DataFrame(matrix, columns=encoded.columns)
        work: dict[str, Callable[[], Any]] = {
            "bare, encoded frame in": partial(bare.predict_proba, ready),
            "ours, raw frame in": partial(estimator.predict_proba, raw),
            "  of which features": partial(estimator.features_.transform, raw),
            "  of which booster": partial(estimator.booster_.inplace_predict, matrix),
            "through pyfunc": partial(service.predict, raw),
        }
        calls = 200 if rows == 1 else 50 if rows <= 1_000 else 1
        found = interleaved(work, calls, options.repeats)
        print(f"{rows:,} rows")
        for name, times in found.items():
            ratios = [a / b for a, b in zip(times, found["bare, encoded frame in"], strict=True)]
            print(
                f"  {name: <24} {statistics.median(times):9.3f} ms   {statistics.median(ratios):5.2f} of the bare one "
                f"({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
