"""The finalists of a search on few rows: measured again on other cuts of the rows, chosen and reported by that.

The best of many trials on the same folds is partly luck, and on few rows mostly: a search of 50 trials on 200 rows
promises several per cent more than it keeps (Cawley and Talbot 2010, "On Over-fitting in Model Selection and Subsequent
Selection Bias in Performance Evaluation"). On cuts that no trial was chosen by, and at a number of rounds that was not
chosen on them either, that luck is left behind.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from treeline.data.sentences import figure
from treeline.interruption import stop_if_wished
from treeline.tuning.objective import Objective
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.study import counted

MIN_TRIALS = 10  # of a study that can spare some
SHARE = 0.2  # of the trials, or of the seconds, that goes to finalists
MAX_CUTS, MAX_FINALISTS = 5, 5


@dataclass(frozen=True)
class Finals:
    """How a search ends: so many finalists, each cross-validated on so many other cuts; 0 of both ends it at once."""

    finalists: int = 0
    cuts: int = 0

    @property
    def total(self) -> int:
        """Cross-validations that they take from the trials."""
        return self.finalists * self.cuts


@dataclass(frozen=True)
class Winner:
    """The trial that a search chooses.

    Attributes:
        trial: with the best value.
        value: of it: the mean over the other cuts where there were any, else the trial's own.
        search_value: the best value of any trial, on the folds that all of them share.
        cuts: that the value is a mean of, beside the shared one; 0 where it is the trial's own.
        finalists: the numbers of the trials that were measured on them.
    """

    trial: FrozenTrial
    value: float
    search_value: float
    cuts: int
    finalists: Sequence[int] = ()


def plan_finals(objective: Objective, settings: SearchSettings) -> Finals:
    """Settle how many of a study's cross-validations go to its finalists: a fifth of them, 25 at most."""
    if objective.recut is None or settings.n_trials < MIN_TRIALS:
        return Finals()
    spare = int(SHARE * settings.n_trials)
    cuts = min(math.isqrt(spare), MAX_CUTS)
    return Finals(min(spare // cuts, MAX_FINALISTS), cuts)


def run_finals(
    objective: Objective,
    study: optuna.Study,
    finals: Finals,
    on_value: Callable[[int, int, float], None],
) -> None:
    """Measure the best trials again on other cuts; what a study has measured before is not measured again.

    Args:
        objective: what the trials share, with the deadline: the first cut is measured whatever the time, for without
            it there would be no honest value, and no cross-validation begins behind it after that.
        study: whose trials are looked at; it keeps what is found.
        finals: how many finalists and cuts.
        on_value: told the number of a trial, of a cut (from 1), and the metric there.
    """
    complete = [trial for trial in counted(study) if trial.state == TrialState.COMPLETE]
    ranked = sorted(complete, key=lambda trial: -objective.measure.sign * trial.values[0])
    finalists = ranked[: finals.finalists]
    study.set_user_attr("finalists", [trial.number for trial in finalists])
    assert objective.recut is not None
    for cut in range(1, finals.cuts + 1):
        folds = None
        for trial in finalists:
            known = study.user_attrs.get(_key(trial.number, cut))
            if known is None:
                if cut > 1 and time.monotonic() > objective.deadline:
                    return
                stop_if_wished()
                folds = folds or objective.recut(cut)
                known = objective.measure_on(folds, trial.params, trial.user_attrs["rounds"])
                study.set_user_attr(_key(trial.number, cut), known)
            on_value(trial.number, cut, known)


def choose_winner(objective: Objective, study: optuna.Study) -> Winner:
    """Choose the trial that is best: among finalists by the mean over the other cuts that all were measured on."""
    attrs, best = study.user_attrs, study.best_trial
    finalists: Sequence[int] = attrs.get("finalists", [])
    values = []
    for cut in range(1, MAX_CUTS + 1):
        found = [attrs.get(_key(number, cut), math.nan) for number in finalists]
        if found and np.isfinite(found).all():
            values.append(found)
    if not values:
        return Winner(best, study.best_value, study.best_value, 0)
    means = np.mean(values, axis=0)
    place = int(np.argmax(objective.measure.sign * means))
    trial = next(each for each in study.get_trials(deepcopy=False) if each.number == finalists[place])
    return Winner(trial, float(means[place]), study.best_value, len(values), finalists)


def values_on_cuts(attrs: Mapping[str, Any], number: int) -> dict[int, float]:
    """Read from what a study keeps the values of a trial on other cuts; empty where it was never a finalist."""
    return {cut: attrs[_key(number, cut)] for cut in range(1, MAX_CUTS + 1) if _key(number, cut) in attrs}


def told_of_finals(objective: Objective, study: optuna.Study, winner: Winner) -> str:
    """Say what the value of a winner is measured on; nothing where there was one trial."""
    metric = objective.metric
    if winner.cuts:
        cuts = f"{winner.cuts} other {'cut' if winner.cuts == 1 else 'cuts'}"
        return (
            f"few rows: the best {len(winner.finalists)} trials were measured again on {cuts} of them, and chosen by "
            f"that. {metric} {figure(winner.value, 5)} is the mean there; the best of the search, "
            f"{figure(winner.search_value, 5)} on the folds that every trial was measured on, is partly luck"
        )
    return (
        f"{metric} {figure(winner.value, 5)} is the best of the trials on the same folds, and so a little better than "
        "new rows will show"
    )


def _key(trial: int, cut: int) -> str:
    return f"trial {trial} on cut {cut}"
