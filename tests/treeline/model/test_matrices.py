"""What a booster reads: folds that keep their sides apart, matrices with names and types, and a target in its unit."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import CLASSES, DERIVED, KINDS, TARGET, make_table

from treeline.data.splits import Split
from treeline.data.target import label_codes
from treeline.model import matrices
from treeline.model.features import Features
from treeline.model.matrices import Fold, is_skewed, make_folds, target_unit

TARGETS = ["binary", "multiclass", "regression"]


def codes(frame: pd.DataFrame, target: str) -> np.ndarray:
    y = frame[TARGET]
    return label_codes(y, CLASSES[target]) if CLASSES[target] else y.to_numpy()


def folds_of(target: str, n_folds: int = 3) -> list[Fold]:
    frame = make_table(target, n=150)
    y = codes(frame, target)
    return make_folds(Features(KINDS, DERIVED), frame, y, parts_of(y, n_folds, seed=0))


def parts_of(y: np.ndarray, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return Split().folds(pd.DataFrame(index=range(len(y))), y, y.dtype.kind == "i", n_folds, seed)


# The folds below hold raw rows instead of matrices, so that the rows of each side can be seen.


@pytest.fixture
def unbinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        matrices, "quantile_matrix", lambda features, X, y, ref=None, weight=None: (features, X, y, ref)
    )
    monkeypatch.setattr(Features, "fit_transform", lambda self, X, y=None: self.fit(X, y) and X)
    monkeypatch.setattr(Features, "transform", lambda self, X: X)
    monkeypatch.setattr(Features, "fit", keep_levels)
    monkeypatch.setattr(Features, "columns_out", [])


def keep_levels(self: Features, X: pd.DataFrame, y: object = None) -> Features:
    self.seen_ = {name: set(X[name].dropna()) for name, kind in self.kinds.items() if kind == "category"}
    return self


@pytest.mark.usefixtures("unbinned")
@pytest.mark.parametrize("n_folds", [2, 5])
@pytest.mark.parametrize("target", TARGETS)
def test_folds_are_complete_disjoint_and_stratified(target: str, n_folds: int) -> None:
    frame = make_table(target, n=203)
    y = codes(frame, target)
    folds: Any = make_folds(Features(KINDS), frame, y, parts_of(y, n_folds, seed=1))
    assert len(folds) == n_folds
    assert sorted(i for fold in folds for i in fold.valid[1].index) == list(range(203))
    for fold in folds:
        (_, rows, labels, ref), (_, held, held_labels, held_ref) = fold.train, fold.valid
        assert sorted([*rows.index, *held.index]) == list(range(203))
        np.testing.assert_array_equal(labels, y[rows.index])
        np.testing.assert_array_equal(held_labels, y[held.index])
        assert abs(len(held) - 203 / n_folds) <= n_folds
        assert ref is None
        assert held_ref is fold.train
        if CLASSES[target]:
            assert np.ptp(np.bincount(held_labels) - np.bincount(y) / n_folds) < 2


@pytest.mark.usefixtures("unbinned")
@pytest.mark.parametrize("target", TARGETS)
def test_folds_follow_from_the_seed(target: str) -> None:
    frame = make_table(target)
    y = codes(frame, target)

    def held(seed: int) -> list[list[int]]:
        folds: Any = make_folds(Features(KINDS), frame, y, parts_of(y, 3, seed))
        return [fold.valid[1].index.tolist() for fold in folds]

    assert held(0) == held(0) != held(1)
    assert held(0)[0] != list(range(len(held(0)[0])))


@pytest.mark.usefixtures("unbinned")
def test_the_levels_of_a_fold_are_those_of_its_training_part() -> None:
    frame = make_table("binary")
    frame.loc[17, "town"] = "only here"
    features = Features(KINDS, DERIVED)
    y = codes(frame, "binary")
    folds: Any = make_folds(features, frame, y, parts_of(y, 4, seed=0))
    for fold in folds:
        (fitted, _, _, _), (same, held, _, _) = fold.train, fold.valid
        assert same is fitted
        alone = 17 in held.index
        assert ("only here" in fitted.seen_["town"]) is not alone
    assert not hasattr(features, "seen_")


def test_a_matrix_has_the_names_types_and_labels_of_its_rows() -> None:
    folds = folds_of("multiclass")
    fold = folds[0]
    assert fold.train.feature_names == ["length", "width _mm_", "count", "checked", "town", "ratio _1>"]
    assert fold.train.feature_types == ["q", "q", "q", "q", "c", "q"]
    assert sum(each.valid.num_row() for each in folds) == 150
    assert np.bincount(fold.valid.get_label().astype(int)).min() >= 16


RNG = np.random.default_rng(0)
SKEWED = RNG.lognormal(sigma=2, size=2000)


@pytest.mark.parametrize(
    ("y", "skewed"),
    [
        (SKEWED, True),
        (np.append(SKEWED, 0), True),
        (SKEWED * 1e9, True),
        (SKEWED - 2 * SKEWED.max(), False),
        (-SKEWED, False),
        (np.append(SKEWED, -1e-9), False),
        (RNG.normal(100, 5, size=2000), False),
        (RNG.exponential(size=2000), False),
        (np.append(np.zeros(1999), 1.0), False),  # as skewed as can be, but so are its logarithms
        (np.full(20, 3.0), False),
        (np.zeros(20), False),
    ],
)
def test_only_what_is_never_negative_and_mended_by_logarithms_is_very_skewed(y: np.ndarray, skewed: bool) -> None:
    assert is_skewed(y) is skewed


@pytest.mark.parametrize(
    ("y", "unit"),
    [
        (np.array([-1.0, 1.0]), 1.0),
        (np.array([-0.01, 0.01]), 1.0),
        (np.array([-0.009, 0.009]), 0.01),
        (np.array([-1e4, 1e4]), 1.0),
        (np.array([-1.1e4, 1.1e4]), 1e4),
        (np.array([-3e-9, 3e-9]), 1e-9),  # the nearest power of ten by ratio
        (np.array([-4e-9, 4e-9]), 1e-8),
        (np.array([5.0, 5.0]), 1.0),
        (1e9 + np.array([-1.0, 1.0]), 1.0),  # the spread counts, not the size
        (SKEWED / SKEWED.mean() * 2e6, 1e6),
        (SKEWED / SKEWED.mean() * 40, 100.0),  # a very skewed one is brought near 1 always
        (SKEWED / SKEWED.mean(), 1.0),
    ],
    ids=str,
)
def test_the_unit_is_a_power_of_ten_and_one_unless_the_spread_is_far_from_it(y: np.ndarray, unit: float) -> None:
    assert target_unit(y) == unit
