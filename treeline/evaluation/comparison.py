"""How sure a figure is, whether one model is better than another on the same rows, and who is promoted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from treeline.evaluation.criteria import Criteria, missed_thresholds
from treeline.evaluation.predictions import Predictions
from treeline.metrics import metrics_of

Outcome = Literal["promote", "hold", "refuse"]
MAX_ROWS_OF_MANY_RESAMPLES = 100_000  # up to which there are 1,000 resamples, beyond 200


@dataclass(frozen=True)
class Comparison:
    """A challenger against a champion on the same rows.

    Attributes:
        rows: that count.
        gain: how much better the challenger's metric is, in the metric's own direction.
        low, high: the 95 % interval of the gain.
    """

    rows: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Contest:
    """How a challenger met the champion.

    Attributes:
        champion: its name and version, as a sentence calls it.
        comparison: None where they could not be compared.
        obstacle: why they could not.
        about: which rows count.
    """

    champion: str
    comparison: Comparison | None = None
    obstacle: str = ""
    about: str = ""


@dataclass(frozen=True)
class Decision:
    """What becomes of a challenger: `promote`, `hold` (the champion stays) or `refuse` (it must not be used)."""

    outcome: Outcome
    reasons: list[str] = field(default_factory=list)


def decide(
    criteria: Criteria,
    challenger: Predictions,
    dummy: Predictions,
    contest: Contest | None,
    wrong_answers: Sequence[str],
) -> Decision:
    """Decide whether a model is promoted; the one place that does.

    Args:
        criteria: what is asked.
        challenger: its predictions.
        dummy: a dummy's, for the same rows.
        contest: with the champion; None where there is none. It counts where the criteria compare at all.
        wrong_answers: where its served form does not answer as it did when it was made; one refuses it.
    """
    metrics, metric = challenger.metrics(), criteria.metric
    refusals = [*missed_thresholds(criteria.thresholds, metrics, challenger.task), *wrong_answers]
    holds = [] if criteria.promote != "never" else ["promote=never"]
    if not is_better(challenger.task, metric, metrics[metric], dummy.metric(metric)):
        holds.append(f"{metric} {metrics[metric]:.4g} does not beat the dummy baseline's {dummy.metric(metric):.4g}")
    if contest is not None and criteria.compares:
        holds += _lost(criteria, contest)
    outcome: Outcome = "refuse" if refusals else "hold" if holds else "promote"
    return Decision(outcome, [*refusals, *holds])


def _lost(criteria: Criteria, contest: Contest) -> list[str]:
    """Say why a contest does not earn the promotion; nothing where it does."""
    found = contest.comparison
    if found is None:
        return [contest.obstacle]
    if found.low > (0.0 if criteria.promote == "better" else -criteria.margin):
        return []
    wanted = "better than" if criteria.promote == "better" else f"no worse by {criteria.margin:g} than"
    return [
        f"{criteria.metric} is not surely {wanted} that of the champion {contest.champion}: gain {found.gain:.4g}, "
        f"95 % interval [{found.low:.4g}, {found.high:.4g}] on {found.rows} rows"
    ]


def is_better(task: str, metric: str, value: float, other: float) -> bool:
    """Tell whether a value is strictly better than another in the metric's own direction."""
    return value > other if metrics_of(task)[metric].greater_is_better else value < other


def compare(challenger: Predictions, champion: Predictions, metric: str, seed: int) -> Comparison:
    """Bootstrap the gain of a challenger over a champion, paired: both are measured on the same rows drawn.

    There are 1,000 resamples, or 200 where there are more than 100,000 rows; percentile method, as in `intervals`.

    Args:
        challenger: its predictions.
        champion: the other's, for the same rows in the same order.
        metric: that decides.
        seed: of the draws.
    """
    known = metrics_of(challenger.task)[metric]
    sign = 1 if known.greater_is_better else -1

    def gain(rows: np.ndarray) -> float:
        ours, theirs = (each.take(rows).metric(metric) for each in (challenger, champion))
        return sign * (ours - theirs)

    n = len(challenger.y_true)
    rng = np.random.default_rng(seed)
    gains = np.array([gain(rng.integers(0, n, n)) for _ in range(_resamples(n))])
    low, high = _ends(gains)
    return Comparison(n, gain(np.arange(n)), low, high)


def intervals(predictions: Predictions, seed: int) -> dict[str, tuple[float, float]]:
    """Bootstrap the 95 % interval of every metric (percentile method, Efron 1979): rows drawn with replacement.

    There are 1,000 resamples, or 200 where there are more than 100,000 rows. One in which a metric does not exist (a
    class is absent) does not count for it; where it never exists, both ends are NaN.
    """
    rng = np.random.default_rng(seed)
    n = len(predictions.y_true)
    draws = [predictions.take(rng.integers(0, n, n)).metrics() for _ in range(_resamples(n))]
    return {name: _ends(np.array([draw[name] for draw in draws])) for name in metrics_of(predictions.task)}


def _resamples(n_rows: int) -> int:
    return 1000 if n_rows <= MAX_ROWS_OF_MANY_RESAMPLES else 200


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Give the 2.5th and the 97.5th percentile of the finite values; NaN where there are none."""
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
    return float(low), float(high)
