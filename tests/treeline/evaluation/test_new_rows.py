"""Rows that are new to two models: chosen without a look at the target, and only where rows can be told apart."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tables_maker import make_problem

from treeline import UserError
from treeline.evaluation.new_rows import Seen, new_rows

KINDS = {"a": "number", "b": "category"}
PROBLEM = replace(make_problem(), kinds=KINDS, target="y")


def table(n: int, levels: int = 0, seed: int = 0) -> pd.DataFrame:
    """Draw rows; few levels make them look alike."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, levels, n).astype(float) if levels else rng.normal(size=n)
    return pd.DataFrame({"a": a, "b": rng.choice(list("uvw"), n), "y": rng.choice(["no", "yes"], n)})


def seen(rows: pd.DataFrame, train: slice, test: slice) -> Seen:
    return Seen(PROBLEM, rows[train].reset_index(drop=True), rows[test].reset_index(drop=True))


@pytest.mark.parametrize("levels", [0, 4], ids=["told apart", "alike"])
def test_test_rows_of_a_split_of_both_are_all_new(levels: int) -> None:
    rows = table(500, levels)
    ours = seen(rows, slice(400), slice(400, None))
    theirs = replace(ours, problem=replace(PROBLEM, kinds={"a": "number"}))  # it reads fewer columns
    found, why = new_rows(ours, theirs, given=False)
    assert found.all()
    assert not why


def test_of_another_split_those_rows_are_new_that_look_like_none() -> None:
    rows = table(500)
    ours, theirs = seen(rows, slice(100, 500), slice(0, 100)), seen(rows, slice(50, 450), slice(0, 100))
    assert new_rows(ours, theirs, given=False)[0].tolist() == [True] * 50 + [False] * 50


def test_the_label_of_a_row_does_not_make_it_new() -> None:
    rows = table(500)
    ours = seen(rows, slice(100, 500), slice(0, 100))
    theirs = seen(rows, slice(0, 400), slice(0, 100))
    turned = replace(ours, frame=ours.frame.assign(y=ours.frame["y"].map({"no": "yes", "yes": "no"})))
    assert not new_rows(turned, replace(theirs, frame=turned.frame), given=False)[0].any()


def test_rows_of_another_split_that_look_alike_cannot_be_compared() -> None:
    rows = table(500, levels=4)
    ours, theirs = seen(rows, slice(100, 500), slice(0, 100)), seen(rows, slice(50, 450), slice(0, 100))
    with pytest.raises(UserError, match="other rows of a table in which too many look alike"):
        new_rows(ours, theirs, given=False)


def test_rows_of_a_file_that_look_alike_all_count_and_others_but_those_met() -> None:
    rows = table(500, levels=4)
    ours, theirs = seen(rows, slice(0, 400), slice(400, 500)), seen(rows, slice(0, 400), slice(400, 500))
    found, why = new_rows(ours, theirs, given=True)
    assert found.all()
    assert "as their file says" in why
    rows = table(500)
    ours, theirs = seen(rows, slice(0, 400), slice(350, 500)), seen(rows, slice(0, 400), slice(350, 500))
    assert new_rows(ours, theirs, given=True)[0].tolist() == [False] * 50 + [True] * 100
