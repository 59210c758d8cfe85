"""Out-of-fold predictions: what the chosen parameters say of each training row, by the booster that did not see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from treeline.model.cross_validation import predict_held_out
from treeline.tuning.objective import Objective


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of training rows, each by a booster that did not train on it.

    Attributes:
        rows: positions in the training frame, ascending and each once, shape (n,); rows that no fold predicts, such as
            the first ones of a split by time, are absent.
        predictions: numbers in the target's own unit, shape (n,), or probabilities, shape (n, n_classes).
        level: how many times what makes the sum of these rows that of the truth is what would make that of the rows
            trained on; 1 but for a very skewed target. The final model multiplies its own level by it.
    """

    rows: np.ndarray
    predictions: np.ndarray
    level: float = 1.0

    def frame(self, classes: Sequence[Any]) -> pd.DataFrame:
        """Give `row` and `prediction`, or `probability_<class>` in the order of the classes."""
        if self.predictions.ndim == 1:
            return pd.DataFrame({"row": self.rows, "prediction": self.predictions})
        columns = {f"probability_{label}": self.predictions[:, i] for i, label in enumerate(classes)}
        return pd.DataFrame({"row": self.rows, **columns})


def predict_out_of_fold(objective: Objective, drawn: Mapping[str, Any], rounds: int) -> OutOfFold:
    """Train the folds' boosters of the chosen parameters again, and predict the rows that each has not seen.

    Args:
        objective: whose folds are predicted.
        drawn: the parameters of the chosen trial.
        rounds: to train, from 1.
    """
    params = objective.booster_params(drawn)
    predictions, level = predict_held_out(params, objective.folds, objective.measure, rounds, objective.cpus)
    rows = np.concatenate([fold.rows for fold in objective.folds])
    order = np.argsort(rows)
    return OutOfFold(rows[order], np.concatenate(predictions)[order], level)
