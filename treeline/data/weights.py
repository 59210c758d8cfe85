"""How much each row counts, where a column of the table says so."""

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.data.sentences import examples
from treeline.data.values import PLAIN_READING, Reading, read_numbers


def read_weights(column: pd.Series, reading: Reading = PLAIN_READING) -> np.ndarray:
    """Read a column of weights: finite numbers from 0, not all of them 0; float64 of shape (n_rows,).

    A weight says how often a row counts in training and in every metric. Only their ratios matter.

    Args:
        column: raw values.
        reading: how its text is read.

    Raises:
        UserError: a weight is missing, no number, negative or infinite, or none is above 0.
    """
    weights, strange = read_numbers(column, reading)
    name = str(column.name)
    if strange.any():
        raise UserError(f"sample_weight: {name!r} holds {examples(column[strange])}, not numbers.")
    wrong = ~np.isfinite(weights) | (weights < 0)
    if wrong.any():
        raise UserError(
            f"sample_weight: {wrong.sum()} rows have no weight from 0 in {name!r}, such as {examples(column[wrong])}. "
            "Fill it or leave those rows out; 0 is a row that does not count."
        )
    if not (weights > 0).any():
        raise UserError(f"sample_weight: every weight in {name!r} is 0, so no row counts.")
    return weights
