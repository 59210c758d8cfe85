"""What tells the target is found in whatever form it stands, and columns of noise are met with silence."""

import numpy as np
import pandas as pd
import pytest
from tables_maker import CLASSES, TARGET, make_table

from treeline.data.leaks import inspect_leaks, near_perfect, power_where_known, predictive_power
from treeline.data.target import label_codes
from treeline.metrics import CLASSIFICATION, REGRESSION


def of_classes(n: int = 600, seed: int = 0) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng, rng.integers(0, 2, n)


def told(column: pd.Series, kind: str, y: np.ndarray, classes: bool = True) -> list[str]:
    """Give the warnings about one column of a table."""
    partly = power_where_known(column, kind, y, classes)
    power = {"it": predictive_power(column, kind, y, classes)}
    return inspect_leaks(power, len(y), {"it": partly} if partly else {})


def test_a_category_that_gives_the_target_away_is_a_leak() -> None:
    _, y = of_classes()
    assert predictive_power(pd.Series(np.where(y == 1, "closed", "open")), "category", y, classes=True) == 1


def test_a_column_of_noise_knows_nothing_and_a_good_one_something() -> None:
    frame = make_table(n=2000)
    y = label_codes(frame[TARGET], CLASSES["binary"])
    noise = pd.Series(np.random.default_rng(99).normal(size=2000))
    assert predictive_power(noise, "number", y, classes=True) < 0.1
    assert 0.2 < predictive_power(frame["width [mm]"], "number", y, classes=True) < 0.9
    assert predictive_power(pd.Series(["some text"] * 2000), "text", y, classes=True) == 0


def test_levels_that_mean_the_target_are_found_whatever_their_order() -> None:
    rng, y = of_classes()
    levels = pd.Series([f"{rng.integers(0, 100)}{'ab'[code]}" for code in y])  # three rows a level
    assert predictive_power(levels, "high_cardinality", y, classes=True) > 0.9
    (warning,) = told(levels, "high_cardinality", y)
    assert "almost perfectly in the 9" in warning
    price = np.repeat(rng.normal(size=200), 3)
    names = pd.Series(rng.permutation(200)).astype(str).repeat(3)
    assert predictive_power(names, "high_cardinality", price, classes=False) == pytest.approx(1)


def test_the_words_of_a_text_give_the_target_away() -> None:
    rng, y = of_classes()
    others = [" ".join(rng.choice(["one", "two", "three", "four", "five"], 8)) for _ in y]
    text = pd.Series(others) + np.where(y == 1, " refunded", " kept")
    assert "alone predicts the target almost perfectly" in told(text, "text", y)[0]
    assert predictive_power(text.str.replace("refunded", "kept"), "text", y, classes=True) < 0.15
    unspaced = pd.Series(np.where(y == 1, "これは返金された", "これは残っている"))
    assert predictive_power(unspaced, "text", y, classes=True) == 1


@pytest.mark.parametrize("classes", [True, False])
def test_a_copy_with_gaps_is_found_where_it_stands(classes: bool) -> None:
    rng, codes = of_classes()
    y = codes if classes else rng.normal(size=len(codes))
    copy = pd.Series(np.where(rng.random(len(y)) < 0.5, np.nan, 2.0 * y + 1))
    assert predictive_power(copy, "number", y, classes) < 0.9
    (warning,) = told(copy, "number", y, classes)
    assert warning.startswith("The column 'it' predicts the target almost perfectly in the 5")
    assert power_where_known(copy.fillna(0), "number", y, classes) is None


def test_a_column_that_tells_nearly_all_is_to_be_looked_at() -> None:
    rng, y = of_classes(2000)
    nearly = pd.Series(np.where(rng.random(2000) < 0.015, 1 - y, y))
    (warning,) = told(nearly, "number", y)
    assert warning.startswith("Look at the column 'it': it alone tells 9")
    weaker = pd.Series(np.where(rng.random(2000) < 0.04, 1 - y, y))
    assert told(weaker, "number", y) == []


def test_many_columns_that_tell_the_target_are_told_at_once() -> None:
    power = {f"q{i}": 1.0 for i in range(20)} | {"age": 0.3} | {f"r{i}": 0.96 for i in range(5)}
    assert len(inspect_leaks({name: power[name] for name in ("q0", "q1", "q2")}, 300)) == 3
    leaks, look = inspect_leaks(power, 300)
    assert leaks.startswith("20 columns each predict the target almost perfectly alone, such as 'q0', 'q1', 'q2': ")
    assert look.startswith("5 columns each tell more than 95% of what there is to know about the target, such as 'r0'")
    assert inspect_leaks(power, 49) == []


@pytest.mark.parametrize("n", [60, 200])
@pytest.mark.parametrize("classes", [True, False])
def test_noise_of_every_kind_is_met_with_silence(n: int, classes: bool) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        y = (rng.random(n) < 0.1).astype(np.int64) if classes else rng.lognormal(0, 2, n)
        gaps = rng.random(n) < 0.5
        columns = {
            "number": rng.normal(size=n),
            "boolean": rng.random(n) < 0.1,
            "category": rng.choice(list("abcde"), n),
            "high_cardinality": rng.integers(0, n // 2, n).astype(str),
            "text": [" ".join(rng.choice(["one", "two", "three", "four", "five"], 5)) for _ in range(n)],
        }
        for kind, values in columns.items():
            column = pd.Series(values)
            assert told(column, kind, y, classes) == []
            assert told(column.astype(object).mask(gaps), kind, y, classes) == []


@pytest.mark.parametrize(
    ("metric", "value", "dummy", "is_told"),
    [
        ("accuracy", 1.0, 0.5, True),
        ("accuracy", 0.98, 0.5, False),
        ("log_loss", 0.003, 0.69, True),
        ("log_loss", 0.05, 0.69, False),
        ("roc_auc", 1.0, 0.5, True),
        ("roc_auc", 0.998, 0.5, False),
        ("rmse", 0.01, 1.0, True),
        ("rmse", 0.2, 1.0, False),
        ("r2", 0.999, 0.0, True),
        ("r2", 0.95, -0.01, False),
        ("mape", float("nan"), float("nan"), False),
        ("rmse", 0.0, 0.0, False),
    ],
)
def test_a_model_that_is_too_good_is_told(metric: str, value: float, dummy: float, is_told: bool) -> None:
    assert bool(near_perfect(metric, value, dummy)) == is_told


def test_every_metric_has_a_point_from_which_a_model_is_near_perfect() -> None:
    for name, metric in {**CLASSIFICATION, **REGRESSION}.items():
        best, dummy = (1.0, 0.3) if metric.greater_is_better else (0.0, 2.0)
        assert near_perfect(name, best, dummy)
        assert not near_perfect(name, dummy, dummy)
