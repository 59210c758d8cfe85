"""Whether drift is told where there is some, and not where there is none. Run: python honesty.py --parts drift"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from honesty_claims import Claim

from treeline.data.drift import drift

Rng = np.random.Generator
N_COLUMNS = 100
MAKERS: list[tuple[str, Callable[[Rng, int], object]]] = [
    ("number", lambda rng, n: rng.normal(size=n)),
    ("number", lambda rng, n: rng.lognormal(0, 2, n)),
    ("number", lambda rng, n: rng.poisson(2, n)),
    ("number", lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.normal(size=n))),
    ("number", lambda rng, n: np.where(rng.random(n) < 0.97, np.nan, rng.normal(size=n))),
    ("category", lambda rng, n: rng.choice(list("abc"), n, p=[0.5, 0.3, 0.2])),
    ("category", lambda rng, n: np.char.mod("%d", rng.integers(0, 100, n))),
    ("category", lambda rng, n: pd.Series(rng.choice(list("ab"), n), dtype=object).mask(rng.random(n) < 0.95)),
    ("high_cardinality", lambda rng, n: np.char.mod("%d", rng.zipf(1.5, n))),
    ("high_cardinality", lambda rng, n: np.char.mod("%d", rng.integers(0, 10**9, n))),
    ("boolean", lambda rng, n: rng.random(n) < 0.03),
    ("boolean", lambda rng, n: rng.random(n) < 0.5),
]
CHANGES: dict[str, tuple[str, Callable[[Rng, int, bool], object]]] = {
    "a shift of half a deviation": ("number", lambda rng, n, now: rng.normal(0.5 * now, 1, n)),
    "a doubled spread": ("number", lambda rng, n, now: rng.normal(0, 1 + now, n)),
    "20 % become -999": ("number", lambda rng, n, now: np.where(rng.random(n) < 0.2 * now, -999, rng.normal(size=n))),
    "a new level of 20 %": (
        "category",
        lambda rng, n, now: np.where(rng.random(n) < 0.2 * now, "new", rng.choice(list("abcd"), n)),
    ),
    "a new level of 20 % beside 300": (
        "high_cardinality",
        lambda rng, n, now: np.where(rng.random(n) < 0.2 * now, "new", np.char.mod("%d", rng.integers(0, 300, n))),
    ),
    "missing 0 to 20 %": (
        "number",
        lambda rng, n, now: np.where(rng.random(n) < 0.2 * now, np.nan, rng.normal(size=n)),
    ),
    "the target from 5 to 20 %": (
        "category",
        lambda rng, n, now: np.where(rng.random(n) < (0.2 if now else 0.05), "yes", "no"),
    ),
}


def claims(quick: bool) -> Iterator[Claim]:
    """Yield what is claimed of drift."""
    for sizes in ((1_000, 1_000), (20_000, 1_000), (20_000, 200), (200, 200), (20_000, 20_000)):
        tables = 4 if quick else 20 if max(sizes) > 1000 else 100
        alarms = sum(bool(found_in(seed, sizes, {})["drifts"].any()) for seed in range(tables))
        what = f"tables of {N_COLUMNS} unchanged columns with an alarm, {sizes[0]:,} rows against {sizes[1]:,}"
        yield Claim(what, f"{alarms} of {tables}", "at most 1 in 20", alarms <= max(1, tables / 20), tables)
    for sizes in ((1_000, 1_000), (20_000, 1_000)):
        tables = 10 if quick else 100 if max(sizes) == 1000 else 20
        told = dict.fromkeys(CHANGES, 0)
        for seed in range(tables):
            found = found_in(seed, sizes, CHANGES).set_index("column")["drifts"]
            told = {name: count + bool(found[name]) for name, count in told.items()}
        for name, count in told.items():
            what = f"{name} among {N_COLUMNS} columns is told, {sizes[0]:,} rows against {sizes[1]:,}"
            yield Claim(what, f"{count / tables:.0%}", "above 90 %", count > 0.9 * tables, tables)
    n, repeats = 1_000_000, 2 if quick else 10
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(repeats):
        before, now = pd.DataFrame({"x": rng.normal(size=n)}), pd.DataFrame({"x": rng.normal(0.05, 1, n)})
        alarms += int(drift(before, now, {"x": "number"})["drifts"].sum())
    what = "a shift of a twentieth of a deviation, which matters to nobody, is told of 1,000,000 rows"
    yield Claim(what, f"{alarms} of {repeats}", "never", alarms == 0, repeats)


def found_in(seed: int, sizes: tuple[int, int], changes: dict[str, tuple[str, Callable[..., object]]]) -> pd.DataFrame:
    """Compare two sides of a table of which only `changes` differ."""
    rng = np.random.default_rng(seed)
    kinds = {f"{i}": MAKERS[i % len(MAKERS)][0] for i in range(N_COLUMNS - len(changes))}
    sides = []
    for now, n in enumerate(sizes):
        made = {name: MAKERS[int(name) % len(MAKERS)][1](rng, n) for name in kinds}
        made |= {name: maker(rng, n, bool(now)) for name, (_, maker) in changes.items()}
        sides.append(pd.DataFrame(made))
    return drift(sides[0], sides[1], kinds | {name: kind for name, (kind, _) in changes.items()})
