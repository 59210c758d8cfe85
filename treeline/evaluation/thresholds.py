"""From which probability on a row is called positive: chosen on some rows, reported on others.

A threshold that is chosen and reported on the same rows flatters itself: it is chosen on predictions of training rows
that their own model never saw (out of fold), and what it is worth is measured on the test rows.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.evaluation.predictions import Predictions

Rule = Literal["f1", "cost"]
MAX_THRESHOLDS_SHOWN = 1000  # rows of the table that is logged


def check_costs(costs: Mapping[str, float], task: str) -> None:
    """Refuse costs where there is no binary decision that could cost anything.

    Args:
        costs: of each cell of the confusion matrix; empty where there are none.
        task: `binary`, `multiclass` or `regression`.

    Raises:
        UserError: there are costs and the task is not binary.
    """
    if costs and task != "binary":
        given = ",".join(f"{cell}={cost:g}" for cell, cost in costs.items() if cost)
        raise UserError(f"costs got {given} for a {task} task: only a binary decision has them; leave costs empty.")


def threshold_table(predictions: Predictions, costs: Mapping[str, float]) -> pd.DataFrame:
    """Give what each threshold is worth: one at each probability that occurs, and one above all of them.

    A row is called positive where its probability of the second class is at least the threshold.

    Args:
        predictions: of a binary task, at least one row.
        costs: of each cell of the confusion matrix; empty where there are none.

    Returns:
        A row a threshold, ascending: `threshold`, `precision`, `recall`, `f1`, each NaN where there is none, and
        `cost`, the mean a row, where there are costs. Rows count by their weights.
    """
    positive = predictions.y_true == 1
    weight = np.ones(len(positive)) if predictions.weight is None else predictions.weight
    places, place = np.unique(predictions.y_proba[:, 1].astype(np.float64), return_inverse=True)
    hits, misses = (np.bincount(place, weights=weight * side) for side in (positive, ~positive))
    tp, fp = (np.append(np.cumsum(each[::-1])[::-1], 0.0) for each in (hits, misses))
    fn, tn = tp[0] - tp, fp[0] - fp
    above = np.nextafter(np.float32(places[-1]), np.float32(np.inf))  # in the precision of a booster's probabilities
    table = pd.DataFrame(
        {
            "threshold": np.append(places, float(above)),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        }
    )
    if costs:
        cells = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
        table["cost"] = sum(costs[name] * count for name, count in cells.items()) / weight.sum()
    return table


def choose_threshold(predictions: Predictions, rule: Rule, costs: Mapping[str, float]) -> float:
    """Give the threshold of the largest F1 or of the lowest mean cost; of equally good ones the nearest to 0.5.

    Args:
        predictions: of a binary task, of rows that the model did not learn from.
        rule: `f1` or `cost`.
        costs: of each cell of the confusion matrix; what `cost` needs.

    Raises:
        UserError: the rule is `cost` and there are no costs, or no row is positive, so that no threshold has an F1.
    """
    if rule == "cost" and not costs:
        raise UserError("The cheapest threshold needs costs, such as fp=1,fn=5: costs is empty.")
    counted = True if predictions.weight is None else predictions.weight > 0
    if rule == "f1" and not (counted & (predictions.y_true == 1)).any():
        raise UserError("The threshold of the largest F1 needs positive rows: there is none. Use a number.")
    table = threshold_table(predictions, costs)
    loss = table["cost"] if rule == "cost" else -table["f1"]
    best = table["threshold"][loss <= loss.min() + 1e-12].to_numpy()
    return float(best[np.abs(best - 0.5).argmin()])


def at_threshold(predictions: Predictions, threshold: float) -> Predictions:
    """Give the predictions with labels by another threshold; the probabilities are the same."""
    y_pred = (predictions.y_proba[:, 1] >= threshold).astype(int)
    return Predictions(predictions.task, predictions.y_true, y_pred, predictions.y_proba, predictions.weight)


def decision_row(predictions: Predictions, costs: Mapping[str, float]) -> dict[str, float]:
    """Give precision, recall and F1 of the second class for the labels as predicted, and their mean cost.

    A figure that does not exist is NaN. Rows count by their weights.
    """
    true, said = predictions.y_true == 1, predictions.y_pred == 1
    weight = np.ones(len(true)) if predictions.weight is None else predictions.weight
    cells = {"tp": true & said, "fp": ~true & said, "fn": true & ~said, "tn": ~true & ~said}
    mass = {name: float(weight[rows].sum()) for name, rows in cells.items()}
    hits, said_mass, true_mass = mass["tp"], mass["tp"] + mass["fp"], mass["tp"] + mass["fn"]
    row = {
        "precision": hits / said_mass if said_mass else np.nan,
        "recall": hits / true_mass if true_mass else np.nan,
        "f1": 2 * hits / (said_mass + true_mass) if said_mass + true_mass else np.nan,
    }
    return row | ({"cost": sum(costs[name] * mass[name] for name in cells) / float(weight.sum())} if costs else {})


def thinned(table: pd.DataFrame, most: int = MAX_THRESHOLDS_SHOWN) -> pd.DataFrame:
    """Give at most so many rows of a table of thresholds, evenly spaced, the first and the last among them."""
    if len(table) <= most:
        return table
    return table.iloc[np.unique(np.linspace(0, len(table) - 1, most).round().astype(int))].reset_index(drop=True)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
