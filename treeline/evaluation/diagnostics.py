"""What an evaluation finds beyond the headline: thresholds, classes, calibration, slices, the rows most wrong."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import classification_report, confusion_matrix

from treeline.data.names import free_name
from treeline.data.problem import Problem
from treeline.data.sentences import spell
from treeline.data.values import as_categories, to_numeric
from treeline.evaluation.predictions import Predictions, losses, predict
from treeline.metrics import metrics_of

MIN_SLICE_ROWS = 30  # below which the metric of a slice says little
SLICES_PER_NUMBER = 4
MAX_CALIBRATION_BINS = 10
MAX_WORST_ROWS = 20
MAX_LABELS_NAMED = 5  # of a sentence
MAX_ROWS_PERMUTED = 2_000  # rows that are permuted


def thresholds(predictions: Predictions, costs: dict[str, float]) -> pd.DataFrame:
    """Give precision, recall and F1 of the second class at every threshold from 0.01 to 0.99, and the mean cost a row.

    Args:
        predictions: of a binary task.
        costs: of each cell of the confusion matrix; empty where there are none.
    """
    positive, given = predictions.y_true == 1, predictions.y_proba[:, 1]
    rows = []
    for threshold in np.arange(1, 100) / 100:
        flagged = given >= threshold
        tp, fp = int((flagged & positive).sum()), int((flagged & ~positive).sum())
        fn, tn = int((~flagged & positive).sum()), int((~flagged & ~positive).sum())
        row = {
            "threshold": threshold,
            "precision": tp / (tp + fp) if tp + fp else np.nan,
            "recall": tp / (tp + fn) if tp + fn else np.nan,
            "f1": 2 * tp / (2 * tp + fp + fn) if 2 * tp + fp + fn else np.nan,
        }
        if costs:
            cells = {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
            row["cost"] = sum(costs[name] * count for name, count in cells.items()) / len(given)
        rows.append(row)
    return pd.DataFrame(rows)


def class_table(predictions: Predictions, classes: Sequence[Any]) -> pd.DataFrame:
    """Give precision, recall, F1 and the count of every class."""
    codes = list(range(len(classes)))
    found = classification_report(
        predictions.y_true, predictions.y_pred, labels=codes, output_dict=True, zero_division=np.nan
    )
    rows = [{"class": each, **found[str(code)]} for code, each in zip(codes, classes, strict=True)]
    return pd.DataFrame(rows).rename(columns={"f1-score": "f1", "support": "rows"})


def gaps_of_classes(predictions: Predictions, classes: Sequence[Any]) -> list[str]:
    """Say which classes some metrics do not exist for: those that the rows lack, and those that no row is said to be.

    Args:
        predictions: of the evaluated rows.
        classes: the labels; empty for regression.
    """
    true, predicted = set(predictions.y_true), set(predictions.y_pred)
    absent = [each for code, each in enumerate(classes) if code not in true]
    never = [each for code, each in enumerate(classes) if code in true and code not in predicted]
    found = []
    if absent:
        found.append(
            f"The evaluated rows lack the class {_listed(absent)}: there is no recall of it, and no ROC AUC at all."
        )
    if never:
        found.append(
            f"The model takes no row to be of the class {_listed(never)}: there is no precision of it, which MLflow's "
            "averages count as 0."
        )
    return found


def _listed(labels: Sequence[Any]) -> str:
    more = f" and {len(labels) - MAX_LABELS_NAMED} more" if len(labels) > MAX_LABELS_NAMED else ""
    return ", ".join(map(spell, labels[:MAX_LABELS_NAMED])) + more


def confusion(predictions: Predictions, classes: Sequence[Any]) -> pd.DataFrame:
    """Count the rows of each class (index) by what was predicted (columns)."""
    counts = confusion_matrix(predictions.y_true, predictions.y_pred, labels=range(len(classes)))
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
        predicted, true = predictions.y_proba[:, 1], predictions.y_true == 1
    else:
        predicted, true = predictions.y_proba.max(axis=1), predictions.y_true == predictions.y_pred
    bins = np.array_split(np.argsort(predicted, kind="stable"), min(MAX_CALIBRATION_BINS, len(predicted)))
    table = pd.DataFrame(
        [{"predicted": predicted[rows].mean(), "observed": true[rows].mean(), "rows": len(rows)} for rows in bins]
    )
    error = float(np.average((table["predicted"] - table["observed"]).abs(), weights=table["rows"]))
    return table, error


def slices(problem: Problem, frame: pd.DataFrame, predictions: Predictions, metric: str) -> pd.DataFrame:
    """Measure the rows of each category with rows enough, and of each quarter of each number; the worst first.

    A quarter is named by the smallest and the largest value in it. Where the metric does not exist on a slice (an AUC
    on one class), the slice is left out.
    """
    rows = []
    for name, kind in problem.kinds.items():
        values = _slice_names(frame[name], kind)
        for value, members in values.groupby(values).indices.items():
            places = np.asarray(members)
            if len(places) >= MIN_SLICE_ROWS:
                found = predictions.take(places).metric(metric)
                rows.append({"column": name, "slice": str(value), "rows": len(places), metric: found})
    table = pd.DataFrame(rows, columns=["column", "slice", "rows", metric]).astype({metric: "float64"})
    up = metrics_of(problem.task)[metric].greater_is_better
    return table[np.isfinite(table[metric])].sort_values(metric, ascending=up, kind="stable")


def _slice_names(column: pd.Series, kind: str) -> pd.Series:
    """Name the slice of each row; nothing where a column of this kind has none."""
    if kind in ("category", "boolean"):
        return pd.Series(as_categories(column)).fillna("(missing)")
    if kind != "number":
        return pd.Series(dtype=object)
    numbers = pd.Series(to_numeric(column)).replace([np.inf, -np.inf], np.nan)
    if numbers.nunique() <= SLICES_PER_NUMBER:
        quarters = numbers
    else:
        quarters = pd.qcut(numbers, SLICES_PER_NUMBER, labels=False, duplicates="drop")
    ends = numbers.groupby(quarters).agg(["min", "max"])
    names = {
        key: spell(low) if low == high else f"{spell(low)} to {spell(high)}" for key, low, high in ends.itertuples()
    }
    return quarters.map(names).astype(object).fillna("(missing)")


def worst_rows(problem: Problem, frame: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """Give the 20 rows that the model got most wrong: what was predicted, the truth, and the raw columns."""
    loss = losses(predictions)
    places = np.argsort(-loss, kind="stable")[:MAX_WORST_ROWS]
    y_pred = predictions.y_pred[places]
    predicted: list[Any] = [problem.classes[k] for k in y_pred] if problem.classes else list(y_pred)
    rows = problem.rows(frame).iloc[places]
    true = frame[problem.target].iloc[places].to_numpy()
    told = {f"true {problem.target}": true, "predicted": predicted, "loss": loss[places]}
    judged = {free_name(name, rows.columns): values for name, values in told.items()}
    return pd.concat([pd.DataFrame(judged, index=rows.index), rows], axis=1)


def raw_importance(problem: Problem, estimator: Any, frame: pd.DataFrame, metric: str, seed: int = 0) -> pd.Series:
    """Give how much worse the metric gets when a raw column is permuted (Breiman 2001), in descending order.

    It is the mean of three permutations of at most 2,000 rows.
    """
    rows = frame.sample(min(len(frame), MAX_ROWS_PERMUTED), random_state=seed)
    sign = 1 if metrics_of(problem.task)[metric].greater_is_better else -1
    target = rows[problem.target]

    def scorer(model: Any, X: pd.DataFrame, y: pd.Series) -> float:
        return sign * predict(problem, model, X.assign(**{problem.target: y})).metric(metric)

    scoring: Callable[..., float] = scorer
    found = permutation_importance(
        estimator, problem.rows(rows), target, scoring=scoring, n_repeats=3, random_state=seed
    )
    return pd.Series(found.importances_mean, index=list(problem.kinds), name="loss").sort_values(ascending=False)
