"""Whether slices are called surely worse where they are, and not where chance makes them look so."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from honesty_claims import Claim

from treeline.data.problem import Problem
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import Sampling
from treeline.evaluation.slices import Judged, slice_table

SEED = 0
COLUMNS = [f"x{place}" for place in range(10)]  # a slice each quarter
METRICS = ("log_loss", "error", "roc_auc", "f1", "rmse", "r2")


def judged(rng: np.random.Generator, n: int, metric: str, worse: np.ndarray) -> Judged:
    """Predictions of a perfect model, errors of heavy tails among them; where they are `worse` they say little."""
    if metric in ("rmse", "r2"):
        spread = np.where(worse, 2.0, 1.0)
        y_pred = rng.normal(size=n)
        noise = spread * rng.standard_t(4, size=n)
        return Judged(Predictions("regression", y_pred + noise, y_pred, np.empty((n, 0))), metric)
    margin = 2 * rng.normal(size=n) - 1
    y = (rng.random(n) < 1 / (1 + np.exp(-np.where(worse, 0, margin)))).astype(int)
    p = 1 / (1 + np.exp(-margin))
    return Judged(Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p])), metric)


def named(rng: np.random.Generator, n: int, metric: str, harm: bool) -> pd.DataFrame:
    """Give the slices that are called surely worse; the upper quarter of the first column is, where there is harm."""
    frame = pd.DataFrame(rng.normal(size=(n, len(COLUMNS))), columns=COLUMNS)
    worse = (frame[COLUMNS[0]] > frame[COLUMNS[0]].quantile(0.75)).to_numpy() & harm
    return _surely(frame, judged(rng, n, metric, worse))


def named_in_groups(rng: np.random.Generator) -> pd.DataFrame:
    """The same without harm for 50 groups of 20 rows that are alike, the columns being those of the groups."""
    groups = np.repeat(np.arange(50), 20)
    frame = pd.DataFrame(rng.normal(size=(50, len(COLUMNS)))[groups], columns=COLUMNS)
    y = rng.normal(size=len(groups)) + rng.normal(size=50)[groups]
    found = Predictions("regression", y, np.zeros(len(groups)), np.empty((len(groups), 0)))
    return _surely(frame, Judged(found, "rmse", Sampling("groups", groups)))


def _surely(frame: pd.DataFrame, what: Judged) -> pd.DataFrame:
    task = what.predictions.task
    kinds = dict.fromkeys(frame.columns, "number")
    problem = Problem("t", "", "y", task, "", [] if task == "regression" else [0, 1], kinds, {}, "")  # type: ignore[arg-type]
    table, _ = slice_table(problem, frame, what, list(frame.columns))
    return table[table["surely_worse"]]


def claims(quick: bool) -> Iterator[Claim]:
    """Tables of noise that name any slice, and tables of a bad slice that name it."""
    for metric in METRICS:
        drawn = metric in ("roc_auc", "f1")  # whose chance is drawn, which takes longer
        repeats = (100 if drawn else 300) // (10 if quick else 1)
        limit = 0.05 + 2 * np.sqrt(0.05 * 0.95 / repeats)
        rng = np.random.default_rng(SEED)
        found = np.mean([len(named(rng, 400, metric, harm=False)) > 0 for _ in range(repeats)])
        what = f"{metric}: tables of noise, 400 rows, 40 slices, that name any"
        yield Claim(what, f"{found:.1%}", "5 %, but for chance", bool(found <= limit), repeats, SEED)
        rng, repeats = np.random.default_rng(SEED), max(repeats // 4, 5)
        tables = [named(rng, 1000, metric, harm=True) for _ in range(repeats)]
        found = np.mean([(table["column"] == COLUMNS[0]).any() for table in tables])
        what = f"{metric}: a quarter that is worse by a lot, 1,000 rows, is named"
        yield Claim(what, f"{found:.0%}", ">= 90 %", bool(found >= 0.9), repeats, SEED)
    rng, repeats = np.random.default_rng(SEED), 20 if quick else 200
    found = np.mean([len(named_in_groups(rng)) > 0 for _ in range(repeats)])
    yield Claim(
        "tables of noise in 50 groups of 20 that name any", f"{found:.1%}", "<= 5 %", bool(found <= 0.05), repeats, SEED
    )
