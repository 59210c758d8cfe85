"""The trials of an earlier study trained again, in their order: what a search found by the clock, or in several
processes, no seed finds again, but whatever was tried can be tried again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from treeline import UserError
from treeline.interruption import stop_if_wished
from treeline.tuning.finalists import Finals
from treeline.tuning.objective import Objective
from treeline.tuning.records import TrialLog, trial_values


@dataclass(frozen=True)
class Recording:
    """What an earlier study did.

    Attributes:
        trials: the rows of its `trials.csv`, every cell as text.
        finals: how many finalists it measured again, on how many other cuts.
    """

    trials: Sequence[Mapping[str, str]]
    finals: Finals


@dataclass(frozen=True)
class Recorded:
    """A trial of an earlier study, as its table of trials tells it.

    Attributes:
        state: that it ended in.
        params: that it drew.
        trained: how many rounds it trained, pruned or stopped by the clock as it may have been; 0 where it failed.
        error: why it failed; empty also where it was killed, and does not count.
    """

    state: TrialState
    params: Mapping[str, Any]
    trained: int = 0
    error: str = ""


def recorded_trials(rows: Sequence[Mapping[str, str]], space: Mapping[str, BaseDistribution]) -> list[Recorded]:
    """Read the trials of a study that ended from the rows of its `trials.csv`, every cell as text.

    Args:
        rows: in the order of the trials.
        space: what a trial may draw.

    Raises:
        UserError: a trial cannot be read, or drew otherwise than this space does.
    """
    found = []
    for row in rows:
        try:
            state, trained = TrialState[row["state"]], int(float(row.get("user_attrs_trained") or 0))
            lacking = [name for name in space if not row.get(f"params_{name}")]
            params = {name: _drawn(space[name], row[f"params_{name}"]) for name in space if name not in lacking}
        except (LookupError, ValueError, TypeError):
            raise UserError(f"The recorded trial {row.get('number')!r} cannot be read: its table is damaged.") from None
        if lacking and state in (TrialState.COMPLETE, TrialState.PRUNED):
            raise UserError(
                f"The recorded trial {row['number']} has no {lacking[0]}, which the search space draws: that is "
                "another space than the study had."
            )
        found.append(Recorded(state, params, trained, row.get("user_attrs_error", "")))
    return found


def replay(objective: Objective, study: optuna.Study, log: TrialLog, recorded: Sequence[Recorded]) -> None:
    """Train the trials of an earlier study again, as many rounds as each had, and end each as it ended.

    Args:
        objective: what the trials share.
        study: empty; it then holds the same trials, of the values that they have now.
        log: where each is written.
        recorded: in their order.
    """
    for number, each in enumerate(recorded):
        stop_if_wished()
        space = {name: objective.space[name] for name in each.params}
        failed = {"error": each.error} if each.error else {}
        if not each.trained:
            study.add_trial(
                create_trial(state=TrialState.FAIL, params=each.params, distributions=space, user_attrs=failed)
            )
            if failed:
                log.start(number, objective.searched_params(each.params))
                log.end("FAIL", {}, failed, status="FAILED")
            continue
        log.start(number, objective.searched_params(each.params))
        reported: dict[int, float] = {}

        def note(step: int, value: float, reported: dict[int, float] = reported) -> bool:
            reported[step] = value
            return False

        try:
            result = objective.cross_validate(each.params, log.add, note, each.trained)
        except KeyboardInterrupt:
            log.end("KILLED", {}, {}, status="KILLED")
            raise
        attributes = {"rounds": result.rounds, "trained": each.trained, "value": result.value}
        study.add_trial(
            create_trial(
                state=each.state,
                value=result.value if each.state == TrialState.COMPLETE else None,
                params=dict(each.params),
                distributions=space,
                user_attrs=attributes,
                intermediate_values=reported,
            )
        )
        log.end(each.state.name, trial_values(objective.metric, attributes, result.seconds), {})


def _drawn(distribution: BaseDistribution, text: str) -> Any:
    """Give what a trial drew from its text, of the type that the distribution draws."""
    if isinstance(distribution, CategoricalDistribution):
        kind = type(distribution.choices[0])
        return text if kind is str else kind(float(text))
    return int(float(text)) if isinstance(distribution, IntDistribution) else float(text)
