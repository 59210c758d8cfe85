"""The trainer: XGBoost's own results whatever the CPUs and turns, stopped on the mean over the folds."""

import json
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from tables_maker import CLASSES, DERIVED, KINDS, TARGET, TASKS, make_table

from treeline.data.splits import Split
from treeline.data.target import label_codes
from treeline.metrics import curves_of, metrics_of
from treeline.model import boosting
from treeline.model.boosting import boost, booster_params, task_params
from treeline.model.cross_validation import Limits, Measure, cross_validate
from treeline.model.estimator import TreelineRegressor
from treeline.model.features import Features
from treeline.model.matrices import Fold, make_folds, quantile_matrix

ROUNDS = 12
PLAIN = {"learning_rate": 0.3, "max_depth": 3, "seed": 7}
SAMPLED = {**PLAIN, "subsample": 0.7, "colsample_bylevel": 0.7, "colsample_bynode": 0.7}
TARGETS = ["binary", "multiclass", "regression"]
LOG_LOSS = Measure("binary", "log_loss")


def codes(frame: pd.DataFrame, target: str) -> np.ndarray:
    y = frame[TARGET]
    return label_codes(y, CLASSES[target]) if CLASSES[target] else y.to_numpy()


def folds_of(target: str, n_folds: int = 3) -> list[Fold]:
    frame = make_table(target, n=150)
    y = codes(frame, target)
    return make_folds(Features(KINDS, DERIVED), frame, y, parts_of(y, n_folds, seed=0))


def parts_of(y: np.ndarray, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return Split().folds(pd.DataFrame(index=range(len(y))), y, y.dtype.kind == "i", n_folds, seed)


@pytest.fixture(scope="module")
def folds() -> dict[str, list[Fold]]:
    return {target: folds_of(target) for target in TARGETS}


def params_of(target: str, params: dict[str, Any]) -> dict[str, Any]:
    task = TASKS[target]
    return {**task_params(task, len(CLASSES[target])), **params, "eval_metric": list(curves_of(task).values())}


def trained(
    target: str, params: dict[str, Any], folds: list[Fold], cpus: int, rounds: int = ROUNDS
) -> tuple[list[bytes], np.ndarray]:
    """Train; give the boosters as bytes, and the metrics of shape (n_rounds, n_folds, n_metrics)."""
    values: list[np.ndarray] = []
    boosters = boost(params_of(target, params), folds, rounds, cpus, lambda _, each: values.append(each))
    return [bytes(booster.save_raw("ubj")) for booster in boosters], np.array(values)


def xgboost_alone(
    target: str, params: dict[str, Any], fold: Fold, rounds: int = ROUNDS
) -> tuple[xgb.Booster, np.ndarray]:
    """Train one fold with XGBoost's own `train`, on one thread; give the metrics of shape (n_rounds, n_metrics)."""
    history: dict[str, dict[str, list[float]]] = {}
    # Each round draws from its own number and the seed, not from what its thread has drawn before.
    settings = {**params_of(target, params), "seed_per_iteration": True, "nthread": 1}
    booster = xgb.train(
        settings, fold.train, rounds, evals=[(fold.valid, "valid")], evals_result=history, verbose_eval=False
    )
    return booster, np.column_stack([history["valid"][name] for name in curves_of(TASKS[target]).values()])


@pytest.mark.parametrize("params", [PLAIN, SAMPLED], ids=["plain", "sampled"])
def test_neither_cpus_nor_turns_change_a_bit(
    folds: dict[str, list[Fold]], monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    expected = trained("binary", params, folds["binary"], cpus=1)
    for cpus, seconds in [(1, 0), (1, 60), (3, 0), (3, 0.002), (3, 60), (7, 0.002)]:
        monkeypatch.setattr(boosting, "TURN_SECONDS", seconds)
        boosters, values = trained("binary", params, folds["binary"], cpus)
        assert boosters == expected[0], (cpus, seconds)
        np.testing.assert_array_equal(values, expected[1])


def test_what_was_trained_before_changes_no_bit(folds: dict[str, list[Fold]]) -> None:
    expected = trained("binary", SAMPLED, folds["binary"], cpus=2)
    trained("multiclass", {**SAMPLED, "seed": 3}, folds["multiclass"], cpus=2)
    assert trained("binary", SAMPLED, folds["binary"], cpus=2)[0] == expected[0]


def test_another_seed_draws_other_rows(folds: dict[str, list[Fold]]) -> None:
    one, other = (trained("binary", {**SAMPLED, "seed": seed}, folds["binary"], cpus=1) for seed in (0, 1))
    assert one[0] != other[0]


@pytest.mark.parametrize("params", [PLAIN, SAMPLED], ids=["plain", "sampled"])
@pytest.mark.parametrize("target", TARGETS)
def test_boosters_and_metrics_are_those_of_xgboost_alone(
    folds: dict[str, list[Fold]], target: str, params: dict[str, Any]
) -> None:
    boosters, values = trained(target, params, folds[target], cpus=2)
    for i, fold in enumerate(folds[target]):
        theirs, their_values = xgboost_alone(target, params, fold)
        np.testing.assert_array_equal(values[:, i], their_values)
        ours = xgb.Booster(model_file=bytearray(boosters[i]))
        for rounds in (1, 5, ROUNDS):
            span = (0, rounds)
            np.testing.assert_array_equal(
                ours.predict(fold.valid, iteration_range=span), theirs.predict(fold.valid, iteration_range=span)
            )


def test_without_on_round_every_fold_is_trained_to_the_end(folds: dict[str, list[Fold]]) -> None:
    boosters = boost(params_of("binary", PLAIN), folds["binary"], ROUNDS, 2)
    assert [booster.num_boosted_rounds() for booster in boosters] == [ROUNDS] * 3


def test_a_fold_without_rows_to_predict_is_trained_alone(folds: dict[str, list[Fold]]) -> None:
    fold = folds["binary"][0]
    alone = boost(params_of("binary", SAMPLED), [Fold(fold.train)], ROUNDS, 1)[0]
    among = boost(params_of("binary", SAMPLED), folds["binary"], ROUNDS, 2)[0]
    np.testing.assert_array_equal(alone.predict(fold.valid), among.predict(fold.valid))


@pytest.mark.parametrize("seconds", [0, 0.005, 60])
def test_on_round_is_called_once_a_round_in_order_in_the_caller_s_thread(
    folds: dict[str, list[Fold]], monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(boosting, "TURN_SECONDS", seconds)
    calls: list[tuple[int, tuple[int, ...], threading.Thread]] = []

    def on_round(round_: int, values: np.ndarray) -> bool:
        calls.append((round_, values.shape, threading.current_thread()))
        return False

    boost(params_of("multiclass", PLAIN), folds["multiclass"], ROUNDS, 2, on_round)
    assert calls == [(round_, (3, 3), threading.current_thread()) for round_ in range(ROUNDS)]


@pytest.mark.parametrize("last", [0, 4])
@pytest.mark.parametrize("seconds", [0, 60])
def test_training_ends_when_on_round_says_so(
    folds: dict[str, list[Fold]], monkeypatch: pytest.MonkeyPatch, seconds: float, last: int
) -> None:
    monkeypatch.setattr(boosting, "TURN_SECONDS", seconds)
    calls: list[int] = []

    def on_round(round_: int, _: np.ndarray) -> bool:
        calls.append(round_)
        return round_ == last

    # Where turns are short, so many that a busy machine that lets one thread wait does not see the others end first.
    rounds = 4000 if seconds == 0 else 40
    boosters = boost(params_of("binary", PLAIN), folds["binary"], rounds, 2, on_round)
    assert calls == list(range(last + 1))
    trained_rounds = [booster.num_boosted_rounds() for booster in boosters]
    assert min(trained_rounds) > last
    if seconds == 0:
        assert max(trained_rounds) < rounds


def test_an_error_in_on_round_comes_out_and_ends_the_workers(folds: dict[str, list[Fold]]) -> None:
    def on_round(round_: int, _: np.ndarray) -> bool:
        raise RuntimeError(f"in round {round_}")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="in round 0"):
        boost(params_of("binary", PLAIN), folds["binary"], 100_000, 2, on_round)
    assert threading.active_count() == before


def test_an_error_in_one_fold_comes_out_and_ends_the_others_in_the_middle_of_their_turn(
    folds: dict[str, list[Fold]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boosting, "TURN_SECONDS", 20)
    before, start = threading.active_count(), time.perf_counter()
    with pytest.raises(xgb.core.XGBoostError, match=r"for the logistic loss|label must be in"):
        boost(params_of("binary", PLAIN), [folds["regression"][0], folds["binary"][0]], 1_000_000, 2)
    assert threading.active_count() == before
    assert time.perf_counter() - start < 15


def by_hand(curve: np.ndarray, greater_is_better: bool, patience: int) -> tuple[float, int, int]:
    """Walk along a full curve: the best value, its round, and the round after which patience is at an end."""
    best = 0
    for i, value in enumerate(curve):
        if value > curve[best] if greater_is_better else value < curve[best]:
            best = i
        if i - best >= patience:
            break
    return float(curve[best]), best + 1, i + 1


@pytest.mark.parametrize("patience", [2, 6])
@pytest.mark.parametrize(
    ("target", "metric"),
    [
        ("binary", "log_loss"),
        ("binary", "error"),
        ("binary", "roc_auc"),
        ("multiclass", "log_loss"),
        ("multiclass", "roc_auc"),
        ("regression", "rmse"),
        ("regression", "mae"),
    ],
)
def test_cross_validation_stops_on_the_mean_over_the_folds(
    folds: dict[str, list[Fold]], target: str, metric: str, patience: int
) -> None:
    params, most = {**SAMPLED, "learning_rate": 0.8}, 60
    full = np.stack([xgboost_alone(target, params, fold, most)[1] for fold in folds[target]])
    names = list(curves_of(TASKS[target]))
    mean = full.mean(axis=0)[:, names.index(metric)]
    value, rounds, length = by_hand(mean, metrics_of(TASKS[target])[metric].greater_is_better, patience)
    assert length < most

    result = cross_validate(
        params_of(target, params), folds[target], Measure(TASKS[target], metric), Limits(most, patience, cpus=2)
    )
    assert result.value == pytest.approx(value, rel=1e-12)
    assert result.rounds == rounds
    assert list(result.mean) == list(result.std) == names
    for i, name in enumerate(names):
        np.testing.assert_allclose(result.mean[name], full[:, :length, i].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(result.std[name], full[:, :length, i].std(axis=0), rtol=1e-9, atol=1e-12)
    assert result.value == pytest.approx(result.mean[metric][rounds - 1], rel=1e-12)
    assert result.seconds > 0


def test_a_metric_that_stays_is_no_improvement(folds: dict[str, list[Fold]]) -> None:
    params = params_of("binary", {"gamma": 1e9})  # no split is worth it, so no row ever changes its side
    result = cross_validate(params, folds["binary"], Measure("binary", "error"), Limits(rounds=30, patience=4, cpus=1))
    assert len(set(result.mean["error"])) == 1
    assert (result.rounds, len(result.mean["error"])) == (1, 5)


def test_cross_validation_trains_no_more_than_the_rounds_given(folds: dict[str, list[Fold]]) -> None:
    result = cross_validate(params_of("binary", PLAIN), folds["binary"], LOG_LOSS, Limits(3, 50, cpus=1))
    assert len(result.mean["log_loss"]) == 3
    assert 1 <= result.rounds <= 3


def test_a_watcher_sees_every_round_and_may_end_the_training(folds: dict[str, list[Fold]]) -> None:
    seen: list[tuple[int, float, float]] = []

    def watch(round_: int, mean: Any, std: Any) -> bool:
        seen.append((round_, mean["log_loss"], std["error"]))
        return round_ == 4

    params = params_of("binary", PLAIN)
    result = cross_validate(params, folds["binary"], LOG_LOSS, Limits(30, 50, cpus=2), watch)
    expected = zip(range(1, 5), result.mean["log_loss"], result.std["error"], strict=True)
    assert seen == list(expected)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_a_fold_in_which_a_metric_does_not_exist_does_not_count_for_it(
    metric: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [20, 3])
    rows = pd.DataFrame({"x": y + rng.normal(size=23)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = make_folds(Features({"x": "number"}), rows, y, parts_of(y, 5, seed=0))
    capfd.readouterr()
    result = cross_validate(task_params("binary", 2), folds, Measure("binary", metric), Limits(5, 5, cpus=1))
    assert "WARNING" not in "".join(capfd.readouterr())  # XGBoost's, a line a round
    assert np.isfinite(result.value)
    assert np.isfinite(result.mean["roc_auc"]).all()
    assert (np.array(result.mean["roc_auc"]) <= 1).all()


def test_a_metric_that_exists_in_no_fold_cannot_be_optimised_but_another_can() -> None:
    rows, y = pd.DataFrame({"x": np.arange(20.0)}), np.repeat([0, 1], 10)
    features = Features({"x": "number"})
    matrix = features.fit_transform(rows)
    train = quantile_matrix(features, matrix, y)
    folds = [Fold(train, quantile_matrix(features, matrix[y == side], y[y == side], ref=train)) for side in (0, 1)]
    with pytest.raises(ValueError, match="roc_auc exists in no fold"):
        cross_validate(task_params("binary", 2), folds, Measure("binary", "roc_auc"), Limits(5, 5, cpus=1))
    result = cross_validate(task_params("binary", 2), folds, LOG_LOSS, Limits(5, 5, cpus=1))
    assert np.isfinite(result.value)
    assert np.isnan(result.mean["roc_auc"]).all()


@pytest.mark.parametrize(
    ("target", "objective", "classes"),
    [("binary", "binary:logistic", 0), ("multiclass", "multi:softprob", 3), ("regression", "reg:squarederror", 0)],
)
def test_the_task_sets_the_objective(folds: dict[str, list[Fold]], target: str, objective: str, classes: int) -> None:
    config = json.loads(boost(params_of(target, PLAIN), folds[target], 1, 1)[0].save_config())["learner"]
    assert config["objective"]["name"] == objective
    assert int(config["learner_model_param"]["num_class"]) == classes
    assert config["gradient_booster"]["gbtree_train_param"]["tree_method"] == "hist"


def test_a_skewed_target_is_predicted_on_its_own_scale() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=3000)})
    y = np.exp(2 * rows["x"].to_numpy() + rng.normal(size=3000)) * 1e6
    params = {**task_params("regression", 0), "objective": "reg:tweedie", **PLAIN}
    fitted = TreelineRegressor(Features({"x": "number"}), params, 50).fit(rows, pd.Series(y))
    assert fitted.unit_ == 1e7
    assert fitted.predict(rows).sum() == pytest.approx(y.sum(), rel=0.1)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e3, 1e9])
def test_the_unit_of_a_target_changes_nothing_but_the_unit(scale: float) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=500)})
    y = rows["x"].to_numpy() + rng.normal(size=500)
    told = []
    for target in (y, y * scale):
        params = {**task_params("regression", 0), **PLAIN, "reg_alpha": 2.0}
        fitted = TreelineRegressor(Features({"x": "number"}), params, 20).fit(rows, pd.Series(target))
        told.append(fitted.predict(rows))
    np.testing.assert_allclose(told[1] / scale, told[0], rtol=1e-3, atol=1e-3)
    assert np.std(told[0]) > 0.5


def test_the_metrics_of_a_cross_validation_are_in_the_targets_own_unit(folds: dict[str, list[Fold]]) -> None:
    params, limits = params_of("regression", PLAIN), Limits(5, 5, cpus=1)
    plain, scaled = (
        cross_validate(params, folds["regression"], Measure("regression", "rmse", unit), limits)
        for unit in (1.0, 1000.0)
    )
    assert scaled.value == pytest.approx(1000 * plain.value)
    np.testing.assert_allclose(scaled.std["mae"], 1000 * np.array(plain.std["mae"]))


@pytest.mark.parametrize(
    ("objective", "scaled"),
    [
        ("reg:squarederror", True),
        ("reg:tweedie", False),
        ("reg:absoluteerror", False),
        ("binary:logistic", False),
        ("multi:softprob", False),
    ],
)
@pytest.mark.parametrize("reg_alpha", [0.0, 1e-4, 2.0])
def test_reg_alpha_counts_in_standard_deviations_of_a_squared_error_s_target(
    objective: str, scaled: bool, reg_alpha: float
) -> None:
    y = np.random.default_rng(0).normal(5, 3, 500)
    given = {"objective": objective, "reg_alpha": reg_alpha, "reg_lambda": 2.0, "seed": 1}
    before = dict(given)
    got = booster_params(given, y)
    assert got["reg_alpha"] == (pytest.approx(reg_alpha * y.std(), rel=1e-6) if scaled else reg_alpha)
    assert {**got, "reg_alpha": reg_alpha} == given == before
    assert list(got) == list(given)


def test_what_has_no_reg_alpha_gets_none() -> None:
    params = task_params("regression", 0)
    assert booster_params(params, np.arange(9.0)) == params


def test_reg_alpha_is_scaled_by_what_xgboost_keeps_of_the_target() -> None:
    y = 1e8 + np.arange(100.0)  # float32 tells one in eight of them apart
    got = booster_params({"objective": "reg:squarederror", "reg_alpha": 1.0}, y)
    label = xgb.DMatrix(np.zeros((100, 1)), y).get_label().astype(np.float64)
    assert got["reg_alpha"] == label.std() != y.std()


def test_the_trainer_gives_boosters_the_parameters_as_they_are(folds: dict[str, list[Fold]]) -> None:
    params = {**params_of("regression", PLAIN), "reg_alpha": 0.5}
    config = json.loads(boost(params, folds["regression"], 1, 1)[0].save_config())["learner"]
    assert float(config["gradient_booster"]["tree_train_param"]["reg_alpha"]) == 0.5


def test_a_level_multiplies_all_that_a_booster_answers_however_it_is_stored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    data = xgb.DMatrix(X, np.exp(X[:, 0] + rng.normal(size=300)))
    booster = xgb.train({"objective": "reg:tweedie", "nthread": 1}, data, 5)
    before = booster.predict(data)
    scaled = boosting.set_level(booster, 1.5)
    scaled.save_model(tmp_path / "model.ubj")
    for each in (scaled, xgb.Booster(model_file=tmp_path / "model.ubj"), scaled.copy()):
        np.testing.assert_allclose(each.predict(data), 1.5 * before, rtol=1e-5)
        np.testing.assert_allclose(each.inplace_predict(X), 1.5 * before, rtol=1e-5)
    contributions = scaled.predict(data, pred_contribs=True).sum(axis=1)
    np.testing.assert_allclose(contributions, np.log(1.5 * before), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(booster.predict(data), before)
    assert boosting.set_level(booster, 1.0) is booster
