"""The record of a trial: where it goes, and what it must hold to be whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial

from treeline.tuning.finalists import values_on_cuts
from treeline.tuning.objective import Objective
from treeline.tuning.study import counted


@dataclass(frozen=True)
class Record:
    """What the record of a trial that counts holds when it is whole.

    Attributes:
        state: COMPLETE, PRUNED or FAIL.
        status: what it is closed with: FINISHED, or FAILED where the trial failed.
        params: that were drawn, by name.
        values: single values that its end wrote, by name.
        notes: single values that finalists were given later.
        points: how many points each curve has, by its metric; empty of a failed trial.
    """

    state: str
    status: str
    params: frozenset[str]
    values: frozenset[str]
    notes: Mapping[str, float]
    points: Mapping[str, int]


def records(objective: Objective, study: optuna.Study) -> dict[int, Record]:
    """Say what the records of the trials that count must hold, by the trials' numbers."""
    attrs = study.user_attrs
    return {trial.number: _record(objective, attrs, trial) for trial in counted(study)}


def _record(objective: Objective, attrs: Mapping[str, Any], trial: FrozenTrial) -> Record:
    params = frozenset(objective.searched_params(trial.params))
    if "error" in trial.user_attrs:
        return Record("FAIL", "FAILED", params, frozenset(), {}, {})
    cuts = values_on_cuts(attrs, trial.number)
    return Record(
        trial.state.name,
        "FINISHED",
        params,
        frozenset(trial_values(objective.metric, trial.user_attrs, 0.0)),
        {note_name(objective.metric, cut): value for cut, value in cuts.items()},
        {objective.measure.loss: trial.user_attrs["trained"]},
    )


def trial_values(metric: str, found: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """Name the single values of a trial: its metric at its best round, `cv_<metric>`, that round, and the seconds."""
    return {f"cv_{metric}": found["value"], "rounds": float(found["rounds"]), "seconds": seconds}


def note_name(metric: str, cut: int) -> str:
    """Name the value of a finalist on another cut of the rows."""
    return f"cv_{metric}_cut_{cut}"


class TrialLog(Protocol):
    """Where trials are written, one at a time and in order."""

    def start(self, number: int, params: Mapping[str, Any], run_id: str = "") -> None:
        """Open the record of a trial, or take up the one of this id, which a kill left open."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each of some curves."""

    def end(self, state: str, values: Mapping[str, float], tags: Mapping[str, str], status: str = "FINISHED") -> None:
        """Close the record of a trial with its single values."""

    def note(self, number: int, values: Mapping[str, float]) -> None:
        """Add single values to the closed record of a trial; told twice they stay the same."""


class CurveLog:
    """A `TrialLog` that keeps the curve of one metric of each trial, in memory."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.curves: dict[int, list[float]] = {}

    def start(self, number: int, params: Mapping[str, Any], run_id: str = "") -> None:
        """Begin the curve of a trial."""
        self._points = self.curves[number] = []

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point."""
        self._points.append(values[self.metric])

    def end(self, state: str, values: Mapping[str, float], tags: Mapping[str, str], status: str = "FINISHED") -> None:
        """Do nothing."""

    def note(self, number: int, values: Mapping[str, float]) -> None:
        """Do nothing."""


class NoLog:
    """A `TrialLog` that keeps nothing."""

    def start(self, number: int, params: Mapping[str, Any], run_id: str = "") -> None:
        """Do nothing."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Do nothing."""

    def end(self, state: str, values: Mapping[str, float], tags: Mapping[str, str], status: str = "FINISHED") -> None:
        """Do nothing."""

    def note(self, number: int, values: Mapping[str, float]) -> None:
        """Do nothing."""
