"""Splits and folds: stratified, random, by group and by time, leak-free in both."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("split", [Split("stratified"), Split("group", "who")], ids=str)
def test_a_class_of_fewer_rows_than_folds_is_cut_without_a_librarys_warning(
    split: Split, frame: pd.DataFrame, y: np.ndarray
) -> None:
    y = np.where(np.arange(len(y)) < 2, 1, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(split.folds(frame, y, True, 5, seed=0)) == 5


# --- stretches of time by rows, groups by class


@given(st.lists(st.integers(1, 60), min_size=3, max_size=40), st.integers(2, 8))
def test_stretches_of_time_are_whole_in_order_and_cover_all_later_rows(counts: list[int], n_folds: int) -> None:
    n_folds = min(n_folds, len(counts) - 1)
    frame = pd.DataFrame({"when": np.repeat(np.arange(len(counts)), counts)}).sample(frac=1, random_state=0)
    when = frame["when"].to_numpy()
    folds = Split("time", "when").folds(frame, np.zeros(len(frame)), False, n_folds, seed=0)
    assert len(folds) == n_folds
    for early, late in folds:
        assert when[early].max() < when[late].min()
    assert sorted([*folds[0][0], *(i for _, late in folds for i in late)]) == list(range(len(frame)))


def test_stretches_of_time_hold_as_many_rows_each_where_most_rows_are_of_late() -> None:
    when = np.concatenate([np.arange(1000), np.repeat(np.arange(1000, 1090), 100)])  # a row a day, then a hundred
    folds = Split("time", "when").folds(pd.DataFrame({"when": when}), np.zeros(10_000), False, 4, seed=0)
    assert [len(late) for _, late in folds] == [2000] * 4
    seldom = np.concatenate([np.arange(900), np.repeat([1000.0, 1001.0, 1002.0], [40, 3000, 60])])
    sizes = [len(late) for _, late in Split("time", "when").folds(pd.DataFrame({"when": seldom}), when, False, 3, 0)]
    assert min(sizes) >= 40


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_groups_of_one_class_each_are_shared_out_by_class(share: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sick = rng.random(60) < share
        sick[:2] = True
        groups = np.repeat(np.arange(60), rng.integers(5, 15, 60))
        y = sick[groups].astype(np.int64)
        train, test = Split("group", "who").train_test(pd.DataFrame({"who": groups}), y, 0.25, seed)
        assert y[test].mean() == pytest.approx(y.mean(), abs=0.35 * y.mean())
        assert len(test) == pytest.approx(0.25 * len(y), abs=0.03 * len(y))
        assert y[train].any()


def test_groups_of_a_regression_are_drawn_by_size_alone(frame: pd.DataFrame) -> None:
    split = Split("group", "who")
    assert len(split.train_test(frame, None, 0.3, seed=0)[1]) == pytest.approx(0.3 * N, abs=5)
