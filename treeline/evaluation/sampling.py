"""How evaluated rows hang together, and so what counts as one observation: a row, a whole group, a block of time."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.data.problem import Problem
from treeline.data.splits import Split

MIN_UNITS = 10  # groups, blocks or rows, below which their spread says nothing
MIN_EVEN = 5  # that uneven ones must be worth, as many as they are
MIN_LONG_BLOCKS = 3  # of a series that is cut into ten all the same
MAX_LAGS = 200  # of the autocorrelations that a length of blocks is chosen by


@dataclass(frozen=True)
class Sampling:
    """How the evaluated rows hang together.

    Attributes:
        kind: `rows` that know nothing of each other, `groups` whose rows are alike, or `time`, where neighbours are.
        codes: the group of each row, or the place of its time, whole numbers of shape (n_rows,); None for `rows`.
    """

    kind: Literal["rows", "groups", "time"] = "rows"
    codes: np.ndarray | None = None

    @classmethod
    def of(cls, problem: Problem, rows: pd.DataFrame) -> "Sampling":
        """Tell it of rows by the groups or the times that their table was split by.

        Raises:
            UserError: they lack the column of groups or times, or one has no time.
        """
        split, column = Split(problem.split, problem.split_column), problem.split_column
        if not column:
            return cls()
        if column not in rows.columns:
            raise UserError(f"the rows lack {column!r}, by which the table was split.")
        return cls("time", split.order(rows)) if problem.split == "time" else cls("groups", split.groups(rows))

    def take(self, rows: np.ndarray) -> "Sampling":
        """Give the same for some of the rows, by position."""
        return self if self.codes is None else replace(self, codes=self.codes[rows])

    def units(self, values: np.ndarray) -> np.ndarray:
        """Number the unit that each row belongs to, and that stands for itself: a row, a whole group (Field and Welsh
        2007), a block.

        Blocks of time (Politis and Romano 1994) are as long as the values depend on each other, so that what one says
        tells nothing about the next. Where that leaves a few of a long series, as a trend does, ten are taken: their
        spread is large then, and Student's quantile for ten is wide.

        Args:
            values: of each row, shape (n_rows,), their mean 0.

        Returns:
            Whole numbers from 0 without a gap, shape (n_rows,).
        """
        if self.codes is None:
            return np.arange(len(values))
        place = np.unique(self.codes, return_inverse=True)[1]
        if self.kind == "groups":
            return place
        series = np.bincount(place, weights=values)
        blocks = max(1, int(len(series) / block_length(series)))
        if blocks >= MIN_LONG_BLOCKS and len(series) >= MIN_UNITS**2:
            blocks = max(blocks, MIN_UNITS)
        return (np.arange(len(series)) * blocks // len(series))[place]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum the values of each unit, shape (n_units,)."""
        return np.bincount(self.units(values), weights=values)

    def told(self, units: int) -> str:
        """Say what a number of units is: `12 groups`."""
        return f"{units} {'blocks of time' if self.kind == 'time' else self.kind}"


def evenly(sizes: np.ndarray) -> float:
    """Give how many parts of one size tell as much as parts of these sizes, or weights (Kish 1965); 0 of none."""
    squares = float(sizes @ sizes)
    return float(sizes.sum()) ** 2 / squares if squares > 0 else 0.0


def block_length(series: np.ndarray) -> float:
    """Choose how long blocks of a series in time must be, from its own autocorrelation; at least 1.

    Politis and White 2004, for blocks of fixed length, as Patton, Politis and White 2009 correct it.

    Args:
        series: in the order of time, shape (n,).
    """
    n = len(series)
    centred = series - series.mean()
    lags = min(n - 1, MAX_LAGS)
    covariances = np.array([centred[: n - lag] @ centred[lag:] for lag in range(lags + 1)]) / n
    if covariances[0] <= 0:
        return 1.0
    run = max(5, int(np.sqrt(np.log10(n))))
    small = np.abs(covariances[1:] / covariances[0]) < 2 * np.sqrt(np.log10(n) / n)
    quiet = [lag for lag in range(lags - run + 1) if small[lag : lag + run].all()]
    reach = min(lags, 2 * max(1, quiet[0] if quiet else lags // 2))
    places = np.arange(1, reach + 1)
    taper = np.clip(2 * (1 - places / reach), 0, 1)
    slope = 2 * np.sum(taper * places * covariances[1 : reach + 1])
    level = covariances[0] + 2 * np.sum(taper * covariances[1 : reach + 1])
    if level <= 0:
        return 1.0
    length = (2 * slope**2 / (4 / 3 * level**2)) ** (1 / 3) * n ** (1 / 3)
    return float(np.clip(length, 1, min(3 * np.sqrt(n), n / 3)))
