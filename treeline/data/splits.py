"""Which rows train and which test, and the folds: stratified, random, by group or by time, the same way in both."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.model_selection import train_test_split as cut

from treeline import UserError
from treeline.data.dtypes import is_numeric
from treeline.data.sentences import spell
from treeline.data.values import as_categories, read_datetimes

MAX_GROUP_DRAWS = 100  # of groups for the test, of which the one whose class shares are nearest is taken
MAX_CELLS_DRAWN = 20_000_000  # groups x classes x draws, beyond which draws are fewer, and of many groups alike anyway

Rows = np.ndarray
SplitKind = Literal["stratified", "random", "group", "time"]


@dataclass(frozen=True)
class Split:
    """How rows are kept apart.

    Attributes:
        kind: `stratified`, `random`, `group` (no group on both sides) or `time` (train before test).
        column: that holds the groups or the times; empty for the first two.
    """

    kind: SplitKind = "stratified"
    column: str = ""

    def order(self, frame: pd.DataFrame) -> np.ndarray:
        """Give the place of each row's time among the different times, from 0; rows of one time share a place.

        Raises:
            UserError: a time is missing or cannot be read.
        """
        column = frame[self.column]
        if is_numeric(column):
            times = column.to_numpy(dtype=np.float64, na_value=np.nan)
            unread = np.isnan(times)
        else:
            times, _ = read_datetimes(column)
            unread = np.isnat(times)
        if unread.any():
            raise UserError(
                f"split=time: {unread.sum()} rows have no time in {self.column!r}, such as "
                f"{spell(column[unread].iloc[0])}. Fill it or leave those rows out."
            )
        return np.unique(times, return_inverse=True)[1]

    def train_test(self, frame: pd.DataFrame, y: np.ndarray | None, test_size: float, seed: int) -> tuple[Rows, Rows]:
        """Choose the rows that train and those that test.

        Args:
            frame: all rows.
            y: class codes to stratify by, rows or whole groups; None for regression.
            test_size: share of the rows to test on; a group or a moment goes to one side whole, so the share that
                comes out may differ.
            seed: of the shuffle; a split by time draws nothing.

        Returns:
            Positions of the rows, in the order of the table; a split by time gives them in order of time.

        Raises:
            UserError: a side would be empty, or too small for the classes.
        """
        n = len(frame)
        n_test = int(np.ceil(n * test_size))
        if not 0 < n_test < n:
            raise UserError(
                f"test_size={test_size} of {n} rows leaves {n - n_test} to train on and {n_test} to test "
                "on: both sides need one at least."
            )
        if self.kind == "time":
            return self._by_time(frame, n_test)
        if self.kind == "group":
            return self._by_group(frame, y, n_test, seed)
        stratify = y if self.kind == "stratified" else None
        if stratify is not None and min(n_test, n - n_test) <= stratify.max():
            raise UserError(
                f"test_size={test_size} leaves {min(n_test, n - n_test)} rows on one side, fewer than the "
                f"{stratify.max() + 1} classes: choose a size nearer to the middle."
            )
        train, test = cut(np.arange(n), test_size=n_test, random_state=seed, stratify=stratify)
        return np.sort(train), np.sort(test)

    def folds(
        self, frame: pd.DataFrame, y: np.ndarray, classes: bool, n_folds: int, seed: int
    ) -> list[tuple[Rows, Rows]]:
        """Cut training rows into folds, each a training and a validation part.

        Args:
            frame: the training rows.
            y: class codes or numbers, shape (n_rows,).
            classes: whether `y` holds class codes.
            n_folds: from 2; folds in time train on all that came before and are tested on the next stretch. The
                stretches hold about as many rows each, for all rows of a moment stay together.
            seed: of the shuffle before the cut.

        Raises:
            UserError: there are fewer groups or times than the folds need.
        """
        if self.kind == "time":
            return self._stretches(self.order(frame), n_folds)
        if self.kind == "group":
            groups = self.groups(frame)
            if groups.max() + 1 < n_folds:
                raise UserError(
                    f"folds={n_folds} is more than the {groups.max() + 1} groups of {self.column!r} in the training "
                    "rows: use fewer."
                )
            apart = (StratifiedGroupKFold if classes else GroupKFold)(n_folds, shuffle=True, random_state=seed)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The least populated class in y has only", UserWarning)  # as below
                return list(apart.split(np.zeros(len(y)), y, groups))
        splitter = (StratifiedKFold if classes else KFold)(n_folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # A class of fewer rows than folds, which `treeline.tuning.objective.gaps_of_folds` tells.
            warnings.filterwarnings("ignore", "The least populated class in y has only", UserWarning)
            return list(splitter.split(np.zeros(len(y)), y))

    def groups(self, frame: pd.DataFrame) -> np.ndarray:
        """Number the group of each row, from 0; rows without a group belong to one of their own."""
        return np.asarray(pd.factorize(as_categories(frame[self.column]), use_na_sentinel=False)[0])

    def _by_time(self, frame: pd.DataFrame, n_test: int) -> tuple[Rows, Rows]:
        """Test on the last rows; all rows of the moment of the cut go to the side that is nearer to the size asked."""
        place = self.order(frame)
        rows = np.argsort(place, kind="stable")
        sorted_places = place[rows]
        starts = np.flatnonzero(np.diff(sorted_places)) + 1
        if not len(starts):
            raise UserError(f"split=time: every row has the same time in {self.column!r}; use another column.")
        first = starts[np.abs(starts - (len(rows) - n_test)).argmin()]
        return rows[:first], rows[first:]

    def _stretches(self, place: np.ndarray, n_folds: int) -> list[tuple[Rows, Rows]]:
        """Cut rows into stretches of time, each as near to an equal share of the rows as whole moments allow.

        By rows and not by moments: where most rows stand in one stretch of time, stretches of as many moments would
        score some folds on a handful of rows.
        """
        starts = np.cumsum(np.bincount(place))[:-1]  # rows before each moment but the first
        if len(starts) < n_folds:
            raise UserError(
                f"folds={n_folds} in time need {n_folds + 1} different times in {self.column!r}, got "
                f"{len(starts) + 1}: use fewer."
            )
        moments = [0]
        for i in range(n_folds):
            free = starts[moments[-1] : len(starts) - (n_folds - 1 - i)]  # each later cut needs a moment of its own
            moments.append(moments[-1] + int(np.abs(free - len(place) * (i + 1) / (n_folds + 1)).argmin()) + 1)
        stretch = np.searchsorted(moments[1:], place, side="right")
        return [(np.flatnonzero(stretch < i), np.flatnonzero(stretch == i)) for i in range(1, n_folds + 1)]

    def _by_group(self, frame: pd.DataFrame, y: np.ndarray | None, n_test: int, seed: int) -> tuple[Rows, Rows]:
        """Draw groups for the test until they hold the size asked, and as many rows of each class as they should.

        Of many draws that one is taken whose rows of each class are nearest to the share asked, in units of what chance
        makes (chi-square); without classes the first.
        """
        groups = self.groups(frame)
        n_groups = int(groups.max()) + 1
        if n_groups < 2:
            raise UserError(f"split=group: {self.column!r} holds one group only; it needs two at least.")
        if y is None or n_groups * (y.max() + 1) > MAX_CELLS_DRAWN:
            y = np.zeros(len(groups), dtype=np.int64)
        n_classes = int(y.max()) + 1
        counts = np.bincount(groups * n_classes + y, minlength=n_groups * n_classes).reshape(n_groups, n_classes)
        wanted = counts.sum(axis=0) * (n_test / len(groups))
        draws = min(MAX_GROUP_DRAWS, max(1, MAX_CELLS_DRAWN // counts.size)) if n_classes > 1 else 1
        rng, least, chosen = np.random.default_rng(seed), np.inf, np.empty(0, dtype=np.int64)
        for _ in range(draws):
            drawn = rng.permutation(n_groups)
            held = np.cumsum(counts[drawn[:-1]], axis=0)
            off = ((held - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum(axis=1)
            if off.min() < least:
                least, chosen = off.min(), drawn[: off.argmin() + 1]
        tests = np.isin(groups, chosen)
        return np.flatnonzero(~tests), np.flatnonzero(tests)
