"""The study: where it lives, how it goes on after a kill, what it draws next, when trials are compared."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from treeline import UserError
from treeline.tuning.search_space import HELD_LEARNING_RATE
from treeline.tuning.search_space import SPACE as BUILT_IN
from treeline.tuning.study import (
    HopelessPruner,
    ask_next,
    checkpoint,
    counted,
    enqueue_lower_learning_rate,
    fail_stale_trials,
    open_storage,
    open_study,
)

SPACE = {"learning_rate": FloatDistribution(0.01, 0.3, log=True), "subsample": FloatDistribution(0.5, 1.0)}
POINTS = [{"learning_rate": 0.3, "subsample": 1.0}, {"learning_rate": 0.05, "subsample": 0.7}]
FACTS = {"data": "abc", "metric": "log_loss", "folds": 5, "seed": 0, "fixed": {}}


def reopen(folder: Path, facts: dict[str, Any] = FACTS, name: str = "s") -> optuna.Study:
    return open_study(open_storage("", name, folder), name, False, SPACE, facts, POINTS)


def value(params: dict[str, float]) -> float:
    return params["learning_rate"] + params["subsample"]


def finish(study: optuna.Study, trials: int) -> None:
    for _ in range(trials):
        enqueue_lower_learning_rate(study, SPACE, 1000, by=2)
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
    enqueue_lower_learning_rate(study, SPACE, 1000, by=2)
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


def test_the_best_is_tried_again_at_half_its_learning_rate(tmp_path: Path) -> None:
    study = reopen(tmp_path)
    finish(study, 5)
    best = POINTS[1]
    assert finished_params(study)[2:4] == [{**best, "learning_rate": rate} for rate in (0.025, 0.0125)]
    assert finished_params(study)[4]["learning_rate"] != 0.0125 / 2  # which the space does not hold


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_has_been_found_since_the_best_was_tried_at_a_lower_rate_is_tried_at_lower_rates_first(
    direction: str,
) -> None:
    study = optuna.create_study(direction=direction)
    sign = 1 if direction == "minimize" else -1

    def tell(subsample: float, value: float) -> None:
        study.enqueue_trial({"learning_rate": 0.08, "subsample": subsample}, skip_if_exists=True)
        trial = ask_next(study, SPACE, seed=0, late=True)
        trial.set_user_attr("rounds", 100)
        study.tell(trial, sign * value)

    def offered(by: int) -> tuple[float, float]:
        enqueue_lower_learning_rate(study, SPACE, 1000, by)
        trial = ask_next(study, SPACE, seed=0, late=True)
        trial.set_user_attr("rounds", 200)
        study.tell(trial, sign * (8 + trial.params["learning_rate"] + trial.params["subsample"]))
        return trial.params["subsample"], trial.params["learning_rate"]

    tell(0.7, 9.0)
    assert offered(by=4) == (0.7, 0.02)  # 8.72
    tell(0.6, 8.9)  # behind that, but ahead of what it was at its first rate
    tell(0.8, 9.1)
    assert [offered(by=2) for _ in range(3)] == [(0.6, 0.04), (0.6, 0.02), (0.6, 0.01)]


def test_a_slower_trial_that_was_no_better_is_not_tried_again_nor_slower_still(tmp_path: Path) -> None:
    study = reopen(tmp_path)
    for _ in range(8):
        enqueue_lower_learning_rate(study, SPACE, 1000, by=2)
        trial = ask_next(study, SPACE, seed=0, late=True)
        trial.set_user_attr("rounds", 400)
        study.tell(trial, abs(trial.params["learning_rate"] - 0.05))
    rates = [trial.params["learning_rate"] for trial in study.trials]
    assert (rates.count(0.025), rates.count(0.0125)) == (1, 0)


@pytest.mark.parametrize(
    ("space", "rounds"),
    [
        (SPACE, 599),
        ({**SPACE, "learning_rate": CategoricalDistribution([0.3, 0.05, 0.025])}, 1000),
        ({"subsample": SPACE["subsample"]}, 1000),
    ],
)
def test_no_slower_trial_where_there_is_no_room(space: dict[str, BaseDistribution], rounds: int) -> None:
    study = optuna.create_study()
    for _ in range(8):
        enqueue_lower_learning_rate(study, space, rounds, by=2)
        trial = ask_next(study, space, seed=0, late=True)
        trial.set_user_attr("rounds", 400)
        study.tell(trial, trial.params["subsample"])
    assert not any("fixed_params" in trial.system_attrs for trial in study.trials)


def test_until_the_end_of_a_study_only_the_known_points_learn_at_a_rate_of_their_own(tmp_path: Path) -> None:
    space = SPACE | {"learning_rate": BUILT_IN["learning_rate"]}
    study = open_study(open_storage("", "s", tmp_path), "s", False, space, FACTS, POINTS)
    for _ in range(8):
        study.tell(ask_next(study, space, seed=0, late=False), 1.0)
    drawn = [trial.params for trial in study.trials]
    assert [params["learning_rate"] for params in drawn] == [0.3, 0.05] + 6 * [HELD_LEARNING_RATE]
    assert len({params["subsample"] for params in drawn}) == 8
    assert ask_next(study, space, seed=0, late=True).params["learning_rate"] != HELD_LEARNING_RATE


@pytest.mark.parametrize(
    "space",
    [
        SPACE,  # whose rates are not the built-in ones
        {"learning_rate": BUILT_IN["learning_rate"]},
        {"learning_rate": BUILT_IN["learning_rate"], "max_depth": CategoricalDistribution([4, 6])},
    ],
)
def test_rates_that_a_person_gave_or_that_alone_are_searched_are_drawn(space: dict[str, BaseDistribution]) -> None:
    study = optuna.create_study()
    for _ in range(8):
        study.tell(ask_next(study, space, seed=0, late=False), 1.0)
    assert len({trial.params["learning_rate"] for trial in study.trials}) == 8


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
    with pytest.raises(UserError, match=f"another {key}: choose another --study-name"):
        reopen(tmp_path, FACTS | {key: other})


def test_a_study_of_another_space_is_refused(tmp_path: Path) -> None:
    reopen(tmp_path)
    with pytest.raises(UserError, match="another space"):
        open_study(open_storage("", "s", tmp_path), "s", False, {**SPACE, "gamma": SPACE["subsample"]}, FACTS, [])


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
        finish(open_study(open_storage(url, "s", tmp_path), "s", False, SPACE, FACTS, POINTS), 2)
    study = optuna.load_study(study_name="s", storage=url)
    assert len(counted(study)) == 4
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize(("url", "name"), [("nonsense://x", "s"), ("sqlite:////no/such/folder/x.db", "s"), ("", "a/b")])
def test_a_storage_that_cannot_be_opened_is_a_sentence(tmp_path: Path, url: str, name: str) -> None:
    with pytest.raises(UserError, match=r"--storage|--study-name"):
        open_storage(url, name, tmp_path)


@pytest.mark.parametrize(
    ("learning_rate", "rounds"),
    [(0.5, [1, 2, 4, 8]), (0.25, [2, 4, 8, 16]), (0.1, [5, 10, 20, 40]), (0.01, [50, 100, 200, 400])],
)
def test_trials_are_compared_at_equal_sums_of_their_learning_rate(learning_rate: float, rounds: list[int]) -> None:
    met = {checkpoint(learning_rate, i): i for i in range(rounds[-1], 0, -1)}
    assert [met[step] for step in range(4)] == rounds
    assert sum(checkpoint(learning_rate, i) is not None for i in range(1, rounds[-1] + 1)) == 4
