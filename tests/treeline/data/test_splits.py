"""Splits and folds: stratified, random, by group and by time, leak-free in both."""

import itertools

import numpy as np
import pandas as pd
import pytest

from treeline import UserError
from treeline.data.splits import Split

N = 300


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "who": rng.choice([f"p{i}" for i in range(40)], N),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 60, N), unit="D"),
            "x": rng.normal(size=N),
        }
    )


@pytest.fixture
def y() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, N)


SPLITS = [Split(), Split("random"), Split("group", "who"), Split("time", "when")]


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.kind)
def test_every_row_is_on_one_side_and_the_size_is_near(split: Split, frame: pd.DataFrame, y: np.ndarray) -> None:
    train, test = split.train_test(frame, y, 0.3, seed=0)
    assert sorted([*train, *test]) == list(range(N))
    assert len(test) == pytest.approx(0.3 * N, abs=10)


@pytest.mark.parametrize("split", SPLITS[:3], ids=lambda split: split.kind)
def test_the_seed_decides(split: Split, frame: pd.DataFrame, y: np.ndarray) -> None:
    first, again, other = (split.train_test(frame, y, 0.3, seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_no_group_is_on_both_sides_or_in_two_folds(frame: pd.DataFrame, y: np.ndarray) -> None:
    split = Split("group", "who")
    train, test = split.train_test(frame, y, 0.3, seed=0)
    assert not set(frame.who.iloc[train]) & set(frame.who.iloc[test])
    for classes in (True, False):
        folds = split.folds(frame, y, classes, 4, seed=0)
        assert len(folds) == 4
        for early, late in folds:
            assert not set(frame.who.iloc[early]) & set(frame.who.iloc[late])


@pytest.mark.parametrize("form", [lambda c: c, lambda c: c.dt.strftime("%Y-%m-%d"), lambda c: c.astype("int64")])
def test_train_is_before_test_and_folds_go_forward(form: object, frame: pd.DataFrame, y: np.ndarray) -> None:
    when = frame.when
    frame = frame.assign(when=form(when))  # type: ignore[operator]
    split = Split("time", "when")
    train, test = split.train_test(frame, y, 0.3, seed=0)
    assert when.iloc[train].max() < when.iloc[test].min()
    folds = split.folds(frame, y, True, 5, seed=0)
    assert len(folds) == 5
    for early, late in folds:
        assert when.iloc[early].max() < when.iloc[late].min()
    assert all(len(one[0]) < len(two[0]) for one, two in itertools.pairwise(folds))


def test_rows_without_a_group_stay_together(frame: pd.DataFrame, y: np.ndarray) -> None:
    frame.loc[::3, "who"] = None
    train, test = Split("group", "who").train_test(frame, y, 0.3, seed=0)
    assert not (set(train) & set(range(0, N, 3))) or not (set(test) & set(range(0, N, 3)))


@pytest.mark.parametrize(
    ("split", "change", "complaint"),
    [
        (Split("time", "when"), {"when": pd.NaT}, "^split=time: 300 rows have no time in 'when'"),
        (Split("time", "when"), {"when": "soon"}, "^split=time: 300 rows have no time in 'when', such as 'soon'"),
        (Split("time", "when"), {"when": 7}, "^split=time: every row has the same time"),
        (Split("group", "who"), {"who": "me"}, "^split=group: .*one group only"),
    ],
    ids=str,
)
def test_a_column_that_cannot_split_is_named(
    split: Split, change: dict[str, object], complaint: str, frame: pd.DataFrame, y: np.ndarray
) -> None:
    with pytest.raises(UserError, match=complaint):
        split.train_test(frame.assign(**change), y, 0.3, seed=0)


def test_too_few_groups_or_times_for_the_folds_are_refused(frame: pd.DataFrame, y: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"^folds=41 is more than the 40 groups of 'who'"):
        Split("group", "who").folds(frame, y, True, 41, seed=0)
    with pytest.raises(UserError, match=r"^folds=60 in time need 61 different times in 'when', got 60"):
        Split("time", "when").folds(frame, y, True, 60, seed=0)
