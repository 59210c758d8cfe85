"""How sure a metric is: intervals, by what rows hang together by, and the reasons why there is none."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from treeline.evaluation.intervals import Spread, interval, intervals
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import Sampling, block_length
from treeline.metrics import metrics_of

TASKS = ["binary", "multiclass", "regression"]


def predicted(task: str, n: int = 200, seed: int = 0) -> Predictions:
    """Draw predictions that are better than chance."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        y = rng.normal(10, 1, n)
        return Predictions(task, y, y + rng.normal(0, 0.5, n), np.empty((n, 0)))
    classes = 2 if task == "binary" else 3
    y = rng.permutation(np.arange(n) % classes)
    odds = rng.random((n, classes)) + 0.5 * np.eye(classes)[y]
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    return Predictions(task, y, probabilities.argmax(axis=1), probabilities)


def ends(predictions: Predictions, metric: str, sampling: Sampling | None = None) -> tuple[float, float]:
    found = interval(predictions, metric, sampling or Sampling())
    return found.low, found.high


@pytest.mark.parametrize("task", TASKS)
def test_an_interval_holds_its_metric_and_narrows_with_the_rows(task: str) -> None:
    few, many = predicted(task, 100), predicted(task, 2000)
    for name in metrics_of(task):
        (low, high), (near, far) = ends(few, name), ends(many, name)
        assert low < few.metric(name) < high
        assert near < many.metric(name) < far
        assert far - near < 0.4 * (high - low)
    assert list(intervals(few)) == list(metrics_of(task))


@pytest.mark.parametrize("wrong", [0, 1, 7, 100])
def test_a_share_has_wilson_s_interval(wrong: int) -> None:
    y = np.arange(100) % 2
    y_pred = np.where(np.arange(100) < wrong, 1 - y, y)
    predictions = Predictions("binary", y, y_pred, np.full((100, 2), 0.5))
    theirs = stats.binomtest(100 - wrong, 100).proportion_ci(method="wilson")
    assert ends(predictions, "accuracy") == pytest.approx((theirs.low, theirs.high))
    assert ends(predictions, "error") == pytest.approx((1 - theirs.high, 1 - theirs.low))


def test_an_area_has_the_interval_of_delong_on_the_logit() -> None:
    predictions = predicted("binary", 120)
    positive, given = predictions.y_true == 1, predictions.y_proba[:, 1]
    above = np.sign(given[positive][:, None] - given[~positive][None, :]) / 2 + 0.5
    area = above.mean()
    error = np.sqrt(above.mean(axis=1).var(ddof=1) / 60 + above.mean(axis=0).var(ddof=1) / 60)
    odds, half = np.log(area / (1 - area)), stats.norm.isf(0.025) * error / (area * (1 - area))
    expected = [1 / (1 + np.exp(-end)) for end in (odds - half, odds + half)]
    assert ends(predictions, "roc_auc") == pytest.approx(expected, abs=2e-3)


def test_the_interval_of_a_mean_is_never_within_student_s() -> None:
    rng = np.random.default_rng(0)
    error = rng.exponential(size=60)
    y = np.arange(60.0)
    low, high = ends(Predictions("regression", y, y + error, np.empty((60, 0))), "mae")
    theirs = stats.t.interval(0.95, 59, error.mean(), stats.sem(error))
    assert low == pytest.approx(theirs[0])
    assert high > theirs[1]  # where the skew points to


def test_without_skew_both_are_one() -> None:
    assert Spread(1.0, 0.0, 10, 10).around(3, 0.05) == pytest.approx(
        Spread(1.0, 1e-5, 10, 10).around(3, 0.05), abs=1e-3
    )


@pytest.mark.parametrize("task", TASKS)
def test_rows_of_a_group_count_as_one(task: str) -> None:
    """The same rows five times over, as groups, have the interval that they had once."""
    once = predicted(task, 150)
    rows = np.repeat(np.arange(150), 5)
    for name in metrics_of(task):
        again = interval(once.take(rows), name, Sampling("groups", rows))
        assert (again.low, again.high) == pytest.approx(ends(once, name), abs=0.003)
        assert again.note.startswith("by 150 groups")
        assert ends(once.take(rows), name)[1] < again.high


def test_times_that_hang_together_widen_an_interval_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=2000)
    slow = np.convolve(noise, np.ones(20) / np.sqrt(20), mode="same")
    y, places = np.arange(2000.0), Sampling("time", np.arange(2000))
    for error, wider in ((slow, True), (noise, False)):
        predictions = Predictions("regression", y, y + error, np.empty((2000, 0)))
        by_rows, by_time = (np.diff(ends(predictions, "mae", each))[0] for each in (Sampling(), places))
        assert bool(by_time > 1.8 * by_rows) is wider
        assert by_time < 8 * by_rows


def test_blocks_are_as_long_as_values_depend_on_each_other() -> None:
    noise = np.random.default_rng(0).normal(size=1000)
    lengths = [block_length(np.convolve(noise, np.ones(reach), mode="same")) for reach in (1, 5, 20)]
    assert lengths[0] < 3 < lengths[1] < lengths[2] < 95
    assert block_length(np.zeros(30)) == block_length(np.ones(1)) == 1


@pytest.mark.parametrize(
    ("sampling", "n", "why"),
    [
        (Sampling(), 9, "9 rows are fewer than 10"),
        (Sampling("groups", np.arange(90) % 9), 90, "9 groups are fewer than 10"),
        (Sampling("time", np.arange(90) % 9), 90, "blocks of time are fewer than 10"),
    ],
)
def test_few_units_have_no_interval_but_a_reason(sampling: Sampling, n: int, why: str) -> None:
    found = interval(predicted("regression", n), "rmse", sampling)
    assert np.isnan([found.low, found.high]).all()
    assert why in found.why


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "f1", "balanced_accuracy"])
def test_a_rare_class_has_no_interval_but_a_reason(metric: str) -> None:
    predictions = predicted("binary", 200)
    rare = predictions.take(np.r_[np.flatnonzero(predictions.y_true == 0), np.flatnonzero(predictions.y_true == 1)[:9]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert interval(rare, metric).why == "a class has 9 rows, fewer than 10"
        assert interval(rare.take(np.arange(100)), metric).why == "a class has 0 rows, fewer than 10"
    assert not interval(rare, "accuracy").why
    grouped = Sampling("groups", np.where(predictions.y_true == 1, np.arange(200) % 7, np.arange(200)))
    assert interval(predictions, metric, grouped).why.startswith("a class has ")


def test_what_no_row_moves_has_no_interval_but_a_reason() -> None:
    y = np.arange(40) % 2
    perfect = Predictions("binary", y, y, np.where(np.eye(2)[y] > 0, 0.9, 0.1))
    assert "no row moves it" in interval(perfect, "roc_auc").why
    assert "no row moves it" in interval(perfect, "log_loss").why
    assert ends(perfect, "accuracy") == pytest.approx((stats.binomtest(40, 40).proportion_ci(method="wilson").low, 1))


def test_a_metric_that_does_not_exist_has_no_interval() -> None:
    predictions = predicted("regression")
    assert interval(replace(predictions, y_true=-predictions.y_true), "rmsle").why == "it does not exist on these rows"


def test_heavy_tails_are_said_to_be_what_they_are() -> None:
    y = np.zeros(300)
    error = np.r_[np.full(3, 100.0), np.random.default_rng(0).normal(size=297)]
    assert (
        "the 3 rows most wrong make" in interval(Predictions("regression", y, error, np.empty((300, 0))), "rmse").note
    )
    assert not interval(predicted("regression"), "rmse").note


def test_weights_leave_fewer_rows() -> None:
    predictions = predicted("binary", 300)
    weight = np.where(np.arange(300) < 60, 1.0, 0.0)
    kept = predictions.take(np.arange(60))
    for name in metrics_of("binary"):
        low, high = ends(replace(predictions, weight=weight), name)
        assert (low, high) == pytest.approx(ends(kept, name), abs=0.01)


def test_one_large_group_hides_nothing_of_what_groups_differ_by() -> None:
    """Of 40 groups, some of them large, an interval holds the truth as often as it says; without the jackknife and
    the effective number it did for 3 of 4 draws.
    """
    rng, held, draws = np.random.default_rng(0), 0, 200
    sizes = np.r_[[300, 200, 150, 100, 100], np.full(35, 10)]
    codes = np.repeat(np.arange(40), sizes)
    for _ in range(draws):
        size = np.abs(rng.normal(size=40)[codes])  # its mean is the root of 2 / pi
        y = np.zeros(len(codes))
        low, high = ends(Predictions("regression", y, size, np.empty((len(y), 0))), "mae", Sampling("groups", codes))
        held += low <= np.sqrt(2 / np.pi) <= high
    assert held >= 0.9 * draws


def test_one_group_of_most_rows_has_no_interval_but_a_reason() -> None:
    codes = np.maximum(np.arange(200) - 150, 0)
    why = interval(predicted("regression"), "rmse", Sampling("groups", codes)).why
    assert why == "50 groups of very different size say no more than 1.8 even ones, fewer than 5"


def test_rows_that_count_nothing_are_no_rows() -> None:
    few = replace(predicted("binary", 300), weight=np.where(np.arange(300) < 9, 1.0, 0.0))
    assert interval(few, "log_loss").why == "9 rows are fewer than 10"
    some = replace(few, weight=np.where((few.y_true == 0) | (np.arange(300) < 10), 1.0, 0.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert interval(some, "balanced_accuracy").why.startswith("a class has ")
    heavy = replace(few, weight=np.r_[np.full(3, 1e4), np.ones(297)])
    assert interval(heavy, "log_loss").why.endswith("even ones, fewer than 5")
