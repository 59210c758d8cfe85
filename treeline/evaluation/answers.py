"""What a model answers beside the plain prediction: labels by a threshold of its own, intervals around numbers.

Both are settled on out-of-fold predictions of the training rows, so the rows that judge the model judge them too.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd

from treeline import UserError, nearest
from treeline.data.numbers import plain_number
from treeline.data.problem import Problem
from treeline.data.sentences import figure
from treeline.evaluation.criteria import parse_costs
from treeline.evaluation.intervals import ROWS, interval
from treeline.evaluation.predictions import Predictions, as_predictions
from treeline.evaluation.sampling import Sampling
from treeline.evaluation.thresholds import at_threshold, choose_threshold, decision_row
from treeline.model.conformal import HeldOut
from treeline.model.estimator import TreelineClassifier, TreelineRegressor

RULES = ("f1", "cost")


@dataclass(frozen=True)
class AnswerSettings:
    """What a person asks of a model's answers.

    Attributes:
        threshold: of two classes, the probability of the second from which a row is given it: a number between 0 and
            1, `f1` (the largest F1 out of fold) or `cost` (the lowest cost out of fold); empty gives the more probable
            one.
        costs: of each cell of the confusion matrix, such as `fp=1,fn=5`; what `cost` needs.
        interval: of a regression, the share of new rows that the intervals beside predictions are to hold, above 0 and
            below 1; 0 makes none.
    """

    threshold: str | float = ""
    costs: str = ""
    interval: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no threshold or no share.

        Raises:
            UserError: names the setting, the value got and what is allowed.
        """
        if not isinstance(self.costs, str):
            raise UserError(f"costs got {self.costs!r}: give text, such as 'fp=1,fn=5'.")
        costs = parse_costs(self.costs)
        if self.rule == "cost" and not any(costs.values()):
            raise UserError("threshold=cost needs costs, such as fp=1,fn=5" + ("; all are 0." if costs else "."))
        if self.asks_threshold and not self.rule and not 0 < self._number() < 1:
            hint = nearest(str(self.threshold).lower(), RULES) if isinstance(self.threshold, str) else ""
            raise UserError(
                f"threshold got {self.threshold!r}: give f1, cost, or a number above 0 and below 1; empty gives each "
                f"row the more probable label.{hint}"
            )
        share = self.interval
        if not isinstance(share, Real) or isinstance(share, bool) or not 0 <= share < 1:
            raise UserError(
                f"interval got {share!r}: give the share of rows to hold, such as 0.9; 0 makes no intervals."
            )

    @property
    def rule(self) -> str:
        """How the threshold is chosen; empty where it is given as a number, or not at all."""
        return str(self.threshold) if self.threshold in RULES else ""

    @property
    def asks_threshold(self) -> bool:
        """Whether there is to be a threshold."""
        return self.threshold != ""

    def check_task(self, task: str) -> None:
        """Refuse what a task does not have.

        Raises:
            UserError: names the setting and the task.
        """
        if self.asks_threshold and task != "binary":
            raise UserError(
                f"threshold={self.threshold} is for two classes, and this is a {task} task: leave it empty."
            )
        if self.interval and task != "regression":
            raise UserError(f"interval={self.interval:g} is for numbers, and this is a {task} task: leave it at 0.")

    def _number(self) -> float:
        try:
            return plain_number(self.threshold) if isinstance(self.threshold, str) else float(self.threshold)
        except (TypeError, ValueError):
            return float("nan")


def interval_values(predictions: Predictions, ends: np.ndarray, sampling: Sampling = ROWS) -> dict[str, float]:
    """Give what intervals are worth on labelled rows, by the names of metrics.

    Args:
        predictions: of a regression.
        ends: the lower and the upper end of each row's interval, shape (n_rows, 2).
        sampling: how the rows hang together.

    Returns:
        `interval_coverage`, the share of rows whose truth lies inside, the ends of its own 95 % interval as
        `interval_coverage_low` and `_high`, NaN where there is none, and `interval_width`, the mean.
    """
    inside = ((predictions.y_true >= ends[:, 0]) & (predictions.y_true <= ends[:, 1])).astype(np.int64)
    n, weight = len(inside), predictions.weight
    held = Predictions("binary", np.ones(n, dtype=np.int64), inside, np.full((n, 2), 0.5), weight)
    around = interval(held, "accuracy", sampling)
    return {
        "interval_coverage": held.metric("accuracy"),
        "interval_coverage_low": around.low,
        "interval_coverage_high": around.high,
        "interval_width": float(np.average(ends[:, 1] - ends[:, 0], weights=weight)),
    }


def settle_answers(
    estimator: TreelineClassifier | TreelineRegressor,
    problem: Problem,
    seen: pd.DataFrame,
    answers: np.ndarray,
    settings: AnswerSettings,
) -> str:
    """Give a fitted estimator the threshold or the intervals that are asked for.

    Args:
        estimator: fitted on all training rows.
        problem: that it solves.
        seen: training rows that have an out-of-fold prediction, with the target.
        answers: those predictions: numbers of shape (n_rows,), or probabilities of shape (n_rows, n_classes).
        settings: what is asked for.

    Returns:
        What was settled, in a sentence; empty where nothing was.

    Raises:
        UserError: the task does not have it, or there are too few rows.
    """
    settings.check_task(problem.task)
    held = as_predictions(problem, seen, answers)
    if isinstance(estimator, TreelineRegressor):
        if not settings.interval:
            return ""
        estimator.fit_interval(HeldOut(problem.rows(seen), held.y_true, held.y_pred, held.weight), settings.interval)
        width = (
            "a width of its own" if estimator.spread_ is not None else f"{figure(estimator.half_width_)} to each side"
        )
        return (
            f"Intervals are to hold {settings.interval:.0%} of new rows, each {width}: settled on {len(seen)} training "
            "rows that were predicted out of fold."
        )
    if not settings.asks_threshold:
        return ""
    costs, rule = parse_costs(settings.costs), settings.rule
    estimator.threshold_ = (
        choose_threshold(held, "cost" if rule == "cost" else "f1", costs) if rule else float(settings.threshold)
    )
    how = {"f1": "the largest F1", "cost": "the lowest cost", "": "as asked"}[rule]
    worth = decision_row(at_threshold(held, estimator.threshold_), costs)
    told = ", ".join(f"{name} {value:.3f}" for name, value in worth.items() if np.isfinite(value))
    told += " a row" if costs else ""
    return (
        f"Rows are labelled {problem.classes[1]} from a probability of {estimator.threshold_:.4f} ({how}); out of fold "
        f"on the training rows: {told}."
    )
