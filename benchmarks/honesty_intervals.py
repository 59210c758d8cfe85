"""How often 95 % intervals hold the truth: rows that know nothing of each other, groups, and time.

The truth is the metric on very many rows of the same kind, from scikit-learn.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from honesty_claims import Claim
from sklearn import metrics as sk

from treeline.evaluation.intervals import intervals
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import Sampling
from treeline.metrics import metrics_of

SEED = 20261127
Draw = Callable[[np.random.Generator, int], tuple[Predictions, Sampling]]
THEIRS: dict[str, Callable[[Predictions], float]] = {
    "log_loss": lambda each: sk.log_loss(each.y_true, each.y_proba, labels=range(each.y_proba.shape[1])),
    "error": lambda each: sk.zero_one_loss(each.y_true, each.y_pred),
    "roc_auc": lambda each: sk.roc_auc_score(one_hot(each), given(each), average="weighted"),
    "accuracy": lambda each: sk.accuracy_score(each.y_true, each.y_pred),
    "f1": lambda each: sk.f1_score(each.y_true, each.y_pred, average="binary" if each.task == "binary" else "macro"),
    "average_precision": lambda each: sk.average_precision_score(one_hot(each), given(each), average="weighted"),
    "balanced_accuracy": lambda each: sk.balanced_accuracy_score(each.y_true, each.y_pred),
    "rmse": lambda each: sk.root_mean_squared_error(each.y_true, each.y_pred),
    "mae": lambda each: sk.mean_absolute_error(each.y_true, each.y_pred),
    "r2": lambda each: sk.r2_score(each.y_true, each.y_pred),
    "mape": lambda each: sk.mean_absolute_percentage_error(each.y_true, each.y_pred),
    "rmsle": lambda each: sk.root_mean_squared_log_error(each.y_true, each.y_pred),
}


def one_hot(each: Predictions) -> np.ndarray:
    """Give the classes as scikit-learn wants them."""
    return each.y_true if each.task == "binary" else np.eye(each.y_proba.shape[1])[each.y_true]


def given(each: Predictions) -> np.ndarray:
    """Give the probabilities as scikit-learn wants them."""
    return each.y_proba[:, 1] if each.task == "binary" else each.y_proba


def classified(y: np.ndarray, margin: np.ndarray) -> Predictions:
    """Make predictions of two classes from margins."""
    p = 1 / (1 + np.exp(-margin))
    return Predictions("binary", y, (p > 0.5).astype(int), np.column_stack([1 - p, p]))


def numbers(y: np.ndarray, error: np.ndarray) -> Predictions:
    """Make predictions of numbers, all above 0 so that every metric exists."""
    return Predictions("regression", np.abs(y) + 0.5, np.abs(y) + 0.5 + error, np.empty((len(y), 0)))


def two_classes(skill: float, share: float = 0.5) -> Draw:
    """Draw two classes; the skill parts their margins."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Predictions, Sampling]:
        y = (rng.random(n) < share).astype(int)
        return classified(y, skill * (y - 0.5) + rng.normal(size=n)), Sampling()

    return draw


def four_classes(rng: np.random.Generator, n: int) -> tuple[Predictions, Sampling]:
    """Draw four classes."""
    y = rng.integers(0, 4, n)
    odds = np.exp(1.5 * np.eye(4)[y] + rng.normal(size=(n, 4)))
    p = odds / odds.sum(axis=1, keepdims=True)
    return Predictions("multiclass", y, p.argmax(axis=1), p), Sampling()


def regression(rng: np.random.Generator, n: int) -> tuple[Predictions, Sampling]:
    """Draw numbers with errors from the normal distribution."""
    return numbers(rng.normal(15, 2, n), rng.normal(size=n)), Sampling()


def heavy(rng: np.random.Generator, n: int) -> tuple[Predictions, Sampling]:
    """Draw numbers with lognormal errors."""
    return numbers(rng.normal(15, 2, n), rng.lognormal(0, 1.5, n)), Sampling()


def grouped(task: str, rows: int) -> Draw:
    """Draw groups of rows whose level, error and skill are their own."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Predictions, Sampling]:
        codes = np.arange(n) // rows
        own = rng.normal(size=(4, codes[-1] + 1))[:, codes]
        if task == "regression":
            return numbers(15 + 2 * rng.normal(size=n) + own[0], rng.normal(size=n) + own[1]), Sampling("groups", codes)
        y = (rng.random(n) < 1 / (1 + np.exp(-own[2]))).astype(int)
        return classified(y, (1.5 + own[3]) * (y - 0.5) + rng.normal(size=n) + own[0]), Sampling("groups", codes)

    return draw


def uneven(rng: np.random.Generator, n: int) -> tuple[Predictions, Sampling]:
    """Draw groups of which a tenth hold half of the rows, each with an error of its own."""
    large = max(4, n // 400)
    codes = np.r_[np.arange(n // 2) % large, large + np.arange(n - n // 2) % (9 * large)]
    own = rng.normal(size=(2, codes.max() + 1))[:, codes]
    return numbers(15 + 2 * rng.normal(size=n) + own[0], rng.normal(size=n) + own[1]), Sampling("groups", codes)


def weighed(rng: np.random.Generator, n: int) -> tuple[Predictions, Sampling]:
    """Draw rows of very different weight."""
    predictions, sampling = regression(rng, n)
    return replace(predictions, weight=rng.lognormal(0, 1.5, n)), sampling


def timed(task: str, memory: float) -> Draw:
    """Draw a series whose errors are autoregressive of the first order."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Predictions, Sampling]:
        level, error = remember(rng, n, 0.5), remember(rng, n, memory)
        if task == "regression":
            return numbers(15 + 2 * level, error), Sampling("time", np.arange(n))
        y = (level > 0).astype(int)
        return classified(y, 1.5 * (y - 0.5) + 1.5 * error), Sampling("time", np.arange(n))

    return draw


def remember(rng: np.random.Generator, n: int, memory: float) -> np.ndarray:
    """Draw an autoregressive series of variance 1."""
    x, kicks = rng.normal(), np.sqrt(1 - memory**2) * rng.normal(size=n)
    series = np.empty(n)
    for i, kick in enumerate(kicks):
        x = series[i] = memory * x + kick
    return series


def coverage(draw: Draw, n: int, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Give how often each metric's interval holds the truth, where there is one, and how often there is one."""
    rng = np.random.default_rng(SEED)
    many = [draw(rng, 200_000)[0] for _ in range(2)]
    truth = {name: np.mean([THEIRS[name](each) for each in many]) for name in metrics_of(many[0].task)}
    held: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for _ in range(repeats):
        for name, each in intervals(*draw(rng, n)).items():
            if not each.why:
                there[name] += 1
                held[name] += bool(each.low <= truth[name] <= each.high)
    return {name: held[name] / there[name] for name in there}, {name: there[name] / repeats for name in there}


def claims(quick: bool) -> Iterator[Claim]:
    """Give each claim; a kind of rows holds where its worst metric does, but for the noise of the repeats."""
    repeats = 100 if quick else 1000
    ordinary: list[tuple[str, Draw, int]] = [
        (f"{what}, {n:,} rows", draw, n)
        for what, draw in (
            ("two classes", two_classes(1.5)),
            ("a class of 20 %", two_classes(1.5, 0.2)),
            ("four classes", four_classes),
            ("regression", regression),
        )
        for n in (100, 1000)
    ]
    for what, draw, n in ordinary:
        yield worst(what, draw, n, 0.93, repeats)
    yield worst("AUC 0.98, 100 rows", two_classes(2.9), 100, 0.90, repeats)
    yield worst("accuracy 0.99, 100 rows", two_classes(4.65), 100, 0.90, repeats)
    yield worst("accuracy 0.99, 1,000 rows", two_classes(4.65), 1000, 0.90, repeats)
    for task in ("binary", "regression"):
        for groups, rows in ((50, 20), (30, 100), (200, 5)):
            yield worst(f"{task}, {groups} groups of {rows}", grouped(task, rows), groups * rows, 0.91, repeats)
        for n in (200, 1000):
            yield worst(f"{task}, {n:,} times, AR(1) 0.5", timed(task, 0.5), n, 0.85, repeats // 2)
    yield worst("40 groups, of which 4 hold half of the rows", uneven, 800, 0.85, repeats)
    yield worst("300 rows of lognormal weights", weighed, 300, 0.88, repeats)
    rng = np.random.default_rng(SEED)
    told = sum(bool(intervals(*heavy(rng, 300))["rmse"].note) for _ in range(repeats))
    yield Claim(
        "heavy tails (lognormal, 300 rows) are told",
        f"{told / repeats:.1%}",
        ">= 50 %",
        told >= repeats / 2,
        repeats,
        SEED,
    )
    told = sum(bool(intervals(*regression(rng, 300))["rmse"].note) for _ in range(repeats))
    yield Claim("and normal errors are not", f"{told / repeats:.1%}", "<= 1 %", told <= repeats / 100, repeats, SEED)


def worst(what: str, draw: Draw, n: int, goal: float, repeats: int) -> Claim:
    """Make the claim of the metric whose interval holds the truth least often."""
    held, there = coverage(draw, n, repeats)
    name = min(held, key=lambda each: held[each])
    noise = 2 * np.sqrt(goal * (1 - goal) / repeats / there[name])
    figure = f"{held[name]:.1%} ({name}; median {np.median(list(held.values())):.1%}"
    figure += f"; given {there[name]:.0%})" if there[name] < 1 else ")"
    return Claim(f"95 % intervals: {what}", figure, f">= {goal:.0%}", held[name] >= goal - noise, repeats, SEED)
