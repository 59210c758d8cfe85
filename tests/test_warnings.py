"""A small odd table through all the stages: what libraries warn of is avoided, or told once as a sentence of ours."""

import re
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from conftest import Store

import main

pytestmark = pytest.mark.store

LONG = "a label that goes on and on and on "
DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning)  # never shown to a user
OURS = re.compile(r"\d\d:\d\d:\d\d \| (INFO|WARNING) +\| ")
# MLflow's narration of the registry, and the progress bar where there is a terminal.
NARRATED = re.compile(r"^(Successfully registered model|Created version|.*trial/s|.*\| \d+/\d+ \[)|^\s*$")


def odd(rows: int = 90) -> pd.DataFrame:
    """Names without a glyph, a class of two rows, infinite, huge and missing numbers, a column that is nearly empty."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    label = np.where(x > 0, "高い 👍", LONG * 3).astype(object)
    label[50:52] = "rare"
    return pd.DataFrame(
        {
            "部屋 😀": x + rng.normal(0, 0.3, rows),
            "a$b_c$ $^": rng.normal(size=rows),
            "infinite": np.where(np.arange(rows) < 4, np.inf, x**2),
            "huge": x * 1e300,
            "nearly empty": np.where(np.arange(rows) % 30 == 0, 1.5 + x, np.nan),
            LONG * 2: rng.integers(0, 9, rows),
            "城": rng.choice(["東京", "Köln", "مدينة"], rows),
            "c": label,
        }
    )


def heard(argv: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """Run the chain; give our sentences of warning, and whatever else was said on stderr or by Python's warnings."""
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main.main(argv) == 0
    lines = re.split(r"[\n\r]", re.sub(r"\x1b\[[0-9;]*m", "", capfd.readouterr().err))
    ours = [OURS.sub("", line) for line in lines if OURS.match(line) and "| WARNING" in line]
    raw = [line for line in lines if not OURS.match(line) and not NARRATED.search(line)]
    raw += [f"{each.category.__name__}: {each.message}" for each in caught if not issubclass(each.category, DEVELOPERS)]
    return ours, raw


def test_an_odd_table_is_met_with_sentences_and_no_librarys_warning(
    store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    odd().to_csv(store.folder / "odd.csv", index=False)
    ours, raw = heard(["--data", "odd.csv", "--target", "c", "--n-trials", "2", "--folds", "3"], capfd)
    assert raw == []
    assert max(Counter(ours).values()) == 1
    for start in (
        "The column 'infinite' holds",
        "2 of 3 folds lack a class in the rows that measure them, such as 'rare'",
        "The model takes no row to be of the class 'rare'",
    ):
        assert sum(sentence.startswith(start) for sentence in ours) == 1, start


def test_a_fold_and_a_test_side_of_one_class_are_met_with_sentences(
    store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"who": np.arange(120) // 10, "x": rng.normal(size=120)})
    table["c"] = np.where(table["who"] % 6 == 0, "a", "b")
    table.to_csv(store.folder / "t.csv", index=False)
    split = ["--split", "group", "--split-column", "who", "--folds", "3"]
    ours, raw = heard(["--data", "t.csv", "--target", "c", "--n-trials", "2", *split], capfd)
    assert raw == []
    assert any("folds lack a class in the rows that measure them, such as 'a'" in sentence for sentence in ours)
