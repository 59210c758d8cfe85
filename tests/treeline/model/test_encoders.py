"""The encoders: levels, target means without leaking, moments and words."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from treeline.model.encoders import CategoryEncoder, DatetimeEncoder, TargetMeanEncoder, TfidfEncoder
from treeline.model.features import Features


def test_levels_have_codes_and_unseen_ones_none() -> None:
    encoder = CategoryEncoder()
    made = encoder.fit_transform(pd.Series(["b", None, "a", "b"]), None)
    np.testing.assert_array_equal(made.ravel(), [1, np.nan, 0, 1])
    np.testing.assert_array_equal(encoder.transform(pd.Series(["a", "c", None])).ravel(), [0, np.nan, np.nan])


def test_a_level_is_found_however_it_is_typed() -> None:
    encoder = CategoryEncoder()
    encoder.fit_transform(pd.Series([1, 2, 3]), None)
    for other in (pd.Series(["2", "3"]), pd.Series([2.0, 3.0]), pd.Series([2, 3], dtype=object)):
        np.testing.assert_array_equal(encoder.transform(other).ravel(), [1, 2])


def test_means_are_near_the_levels_means_and_unseen_ones_get_the_overall_mean() -> None:
    rng = np.random.default_rng(0)
    town = rng.integers(0, 5, 5000)
    y = (rng.random(5000) < town / 5).astype(np.int64)
    encoder = TargetMeanEncoder()
    encoder.fit_transform(pd.Series(town).map(lambda k: f"town {k}"), y)
    made = encoder.transform(pd.Series([*(f"town {k}" for k in range(5)), "elsewhere"])).ravel()
    np.testing.assert_allclose(made[:5], [y[town == k].mean() for k in range(5)], atol=0.01)
    assert made[5] == pytest.approx(y.mean())


def test_means_of_noise_do_not_leak_the_target_into_the_training_rows() -> None:
    rng = np.random.default_rng(0)
    column = pd.Series([f"level {k}" for k in rng.integers(0, 1000, 3000)])
    y = rng.integers(0, 2, 3000)
    encoder = TargetMeanEncoder()
    crossed = encoder.fit_transform(column, y).ravel()
    assert abs(roc_auc_score(y, crossed) - 0.5) < 0.05
    assert roc_auc_score(y, encoder.transform(column).ravel()) > 0.6  # what cross-fitting saves us from


def test_means_of_several_classes_are_a_column_each() -> None:
    y = np.tile([0, 1, 2], 100)
    encoder = TargetMeanEncoder()
    made = encoder.fit_transform(pd.Series(["a", "b", "c"] * 100), y)
    assert made.shape == (300, 3)
    assert encoder.names("town") == ["town -> class 0", "town -> class 1", "town -> class 2"]
    assert (encoder.transform(pd.Series(["a", "b", "c"])).argmax(axis=1) == [0, 1, 2]).all()


def test_means_of_numbers_are_those_of_the_target() -> None:
    encoder = TargetMeanEncoder()
    encoder.fit_transform(pd.Series(["a", "b", None] * 100), np.tile([1.0, 5.0, 9.0], 100))
    np.testing.assert_allclose(encoder.transform(pd.Series(["a", "b", None])).ravel(), [1, 5, 9], atol=0.1)


def test_means_need_a_target() -> None:
    with pytest.raises(ValueError, match="fit needs y"):
        Features({"town": "high_cardinality"}).fit(pd.DataFrame({"town": ["a", "b"]}))


def test_moments_give_the_parts_that_vary() -> None:
    encoder = DatetimeEncoder()
    made = encoder.fit_transform(pd.Series(pd.date_range("2020-01-01", periods=60)), None)
    assert encoder.names("day of sale") == [
        "day of sale month",
        "day of sale day",
        "day of sale weekday",
        "day of sale days",
    ]
    np.testing.assert_array_equal(made[:, -1], np.arange(60) - 30)
    late = encoder.transform(pd.Series(pd.to_datetime(["2020-03-31", None])))
    np.testing.assert_array_equal(late[0], [3, 31, 1, 60])
    assert np.isnan(late[1:]).all()


def test_words_tell_what_a_text_is_about() -> None:
    rng = np.random.default_rng(0)
    good, bad = ["lovely", "great", "superb"], ["dull", "awful", "poor"]
    filler = [f"word{i}" for i in range(200)]
    y = rng.integers(0, 2, 400)
    text = pd.Series(
        [" ".join([*rng.choice(filler, 20), *rng.choice(good if each else bad, 2)]) + "<br />" for each in y]
    )
    encoder = TfidfEncoder()
    made = encoder.fit_transform(text[:300], None)
    names = encoder.names("review")
    assert "review: lovely" in names
    assert not any("br" in name.split() for name in names)
    model = LogisticRegression().fit(made, y[:300])
    assert model.score(encoder.transform(text[300:]), y[300:]) > 0.95


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_words_that_tell_of_the_target_are_kept_before_common_ones(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treeline.model.encoders.MAX_TFIDF_WORDS", 60)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 600)
    text = pd.Series([" ".join([*rng.choice([f"w{i}" for i in range(300)], 60), "telling" * int(each)]) for each in y])
    encoder = TfidfEncoder()
    made = encoder.fit_transform(text, y if kind == "classes" else y.astype(np.float64))
    assert made.shape == (600, 60)
    assert "r: telling" in encoder.names("r")
    np.testing.assert_array_equal(encoder.transform(text), made)


@pytest.mark.parametrize("text", [["", ""], [None, None], ["a b", "c d"], ["!!", "??"]])
def test_text_without_a_common_word_still_makes_columns(text: list[str]) -> None:
    encoder = TfidfEncoder()
    made = encoder.fit_transform(pd.Series(text, dtype=object), None)
    assert made.shape == (2, len(encoder.names("text")))
    assert encoder.transform(pd.Series([None, "new words here"])).shape == made.shape


def test_the_words_are_fewer_where_there_are_very_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treeline.model.encoders.MAX_TFIDF_CELLS", 100 * 60)
    text = pd.Series([" ".join(f"w{i} w{i + 1} w{i + 2}" for i in range(j, j + 50)) for j in range(100)])
    encoder = TfidfEncoder()
    assert encoder.fit_transform(text, None).shape == (100, 60)
