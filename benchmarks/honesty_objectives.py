"""Whether a model of a very skewed target keeps its total, and is no worse than one of squared error.

Each table is searched as it is, where cross-validation chooses the loss, by Tweedie's deviance, and with a squared
error, which keeps the mean of the training rows by itself. That mean has luck of its own, more than the goal is wide:
sums are told against it, so that what predicts the training mean has ratio 1. Run: make bench-honesty
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from honesty_claims import Claim

import treeline
from treeline.model.boosting import SQUARED_ERROR, TWEEDIE

N_ROWS, N_TRUE, REPEATS, N_TRIALS = 1000, 20_000, 5, 6
KINDS = ("lognormal", "zero-inflated lognormal", "compound Poisson", "Pareto", "counts")


def draw(kind: str, rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Draw rows of six columns and a target that is never negative, with noise of a kind around a mean of theirs."""
    X = rng.normal(size=(n, 6))
    mean = np.exp(0.8 * X[:, 0] + 0.5 * np.abs(X[:, 1]) + 0.4 * X[:, 2] * (X[:, 3] > 0))
    if kind == "Pareto":
        y = mean * (rng.pareto(3, n) + 1) * 2 / 3
    elif kind == "counts":
        y = rng.poisson(0.7 * mean * rng.gamma(0.7, 1 / 0.7, n)).astype(np.float64)
    elif kind == "compound Poisson":
        claims_ = rng.poisson(0.5 * mean)
        y = np.where(claims_ > 0, rng.gamma(np.maximum(claims_, 1), 2.0), 0.0)
    else:
        y = mean * rng.lognormal(-0.5, 1, n)
        if kind == "zero-inflated lognormal":
            y = y * (rng.random(n) < 1 / (1 + np.exp(-X[:, 4])))
    return pd.DataFrame(X, columns=list("abcdef")).assign(y=y)


def fit_and_judge(train: pd.DataFrame, many: pd.DataFrame, seed: int, space: dict[str, str]) -> tuple[float, float]:
    """Search, fit, and give the ratio of the sums of predictions and truth on other rows, and the RMSE there."""
    model = treeline.fit(
        train,
        "y",
        task="regression",
        n_trials=N_TRIALS,
        seed=seed,
        search_space=space | {"learning_rate": 0.08},
    )
    y, given = many["y"].to_numpy(), model.predict(many.drop(columns="y"))
    luck = float(train["y"].mean() / y.mean())
    return float(given.sum() / y.sum()) / luck, float(np.sqrt(np.mean((given - y) ** 2)))


def claims(quick: bool) -> Iterator[Claim]:
    """Yield the ratio of totals and the RMSE of each kind of target, as chosen and by Tweedie's deviance alone."""
    repeats = 1 if quick else REPEATS
    for kind in KINDS:
        found = []
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            train, many = draw(kind, rng, N_ROWS), draw(kind, rng, N_TRUE)
            spaces: tuple[dict[str, str], ...] = ({}, {"objective": TWEEDIE}, {"objective": SQUARED_ERROR})
            found.append([fit_and_judge(train, many, seed, space) for space in spaces])
        (total, _), (tweedie, _), (squared, _) = np.mean(found, axis=0)
        worse = float(np.mean([chosen[1] / plain[1] for chosen, _, plain in found]))
        told = f"{total:.3f} (Tweedie alone {tweedie:.3f}, squared error {squared:.3f})"
        kept = 0.97 <= total <= 1.03 and 0.97 <= tweedie <= 1.03
        yield Claim(f"{kind}: sum of predictions to the truth", told, "0.97 to 1.03", kept, repeats)
        yield Claim(f"{kind}: RMSE to that of squared error", f"{worse:.3f}", "at most 1.01", worse <= 1.01, repeats)
