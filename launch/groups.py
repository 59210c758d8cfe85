"""Which combinations of a sweep can be compared, and which of those is best in cross-validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from config import MainSettings
from launch.hydra import describe
from treeline.data.sentences import figure


@dataclass(frozen=True)
class Ran:
    """A combination whose chain went to its end.

    Attributes:
        settings: of the chain.
        measured: what its value measures, but for the seeds: the table, the target, the split, the folds, the metric.
        seeds: of the split and of the folds.
        greater_is_better: the direction of its metric.
        values: by the columns of sweep.csv.
    """

    settings: MainSettings
    measured: tuple[str, ...]
    seeds: tuple[str, str]
    greater_is_better: bool
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """Combinations that differ in the seed alone; at least one, in the sweep's order."""

    members: Sequence[Ran]

    @property
    def alike(self) -> tuple[Any, ...]:
        """What must be equal where two groups are compared: what is measured, and over which seeds."""
        return self.members[0].measured, frozenset(each.seeds for each in self.members)

    @property
    def mean(self) -> float:
        """The cross-validated value, averaged over the seeds."""
        return mean(each.values["cv_value"] for each in self.members)

    @property
    def spread(self) -> float:
        """Its standard deviation over the seeds, of two at least."""
        return stdev(each.values["cv_value"] for each in self.members)

    def __str__(self) -> str:
        """Tell what it is worth."""
        metric, seeds = self.members[0].values["metric"], len(self.members)
        known = describe(self.members[0].settings, hidden={"seed"} if seeds > 1 else ())
        spread = f" ± {self.spread:.2g} over {seeds} seeds" if seeds > 1 else ""
        return f"{known}: {metric} {figure(self.mean, 5)}{spread} in cross-validation"


def groups_of(ran: Sequence[Ran]) -> list[list[Group]]:
    """Put together what differs in the seed alone, and then what is measured alike, in the sweep's order."""
    members: dict[Any, list[Ran]] = {}
    for each in ran:
        members.setdefault((each.measured, str(each.settings.model_copy(update={"seed": 0}))), []).append(each)
    alike: dict[Any, list[Group]] = {}
    for group in map(Group, members.values()):
        alike.setdefault(group.alike, []).append(group)
    return list(alike.values())


def best_of(groups: Sequence[Group]) -> Group:
    """Choose the best of groups that are measured alike, the first of equals."""
    return (max if groups[0].members[0].greater_is_better else min)(groups, key=lambda group: group.mean)
