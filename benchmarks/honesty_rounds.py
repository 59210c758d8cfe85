"""The rounds of a split by time grow with the rows that the last fold lacked: what that does to rows still to come.

The final fit has more rows than any fold in time had, a fifth more than the last of five, and more rows bear more
rounds. So they do where the past tells the future; where what the columns say drifts, the rows to come ask for fewer.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from honesty_claims import Claim

from treeline.data.problem import Problem
from treeline.model.boosting import boost
from treeline.model.features import Features
from treeline.model.matrices import Fold, quantile_matrix
from treeline.tuning.objective import make_objective
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import DEFAULTS

ROWS, ROWS_HELD_OUT, COLUMNS, FOLDS = 300, 400, 8, 5
GROWN = (FOLDS + 1) / FOLDS  # rows to train on, by those of the last fold
TABLES = ("still", "trend", "autoregression", "drift")
NAMES = [f"x{i}" for i in range(COLUMNS)]


def make_rows(table: str, seed: int) -> pd.DataFrame:
    """Make rows in order of time, whose target is a fixed function, that and a trend, mostly its own past, or a
    function that changes.
    """
    rng, n = np.random.default_rng([seed, TABLES.index(table)]), ROWS + ROWS_HELD_OUT
    X, time, noise = rng.normal(size=(n, COLUMNS)), np.arange(n) / n, rng.normal(size=n)
    y = 2 * np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) + noise
    if table == "trend":
        y += 4 * time
    elif table == "drift":
        y = 2 * np.sin(2 * X[:, 0] + 2 * time) + X[:, 1] * X[:, 2] * (1 - time) + 2 * np.abs(X[:, 3]) * time + noise
    elif table == "autoregression":
        past = np.zeros(n)
        for i in range(1, n):
            past[i] = 0.8 * past[i - 1] + noise[i]
        for lag in (1, 2, 3):
            X[lag:, lag - 1] = past[:-lag]
        y = past + np.sin(2 * X[:, 4])
    return pd.DataFrame(X, columns=NAMES).assign(y=y, when=np.arange(n, dtype=float))


def change(table: str, seed: int) -> float:
    """Give the held-out RMSE of as many rounds more as there are rows more, by that of the search's rounds, less 1."""
    rows = make_rows(table, seed)
    train, test = rows.iloc[:ROWS], rows.iloc[ROWS:]
    kinds = dict.fromkeys(NAMES, "number")
    problem = Problem(table, "", "y", "regression", "", [], kinds, {}, "", split="time", split_column="when")
    objective = make_objective(problem, train, SearchSettings(folds=FOLDS), cpus=1)
    found = objective.cross_validate(DEFAULTS, lambda step, values: None, lambda step, value: False, 1000).rounds
    features, y = Features(kinds), train["y"].to_numpy()
    data = quantile_matrix(features, features.fit_transform(train[NAMES], y), y)
    grown = max(found + 1, round(found * GROWN))
    (booster,) = boost(objective.booster_params(DEFAULTS), [Fold(data)], grown, cpus=1)
    held = features.transform(test[NAMES])

    def rmse(rounds: int) -> float:
        return float(np.sqrt(np.mean((booster.inplace_predict(held, iteration_range=(0, rounds)) - test["y"]) ** 2)))

    return rmse(grown) / rmse(found) - 1


def claims(quick: bool) -> Iterator[Claim]:
    """Compare the rounds that the search counted with as many more as there are rows more."""
    repeats = 4 if quick else 40
    for table in TABLES:
        changes = np.array(list(map(partial(change, table), range(repeats))))
        mean, error = 100 * changes.mean(), 100 * changes.std(ddof=1) / np.sqrt(repeats)
        yield Claim(
            f"rounds of a split by time, {GROWN:g} times as many as counted: change of held-out RMSE, table {table!r}",
            f"{mean:+.2f} % ± {error:.2f}",
            "no worse",
            bool(mean <= 0),
            repeats,
        )
