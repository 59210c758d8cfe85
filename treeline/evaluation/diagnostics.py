"""What an evaluation finds beyond the headline: each class, which classes lack a metric, the rows most wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import classification_report, confusion_matrix

from treeline.data.names import free_name
from treeline.data.problem import Problem
from treeline.data.sentences import spell
from treeline.evaluation.predictions import Predictions, losses

MAX_WORST_ROWS = 20
MAX_LABELS_NAMED = 5  # of a sentence


def class_table(predictions: Predictions, classes: Sequence[Any]) -> pd.DataFrame:
    """Give precision, recall and F1 of every class, by the weights of the rows, and the count of its rows."""
    codes = list(range(len(classes)))
    found = classification_report(
        predictions.y_true,
        predictions.y_pred,
        labels=codes,
        output_dict=True,
        zero_division=np.nan,
        sample_weight=predictions.weight,
    )
    rows = [{"class": each, **found[str(code)]} for code, each in zip(codes, classes, strict=True)]
    counts = np.bincount(predictions.y_true, minlength=len(codes))
    return pd.DataFrame(rows).rename(columns={"f1-score": "f1", "support": "rows"}).assign(rows=counts)


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
