"""Combinations are compared by what they measure alike: other rows or folds are not, and no seed is chosen."""

from statistics import stdev
from typing import Any

import pytest

from config import MainSettings
from launch.groups import Group, Ran, best_of, groups_of


def ran(value: float, measured: str = "a", greater: bool = False, **settings: Any) -> Ran:
    """A combination that came to a value; `seed` is that of the split and of the folds."""
    seeds = (str(settings.get("seed", 0)),) * 2
    return Ran(MainSettings(**settings), (measured,), seeds, greater, {"metric": "log_loss", "cv_value": value})


def values(groups: list[list[Group]]) -> list[list[list[float]]]:
    return [[[each.values["cv_value"] for each in group.members] for group in kind] for kind in groups]


@pytest.mark.parametrize(
    ("done", "kinds"),
    [
        ([ran(0.3), ran(0.1, n_trials=3)], [[[0.3], [0.1]]]),
        ([ran(0.3), ran(0.1, "b", test_size=0.2)], [[[0.3]], [[0.1]]]),
        ([ran(0.3), ran(0.1, seed=1)], [[[0.3, 0.1]]]),
        (
            [ran(0.3), ran(0.1, seed=1), ran(0.4, n_trials=3), ran(0.2, n_trials=3, seed=1)],
            [[[0.3, 0.1], [0.4, 0.2]]],
        ),
        ([ran(0.3), ran(0.1, seed=1), ran(0.4, n_trials=3, seed=1)], [[[0.3, 0.1]], [[0.4]]]),  # other seeds
        ([], []),
    ],
    ids=["alike", "other rows", "a seed is no choice", "over the same seeds", "not over other seeds", "none"],
)
def test_only_what_is_measured_alike_is_put_together(done: list[Ran], kinds: list[list[list[float]]]) -> None:
    assert values(groups_of(done)) == kinds


def test_the_best_is_that_of_the_best_mean_in_the_metric_s_own_direction() -> None:
    lucky = [ran(0.05), ran(0.6, seed=1), ran(0.2, n_trials=3), ran(0.3, n_trials=3, seed=1)]
    (kind,) = groups_of(lucky)
    assert best_of(kind).members == lucky[2:]
    assert best_of(kind).mean == pytest.approx(0.25)
    (kind,) = groups_of(
        [ran(0.05, greater=True), ran(0.05, greater=True, n_trials=3), ran(0.01, greater=True, folds=3)]
    )
    assert best_of(kind).members[0].settings == MainSettings()  # the first of equals


def test_a_group_tells_its_mean_and_spread_and_hides_its_seeds() -> None:
    told = str(Group([ran(0.3, seed=1, n_trials=3), ran(0.1, seed=2, n_trials=3)]))
    assert told == f"n_trials=3: log_loss 0.2 ± {stdev([0.3, 0.1]):.2g} over 2 seeds in cross-validation"
    assert str(Group([ran(0.3, seed=1)])) == "seed=1: log_loss 0.3 in cross-validation"
