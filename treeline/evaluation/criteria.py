"""What a person asks of a model before it is promoted: thresholds, costs, and how it must compare with the champion."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from treeline import UserError, nearest
from treeline.data.numbers import plain_number
from treeline.data.sentences import figure
from treeline.metrics import CLASSIFICATION, REGRESSION, metrics_of

CONFUSION_CELLS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Criteria:
    """What a model must reach to be promoted.

    Attributes:
        metric: that decides.
        thresholds: that metrics must reach, each in its own direction.
        promote: against the champion: `better` (surely), `not-worse` (surely), `always` or `never`.
        margin: how much worse than the champion is still not worse, in units of the metric, from 0.
    """

    metric: str
    thresholds: Mapping[str, float] = field(default_factory=dict)
    promote: str = "better"
    margin: float = 0.0

    @property
    def compares(self) -> bool:
        """Whether the champion matters at all."""
        return self.promote in ("better", "not-worse")

    @property
    def least_gain(self) -> float:
        """The gain over the champion that a challenger must surely have."""
        return -self.margin if self.promote == "not-worse" else 0.0


def parse_numbers(text: str, setting: str, example: str) -> dict[str, float]:
    """Read `name=number,name=number` into a mapping; the one parser of such lists.

    Args:
        text: may be empty.
        setting: its name, for the message.
        example: of a part, for the message.

    Raises:
        UserError: a part is no `name=number`, its number is not finite, or a name stands twice.
    """
    numbers = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        try:
            number = plain_number(value)
        except ValueError:
            number = math.nan
        if not name.strip() or not math.isfinite(number):
            raise UserError(f"Cannot read {part!r} of {setting}: write name=number, such as {example}.")
        if name.strip() in numbers:
            raise UserError(f"{setting} names {name.strip()!r} twice, in {text!r}: give each name once.")
        numbers[name.strip()] = number
    return numbers


def parse_thresholds(text: str) -> dict[str, float]:
    """Read `accuracy=0.9,log_loss=0.3` into a mapping; the metric's direction says which side is good.

    Raises:
        UserError: a part is no `metric=number`, no task has the metric, or no model can reach the number.
    """
    thresholds = parse_numbers(text, "min_score", "accuracy=0.9")
    known = [*CLASSIFICATION, *REGRESSION]
    for name, threshold in thresholds.items():
        if name not in known:
            raise UserError(f"Unknown metric {name!r} in min_score.{nearest(name, known)} Use {', '.join(known)}.")
        rises = ({**CLASSIFICATION, **REGRESSION})[name].greater_is_better
        if threshold > 1 if rises else threshold < 0:
            best = "at most 1" if rises else "at least 0"
            raise UserError(f"min_score asks {name}={threshold:g}, and {name} is {best}: no model can reach it.")
    return thresholds


def check_thresholds(thresholds: Mapping[str, float], task: str) -> None:
    """Refuse a threshold on a metric that the task does not have.

    Raises:
        UserError: names the metric and those that exist.
    """
    known = metrics_of(task)
    for name in thresholds:
        if name not in known:
            raise UserError(
                f"Unknown metric {name!r} in min_score for a {task} task.{nearest(name, known)} Use {', '.join(known)}."
            )


def missed_thresholds(thresholds: Mapping[str, float], metrics: Mapping[str, float], task: str) -> list[str]:
    """Say which thresholds are missed; a metric that does not exist on these rows misses its own."""
    missed = []
    for name, threshold in thresholds.items():
        sign = 1 if metrics_of(task)[name].greater_is_better else -1
        if not sign * metrics[name] >= sign * threshold:
            missed.append(f"{name} {figure(metrics[name])} does not reach the threshold {threshold:g}")
    return missed


def parse_costs(text: str) -> dict[str, float]:
    """Read `fp=1,fn=5` into the cost of each cell of the confusion matrix; a cell not named costs nothing.

    Raises:
        UserError: a part is no `cell=number`.
    """
    costs = parse_numbers(text, "costs", "fp=1")
    for name in costs:
        if name not in CONFUSION_CELLS:
            raise UserError(
                f"Unknown cell {name!r} in costs.{nearest(name, CONFUSION_CELLS)} Use {', '.join(CONFUSION_CELLS)}, "
                "such as fp=1,fn=5."
            )
    return dict.fromkeys(CONFUSION_CELLS, 0.0) | costs if costs else {}
