"""Whether what tells the target is named, and columns of noise are not. Run: python honesty.py --parts leaks"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from honesty_claims import Claim

from treeline.data.leaks import inspect_leaks, power_where_known, predictive_power

Rng = np.random.Generator
N_COLUMNS = 200
WORDS = np.array([f"word{i}" for i in range(50)])
NOISE: list[tuple[str, Callable[[Rng, int], object]]] = [
    ("number", lambda rng, n: rng.normal(size=n)),
    ("number", lambda rng, n: rng.lognormal(0, 3, n)),
    ("number", lambda rng, n: rng.poisson(1, n)),
    ("number", lambda rng, n: np.where(rng.random(n) < 0.9, np.nan, rng.normal(size=n))),
    ("number", lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.integers(0, 3, n))),
    ("boolean", lambda rng, n: rng.random(n) < 0.05),
    ("boolean", lambda rng, n: rng.random(n) < 0.5),
    ("category", lambda rng, n: rng.choice(list("abc"), n)),
    ("category", lambda rng, n: pd.Series(rng.choice(list("abcdefgh"), n), dtype=object).mask(rng.random(n) < 0.7)),
    ("high_cardinality", lambda rng, n: np.char.mod("%d", rng.integers(0, n // 2, n))),
    ("high_cardinality", lambda rng, n: np.char.mod("%d", rng.zipf(1.3, n))),
    ("high_cardinality", lambda rng, n: np.char.mod("%d", np.arange(n))),
    ("datetime", lambda rng, n: pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n), unit="s")),
    ("number", lambda rng, n: np.round(rng.normal(size=n), 1)),
    ("text", lambda rng, n: [" ".join(row) for row in rng.choice(WORDS, (n, 6))]),
]
TARGETS: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "two classes": lambda rng, n: rng.integers(0, 2, n),
    "a class of 8 %": lambda rng, n: (rng.random(n) < 0.08).astype(np.int64),
    "six classes": lambda rng, n: rng.integers(0, 6, n),
    "a normal number": lambda rng, n: rng.normal(size=n),
    "a heavy-tailed number": lambda rng, n: rng.pareto(1.1, n),
    "a number that is mostly 0": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.lognormal(0, 1, n)),
}
LEAKS: dict[str, tuple[str, Callable[[Rng, np.ndarray], object]]] = {
    "a copy": ("number", lambda rng, y: 3.0 * y + 1),
    "a copy of which half is missing": ("number", lambda rng, y: np.where(rng.random(len(y)) < 0.5, np.nan, y)),
    "a copy with 1.5 % of errors": ("boolean", lambda rng, y: np.where(rng.random(len(y)) < 0.015, 1 - y, y) > 0),
    "levels that mean the target, five rows each": (
        "high_cardinality",
        lambda rng, y: [f"{rng.integers(0, len(y) // 10)}{'ab'[code]}" for code in y],
    ),
    "a word of a text": (
        "text",
        lambda rng, y: [f"{' '.join(rng.choice(WORDS, 6))} {('kept', 'refunded')[code]}" for code in y],
    ),
}


def claims(quick: bool) -> Iterator[Claim]:
    """Yield what is claimed of the warnings about leaks."""
    for n, tables in ((60, 10), (200, 6), (1_000, 2), (5_000, 1))[: 3 if quick else 4]:
        repeats = 1 if quick else tables
        for name, make in TARGETS.items():
            told = sum(len(warnings_of_noise(seed, n, make)) for seed in range(repeats))
            what = f"warnings about {N_COLUMNS} columns of noise beside {name}, {n:,} rows"
            yield Claim(what, str(told), "0", told == 0, repeats)
    repeats = 5 if quick else 50
    for name, (kind, plant) in LEAKS.items():
        found = 0
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            y = rng.integers(0, 2, 1_000)
            found += bool(warnings_of({"it": (kind, pd.Series(plant(rng, y)))}, y))
        yield Claim(f"{name} is told, 1,000 rows", f"{found} of {repeats}", "all", found == repeats, repeats)


def warnings_of_noise(seed: int, n: int, make: Callable[[Rng, int], np.ndarray]) -> list[str]:
    """Give the warnings about a table of noise."""
    rng = np.random.default_rng(seed)
    makers = [NOISE[i % len(NOISE)] for i in range(N_COLUMNS)]
    columns = {f"{i}": (kind, pd.Series(noise(rng, n))) for i, (kind, noise) in enumerate(makers)}
    return warnings_of(columns, make(rng, n))


def warnings_of(columns: dict[str, tuple[str, pd.Series]], y: np.ndarray) -> list[str]:
    """Give the warnings about some columns."""
    classes = y.dtype.kind == "i"
    power = {name: predictive_power(column, kind, y, classes) for name, (kind, column) in columns.items()}
    partly = {name: power_where_known(column, kind, y, classes) for name, (kind, column) in columns.items()}
    return inspect_leaks(power, len(y), {name: each for name, each in partly.items() if each})
