"""Whether one model is better than another on the same rows, and who is promoted."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from treeline.data.sentences import figure
from treeline.evaluation.criteria import Criteria, missed_thresholds
from treeline.evaluation.influence import influence
from treeline.evaluation.intervals import ALPHA, ROWS, Spread, too_little
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import Sampling, evenly
from treeline.metrics import metrics_of

Outcome = Literal["promote", "hold", "refuse"]
MIN_ROWS_TO_COMPARE = 100  # on which two models can be told apart
OF_LABELS = ("accuracy", "error", "f1", "balanced_accuracy")  # which see no more of a prediction than its label


@dataclass(frozen=True)
class Comparison:
    """A model against another on the same rows.

    Attributes:
        rows: that count.
        gain: how much better the model's metric is, in the metric's own direction.
        low, high: the interval of the gain; NaN where there is none.
        other: the other model's metric on these rows.
        smallest: gain that these rows could surely show.
        alpha: how often the gain may lie outside; the interval is of 1 - alpha.
        why: there is no interval.
        even: how many rows of one weight they are worth; NaN where all have one.
    """

    rows: int
    gain: float
    low: float
    high: float
    other: float = float("nan")
    smallest: float = float("nan")
    alpha: float = ALPHA
    why: str = ""
    even: float = float("nan")

    def told(self) -> str:
        """Say what was found, as a part of a sentence."""
        if self.why:
            return f"gain {figure(self.gain)} on {self.rows} rows, too few to tell: {self.why}"
        could = f", which could surely show a gain of {figure(self.smallest)}" if self.smallest > 0 else ""
        interval = f"{100 * (1 - self.alpha):.4g} % interval [{figure(self.low)}, {figure(self.high)}]"
        return f"gain {figure(self.gain)}, {interval} on {self.rows} rows{could}"


@dataclass(frozen=True)
class Contest:
    """How a challenger met a champion.

    Attributes:
        champion: its name and version, as a sentence calls it.
        version: alone.
        comparison: on the rows that are new to both; None where they could not be compared.
        obstacle: why they could not.
        about: which rows count.
        overall: the comparison on all evaluated rows, where some are not new; None where all are.
        scores: the champion's metrics on the rows that count.
    """

    champion: str
    version: str = ""
    comparison: Comparison | None = None
    obstacle: str = ""
    about: str = ""
    overall: Comparison | None = None
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What becomes of a challenger: `promote`, `hold` (the champion stays) or `refuse` (it must not be used)."""

    outcome: Outcome
    reasons: list[str] = field(default_factory=list)


def decide(
    criteria: Criteria,
    challenger: Predictions,
    dummy: Comparison,
    contests: Sequence[Contest],
    wrong_answers: Sequence[str],
) -> Decision:
    """Decide whether a model is promoted; the one place that does.

    Args:
        criteria: what is asked.
        challenger: its predictions.
        dummy: the challenger compared with a dummy, which it must surely beat whatever is asked.
        contests: with the champion and, where that is another, with the best champion so far, which `not-worse` is held
            against too: a chain of models each hardly worse than the last would walk downhill. Empty where there is no
            champion. They count where the criteria compare at all.
        wrong_answers: where its served form does not answer as it did when it was made; one refuses it.
    """
    metrics = challenger.metrics()
    refusals = [*missed_thresholds(criteria.thresholds, metrics, challenger.task), *wrong_answers]
    holds = [] if criteria.promote != "never" else ["promote=never"]
    if not dummy.low > 0:
        value = metrics[criteria.metric]
        holds.append(
            f"{criteria.metric} {figure(value)} does not surely beat the dummy baseline's {figure(dummy.other)}: "
            f"{dummy.told()}"
        )
    if criteria.compares:
        asked = contests if criteria.promote == "not-worse" else contests[:1]
        holds += [reason for contest in asked if (reason := _lost(criteria, contest))]
    outcome: Outcome = "refuse" if refusals else "hold" if holds else "promote"
    return Decision(outcome, [*refusals, *holds])


def _lost(criteria: Criteria, contest: Contest) -> str:
    """Say why a contest does not earn the promotion; nothing where it does."""
    found, least = contest.comparison, criteria.least_gain
    if found is None:
        return contest.obstacle
    if found.even < MIN_ROWS_TO_COMPARE <= found.rows:
        return (
            f"too few to tell: {contest.about}, whose weights leave {found.even:.0f}, fewer than {MIN_ROWS_TO_COMPARE}"
        )
    if found.rows < MIN_ROWS_TO_COMPARE:
        return f"too few to tell: only {contest.about}, fewer than {MIN_ROWS_TO_COMPARE}"
    won = found.low > least or (criteria.promote == "not-worse" and found.low == least)
    if not won:
        wanted = "better than" if criteria.promote == "better" else f"no worse by {criteria.margin:g} than"
        return f"{criteria.metric} is not surely {wanted} that of the champion {contest.champion}: {found.told()}"
    if contest.overall is not None and contest.overall.gain < least:
        return (
            f"{criteria.metric} gains {figure(found.gain)} on the rows that count ({contest.about}), but "
            f"{figure(contest.overall.gain)} on all {contest.overall.rows}, which says the opposite: judge both on "
            "rows that are new to them, with eval_dataset"
        )
    return ""


def spent_alpha(judgement: int) -> float:
    """Give how often a gain may lie outside its interval, where the same rows have judged other models before.

    The first judgement has the ordinary 5 %, 2.5 % on the side that promotes. Those after it share as much again, the
    k-th 1 / (k (k - 1)) of it, whose sum is 1. So the chance that rows ever promote a model that is no better is at
    most 5 %, however many they judge, as long as the models do not follow from what these rows said of earlier ones. A
    sum over rising thresholds was chosen over the ladder of Blum and Hardt 2015, for a person who is held is to be
    told the score, which the ladder keeps to itself.

    Args:
        judgement: which it is of these rows, from 1.
    """
    return ALPHA if judgement <= 1 else ALPHA / (judgement * (judgement - 1))


def compare(
    model: Predictions, other: Predictions, metric: str, sampling: Sampling = ROWS, alpha: float = ALPHA
) -> Comparison:
    """Give the gain of a model over another and its interval, paired: from what a row moves one more than the other.

    Where they differ on too few rows for a coin to be told from them, the interval holds 0.

    Args:
        model: its predictions, whose weights count.
        other: the other's, for the same rows in the same order.
        metric: that decides.
        sampling: how the rows hang together.
        alpha: how often the gain may lie outside the interval.
    """
    other = replace(other, weight=model.weight)
    sign = 1 if metrics_of(model.task)[metric].greater_is_better else -1
    theirs, n, nan = other.metric(metric), len(model.y_true), float("nan")
    gain = sign * (model.metric(metric) - theirs)
    even = nan if model.weight is None else evenly(model.weight)
    if why := too_little(model, metric, sampling) or too_little(other, metric, sampling):
        return Comparison(n, gain, nan, nan, theirs, alpha=alpha, why=why)
    spread = Spread.of(sign * (influence(model, metric) - influence(other, metric)), sampling, model.weight)
    if why := spread.too_little(sampling):
        return Comparison(n, gain, nan, nan, theirs, alpha=alpha, why=why)
    low, high = spread.around(gain, alpha)
    if 0.5 ** _differing(model, other, metric, sampling) > alpha / 2:
        low, high = min(low, 0.0), max(high, 0.0)
    return Comparison(n, gain, low, high, theirs, spread.error * spread.quantile(alpha), alpha, even=even)


def _differing(model: Predictions, other: Predictions, metric: str, sampling: Sampling) -> int:
    """Count the rows, or the groups or times, for which two models say different things."""
    if model.task == "regression" or metric in OF_LABELS:
        differ = model.y_pred != other.y_pred
    else:
        differ = (model.y_proba != other.y_proba).any(axis=1)
    if model.weight is not None:
        differ &= model.weight > 0
    return int(differ.sum()) if sampling.codes is None else len(np.unique(sampling.codes[differ]))
