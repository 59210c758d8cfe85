"""Which of the evaluated rows are new to two models, told without a look at their target.

A choice that looks at the target keeps those rows whose label contradicts the training rows, where rows look alike; the
worse a model, the better it then looks.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.data.problem import Problem
from treeline.data.tables import hash_rows, tells_rows_apart

MIN_DIFFERENT = 0.99  # share of the training rows, from which rows are known by their looks


@dataclass(frozen=True)
class Seen:
    """What a model has seen, and is to see.

    Attributes:
        problem: that it solves.
        train: the rows that it was trained on, the target among their columns.
        frame: the evaluated rows, as this model reads them.
    """

    problem: Problem
    train: pd.DataFrame
    frame: pd.DataFrame

    def looks_alike(self) -> np.ndarray:
        """Tell which evaluated rows look like a training row, shape (n_rows,)."""
        kinds = self.problem.kinds
        return np.isin(hash_rows(self.frame, kinds), hash_rows(self.train, kinds))

    def told_apart(self) -> bool:
        """Tell whether a training row is known by its looks: nearly all differ, or their values make many more."""
        kinds = self.problem.kinds
        differ = len(np.unique(hash_rows(self.train, kinds)))
        return differ >= MIN_DIFFERENT * len(self.train) or tells_rows_apart(self.train, kinds)

    def new(self) -> np.ndarray:
        """Tell which of a file's rows the model was not trained on, shape (n_rows,).

        Where rows cannot be told apart all are new, for who gives the file says so.
        """
        return ~self.looks_alike() if self.told_apart() else np.ones(len(self.frame), dtype=bool)


def new_rows(ours: Seen, theirs: Seen, given: bool) -> tuple[np.ndarray, str]:
    """Tell which of the evaluated rows neither of two models was trained on.

    Test rows of a split that both come from are all new. Others are new where no training row of either looks the same,
    as far as rows can be told apart by their looks. Where they cannot, a file's rows all count, for who gives it says
    that they are new; and of another split's test rows nobody knows.

    Args:
        ours: the model whose test rows these are.
        theirs: the other.
        given: the rows are a file's, not the test rows of a split.

    Returns:
        Whether each row is new, shape (n_rows,), and what to say of it.

    Raises:
        UserError: the two come from different splits of rows that cannot be told apart.
    """
    if not given and _same_rows(ours, theirs):
        return np.ones(len(ours.frame), dtype=bool), ""
    if ours.told_apart() and theirs.told_apart():
        return ~(ours.looks_alike() | theirs.looks_alike()), ""
    if given:
        return np.ones(len(ours.frame), dtype=bool), ", as their file says: too many rows look alike to tell"
    raise UserError(
        "it was trained on other rows of a table in which too many look alike to tell which. Split both with the same "
        "seed and test_size, or judge by rows that are new to both with eval_dataset"
    )


def _same_rows(ours: Seen, theirs: Seen) -> bool:
    """Tell whether two models were trained on the same rows in the same order, by the columns that both read."""
    shared = {name: kind for name, kind in ours.problem.kinds.items() if theirs.problem.kinds.get(name) == kind}
    if not shared or len(ours.train) != len(theirs.train):
        return False
    hashes = [hash_rows(each.train, shared, ours.problem.target) for each in (ours, theirs)]
    return bool((hashes[0] == hashes[1]).all())
