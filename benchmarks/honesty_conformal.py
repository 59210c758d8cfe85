"""Prediction intervals: how many new rows they hold, and how wide they are beside MAPIE's with the same booster."""

import logging
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import xgboost as xgb
from honesty_claims import Claim
from mapie.conformity_scores import ResidualNormalisedScore
from mapie.regression import CrossConformalRegressor, SplitConformalRegressor
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.model_selection import KFold, train_test_split

from treeline.model.conformal import HeldOut
from treeline.model.estimator import TreelineRegressor
from treeline.model.features import Features

COVERAGE, ROWS, ROUNDS = 0.9, 3000, 100
MORE_OF_FEW_ROWS = 3  # times as many splits of a table whose few test rows say little
PARAMS = {"learning_rate": 0.08, "max_depth": 5, "subsample": 0.8, "colsample_bynode": 0.8, "seed": 0}
Table = tuple[np.ndarray, np.ndarray]


def tables(seed: int) -> Iterator[tuple[str, Table]]:
    """Give tables whose rows are uncertain in different ways."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, 6))
    signal = 2 * X[:, 0] + 2 * np.sin(2 * X[:, 1]) + X[:, 2] * X[:, 3]
    yield "one spread", (X, signal + rng.normal(size=ROWS))
    yield "spread by a column", (X, signal + rng.normal(size=ROWS) * np.exp(X[:, 4]))
    yield "heavy tails (t, 3 degrees)", (X, signal + rng.standard_t(3, size=ROWS))
    yield "lognormal", (X, np.exp(signal / 3 + 0.5 * rng.normal(size=ROWS)))
    yield "Friedman 1", make_friedman1(ROWS, noise=1, random_state=seed)
    yield "diabetes", load_diabetes(return_X_y=True)


def measured(ends: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Give the share of rows that intervals hold, and their mean width."""
    return float(np.mean((y >= ends[:, 0]) & (y <= ends[:, 1]))), float(np.mean(ends[:, 1] - ends[:, 0]))


def ours(train: Table, test: Table) -> tuple[float, float]:
    """Settle intervals as training does, by the folds' predictions of the training rows."""
    X, new = (pd.DataFrame(each[0], columns=[f"x{i}" for i in range(each[0].shape[1])]) for each in (train, test))
    y = pd.Series(train[1])
    features = Features(dict.fromkeys(X.columns, "number"), {}, {})
    held = np.empty(len(y))
    for seen, left in KFold(5, shuffle=True, random_state=0).split(X):
        model = TreelineRegressor(features, PARAMS, ROUNDS).fit(X.iloc[seen], y.iloc[seen])
        held[left] = model.predict(X.iloc[left])
    whole = TreelineRegressor(features, PARAMS, ROUNDS).fit(X, y)
    return measured(whole.fit_interval(HeldOut(X, train[1], held), COVERAGE).predict_interval(new), test[1])


def theirs(train: Table, test: Table) -> dict[str, tuple[float, float]]:
    """Give MAPIE's cross-conformal intervals, CV+ among them, and its split ones scaled by a model of the residual."""
    booster = xgb.XGBRegressor(**PARAMS, n_estimators=ROUNDS)
    found = {}
    for method in ("base", "plus", "minmax"):
        model = CrossConformalRegressor(booster, confidence_level=COVERAGE, cv=5, method=method)
        ends = model.fit_conformalize(*train).predict_interval(test[0])[1]
        found[method] = measured(ends.reshape(-1, 2), test[1])
    score = ResidualNormalisedScore(booster, random_state=0)
    split = SplitConformalRegressor(booster, confidence_level=COVERAGE, conformity_score=score, prefit=False)
    X, held, y, told = train_test_split(*train, test_size=0.3, random_state=0)
    ends = split.fit(X, y).conformalize(held, told).predict_interval(test[0])[1]
    return found | {"normalised": measured(ends.reshape(-1, 2), test[1])}


def claims(quick: bool) -> Iterator[Claim]:
    """Measure both on half of each table."""
    logging.getLogger().setLevel(logging.ERROR)  # MAPIE logs on the root that predictions are ill-sorted
    repeats = 2 if quick else 4
    found: dict[str, list[tuple[tuple[float, float], dict[str, tuple[float, float]]]]] = {}
    for seed in range(repeats * MORE_OF_FEW_ROWS):
        for name, (X, y) in tables(seed):
            if seed >= repeats and len(y) == ROWS:
                continue
            A, B, a, b = train_test_split(X, y, test_size=0.5, random_state=seed)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The option to optimize beta", module="mapie")
                found.setdefault(name, []).append((ours((A, a), (B, b)), theirs((A, a), (B, b))))
    for name, runs in found.items():
        coverage = float(np.mean([mine[0] for mine, _ in runs]))
        yield Claim(
            f"90 % intervals hold new rows: {name}",
            f"{coverage:.1%}",
            "88 to 92 %",
            0.88 <= coverage <= 0.92,
            len(runs),
        )
        width = float(np.mean([mine[1] for mine, _ in runs]))
        means = {
            method: (
                float(np.mean([each[method][0] for _, each in runs])),
                float(np.mean([each[method][1] for _, each in runs])),
            )
            for method in runs[0][1]
        }
        best = min((each for each in means if means[each][0] >= 0.88), key=lambda each: means[each][1])
        ratio = width / means[best][1]
        what = f"their width to MAPIE's narrowest that holds 88 % ({best}): {name}"
        yield Claim(what, f"{ratio:.2f}", "at most 1.05", ratio <= 1.05, len(runs))
