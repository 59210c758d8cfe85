"""The study: how it goes on after a kill, which trials count, when one is hopeless."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from treeline import UserError
from treeline.tuning.schedule import ask_next, enqueue_lower_learning_rate
from treeline.tuning.storage import journal_path, open_storage
from treeline.tuning.study import (
    HopelessPruner,
    counted,
    fail_stale_trials,
    open_study,
)

SPACE = {"learning_rate": FloatDistribution(0.01, 0.3, log=True), "subsample": FloatDistribution(0.5, 1.0)}
POINTS = [{"learning_rate": 0.3, "subsample": 1.0}, {"learning_rate": 0.05, "subsample": 0.7}]
FACTS = {"data": "abc", "metric": "log_loss", "folds": 5, "seed": 0, "fixed": {}, "space": SPACE}


def reopen(folder: Path, facts: dict[str, Any] = FACTS, name: str = "s") -> optuna.Study:
    return open_study(open_storage("", journal_path(folder, name)), name, False, facts, POINTS)


def value(params: dict[str, float]) -> float:
    return params["learning_rate"] + params["subsample"]


def finish(study: optuna.Study, trials: int) -> None:
    for _ in range(trials):
        enqueue_lower_learning_rate(study, SPACE, 1000, divisor=2)
        trial = ask_next(study, SPACE, seed=0, late=True)
        trial.set_user_attr("rounds", 400)
        study.tell(trial, value(trial.params))


def finished_params(study: optuna.Study) -> list[dict[str, float]]:
    return [trial.params for trial in counted(study)]


def test_a_study_tries_the_known_points_first(tmp_path: Path) -> None:
    study = reopen(tmp_path)
    finish(study, 3)
    assert finished_params(study)[:2] == POINTS


def test_a_study_that_was_left_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    whole = reopen(tmp_path, name="whole")
    finish(whole, 15)
    for _ in range(5):
        finish(reopen(tmp_path), 3)
    assert finished_params(reopen(tmp_path)) == finished_params(whole)


def test_no_point_is_drawn_twice(tmp_path: Path) -> None:
    for _ in range(4):
        finish(reopen(tmp_path), 3)
    drawn = [tuple(sorted(params.items())) for params in finished_params(reopen(tmp_path))]
    assert len(set(drawn)) == 12


@pytest.mark.parametrize("killed_at", [0, 1, 2, 3, 12])
def test_a_killed_trial_does_not_count_and_its_point_is_tried_again(tmp_path: Path, killed_at: int) -> None:
    whole = reopen(tmp_path, name="whole")
    finish(whole, 14)
    study = reopen(tmp_path)
    finish(study, killed_at)
    enqueue_lower_learning_rate(study, SPACE, 1000, divisor=2)
    lost = ask_next(study, SPACE, seed=0, late=True).params
    resumed = reopen(tmp_path)
    fail_stale_trials(resumed)
    assert len(counted(resumed)) == killed_at
    assert [trial.state for trial in resumed.trials if trial.state == TrialState.RUNNING] == []
    finish(resumed, 14 - killed_at)
    assert lost in finished_params(resumed)
    # A known point that was lost is queued behind the other one, so the order of those two alone may differ.
    key = lambda params: sorted(params.items())  # noqa: E731
    if killed_at > 0:
        assert finished_params(resumed) == finished_params(whole)
    else:
        assert sorted(finished_params(resumed)[:2], key=key) == sorted(POINTS, key=key)


def test_a_trial_that_failed_of_itself_counts(tmp_path: Path) -> None:
    study = reopen(tmp_path)
    trial = ask_next(study, SPACE, seed=0, late=True)
    trial.set_user_attr("error", "ValueError: no")
    study.tell(trial, state=TrialState.FAIL)
    assert len(counted(study)) == 1


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(
    ("curve", "pruned"),
    [
        ([9.0, 8.0, 7.0, 6.0], True),  # behind the median, and at 5 after as great a gain again
        ([9.0, 9.0, 9.0, 6.0], False),  # behind the median, but at 3 after as great a gain again
        ([9.0, 5.1, 5.0, 4.9], False),  # slow, but before the median
        ([9.0, 9.0, 9.0], False),  # too early to say
    ],
)
def test_a_trial_is_hopeless_when_it_is_behind_and_would_stay_so(
    curve: list[float], pruned: bool, maximize: bool
) -> None:
    sign = -1 if maximize else 1
    study = optuna.create_study(direction="maximize" if maximize else "minimize", pruner=HopelessPruner())
    for _ in range(5):
        others = {step: sign * value for step, value in enumerate([8.0, 7.0, 6.0, 5.0])}
        study.add_trial(optuna.create_trial(value=sign * 4.0, intermediate_values=others))
    trial = study.ask()
    for step, value in enumerate(curve):
        trial.report(sign * value, step)
    assert trial.should_prune() == pruned


@pytest.mark.parametrize(("key", "other"), [("data", "xyz"), ("metric", "error"), ("folds", 3), ("seed", 1)])
def test_a_study_of_other_facts_is_refused_by_name(tmp_path: Path, key: str, other: Any) -> None:
    reopen(tmp_path)
    with pytest.raises(UserError, match=f"has another {key}: choose another study_name to start anew"):
        reopen(tmp_path, FACTS | {key: other})


def test_a_study_of_another_space_is_refused(tmp_path: Path) -> None:
    reopen(tmp_path)
    with pytest.raises(UserError, match="has another space: choose another study_name"):
        reopen(tmp_path, FACTS | {"space": {**SPACE, "gamma": SPACE["subsample"]}})


def test_half_a_line_left_by_a_kill_is_cut_off(tmp_path: Path) -> None:
    finish(reopen(tmp_path), 4)
    journal = tmp_path / "studies" / "s.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker')
    study = reopen(tmp_path)
    finish(study, 1)
    assert len(counted(reopen(tmp_path))) == 5


def test_the_lock_of_a_killed_process_is_broken(tmp_path: Path) -> None:
    reopen(tmp_path)
    (tmp_path / "studies" / "s.log.lock").touch()
    finish(reopen(tmp_path), 1)


def test_any_optuna_storage_holds_a_study(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    for _ in range(2):
        finish(open_study(open_storage(url, tmp_path / "s.log"), "s", False, FACTS, POINTS), 2)
    study = optuna.load_study(study_name="s", storage=url)
    assert len(counted(study)) == 4
    assert not (tmp_path / "studies").exists()


def test_a_study_in_memory_is_made_anew_each_time() -> None:
    for _ in range(2):
        study = open_study(None, "s", True, FACTS, POINTS)
        assert study.direction == optuna.study.StudyDirection.MAXIMIZE
        assert len(study.trials) == len(POINTS)


@pytest.mark.parametrize(
    "space",
    [
        SPACE,
        SPACE | {"subsample": FloatDistribution(0.5, 1.0)},
        {"learning_rate": FloatDistribution(0.01, 0.3, log=True), "max_depth": CategoricalDistribution([3, "x", None])},
    ],
)
def test_the_space_is_a_fact_that_is_known_again_however_it_was_made(tmp_path: Path, space: dict[str, Any]) -> None:
    for _ in range(2):
        reopen(tmp_path, FACTS | {"space": space})


@pytest.mark.parametrize(
    "change",
    [
        {"subsample": FloatDistribution(0.5, 0.9)},
        {"subsample": FloatDistribution(0.5, 1.0, log=True)},
        {"subsample": CategoricalDistribution([0.5, 1.0])},
        {"gamma": FloatDistribution(0.0, 1.0)},
    ],
    ids=str,
)
def test_any_change_of_the_space_is_another_space(tmp_path: Path, change: dict[str, Any]) -> None:
    reopen(tmp_path)
    with pytest.raises(UserError, match=r"^The study 's' exists and has another space: choose"):
        reopen(tmp_path, FACTS | {"space": SPACE | change})


def test_all_facts_that_differ_are_named(tmp_path: Path) -> None:
    reopen(tmp_path)
    with pytest.raises(UserError, match="has another metric, seed: choose another study_name to start anew"):
        reopen(tmp_path, FACTS | {"seed": 1, "metric": "error"})
