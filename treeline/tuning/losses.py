"""Which losses a regression may train by: cross-validation chooses among them, as among any other parameters."""

from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from treeline import UserError
from treeline.data.sentences import figure, spell
from treeline.model.boosting import ABSOLUTE_ERROR, SQUARED_ERROR, TWEEDIE
from treeline.model.cross_validation import Measure
from treeline.model.matrices import is_skewed


def losses_of(metric: str, y: np.ndarray, monotone: bool = False) -> list[str]:
    """Give the losses worth a try, as XGBoost's `objective` names them, the first of them the surest.

    A squared error predicts the mean, which the RMSE asks for. So does Tweedie's deviance, on a log link: worth a try
    where numbers are never negative and very skewed, for a squared error then sees little but the few largest. An
    absolute error predicts the median, which the MAE asks for, and shares of the truth and distances of logarithms
    rather than the mean. XGBoost sets the leaves of an absolute error anew, in no order, so it has no place where
    predictions must only rise or fall.

    Args:
        metric: to optimise.
        y: the training targets, shape (n_rows,).
        monotone: whether they must, along some column.
    """
    if metric in ("mae", "mape", "rmsle") and not monotone:
        return [ABSOLUTE_ERROR, SQUARED_ERROR]
    return [SQUARED_ERROR, TWEEDIE] if is_skewed(y) else [SQUARED_ERROR]


def check_losses(losses: Sequence[str], y: np.ndarray, classes: bool, monotone: bool = False) -> None:
    """Refuse losses that a person asks for and a target cannot have.

    Args:
        losses: asked for.
        y: the training targets, shape (n_rows,).
        classes: whether they are class codes.
        monotone: whether predictions must only rise or fall along some column.

    Raises:
        UserError: it is one of classes, or holds negative numbers, which Tweedie's deviance does not take; or an
            absolute error would break what is monotone.
    """
    if losses and classes:
        raise UserError(f"objective {losses[0]!r} in the search space is for numbers, and the target holds classes.")
    if monotone and ABSOLUTE_ERROR in losses:
        raise UserError(
            f"objective {ABSOLUTE_ERROR!r} does not hold what is monotone, for XGBoost sets its leaves anew: use "
            f"{SQUARED_ERROR!r}, or leave monotone out."
        )
    if TWEEDIE in losses and (y < 0).any():
        raise UserError(
            f"objective {TWEEDIE!r} in the search space takes no negative target, got {spell(y.min())}: use "
            f"{SQUARED_ERROR!r}."
        )


def check_metric(metric: str, y: np.ndarray) -> None:
    """Refuse a metric that does not exist for some numbers.

    Args:
        metric: to optimise.
        y: the training targets, shape (n_rows,).

    Raises:
        UserError: the target holds a zero, of which nothing is a share, or a negative number, which has no logarithm.
    """
    if metric == "mape" and (zeros := int((y == 0).sum())):
        raise UserError(f"metric=mape divides by the target, which is 0 in {zeros} training rows: use mae or rmsle.")
    if metric == "rmsle" and (y < 0).any():
        raise UserError(
            f"metric=rmsle takes logarithms of the target, which is negative in {int((y < 0).sum())} training rows, "
            f"such as {spell(y.min())}: use rmse or mae."
        )


def told_of_losses(measure: Measure, trials: Sequence[FrozenTrial]) -> str:
    """Say which loss was chosen by what; empty where there was no choice."""
    best: dict[str, float] = {}
    for trial in trials:
        if trial.state == TrialState.COMPLETE and "objective" in trial.params:
            loss, value = trial.params["objective"], trial.values[0]
            best[loss] = max(best.get(loss, value), value, key=lambda each: measure.sign * each)
    ranked = sorted(best, key=lambda loss: -measure.sign * best[loss])
    if not ranked:
        return ""
    return "the best trial by loss: " + ", ".join(
        f"{measure.metric} {figure(best[loss], 5)} with {loss}" for loss in ranked
    )
