"""Whether tuning promises what it keeps, on few rows: the value it reports against that on many rows of the same kind.

A search of 50 trials on 200 rows is run twice, as it is and without finalists. Run: make bench-honesty
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from honesty_claims import Claim

import treeline
from treeline.evaluation.predictions import dummy_predictions, predict
from treeline.tuning import objective
from treeline.tuning.schedule import SearchSettings

N_ROWS, N_TRUE, REPEATS = 200, 5000, 3
KINDS = ("numbers", "weak numbers", "noise numbers", "classes", "weak classes", "noise classes", "three classes")


def draw(kind: str, rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Draw rows of eight columns and a target of a kind; of noise, no column tells anything of it."""
    X = rng.normal(size=(n, 8))
    signal = X[:, 0] + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) - 0.8 + 0.5 * X[:, 4]
    strength = 0.0 if "noise" in kind else 0.5 if "weak" in kind else 1.5
    if "numbers" in kind:
        y: np.ndarray = strength * signal + rng.normal(size=n)
    elif kind == "three classes":
        y = np.array(["a", "b", "c"])[(np.outer(signal, [1, -1, 0]) + rng.gumbel(size=(n, 3))).argmax(axis=1)]
    else:
        y = np.where(rng.random(n) < 1 / (1 + np.exp(-strength * signal)), "a", "b")
    return pd.DataFrame(X, columns=list("abcdefgh")).assign(y=y)


def promised_and_kept(kind: str, seed: int, limit: int, settings: SearchSettings) -> tuple[float, float, float]:
    """Search on few rows; give the value that is reported, the true one, and the true one of a dummy."""
    rng = np.random.default_rng(seed)
    train, many = draw(kind, rng, N_ROWS), draw(kind, rng, N_TRUE)
    before = objective.MAX_ROWS_TO_RECUT
    objective.MAX_ROWS_TO_RECUT = limit
    try:
        model = treeline.fit(train, "y", n_trials=settings.n_trials, seed=seed)
    finally:
        objective.MAX_ROWS_TO_RECUT = before
    metric = model.search_.metric
    true = predict(model.problem_, model, many).metric(metric)
    return model.search_.value, true, dummy_predictions(model.problem_, train, many, metric).metric(metric)


def claims(quick: bool) -> Iterator[Claim]:
    """Yield what tuning promises, keeps, and makes of noise."""
    repeats, settings = (1 if quick else REPEATS), SearchSettings()
    found = {
        limit: np.array(
            [[promised_and_kept(kind, seed, limit, settings) for seed in range(repeats)] for kind in KINDS]
        )  # shape (n_kinds, n_repeats, 3)
        for limit in (0, objective.MAX_ROWS_TO_RECUT)
    }
    (alone, finals) = found.values()
    optimism, before = (float(np.mean(1 - each[..., 0] / each[..., 1])) for each in (finals, alone))
    what = f"{settings.n_trials} trials on {N_ROWS} rows, {len(KINDS)} kinds of tables"
    figure = f"{100 * optimism:.1f} % (best of the same folds: {100 * before:.1f} %)"
    yield Claim(f"optimism of cv_<metric>: {what}", figure, "below 3 %", optimism < 0.03, repeats)
    ratio = float(np.mean(finals[..., 1] / alone[..., 1]))
    yield Claim(
        f"true error, with finalists to without: {what}", f"{ratio:.4f}", "at most 1.005", ratio <= 1.005, repeats
    )
    noise = [i for i, kind in enumerate(KINDS) if "noise" in kind]
    better = finals[noise][..., 0] < finals[noise][..., 2]
    gain = float(np.mean(1 - finals[noise][..., 0] / finals[noise][..., 2]))
    told = f"{100 * gain:+.1f} % ({int(better.sum())} of {better.size} better)"
    yield Claim("cv_<metric> of pure noise against a dummy", told, "no better on average", gain <= 0, repeats)
