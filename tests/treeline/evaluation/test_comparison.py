"""The gate: one model against another on the same rows, and who is promoted."""

from dataclasses import replace

import numpy as np
import pytest

from treeline.evaluation.comparison import Comparison, Contest, Decision, compare, decide, spent_alpha
from treeline.evaluation.criteria import Criteria
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import Sampling


def skilled(seed: int = 0, n: int = 400, skill: float = 2.0) -> Predictions:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(skill * (y - 0.5) + rng.normal(size=n))))
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def test_a_better_model_gains_surely_and_an_equal_one_does_not() -> None:
    good, poor = skilled(skill=4.0), skilled(skill=1.0)
    assert (good.y_true == poor.y_true).all()
    for metric in ("log_loss", "accuracy", "roc_auc"):
        gained = compare(good, poor, metric)
        assert gained.rows == 400
        assert 0 < gained.low < gained.gain < gained.high
        lost = compare(poor, good, metric)
        assert (lost.gain, lost.low, lost.high) == pytest.approx((-gained.gain, -gained.high, -gained.low))
        same = compare(good, good, metric)
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
        surely += compare(sides[0], sides[1], "log_loss").low > 0
    assert surely <= 2


# --- the decision

N = 100
TRUTH = np.arange(N) % 2


def says(share: float, sure: float = 0.9) -> Predictions:
    """Let a share of the rows be predicted right, each with the same probability."""
    y_pred = np.where(np.arange(N) < share * N, TRUTH, 1 - TRUTH)
    return Predictions("binary", TRUTH, y_pred, np.where(np.eye(2, dtype=bool)[y_pred], sure, 1 - sure))


GOOD = says(0.9)  # accuracy 0.9, log_loss 0.3251
BEATEN = Comparison(100, 0.4, 0.3, 0.5, other=0.5)
UNBEATEN = Comparison(100, 0.1, -0.01, 0.21, other=0.5, smallest=0.11)
DUMMY_REASON = (
    "accuracy 0.4 does not surely beat the dummy baseline's 0.5: gain 0.1, 95 % interval [-0.01, 0.21] on 100 rows, "
    "which could surely show a gain of 0.11"
)
NOT_BETTER = (
    "accuracy is not surely better than that of the champion M version 1: gain 0.02, 95 % interval [{low}, 0.05] on "
    "200 rows"
)
NOT_NO_WORSE = (
    "accuracy is not surely no worse by 0.01 than that of the champion M version 1: gain 0.02, 95 % interval [{low}, "
    "0.05] on 200 rows"
)


def met(low: float) -> Contest:
    return Contest("M version 1", comparison=Comparison(200, 0.02, low, 0.05), about="200 of 300 rows")


def unmet() -> Contest:
    return Contest("M version 1", obstacle="only 3 rows are new to it")


def accuracy(**asked: object) -> Criteria:
    return Criteria("accuracy", **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("contest", [None, met(low=0.001)], ids=["no champion", "won"])
def test_what_beats_the_dummy_and_the_champion_is_promoted(contest: Contest | None) -> None:
    assert decide(accuracy(), GOOD, BEATEN, [contest] if contest else [], []) == Decision("promote", [])


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
        ({"promote": "not-worse", "margin": 0.01}, -0.01, []),
        ({"promote": "not-worse", "margin": 0.01}, -0.0101, [NOT_NO_WORSE.format(low="-0.0101")]),
        ({"promote": "not-worse", "margin": 0.01}, -0.4, [NOT_NO_WORSE.format(low="-0.4")]),
        ({"promote": "not-worse", "margin": 0.01}, np.nan, [NOT_NO_WORSE.format(low="nan")]),
        ({"promote": "not-worse"}, 1e-9, []),
        ({"promote": "not-worse"}, 0.0, []),  # as an equal model's is
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
    assert decide(accuracy(**asked), GOOD, BEATEN, [met(low)], []) == expected


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
    assert decide(accuracy(promote=promote, margin=9.0), GOOD, BEATEN, [unmet()], []) == expected


@pytest.mark.parametrize("promote", ["better", "not-worse", "always", "never"])
def test_without_a_champion_only_never_holds(promote: str) -> None:
    expected = Decision("hold", ["promote=never"]) if promote == "never" else Decision("promote")
    assert decide(accuracy(promote=promote), GOOD, BEATEN, [], []) == expected


@pytest.mark.parametrize("promote", ["better", "not-worse", "always"])
@pytest.mark.parametrize("contests", [[], [met(0.01)]], ids=["no champion", "won"])
@pytest.mark.parametrize("low", [0.0, -0.01, np.nan])
def test_what_does_not_surely_beat_the_dummy_is_held(promote: str, contests: list[Contest], low: float) -> None:
    decision = decide(accuracy(promote=promote), GOOD, replace(BEATEN, low=low), contests, [])
    assert decision.outcome == "hold"
    assert len(decision.reasons) == 1
    assert decision.reasons[0].startswith("accuracy 0.9 does not surely beat the dummy baseline's 0.5: gain 0.4, ")


@pytest.mark.parametrize(
    ("sure", "better"), [(0.9, True), (0.999999, False)], ids=["honest", "bold, and so worse than guessing"]
)
def test_a_gain_is_in_the_metric_s_own_direction(sure: float, better: bool) -> None:
    found = compare(says(0.9, sure), says(0.5, sure=0.5), "log_loss")
    assert (found.gain > 0, found.low > 0) == (better, better)
    assert compare(says(0.9, sure), says(0.5, sure=0.5), "accuracy").low > 0


def test_a_metric_that_does_not_exist_beats_no_dummy_and_misses_its_threshold() -> None:
    one_class = Predictions("binary", np.zeros(20, int), np.zeros(20, int), np.full((20, 2), 0.5))
    unknown = compare(one_class, one_class, "roc_auc")
    decision = decide(Criteria("roc_auc", {"roc_auc": -1.0}), one_class, unknown, [], [])
    assert decision == Decision(
        "refuse",
        [
            "roc_auc nan does not reach the threshold -1",
            "roc_auc nan does not surely beat the dummy baseline's nan: gain nan on 20 rows, too few to tell: a class "
            "has 0 rows, fewer than 10",
        ],
    )


def test_a_champion_met_on_few_rows_stays() -> None:
    few = Contest("M version 1", comparison=Comparison(99, 0.2, 0.1, 0.3), about="99 of 300 rows are new to it")
    expected = Decision("hold", ["too few to tell: only 99 of 300 rows are new to it, fewer than 100"])
    assert decide(accuracy(), GOOD, BEATEN, [few], []) == expected
    enough = replace(few, comparison=Comparison(100, 0.2, 0.1, 0.3))
    assert decide(accuracy(), GOOD, BEATEN, [enough], []) == Decision("promote")


def test_rows_that_count_little_are_few() -> None:
    """Whatever the gain of 400 rows, of which nearly all the weight lies on 20."""
    good, poor = skilled(skill=8.0), skilled(skill=1.0)
    weighed = replace(good, weight=np.where(np.arange(400) < 20, 1.0, 0.001))
    contest = Contest("M version 1", comparison=compare(weighed, poor, "log_loss"), about="400 of 400 rows are new")
    reason = "too few to tell: 400 of 400 rows are new, whose weights leave 21, fewer than 100"
    assert decide(Criteria("log_loss"), weighed, BEATEN, [contest], []) == Decision("hold", [reason])


def test_rows_that_count_nothing_do_not_differ() -> None:
    good = skilled(skill=4.0)
    nobody = replace(good, weight=np.where(np.arange(400) < 300, 1.0, 0.0))
    other = replace(good, y_proba=np.where(np.arange(400)[:, None] < 300, good.y_proba, 0.5))
    found = compare(nobody, other, "log_loss")
    assert (found.gain, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("asked", "overall", "outcome"),
    [
        ({}, -0.001, "hold"),
        ({}, 0.001, "promote"),
        ({"promote": "not-worse", "margin": 0.01}, -0.011, "hold"),
        ({"promote": "not-worse", "margin": 0.01}, -0.009, "promote"),
        ({"promote": "always"}, -0.5, "promote"),
    ],
)
def test_all_rows_that_say_the_opposite_of_the_new_ones_hold(
    asked: dict[str, object], overall: float, outcome: str
) -> None:
    contest = replace(met(low=0.01), overall=Comparison(300, overall, -1, 1))
    decision = decide(accuracy(**asked), GOOD, BEATEN, [contest], [])
    assert decision.outcome == outcome
    if outcome == "hold":
        assert decision.reasons == [
            f"accuracy gains 0.02 on the rows that count (200 of 300 rows), but {overall:.4g} on all 300, which says "
            "the opposite: judge both on rows that are new to them, with eval_dataset"
        ]


@pytest.mark.parametrize(("promote", "outcome"), [("better", "promote"), ("not-worse", "hold"), ("always", "promote")])
def test_not_worse_is_held_against_the_best_champion_so_far_too(promote: str, outcome: str) -> None:
    best = replace(met(low=-0.02), champion="M version 0")
    decision = decide(accuracy(promote=promote, margin=0.01), GOOD, BEATEN, [met(low=0.001), best], [])
    assert decision.outcome == outcome
    assert [("M version 0" in each) for each in decision.reasons] == [True] * (outcome == "hold")


def test_the_chance_of_a_false_promotion_is_spent_once() -> None:
    spent = [spent_alpha(k) for k in range(1, 10_000)]
    assert spent[0] == 0.05
    assert (np.diff(spent) < 0).all()
    assert sum(spent) / 2 <= 0.05  # on the side that promotes


def test_few_rows_that_differ_are_no_sure_gain() -> None:
    """Five rows of 400, all in favour: as five heads in a row."""
    one = skilled()
    worse = replace(one, y_pred=np.where(np.cumsum(one.y_pred == one.y_true) <= 5, 1 - one.y_true, one.y_pred))
    assert (worse.y_pred != one.y_pred).sum() == 5
    found = compare(one, worse, "accuracy")
    assert (found.gain, found.low) == (pytest.approx(5 / 400), 0)
    assert compare(worse, one, "accuracy").high == 0


def test_rows_of_a_group_count_as_one() -> None:
    """The same rows ten times over tell no more than once."""
    good, poor = skilled(skill=3.0, n=100), skilled(skill=1.0, n=100)
    rows = np.repeat(np.arange(100), 10)
    once, again = (
        compare(good, poor, "log_loss"),
        compare(good.take(rows), poor.take(rows), "log_loss", Sampling("groups", rows)),
    )
    assert (again.low, again.high) == pytest.approx((once.low, once.high))
    assert again.rows == 1000
    few = compare(good.take(rows), poor.take(rows), "log_loss", Sampling("groups", rows % 9))
    assert (np.isnan(few.low), few.why) == (True, "9 groups are fewer than 10")


def test_the_weights_of_the_model_count_for_both() -> None:
    good, poor = skilled(skill=3.0, n=300), skilled(skill=1.0, n=300)
    weight = np.arange(300) % 3.0
    weighted = compare(replace(good, weight=weight), poor, "log_loss")
    expected = replace(poor, weight=weight).metric("log_loss") - replace(good, weight=weight).metric("log_loss")
    assert weighted.gain == pytest.approx(expected)


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
    decision = decide(accuracy(promote=promote, thresholds=thresholds), GOOD, BEATEN, [], wrong)
    assert decision.outcome == "refuse"
    assert decision.reasons == [*(wrong if refusals is None else refusals), *["promote=never"] * (promote == "never")]


def test_the_reasons_stand_in_the_order_of_their_weight() -> None:
    """Thresholds, wrong answers, then what holds: never, the dummy, the champion."""
    poor = says(0.4)
    asked = accuracy(thresholds={"accuracy": 0.6}, promote="better")
    assert decide(asked, poor, UNBEATEN, [met(low=-0.4)], ["an answer is wrong"]).reasons == [
        "accuracy 0.4 does not reach the threshold 0.6",
        "an answer is wrong",
        DUMMY_REASON,
        NOT_BETTER.format(low="-0.4"),
    ]
    assert decide(accuracy(promote="never"), poor, UNBEATEN, [], []).reasons == ["promote=never", DUMMY_REASON]


def test_thresholds_that_are_reached_refuse_nothing() -> None:
    reached = {"accuracy": 0.9, "error": 0.1, "log_loss": 0.33}
    assert decide(accuracy(thresholds=reached), GOOD, BEATEN, [], []).outcome == "promote"


def test_a_regression_is_decided_by_its_own_metrics() -> None:
    y = np.arange(10.0)
    numbers = Predictions("regression", y, y + 0.1, np.empty((10, 0)))
    mean = Predictions("regression", y, np.full(10, y.mean()), np.empty((10, 0)))
    better, equal = (compare(each, mean, "rmse") for each in (numbers, mean))
    assert decide(Criteria("rmse", {"rmse": 0.2, "r2": 0.9}), numbers, better, [], []) == Decision("promote")
    assert decide(Criteria("rmse"), mean, equal, [], []).outcome == "hold"
    assert decide(Criteria("rmse", {"r2": 0.9}), mean, equal, [], []).outcome == "refuse"


def test_a_model_that_follows_a_trend_is_surely_better_than_a_dummy_that_does_not() -> None:
    """The dummy errs more and more, so its errors hang together from end to end: ten blocks are taken all the same."""
    rng = np.random.default_rng(0)
    y = np.linspace(0, 20, 200) + rng.normal(size=200)
    model = Predictions("regression", y, y + rng.normal(size=200), np.empty((200, 0)))
    dummy = Predictions("regression", y, np.full(200, -3.0), np.empty((200, 0)))
    assert compare(model, dummy, "mae", Sampling("time", np.arange(200))).low > 0
