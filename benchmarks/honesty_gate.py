"""How often the gate promotes a model that is no better, and that it lets a better one pass.

Who is better is known by how the rows are made; the models are XGBoost's own, or predictions of a known quality.
"""

from collections.abc import Iterator
from itertools import product
from typing import get_args

import numpy as np
import pandas as pd
import xgboost as xgb
from honesty_claims import Claim
from sklearn.model_selection import train_test_split

from treeline import UserError
from treeline.data.problem import Problem
from treeline.evaluation.comparison import Contest, compare, decide, spent_alpha
from treeline.evaluation.criteria import Criteria
from treeline.evaluation.new_rows import Seen, new_rows
from treeline.evaluation.predictions import Predictions, dummy_predictions
from treeline.evaluation.sampling import Sampling
from treeline.metrics import metrics_of
from treeline.tuning.schedule import AskedMetric

SEED = 20261127
LEVELS = {64: (4, 4, 2, 2), 256: (4, 4, 4, 4), 1024: (8, 8, 4, 4), 4096: (8, 8, 8, 8)}
COLUMNS = list("abcd")
BEATEN = compare(
    Predictions("regression", np.arange(100.0), np.arange(100.0) + 0.1, np.empty((100, 0))),
    Predictions("regression", np.arange(100.0), np.full(100, 50.0), np.empty((100, 0))),
    "rmse",
)  # a dummy that is no matter here


def claims(quick: bool) -> Iterator[Claim]:
    """Give each claim."""
    few = 8 if quick else 40
    for combinations in LEVELS:
        for splits in ("the same split", "different splits"):
            promoted, sums = few_combinations(combinations, splits == "the same split", few)
            figure = f"{promoted} of {few}; log loss {sums[0]:.3f} against {sums[1]:.3f}"
            what = f"8 rounds against 60, {combinations:,} combinations, {splits}"
            yield Claim(f"false promotions: {what}", figure, f"0 of {few}", promoted == 0, few, SEED)
    repeats = 200 if quick else 1500
    for what, n, sampling in [
        ("100 rows", 100, Sampling()),
        ("1,000 rows", 1000, Sampling()),
        ("50 groups of 20", 1000, Sampling("groups", np.arange(1000) // 20)),
        ("30 groups of 100", 3000, Sampling("groups", np.arange(3000) // 100)),
        ("200 groups of 5", 1000, Sampling("groups", np.arange(1000) // 5)),
        ("400 times, AR(1) 0.5", 400, Sampling("time", np.arange(400))),
    ]:
        shares = equals(n, sampling, repeats)
        name = max(shares, key=lambda each: shares[each])
        figure = f"{shares[name]:.1%} ({name}; median {np.median(list(shares.values())):.1%})"
        noise = 2 * np.sqrt(0.05 * 0.95 / repeats)
        yield Claim(f"false promotions: equals, {what}", figure, "<= 5 %", shares[name] <= 0.05 + noise, repeats, SEED)
    repeats = 200 if quick else 2000
    for n in (100, 400):
        shares = noise_models(n, repeats)
        name = max(shares, key=lambda each: shares[each])
        figure = f"{shares[name]:.1%} ({name}; median {np.median(list(shares.values())):.1%})"
        yield Claim(
            f"pure noise becomes champion, {n} test rows", figure, "<= 3 %", shares[name] <= 0.03, repeats, SEED
        )
    repeats = 50 if quick else 400
    ever, passed = fifty_judgements(repeats)
    yield Claim(
        "one of 50 equals judged by the same 400 rows is ever promoted",
        f"{ever:.1%}",
        "<= 5 %",
        ever <= 0.05,
        repeats,
        SEED,
    )
    yield Claim("one much better passes as the 50th", f"{passed:.1%}", ">= 90 %", passed >= 0.9, repeats, SEED)
    repeats = 20 if quick else 100
    anchored, free = walk_downhill(repeats)
    figure = f"{anchored:.2f} margins below the best (median of the end; {free:.2f} without the anchor)"
    yield Claim("not-worse, 20 times in a row", figure, "<= 1 margin", anchored <= 1, repeats, SEED)


# --- rows of few combinations


def few_combinations(combinations: int, same_split: bool, repeats: int) -> tuple[int, np.ndarray]:
    """Let a challenger of 8 rounds meet a champion of 60; count its promotions, and give both true log losses."""
    promoted, sums = 0, np.zeros(2)
    for repeat in range(repeats):
        rng = np.random.default_rng([SEED, combinations, repeat])
        levels = LEVELS[combinations]
        grid = np.array(list(product(*map(range, levels))))
        effects = [rng.normal(size=each) for each in levels]
        margin = sum(effect[grid[:, i]] for i, effect in enumerate(effects)) + 0.7 * rng.normal(size=len(grid))
        cells = rng.integers(0, len(grid), 1500)
        frame = pd.DataFrame(grid[cells], columns=COLUMNS).astype(float)
        frame["y"] = (rng.random(1500) < 1 / (1 + np.exp(-margin[cells]))).astype(int)
        sides = [train_test_split(frame, test_size=0.35, random_state=each) for each in (0, 0 if same_split else 1)]
        models = [trained(train, rounds) for (train, _), rounds in zip(sides, (8, 60), strict=True)]
        everywhere = pd.DataFrame(grid, columns=COLUMNS).astype(float)
        truth = 1 / (1 + np.exp(-margin))
        sums += [true_log_loss(truth, predicted(model, everywhere)) for model in models]
        test = sides[0][1].reset_index(drop=True)
        promoted += wins(models, [train.reset_index(drop=True) for train, _ in sides], test)
    return promoted, sums / repeats


def wins(models: list[xgb.Booster], trains: list[pd.DataFrame], test: pd.DataFrame) -> bool:
    """Tell whether the gate lets the first model replace the second."""
    seen = [Seen(problem(), train, test) for train in trains]
    both = [of_classes(test["y"].to_numpy(), predicted(model, test[COLUMNS])) for model in models]
    try:
        fresh, _ = new_rows(seen[0], seen[1], given=False)
        rows = np.flatnonzero(fresh)
        met = compare(both[0].take(rows), both[1].take(rows), "log_loss")
        overall = None if fresh.all() else compare(both[0], both[1], "log_loss")
        contest = Contest("champion", comparison=met, about="new rows", overall=overall)
    except UserError as error:
        contest = Contest("champion", obstacle=str(error))
    return decide(Criteria("log_loss"), both[0], BEATEN, [contest], []).outcome == "promote"


def problem() -> Problem:
    """Give the problem of these rows."""
    kinds = dict.fromkeys(COLUMNS, "number")
    return Problem("t", "", "y", "binary", "", [0, 1], kinds, {}, "")


def trained(rows: pd.DataFrame, rounds: int) -> xgb.Booster:
    """Train XGBoost."""
    params = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.1, "nthread": 1}
    return xgb.train(params, xgb.DMatrix(rows[COLUMNS], rows["y"], nthread=1), rounds)


def predicted(model: xgb.Booster, rows: pd.DataFrame) -> np.ndarray:
    """Give the probability of the second class."""
    return model.predict(xgb.DMatrix(rows, nthread=1)).astype(np.float64)


def true_log_loss(truth: np.ndarray, p: np.ndarray) -> float:
    """Give the log loss over all cells, each as likely as another, whose true probabilities are known."""
    return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p)))


def of_classes(y: np.ndarray, p: np.ndarray, threshold: float = 0.5) -> Predictions:
    """Make predictions of two classes, the second above a threshold."""
    return Predictions("binary", y, (p > threshold).astype(int), np.column_stack([1 - p, p]))


# --- models that are equally good


def equals(n: int, sampling: Sampling, repeats: int) -> dict[str, float]:
    """Give how often one of two equally good models surely beats the other, by metric."""
    rng = np.random.default_rng(SEED)
    won = dict.fromkeys(["rmse", "mae", "r2", "log_loss", "accuracy", "roc_auc", "average_precision", "f1"], 0)
    for _ in range(repeats):
        shared, *own = (hanging(rng, n, sampling) for _ in range(3))
        y = rng.normal(size=n)
        numbers = [Predictions("regression", y, y + shared + each, np.empty((n, 0))) for each in own]
        codes = (y + hanging(rng, n, sampling) > 0).astype(int)
        classes = [of_classes(codes, 1 / (1 + np.exp(-(2 * codes - 1 + shared + each)))) for each in own]
        for name in won:
            pair = numbers if name in ("rmse", "mae", "r2") else classes
            won[name] += compare(pair[0], pair[1], name, sampling).low > 0
    return {name: count / repeats for name, count in won.items()}


def hanging(rng: np.random.Generator, n: int, sampling: Sampling) -> np.ndarray:
    """Draw noise that hangs together as the rows do."""
    noise = rng.normal(size=n)
    if sampling.kind == "groups" and sampling.codes is not None:
        return np.asarray(noise + rng.normal(size=sampling.codes.max() + 1)[sampling.codes])
    if sampling.kind == "time":
        for i in range(1, n):
            noise[i] = 0.5 * noise[i - 1] + np.sqrt(0.75) * noise[i]
    return noise


# --- noise against the dummy


def noise_models(n: int, repeats: int) -> dict[str, float]:
    """Give how often a model of columns that say nothing surely beats the dummy of its metric, by metric.

    The numbers are skewed, and the model of them has learned the level that its loss asks for. That of classes calls
    rows positive from their frequency on, as a threshold for F1 does.
    """
    rng = np.random.default_rng(SEED)
    posed = {
        "binary": Problem("t", "", "y", "binary", "", [0, 1], {}, {}, ""),
        "regression": Problem("t", "", "y", "regression", "", [], {}, {}, ""),
    }
    won = {task: {name: 0 for name in metrics_of(task) if name in get_args(AskedMetric)} for task in posed}
    for _ in range(repeats):
        matrix = rng.normal(size=(4 * n, 5))
        for task, y in (("binary", rng.integers(0, 2, 4 * n)), ("regression", rng.lognormal(size=4 * n))):
            test, train = pd.DataFrame({"y": y[:n]}), pd.DataFrame({"y": y[n:]})
            slopes = np.linalg.lstsq(matrix[n:], y[n:] - y[n:].mean(), rcond=None)[0]
            moved = 0.3 * matrix[:n] @ slopes  # shrunk, as a careful search leaves it
            for name in won[task]:
                if task == "binary":
                    model = of_classes(y[:n], np.clip(y[n:].mean() + moved, 0.01, 0.99), y[n:].mean())
                else:
                    level = y[n:].mean() if name in ("rmse", "r2") else np.median(y[n:])
                    model = Predictions(task, y[:n], level + moved, np.empty((n, 0)))
                dummy = dummy_predictions(posed[task], train, test, name)
                won[task][name] += compare(model, dummy, name).low > 0
    return {name: count / repeats for found in won.values() for name, count in found.items()}


# --- the same rows again and again


def fifty_judgements(repeats: int) -> tuple[float, float]:
    """Give how often one of 50 models as good as the champion is promoted, and how often the 50th, much better, is."""
    rng = np.random.default_rng(SEED)
    ever, passed = 0, 0
    for _ in range(repeats):
        y = rng.integers(0, 2, 400)
        champion = of_skill(rng, y, 2.0)
        alphas = [spent_alpha(k) for k in range(1, 51)]
        ever += any(compare(of_skill(rng, y, 2.0), champion, "log_loss", alpha=each).low > 0 for each in alphas)
        passed += compare(of_skill(rng, y, 4.0), champion, "log_loss", alpha=alphas[-1]).low > 0
    return ever / repeats, passed / repeats


def of_skill(rng: np.random.Generator, y: np.ndarray, skill: float) -> Predictions:
    """Draw predictions whose skill parts the margins of two classes."""
    return of_classes(y, 1 / (1 + np.exp(-(skill * (y - 0.5) + rng.normal(size=len(y))))))


def walk_downhill(repeats: int) -> tuple[float, float]:
    """Give how far below the best champion 20 challengers in a row lead, each 0.6 margins worse than the one before,
    with `not-worse` held against the best champion so far and without; the medians, in margins.
    """
    rng, margin, n = np.random.default_rng(SEED), 0.05, 4000
    ends: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(repeats):
        y, noise = rng.normal(size=n), rng.normal(size=n)
        models = [Predictions("regression", y, y + (1 + 0.6 * margin * k) * noise, np.empty((n, 0))) for k in range(21)]
        for anchored, found in ends.items():
            champion = 0
            for k in range(1, 21):
                met = dict.fromkeys([champion, 0]) if anchored else [champion]
                contests = [Contest(str(m), comparison=compare(models[k], models[m], "rmse"), about="all") for m in met]
                asked = Criteria("rmse", promote="not-worse", margin=margin)
                champion = k if decide(asked, models[k], BEATEN, contests, []).outcome == "promote" else champion
            found.append(0.6 * champion)
    return float(np.median(ends[True])), float(np.median(ends[False]))
