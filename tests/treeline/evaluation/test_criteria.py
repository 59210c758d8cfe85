"""What a person asks of a model: numbers are read, wrong ones named, and a threshold is missed or it is not."""

import numpy as np
import pytest

from treeline import UserError
from treeline.evaluation.criteria import (
    Criteria,
    check_thresholds,
    missed_thresholds,
    parse_costs,
    parse_numbers,
    parse_thresholds,
)
from treeline.metrics import metrics_of

TASKS = ["binary", "multiclass", "regression"]


@pytest.mark.parametrize(
    ("text", "thresholds"),
    [
        ("", {}),
        (" , ", {}),
        ("accuracy=0.9", {"accuracy": 0.9}),
        (" accuracy = 0.9 , log_loss=3e-1,", {"accuracy": 0.9, "log_loss": 0.3}),
        ("r2=-1", {"r2": -1.0}),
    ],
)
def test_thresholds_are_read(text: str, thresholds: dict[str, float]) -> None:
    assert parse_thresholds(text) == thresholds


@pytest.mark.parametrize("part", ["accuracy", "accuracy=", "accuracy=high", "0.9", "accuracy:0.9", "a=0.9=1"])
def test_a_threshold_that_is_none_is_named(part: str) -> None:
    with pytest.raises(UserError, match=f"^Cannot read '{part}' of min_score: write name=number, such as accuracy=0.9"):
        parse_thresholds(f"log_loss=0.3,{part}")


def test_a_threshold_that_every_value_holds_is_refused() -> None:
    with pytest.raises(UserError, match="accuracy=nan"):
        parse_thresholds("accuracy=nan")


@pytest.mark.parametrize("task", TASKS)
def test_a_threshold_on_any_metric_of_the_task_is_fine(task: str) -> None:
    check_thresholds(dict.fromkeys(metrics_of(task), 0.5), task)


@pytest.mark.parametrize(
    ("name", "task", "complaint"),
    [
        ("acuracy", "binary", r"'acuracy' in min_score for a binary task\. Did you mean 'accuracy'\? Use log_loss"),
        ("rmse", "multiclass", "'rmse' in min_score for a multiclass task"),
        ("accuracy", "regression", "'accuracy' in min_score for a regression task.* Use rmse, mae, r2"),
        ("", "binary", "Unknown metric ''"),
    ],
)
def test_a_threshold_on_another_metric_is_named(name: str, task: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        check_thresholds({"log_loss" if task != "regression" else "mae": 0.3, name: 0.9}, task)


@pytest.mark.parametrize("text", ["fp", "fp=", "fp=one", "fp=nan", "fp=inf", "=1"])
def test_a_cost_that_is_none_is_named(text: str) -> None:
    with pytest.raises(UserError, match=f"^Cannot read '{text}' of costs: write name=number, such as fp=1"):
        parse_costs(text)


def test_a_cell_that_is_none_is_named() -> None:
    with pytest.raises(UserError, match=r"^Unknown cell 'xp' in costs\. Use tp, fp, fn, tn, such"):
        parse_costs("fp=1,xp=1")


def test_a_cell_that_is_not_named_costs_nothing() -> None:
    assert parse_costs("fn=5, fp=2") == {"tp": 0.0, "fp": 2.0, "fn": 5.0, "tn": 0.0}
    assert parse_costs("tp=-1")["tp"] == -1.0


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(UserError, match="costs names 'fp' twice, in 'fp=1,fp=2'"):
        parse_costs("fp=1,fp=2")


def test_no_costs_are_none() -> None:
    assert parse_costs(" ") == {}


def test_a_threshold_on_a_metric_of_no_task_is_named_when_it_is_read() -> None:
    with pytest.raises(
        UserError, match=r"^Unknown metric 'acuracy' in min_score\. Did you mean 'accuracy'\? Use log_loss"
    ):
        parse_thresholds("acuracy=0.9")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", {}),
        (" \t", {}),
        (",,", {}),
        ("a=1", {"a": 1.0}),
        ("a=1,b=2", {"a": 1.0, "b": 2.0}),
        (" a = 1 ,\n b=2 , ", {"a": 1.0, "b": 2.0}),
        ("a=-1.5e-3", {"a": -0.0015}),
        ("a=+.5", {"a": 0.5}),
        ("größe=0", {"größe": 0.0}),
        ("two words=1", {"two words": 1.0}),
        ("b=2,a=1", {"b": 2.0, "a": 1.0}),
    ],
)
def test_numbers_are_read_by_name_in_their_order(text: str, numbers: dict[str, float]) -> None:
    found = parse_numbers(text, "thing", "x=1")
    assert list(found.items()) == list(numbers.items())


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "a=",
        "=1",
        "=",
        " = 1",
        "1",
        "a=one",
        "a=1=2",
        "a==1",
        "a:1",
        "a=1;b=2",
        "a=nan",
        "a=inf",
        "a=-inf",
        "a=1e999",
        "a=0x10",
        "a=1 2",
        "a=None",
    ],
)
@pytest.mark.parametrize("before", ["", "b=2, "])
def test_a_part_that_is_no_number_is_named(part: str, before: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_numbers(f"{before}{part}", "thing", "x=1")
    assert str(caught.value) == f"Cannot read {part.strip()!r} of thing: write name=number, such as x=1."


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("by", "missed"), [(0.0, False), (1e-9, True), (-1e-9, False)])
def test_a_threshold_is_reached_at_equality_in_either_direction(task: str, by: float, missed: bool) -> None:
    for name, metric in metrics_of(task).items():
        threshold = 0.5 + by if metric.greater_is_better else 0.5 - by
        expected = [f"{name} 0.5 does not reach the threshold {threshold:g}"] if missed else []
        assert missed_thresholds({name: threshold}, {name: 0.5}, task) == expected


@pytest.mark.parametrize("task", TASKS)
def test_a_metric_that_does_not_exist_misses_every_threshold(task: str) -> None:
    for name in metrics_of(task):
        for threshold in (-1e300, 1e300):
            assert len(missed_thresholds({name: threshold}, {name: np.nan}, task)) == 1


def test_every_missed_threshold_is_told_in_the_order_asked() -> None:
    found = missed_thresholds(
        {"log_loss": 0.1, "accuracy": 0.5, "roc_auc": 0.99},
        {"accuracy": 0.9, "roc_auc": 0.987654, "log_loss": 0.2, "error": 0.1},
        "binary",
    )
    assert found == [
        "log_loss 0.2 does not reach the threshold 0.1",
        "roc_auc 0.9877 does not reach the threshold 0.99",
    ]
    assert missed_thresholds({}, {"accuracy": 0.0}, "binary") == []


@pytest.mark.parametrize(
    ("promote", "compares"), [("better", True), ("not-worse", True), ("always", False), ("never", False)]
)
def test_only_better_and_not_worse_look_at_the_champion(promote: str, compares: bool) -> None:
    assert Criteria("accuracy", promote=promote).compares is compares


@pytest.mark.parametrize("text", ["accuracy=1.01", "r2=2", "log_loss=-0.1", "rmse=-1"])
def test_a_threshold_that_no_model_can_reach_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="no model can reach it"):
        parse_thresholds(text)
