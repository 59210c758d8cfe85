"""What an evaluation finds beyond the headline: thresholds, classes, calibration, slices, the rows most wrong."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import classification_report, confusion_matrix

from treeline import UserError
from treeline.data.problem import Problem
from treeline.data.values import as_categories, to_numeric
from treeline.evaluation.comparison import Predictions
from treeline.metrics import metrics_of

MIN_SLICE_ROWS = 30  # rows of a slice below which its score says little
SLICES_PER_NUMBER = 4
MAX_CALIBRATION_BINS = 10
MAX_WORST_ROWS = 20
MAX_ROWS_PERMUTED = 2_000  # rows that are permuted
CONFUSION_CELLS = ("tp", "fp", "fn", "tn")


def parse_costs(text: str) -> dict[str, float]:
    """Read `fp=1,fn=5` into the cost of each cell of the confusion matrix; a cell not named costs nothing.

    Raises:
        UserError: a part is no `cell=number`.
    """
    costs = dict.fromkeys(CONFUSION_CELLS, 0.0)
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name.strip() not in costs or not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*", value):
            raise UserError(
                f"Cannot read the cost {part!r} of --costs: write cell=number with a cell of "
                f"{', '.join(CONFUSION_CELLS)}, such as fp=1,fn=5."
            )
        costs[name.strip()] = float(value)
    return costs if text.strip() else {}


def thresholds(predictions: Predictions, costs: dict[str, float]) -> pd.DataFrame:
    """Give precision, recall and F1 of the second class at every threshold from 0.01 to 0.99, and the mean cost a row.

    Args:
        predictions: of a binary task.
        costs: of each cell of the confusion matrix; empty where there are none.
    """
    positive, scores = predictions.y == 1, predictions.probabilities[:, 1]
    rows = []
    for threshold in np.arange(1, 100) / 100:
        said = scores >= threshold
        tp, fp = int((said & positive).sum()), int((said & ~positive).sum())
        fn, tn = int((~said & positive).sum()), int((~said & ~positive).sum())
        row = {
            "threshold": threshold,
            "precision": tp / (tp + fp) if tp + fp else np.nan,
            "recall": tp / (tp + fn) if tp + fn else np.nan,
            "f1": 2 * tp / (2 * tp + fp + fn) if 2 * tp + fp + fn else np.nan,
        }
        if costs:
            cells = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
            row["cost"] = sum(costs[name] * count for name, count in cells.items()) / len(scores)
        rows.append(row)
    return pd.DataFrame(rows)


def class_table(predictions: Predictions, classes: Sequence[Any]) -> pd.DataFrame:
    """Give precision, recall, F1 and the count of every class."""
    codes = list(range(len(classes)))
    found = classification_report(
        predictions.y, predictions.labels, labels=codes, output_dict=True, zero_division=np.nan
    )
    rows = [{"class": each, **found[str(code)]} for code, each in zip(codes, classes, strict=True)]
    return pd.DataFrame(rows).rename(columns={"f1-score": "f1", "support": "rows"})


def confusion(predictions: Predictions, classes: Sequence[Any]) -> pd.DataFrame:
    """Count the rows of each class (index) by what was predicted (columns)."""
    counts = confusion_matrix(predictions.y, predictions.labels, labels=range(len(classes)))
    names = [str(each) for each in classes]
    return pd.DataFrame(counts, index=names, columns=names)


def calibration(predictions: Predictions) -> tuple[pd.DataFrame, float]:
    """Hold probabilities against how often they came true, in up to ten bins of equally many rows.

    Of two classes it is the second one's probability, of more the predicted class's.

    Returns:
        A row a bin (`predicted`, `observed`, `rows`), and the expected calibration error: the mean distance of the
        two, weighted by the rows (Naeini, Cooper and Hauskrecht 2015).
    """
    if predictions.task == "binary":
        said, true = predictions.probabilities[:, 1], predictions.y == 1
    else:
        said, true = predictions.probabilities.max(axis=1), predictions.y == predictions.labels
    bins = np.array_split(np.argsort(said, kind="stable"), min(MAX_CALIBRATION_BINS, len(said)))
    table = pd.DataFrame(
        [{"predicted": said[rows].mean(), "observed": true[rows].mean(), "rows": len(rows)} for rows in bins]
    )
    error = float(np.average((table["predicted"] - table["observed"]).abs(), weights=table["rows"]))
    return table, error


def slices(problem: Problem, frame: pd.DataFrame, predictions: Predictions, metric: str) -> pd.DataFrame:
    """Score the rows of each category with rows enough, and of each quarter of each number; the worst first.

    Where the metric does not exist on a slice (an AUC on one class), the slice is left out.
    """
    known = metrics_of(problem.task)[metric]
    rows = []
    for name, kind in problem.kinds.items():
        if kind in ("category", "boolean"):
            values = pd.Series(as_categories(frame[name])).fillna("(missing)")
        elif kind == "number":
            numbers = pd.Series(to_numeric(frame[name]))
            if numbers.nunique() <= SLICES_PER_NUMBER:
                values = numbers.map(lambda value: f"{value:g}", na_action="ignore").fillna("(missing)")
            else:
                cut = pd.qcut(numbers.replace([np.inf, -np.inf], np.nan), SLICES_PER_NUMBER, duplicates="drop")
                values = cut.map(lambda each: f"{each.left:.4g} to {each.right:.4g}", na_action="ignore")
                values = values.astype(object).fillna("(missing)")
        else:
            continue
        for value, members in values.groupby(values).indices.items():
            places = np.asarray(members)
            if len(places) >= MIN_SLICE_ROWS:
                part = predictions.take(places)
                score = known.score(part.y, part.labels, part.probabilities)
                rows.append({"column": name, "slice": str(value), "rows": len(places), metric: score})
    table = pd.DataFrame(rows, columns=["column", "slice", "rows", metric]).astype({metric: "float64"})
    return table[np.isfinite(table[metric])].sort_values(metric, ascending=known.greater_is_better, kind="stable")


def losses(predictions: Predictions) -> np.ndarray:
    """Give how wrong each prediction is, shape (n_rows,): minus the log of the true class's probability, or the size of
    the residual.
    """
    if predictions.task == "regression":
        return np.abs(predictions.y - predictions.labels)
    given = predictions.probabilities[np.arange(len(predictions.y)), predictions.y]
    return -np.log(np.clip(given.astype(np.float64), 1e-15, 1))


def worst_rows(problem: Problem, frame: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """Give the 20 rows that the model got most wrong: what was said, the truth, and the raw columns."""
    loss = losses(predictions)
    places = np.argsort(-loss, kind="stable")[:MAX_WORST_ROWS]
    said: list[Any] = [problem.classes[k] for k in predictions.labels] if problem.classes else list(predictions.labels)
    table = problem.rows(frame).iloc[places]
    table.insert(0, "loss", loss[places])
    table.insert(0, "predicted", [said[i] for i in places])
    table.insert(0, f"true {problem.target}", frame[problem.target].iloc[places].to_numpy())
    return table


def raw_importance(problem: Problem, estimator: Any, frame: pd.DataFrame, metric: str, seed: int = 0) -> pd.Series:
    """Give how much worse the metric gets when a raw column is permuted (Breiman 2001), in descending order.

    It is the mean of three permutations of at most 2,000 rows.
    """
    rows = frame.sample(min(len(frame), MAX_ROWS_PERMUTED), random_state=seed)
    sign = 1 if metrics_of(problem.task)[metric].greater_is_better else -1
    target = rows[problem.target]

    def scorer(model: Any, X: pd.DataFrame, y: pd.Series) -> float:
        return sign * problem.predictions(model, X.assign(**{problem.target: y})).scores()[metric]

    score: Callable[..., float] = scorer
    found = permutation_importance(estimator, problem.rows(rows), target, scoring=score, n_repeats=3, random_state=seed)
    return pd.Series(found.importances_mean, index=list(problem.kinds), name="loss").sort_values(ascending=False)
