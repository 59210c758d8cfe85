"""Whether both sides of a split by group hold the same classes, and time folds as many rows.

Run: python honesty.py --parts splits
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from honesty_claims import Claim

from treeline.data.splits import Split


def claims(quick: bool) -> Iterator[Claim]:
    """Yield what is claimed of splits."""
    repeats = 10 if quick else 100
    for n_groups, rows, n_classes in ((20, 10, 2), (50, 20, 2), (200, 5, 10)):
        apart = [apart_by_class(seed, n_groups, rows, n_classes) for seed in range(repeats)]
        what = f"distance of the class shares of the test from the table's, {n_groups} groups of mostly one class"
        goal = 0.02 if n_classes == 2 else 0.06  # ten classes of 200 small groups cannot all be met by whole groups
        figure = float(np.mean(apart))
        yield Claim(f"{what}, {n_classes} classes", f"{figure:.3f}", f"at most {goal}", figure <= goal, repeats)
    smallest = [smallest_fold(seed) for seed in range(repeats)]
    figure = float(np.min(smallest))
    what = "the smallest of 5 time folds beside an equal share, most rows in the last tenth of the time"
    yield Claim(what, f"{figure:.0%}", "at least 90 %", figure >= 0.9, repeats)


def apart_by_class(seed: int, n_groups: int, rows: int, n_classes: int) -> float:
    """Give the total variation distance of the classes of the test rows from those of all."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_classes, 0.1), n_groups)
    groups = np.repeat(np.arange(n_groups), rng.poisson(rows, n_groups) + 1)
    y = np.array([rng.choice(n_classes, p=shares[group]) for group in groups])
    test = Split("group", "who").train_test(pd.DataFrame({"who": groups}), y, 0.2, seed)[1]
    counts = [np.bincount(each, minlength=n_classes) / len(each) for each in (y, y[test])]
    return float(np.abs(counts[0] - counts[1]).sum() / 2)


def smallest_fold(seed: int) -> float:
    """Give the rows of the smallest fold beside a sixth of all."""
    rng = np.random.default_rng(seed)
    when = np.concatenate([rng.integers(0, 900, 1_000), rng.integers(900, 1_000, 9_000)])
    folds = Split("time", "when").folds(pd.DataFrame({"when": when}), when, False, 5, seed)
    return min(len(late) for _, late in folds) / (len(when) / 6)
