"""Whether what a chosen threshold is said to be worth is what it is worth on new rows."""

from collections.abc import Iterator, Mapping

import numpy as np
from honesty_claims import Claim

from treeline.evaluation.intervals import interval
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.thresholds import Rule, at_threshold, choose_threshold, decision_row

SEED = 0
COSTS = {"tp": 0.0, "fp": 1.0, "fn": 10.0, "tn": 0.0}
NEW_ROWS = 100_000


def drawn(rng: np.random.Generator, n: int) -> Predictions:
    """Predictions of one class in ten."""
    y = (rng.random(n) < 0.1).astype(int)
    p = 1 / (1 + np.exp(-(1.6 * y + rng.normal(size=n) - 2.8)))
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def told_and_true(rng: np.random.Generator, rule: Rule, costs: Mapping[str, float]) -> tuple[float, float, float, bool]:
    """Give what choosing and measuring on the same 300 rows says, what choosing on 900 others does, what that is worth
    on new rows, and whether the interval of its F1 holds it.
    """
    chosen_on, test, new = drawn(rng, 900), drawn(rng, 300), drawn(rng, NEW_ROWS)
    name = "cost" if rule == "cost" else "f1"
    same = decision_row(at_threshold(test, choose_threshold(test, rule, costs)), costs)[name]
    threshold = choose_threshold(chosen_on, rule, costs)
    told, true = (decision_row(at_threshold(each, threshold), costs)[name] for each in (test, new))
    around = interval(at_threshold(test, threshold), "f1")
    return same, told, true, around.low <= true <= around.high


def claims(quick: bool) -> Iterator[Claim]:
    """By how much each way flatters, and the coverage of the interval."""
    repeats = 60 if quick else 600
    for rule in ("f1", "cost"):
        rng = np.random.default_rng(SEED)
        same, told, true, held = (
            np.array(each) for each in zip(*(told_and_true(rng, rule, COSTS) for _ in range(repeats)), strict=True)
        )
        bias, noise = (
            float(np.mean(told - true) / np.mean(true)),
            float(np.std(told - true) / np.mean(true) / np.sqrt(repeats)),
        )
        figure = f"{bias:+.1%} (on the same rows it was {np.mean(same - true) / np.mean(true):+.1%})"
        what = f"{rule} on 300 test rows against new rows, the threshold chosen on 900 others"
        yield Claim(what, figure, "0, but for chance", abs(bias) <= 0.01 + 2 * noise, repeats, SEED)
        if rule == "f1":
            yield Claim(
                "the 95 % interval of that F1 holds the true one",
                f"{np.mean(held):.1%}",
                ">= 93 %, but for chance",
                np.mean(held) >= 0.93 - 2 * np.sqrt(0.93 * 0.07 / repeats),
                repeats,
                SEED,
            )
