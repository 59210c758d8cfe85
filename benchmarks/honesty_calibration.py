"""Whether the warning of bad probabilities comes where it should, and slope and intercept are what they are called."""

from collections.abc import Iterator

import numpy as np
from honesty_claims import Claim

from treeline.evaluation.calibration import Calibration, calibration
from treeline.evaluation.predictions import Predictions

SEED = 0


def drawn(rng: np.random.Generator, n: int, slope: float, levels: int = 0) -> Calibration:
    """Measure a model whose logit should have been `slope` times what it is; of a few levels, where they are given."""
    margin = 1.5 * rng.normal(size=n)
    if levels:
        margin = np.round(margin * levels / 6) * 6 / levels
    y = (rng.random(n) < 1 / (1 + np.exp(-slope * margin))).astype(int)
    p = 1 / (1 + np.exp(-margin))
    return calibration(
        Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p])), seed=int(rng.integers(2**31))
    )


def classes(rng: np.random.Generator, n: int) -> Calibration:
    """Measure a perfect model of three classes."""
    given = rng.dirichlet([1, 1, 1], n)
    y = (given.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    return calibration(Predictions("multiclass", y, given.argmax(axis=1), given), seed=int(rng.integers(2**31)))


def claims(quick: bool) -> Iterator[Claim]:
    """Warned of by chance, told where it is off, and the coverage of the slope's interval."""
    repeats = 200 if quick else 2000
    limit = 0.05 + 2 * np.sqrt(0.05 * 0.95 / repeats)
    for n, levels in ((100, 0), (100, 6), (1000, 0), (50_000, 0)):
        rng, runs = np.random.default_rng(SEED), repeats if n < 50_000 else repeats // 4
        found = np.mean([drawn(rng, n, 1.0, levels).is_off for _ in range(runs)])
        ties = f", {levels} levels" if levels else ""
        yield Claim(
            f"a perfect model of {n} rows{ties} is warned of",
            f"{found:.1%}",
            "5 %, but for chance",
            found <= limit,
            runs,
            SEED,
        )
    rng = np.random.default_rng(SEED)
    found = np.mean([classes(rng, 300).is_off for _ in range(repeats)])
    yield Claim(
        "a perfect model of 3 classes, 300 rows, is warned of",
        f"{found:.1%}",
        "5 %, but for chance",
        found <= limit,
        repeats,
        SEED,
    )
    for n in (100, 1000):
        rng = np.random.default_rng(SEED)
        measured = [drawn(rng, n, 0.5) for _ in range(repeats // 4)]
        told = np.mean([each.is_off for each in measured])
        holds = told > 0.9 or n < 1000
        goal = "> 90 %" if n == 1000 else "no goal"
        yield Claim(f"a model of slope 0.5, {n} rows, is told", f"{told:.0%}", goal, bool(holds), repeats // 4, SEED)
        least = 0.93 - 2 * np.sqrt(0.93 * 0.07 / len(measured))
        covered = np.mean([each.slope_low < 0.5 < each.slope_high for each in measured])
        yield Claim(
            f"the interval of its slope holds 0.5, {n} rows",
            f"{covered:.1%}",
            ">= 93 %, but for chance",
            bool(covered >= least),
            repeats // 4,
            SEED,
        )
