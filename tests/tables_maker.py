"""The one maker of tables for the tests: seeded, with every kind of column, missing values and non-ASCII text.

The columns predict the target, so a model that learns nothing shows. `make_problem` is the problem that such a table
poses, written down here and not computed by the code under test.
"""

import numpy as np
import pandas as pd

from treeline.data.problem import Problem

TARGET = "outcome"
KINDS = {
    "length": "number",
    "width [mm]": "number",
    "count": "number",
    "checked": "boolean",
    "town": "category",
}
DERIVED = {"ratio <1>": "`width [mm]` / length"}
LEVELS = ["Köln", "São Paulo", "a/b c", "東京"]
CLASSES = {
    "binary": ["no", "yes"],
    "multiclass": ["big / red", "small blue", "très rouge"],
    "bool": [False, True],
    "integers": [3, 5, 8],
    "regression": [],
}
TASKS = {
    "binary": "binary",
    "multiclass": "multiclass",
    "bool": "binary",
    "integers": "multiclass",
    "regression": "regression",
}


def make_table(target: str = "binary", n: int = 200, seed: int = 0) -> pd.DataFrame:
    """Make a table of `n` rows, from 20, whose last column `outcome` is the target.

    Args:
        target: what the target holds, a key of `TASKS`: two or three texts, booleans, integers, or numbers.
        n: how many rows.
        seed: of every draw.
    """
    rng = np.random.default_rng(seed)
    length, width = rng.normal(10, 2, n), rng.normal(size=n)
    count, checked, town = rng.integers(0, 9, n), rng.random(n) < 0.5, rng.integers(0, len(LEVELS), n)
    signal = (length - 10) + 2 * width + 1.5 * checked - town + rng.normal(size=n)
    ranks = signal.argsort().argsort()
    classes = CLASSES[target]
    frame = pd.DataFrame(
        {
            "length": length,
            "width [mm]": np.where(rng.random(n) < 0.1, np.nan, width),
            "count": pd.Series(count, dtype="Int64").mask(rng.random(n) < 0.1),
            "checked": pd.Series(checked, dtype=object).mask(rng.random(n) < 0.1, None),
            "town": pd.Series(np.array(LEVELS, dtype=object)[town], dtype=object).mask(rng.random(n) < 0.1, None),
        }
    )
    if not classes:
        return frame.assign(**{TARGET: signal})
    return frame.assign(**{TARGET: pd.Series(classes)[ranks * len(classes) // n].to_numpy()})


def make_zoo(target: str = "binary", n: int = 160, seed: int = 0) -> pd.DataFrame:
    """Make a table with a column of every kind there is, real and as people spell it, under names of every sort.

    Args:
        target: what the target `outcome` holds, a key of `TASKS`.
        n: how many rows, from 120.
        seed: of every draw.
    """
    rng = np.random.default_rng(seed)
    frame = make_table(target, n, seed)
    y = frame.pop(TARGET)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 10**7, n)), unit="s")
    words = ["river", "bank", "night", "train", "paper", "stone", "glass", "garden", "winter", "window", "summer"]
    zoo = {
        "row": np.arange(n),
        "customerID": [f"{i:04}-QX" for i in rng.permutation(n)],
        "blank, or not": [" " if rng.random() < 0.05 else f"{value:.2f}" for value in rng.gamma(2, 40, n)],
        "when": when,
        'said "when"': when.strftime("%m/%d/%Y %H:%M"),
        "Straße [Nr]": [f"street {k}" for k in rng.permutation(np.arange(n) % 110)],
        "review": [" ".join(rng.choice(words, 9)) for _ in range(n)],
        "2": rng.integers(0, 3, n),
        "twin": rng.integers(0, 3, n),
        "constant": "same",
        "nothing": None,
        "zip": [f"0{k}" for k in rng.integers(1000, 1009, n)],
        "how many": rng.integers(0, 10**6, n),
        "price": [f"{value:,.2f} €".translate(str.maketrans(",.", ".,")) for value in rng.gamma(2, 900, n)],
        "paid": rng.choice(["Y", "N"], n),
        "spot": [f"{lat:.4f},{lon:.4f}" for lat, lon in rng.uniform([47, 6], [55, 15], (n, 2))],
        "shift": (when + pd.Timedelta(hours=9)).tz_localize("UTC").tz_convert("America/New_York"),
        "took": pd.to_timedelta(rng.integers(10**5, 10**6, n), unit="s"),
    }
    made = frame.assign(**zoo)
    return made.assign(twin=made["2"], **{TARGET: y})


ZOO_KINDS = KINDS | {
    "blank, or not": "number",
    "when": "datetime",
    'said "when"': "datetime",
    "Straße [Nr]": "high_cardinality",
    "review": "text",
    "2": "number",
    "zip": "category",
    "how many": "number",
    "price": "number",
    "paid": "boolean",
    "spot": "pair",
    "shift": "datetime",
    "took": "number",
}
ZOO_LEFT_OUT = ["row", "customerID", "twin", "constant", "nothing"]


def make_problem(target: str = "binary") -> Problem:
    """Pose the problem of `make_table(target)`."""
    return Problem(
        table="made",
        source="tests",
        target=TARGET,
        task=TASKS[target],  # type: ignore[arg-type]
        reason="made so",
        classes=list(CLASSES[target]),
        kinds=dict(KINDS),
        derived=dict(DERIVED),
        digest="0123456789abcdef",
    )
