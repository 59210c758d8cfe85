"""The gate: intervals around every metric, one model against another on the same rows, and who is promoted."""

import warnings

import numpy as np
import pytest

from treeline.evaluation.comparison import Comparison, Contest, Decision, compare, decide, intervals, is_better
from treeline.evaluation.criteria import Criteria
from treeline.evaluation.predictions import Predictions
from treeline.metrics import metrics_of


def predicted(task: str, n: int = 200, seed: int = 0) -> Predictions:
    """Draw predictions that are better than chance."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        y = rng.normal(5, 1, n)
        return Predictions(task, y, y + rng.normal(0, 0.5, n), np.empty((n, 0)))
    classes = 2 if task == "binary" else 3
    y = rng.permutation(np.arange(n) % classes)
    odds = rng.random((n, classes)) + 0.5 * np.eye(classes)[y]
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    return Predictions(task, y, probabilities.argmax(axis=1), probabilities)


TASKS = ["binary", "multiclass", "regression"]


@pytest.mark.parametrize("task", TASKS)
def test_an_interval_holds_its_metric(task: str) -> None:
    predictions = predicted(task, 100)
    ends = intervals(predictions, seed=0)
    assert list(ends) == list(metrics_of(task))
    for name, value in predictions.metrics().items():
        low, high = ends[name]
        assert low < value < high


def test_an_interval_narrows_with_the_rows() -> None:
    few, many = intervals(predicted("regression", 60), seed=0), intervals(predicted("regression", 1000), seed=0)
    for name in metrics_of("regression"):
        assert np.diff(many[name]) < 0.5 * np.diff(few[name])


def test_an_interval_is_as_wide_as_the_binomial_one() -> None:
    predictions = predicted("binary", 1000)
    low, high = intervals(predictions, seed=0)["accuracy"]
    share = predictions.metrics()["accuracy"]
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(share * (1 - share) / 1000), rel=0.1)


def test_an_interval_follows_from_the_seed() -> None:
    predictions = predicted("regression", 50)
    assert intervals(predictions, seed=1) == intervals(predictions, seed=1)
    assert intervals(predictions, seed=1) != intervals(predictions, seed=2)


def test_resamples_in_which_a_metric_does_not_exist_do_not_count() -> None:
    y = np.array([0] * 9 + [1])
    probabilities = np.column_stack([1 - np.linspace(0, 1, 10), np.linspace(0, 1, 10)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = intervals(Predictions("binary", y, probabilities.argmax(axis=1), probabilities), seed=0)
    assert ends["roc_auc"] == (1.0, 1.0)


def test_a_metric_that_never_exists_has_no_interval() -> None:
    probabilities = np.full((5, 2), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = intervals(Predictions("binary", np.zeros(5, int), np.zeros(5, int), probabilities), seed=0)
    assert np.isnan(ends["roc_auc"]).all()
    assert ends["accuracy"] == (1.0, 1.0)


@pytest.mark.parametrize("task", TASKS)
def test_better_follows_the_direction_and_is_strict(task: str) -> None:
    for name, metric in metrics_of(task).items():
        assert is_better(task, name, 0.6, 0.5) is metric.greater_is_better
        assert is_better(task, name, 0.5, 0.6) is not metric.greater_is_better
        assert not is_better(task, name, 0.5, 0.5)


@pytest.mark.parametrize(("value", "other"), [(np.nan, 0.5), (0.5, np.nan), (np.nan, np.nan)])
def test_a_metric_that_does_not_exist_beats_nothing_and_is_beaten_by_nothing(value: float, other: float) -> None:
    assert not is_better("binary", "roc_auc", value, other)
    assert not is_better("binary", "log_loss", value, other)


def skilled(seed: int = 0, n: int = 400, skill: float = 2.0) -> Predictions:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(skill * (y - 0.5) + rng.normal(size=n))))
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def test_a_better_model_gains_surely_and_an_equal_one_does_not() -> None:
    good, poor = skilled(skill=4.0), skilled(skill=1.0)
    assert (good.y_true == poor.y_true).all()
    for metric in ("log_loss", "accuracy", "roc_auc"):
        gained = compare(good, poor, metric, seed=0)
        assert gained.rows == 400
        assert 0 < gained.low < gained.gain < gained.high
        lost = compare(poor, good, metric, seed=0)
        assert (lost.gain, lost.low, lost.high) == pytest.approx((-gained.gain, -gained.high, -gained.low))
        same = compare(good, good, metric, seed=0)
        assert (same.gain, same.low, same.high) == (0, 0, 0)


def test_noise_between_two_models_is_no_gain() -> None:
    surely = 0
    for seed in range(20):
        one = skilled(seed=seed)
        rng = np.random.default_rng(seed + 100)
        shift = rng.normal(scale=0.3, size=(2, 400))
        sides = []
        for each in shift:
            odds = np.log(one.y_proba[:, 1] / one.y_proba[:, 0]) + each
            p = 1 / (1 + np.exp(-odds))
            sides.append(Predictions("binary", one.y_true, (p >= 0.5).astype(int), np.column_stack([1 - p, p])))
        surely += compare(sides[0], sides[1], "log_loss", seed=0).low > 0
    assert surely <= 2


# --- the decision

N = 100
TRUTH = np.arange(N) % 2


def says(share: float, sure: float = 0.9) -> Predictions:
    """Let a share of the rows be predicted right, each with the same probability."""
    y_pred = np.where(np.arange(N) < share * N, TRUTH, 1 - TRUTH)
    return Predictions("binary", TRUTH, y_pred, np.where(np.eye(2, dtype=bool)[y_pred], sure, 1 - sure))


GOOD, DUMMY = says(0.9), says(0.5, sure=0.5)  # accuracy 0.9 and 0.5, log_loss 0.3251 and 0.6931
DUMMY_REASON = "accuracy 0.4 does not beat the dummy baseline's 0.5"
NOT_BETTER = (
    "accuracy is not surely better than that of the champion M version 1: gain 0.02, 95 % interval [{low}, 0.05] on 80 "
    "rows"
)
NOT_NO_WORSE = (
    "accuracy is not surely no worse by 0.01 than that of the champion M version 1: gain 0.02, 95 % interval [{low}, "
    "0.05] on 80 rows"
)


def met(low: float) -> Contest:
    return Contest("M version 1", Comparison(80, 0.02, low, 0.05), about="80 of 100 rows")


def unmet() -> Contest:
    return Contest("M version 1", obstacle="only 3 rows are new to it")


def accuracy(**asked: object) -> Criteria:
    return Criteria("accuracy", **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("contest", [None, met(low=0.001)], ids=["no champion", "won"])
def test_what_beats_the_dummy_and_the_champion_is_promoted(contest: Contest | None) -> None:
    assert decide(accuracy(), GOOD, DUMMY, contest, []) == Decision("promote", [])


@pytest.mark.parametrize(
    ("asked", "low", "reasons"),
    [
        ({}, 1e-9, []),
        ({}, 0.0, [NOT_BETTER.format(low="0")]),  # the interval must lie above nothing gained
        ({}, -0.02, [NOT_BETTER.format(low="-0.02")]),
        ({}, np.nan, [NOT_BETTER.format(low="nan")]),
        ({"margin": 0.5}, -0.02, [NOT_BETTER.format(low="-0.02")]),  # a margin is for not-worse alone
        ({"promote": "not-worse", "margin": 0.01}, 0.3, []),
        ({"promote": "not-worse", "margin": 0.01}, -0.0099, []),
        ({"promote": "not-worse", "margin": 0.01}, -0.01, [NOT_NO_WORSE.format(low="-0.01")]),
        ({"promote": "not-worse", "margin": 0.01}, -0.4, [NOT_NO_WORSE.format(low="-0.4")]),
        ({"promote": "not-worse", "margin": 0.01}, np.nan, [NOT_NO_WORSE.format(low="nan")]),
        ({"promote": "not-worse"}, 1e-9, []),
        ({"promote": "always"}, -0.9, []),
        ({"promote": "never"}, 0.04, ["promote=never"]),
        ({"promote": "never"}, -0.9, ["promote=never"]),
    ],
    ids=str,
)
def test_the_low_end_of_the_gain_decides_against_a_champion(
    asked: dict[str, object], low: float, reasons: list[str]
) -> None:
    expected = Decision("hold" if reasons else "promote", reasons)
    assert decide(accuracy(**asked), GOOD, DUMMY, met(low), []) == expected


@pytest.mark.parametrize(
    ("promote", "reasons"),
    [
        ("better", ["only 3 rows are new to it"]),
        ("not-worse", ["only 3 rows are new to it"]),
        ("always", []),
        ("never", ["promote=never"]),
    ],
)
def test_a_champion_that_cannot_be_met_stays(promote: str, reasons: list[str]) -> None:
    expected = Decision("hold" if reasons else "promote", reasons)
    assert decide(accuracy(promote=promote, margin=9.0), GOOD, DUMMY, unmet(), []) == expected


@pytest.mark.parametrize("promote", ["better", "not-worse", "always", "never"])
def test_without_a_champion_only_never_holds(promote: str) -> None:
    expected = Decision("hold", ["promote=never"]) if promote == "never" else Decision("promote")
    assert decide(accuracy(promote=promote), GOOD, DUMMY, None, []) == expected


@pytest.mark.parametrize("promote", ["better", "not-worse", "always"])
@pytest.mark.parametrize(("share", "value"), [(0.4, "0.4"), (0.5, "0.5")])
def test_what_does_not_beat_the_dummy_is_held(promote: str, share: float, value: str) -> None:
    decision = decide(accuracy(promote=promote), says(share), DUMMY, None, [])
    assert decision == Decision("hold", [f"accuracy {value} does not beat the dummy baseline's 0.5"])


@pytest.mark.parametrize(
    ("sure", "outcome"), [(0.9, "promote"), (0.999999, "hold")], ids=["honest", "bold, and so worse than guessing"]
)
def test_the_metric_that_decides_beats_the_dummy_in_its_own_direction(sure: float, outcome: str) -> None:
    decision = decide(Criteria("log_loss"), says(0.9, sure), DUMMY, None, [])
    assert decision.outcome == outcome
    assert ("log_loss" in " ".join(decision.reasons)) is (outcome == "hold")


def test_a_metric_that_does_not_exist_beats_no_dummy_and_misses_its_threshold() -> None:
    one_class = Predictions("binary", np.zeros(9, int), np.zeros(9, int), np.full((9, 2), 0.5))
    decision = decide(Criteria("roc_auc", {"roc_auc": -1.0}), one_class, one_class, None, [])
    assert decision == Decision(
        "refuse",
        [
            "roc_auc nan does not reach the threshold -1",
            "roc_auc nan does not beat the dummy baseline's nan",
        ],
    )


@pytest.mark.parametrize("promote", ["better", "not-worse", "always", "never"])
@pytest.mark.parametrize(
    ("thresholds", "wrong", "refusals"),
    [
        ({"accuracy": 0.95}, [], ["accuracy 0.9 does not reach the threshold 0.95"]),
        ({"log_loss": 0.1}, [], ["log_loss 0.3251 does not reach the threshold 0.1"]),
        ({"accuracy": 0.5}, ["it answers 8 of 8 recorded requests differently"], None),
        (
            {"log_loss": 0.1, "accuracy": 0.95},
            ["one answer is wrong", "another"],
            [
                "log_loss 0.3251 does not reach the threshold 0.1",
                "accuracy 0.9 does not reach the threshold 0.95",
                "one answer is wrong",
                "another",
            ],
        ),
    ],
    ids=["accuracy", "log_loss", "answers", "all"],
)
def test_a_missed_threshold_or_a_wrong_answer_refuses_whatever_is_asked(
    promote: str, thresholds: dict[str, float], wrong: list[str], refusals: list[str] | None
) -> None:
    decision = decide(accuracy(promote=promote, thresholds=thresholds), GOOD, DUMMY, None, wrong)
    assert decision.outcome == "refuse"
    assert decision.reasons == [*(wrong if refusals is None else refusals), *["promote=never"] * (promote == "never")]


def test_the_reasons_stand_in_the_order_of_their_weight() -> None:
    """Thresholds, wrong answers, then what holds: never, the dummy, the champion."""
    poor = says(0.4)
    asked = accuracy(thresholds={"accuracy": 0.6}, promote="better")
    assert decide(asked, poor, DUMMY, met(low=-0.4), ["an answer is wrong"]).reasons == [
        "accuracy 0.4 does not reach the threshold 0.6",
        "an answer is wrong",
        DUMMY_REASON,
        NOT_BETTER.format(low="-0.4"),
    ]
    assert decide(accuracy(promote="never"), poor, DUMMY, None, []).reasons == ["promote=never", DUMMY_REASON]


def test_thresholds_that_are_reached_refuse_nothing() -> None:
    reached = {"accuracy": 0.9, "error": 0.1, "log_loss": 0.33}
    assert decide(accuracy(thresholds=reached), GOOD, says(0.5), None, []).outcome == "promote"


def test_a_regression_is_decided_by_its_own_metrics() -> None:
    y = np.arange(10.0)
    numbers = Predictions("regression", y, y + 0.1, np.empty((10, 0)))
    mean = Predictions("regression", y, np.full(10, y.mean()), np.empty((10, 0)))
    assert decide(Criteria("rmse", {"rmse": 0.2, "r2": 0.9}), numbers, mean, None, []) == Decision("promote")
    assert decide(Criteria("rmse"), mean, mean, None, []).outcome == "hold"
    assert decide(Criteria("rmse", {"r2": 0.9}), mean, mean, None, []).outcome == "refuse"
