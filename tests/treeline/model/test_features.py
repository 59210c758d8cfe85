"""Features: raw columns by name to one float32 matrix, the same for every spelling of the same rows."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tables_maker import DERIVED, KINDS, LEVELS, TARGET, make_table

from treeline import UserError
from treeline.data.columns import settle_columns
from treeline.model.features import Features


@pytest.fixture
def frame() -> pd.DataFrame:
    return make_table().drop(columns=TARGET)


@pytest.fixture
def features(frame: pd.DataFrame) -> Features:
    return Features(KINDS, DERIVED).fit(frame)


def one(kind: str, *training: Any, dtype: Any = None) -> Features:
    return Features({"größe": kind}).fit(pd.DataFrame({"größe": pd.Series(list(training), dtype=dtype)}))


def column(*items: Any, dtype: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"größe": pd.Series(list(items), dtype=dtype)})


def test_each_cell_is_what_the_raw_row_says(frame: pd.DataFrame, features: Features) -> None:
    expected = []
    for row in frame.to_dict("records"):
        known = {name: not pd.isna(value) for name, value in row.items()}
        length, width = float(row["length"]), float(row["width [mm]"])
        expected.append(
            [
                length,
                width,
                float(row["count"]) if known["count"] else np.nan,
                {True: 1.0, False: 0.0}[row["checked"]] if known["checked"] else np.nan,
                float(LEVELS.index(row["town"])) if known["town"] else np.nan,
                width / length,
            ]
        )
    matrix = features.transform(frame)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array(expected, dtype=np.float32))
    assert np.isnan(matrix).any(axis=0).tolist() == [False, True, True, True, True, True]


def test_the_order_of_columns_and_further_ones_do_not_matter(frame: pd.DataFrame, features: Features) -> None:
    shuffled = frame[frame.columns[::-1]].assign(more="text", length_2=0.0)
    np.testing.assert_array_equal(features.transform(shuffled), features.transform(frame))


@pytest.mark.parametrize("dtypes", [{"count": "float64"}, {"count": "Float64"}, {"checked": "boolean"}])
@pytest.mark.parametrize("town", ["category", "string", "str"])
def test_the_dtype_of_a_column_does_not_matter(
    frame: pd.DataFrame, features: Features, dtypes: dict[str, str], town: str
) -> None:
    np.testing.assert_array_equal(features.transform(frame.astype({**dtypes, "town": town})), features.transform(frame))


def test_the_index_does_not_matter(frame: pd.DataFrame, features: Features) -> None:
    np.testing.assert_array_equal(features.transform(frame.set_axis(frame.index[::-1] * 7)), features.transform(frame))


def test_one_row_is_that_row_of_many(frame: pd.DataFrame, features: Features) -> None:
    matrix = features.transform(frame)
    for i in range(20):
        np.testing.assert_array_equal(features.transform(frame.iloc[[i]]), matrix[[i]])


def test_no_rows_are_a_matrix_without_rows(frame: pd.DataFrame, features: Features) -> None:
    assert features.transform(frame.head(0)).shape == (0, 6)
    assert features.transform(pd.DataFrame({name: [] for name in KINDS})).shape == (0, 6)


def test_missing_columns_are_named(frame: pd.DataFrame, features: Features) -> None:
    with pytest.raises(UserError, match=r"Missing columns: 'width \[mm\]', 'town'\. The model wants 'length', "):
        features.transform(frame.drop(columns=["width [mm]", "town"]))


def test_features_that_are_not_fitted_say_so(frame: pd.DataFrame) -> None:
    with pytest.raises(NotFittedError):
        Features(KINDS).transform(frame)


def test_the_levels_are_those_of_the_training_rows_sorted() -> None:
    fitted = one("category", "b", None, "東京", "a", "b")
    assert list(fitted.encoders_["größe"].codes_) == ["a", "b", "東京"]
    np.testing.assert_array_equal(
        fitted.transform(column("東京", "a", "new", None, "A", "b")).ravel(), [2, 0, np.nan, np.nan, np.nan, 1]
    )


def test_levels_of_a_category_dtype_that_no_row_has_get_no_code() -> None:
    training = pd.Categorical(["c", "a"], categories=["a", "b", "c"])
    assert list(one("category", *training, dtype=training.dtype).encoders_["größe"].codes_) == ["a", "c"]


def test_a_category_seen_nowhere_in_training_is_missing_everywhere() -> None:
    fitted = one("category", None, None, dtype="string")
    assert np.isnan(fitted.transform(column("a", None))).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300, -1e300, 4e38, None, np.nan, pd.NA])
def test_what_float32_cannot_hold_is_missing(value: Any) -> None:
    matrix = one("number", 1.0).transform(column(value, 3e38, dtype=object))
    np.testing.assert_array_equal(matrix.ravel(), np.array([np.nan, 3e38], dtype=np.float32))


def test_a_derived_column_beyond_float32_is_missing() -> None:
    fitted = Features({"x": "number"}, {"y": "x * 1e30", "z": "1 / (x - 1e10)"})
    matrix = fitted.fit(pd.DataFrame({"x": [1.0]})).transform(pd.DataFrame({"x": [1e10, 1.0]}))
    assert np.isnan(matrix[0, 1:]).all()
    assert matrix[1, 1] == np.float32(1e30)


def test_a_derived_column_is_computed_in_float64() -> None:
    fitted = Features({"x": "number"}, {"y": "x - 16777216"}).fit(pd.DataFrame({"x": [1.0]}))
    assert fitted.transform(pd.DataFrame({"x": [16777217.0]}))[0, 1] == 1


@pytest.mark.parametrize("kind", ["number", "boolean"])
@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("many", "'many'"),
        ("12 km", "'12 km'"),
        ([1], r"\[1\]"),
        ({}, "{}"),
        (datetime.date(2020, 1, 1), "2020-01-01"),
        (1j, "1j"),
    ],
    ids=str,
)
def test_what_is_no_number_is_named_with_its_column(kind: str, value: Any, named: str) -> None:
    with pytest.raises(UserError, match=f"The column 'größe' holds {named}.*, not "):
        one(kind, 1).transform(column(1.5, None, value, dtype=object))


@pytest.mark.parametrize("before", [np.int64(3), np.float32(3), np.bool_(True), True, "4"], ids=repr)
def test_a_number_before_what_is_none_is_not_the_one_named(before: Any) -> None:
    with pytest.raises(UserError, match="holds 'many'"):
        one("number", 1).transform(column(before, "many", dtype=object))


def test_an_integer_beyond_float64_is_named() -> None:
    with pytest.raises(UserError, match="'größe' holds 1000"):
        one("number", 1).transform(column(1, 10**400, dtype=object))


@pytest.mark.parametrize(
    "strange",
    [
        pd.to_datetime(["2020-01-01", None]),
        pd.to_datetime(["2020-01-01"], utc=True),
        pd.Categorical(["a", None]),
        pd.period_range("2020", periods=2, freq="D"),
        np.array([1j, 2]),
    ],
    ids=lambda value: str(value.dtype),
)
def test_dates_and_their_like_are_no_numbers(strange: Any) -> None:
    with pytest.raises(UserError, match=r"The column 'größe' holds .*, not a number"):
        one("number", 1).transform(pd.DataFrame({"größe": strange}))


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "timedelta64[ns]", "string", "category", "object", "Int64"])
def test_a_column_without_any_value_is_missing_whatever_its_dtype(dtype: str) -> None:
    rows = column(None, None, dtype=dtype)
    assert settle_columns(rows).left_out == {"größe": "it holds no value"}
    assert np.isnan(one("number", 1).transform(rows)).all()


@pytest.mark.parametrize("strange", [[[1], [2]], [{}, {}], [1, 2], [1.5, None], [True, False]], ids=str)
def test_what_is_no_text_is_a_category_never_seen(strange: list[Any]) -> None:
    assert np.isnan(one("category", "a").transform(column(*strange, dtype=object))).all()


@pytest.mark.parametrize(
    ("items", "dtype", "codes"),
    [
        ([1, 2], "uint8", [1, 2]),
        ([1, None], "Int64", [1, np.nan]),
        ([1, None], "int64[pyarrow]", [1, np.nan]),
        ([1.5, None], "Float64", [1.5, np.nan]),
        ([1.5, None], "double[pyarrow]", [1.5, np.nan]),
        ([True, False], "bool", [1, 0]),
        ([True, None], "boolean", [1, np.nan]),
        ([True, None], "bool[pyarrow]", [1, np.nan]),
        ([True, None], "object", [1, np.nan]),
        ([True, None, False], "category", [1, np.nan, 0]),
        (["b", None, "a"], "category", [1, np.nan, 0]),
        (["b", None, "a"], "object", [1, np.nan, 0]),
        (["b", None, "a"], "string", [1, np.nan, 0]),
        (["b", None, "a"], "string[pyarrow]", [1, np.nan, 0]),
    ],
)
def test_a_column_that_the_checks_let_pass_gets_into_the_matrix(
    items: list[Any], dtype: str, codes: list[float]
) -> None:
    rows = column(*items, dtype=dtype)
    np.testing.assert_array_equal(Features(settle_columns(rows).kinds).fit(rows).transform(rows).ravel(), codes)


def test_the_names_are_legal_for_xgboost_and_unique() -> None:
    kinds = dict.fromkeys(["a[", "a]", "a<", "a_", "a__", "größe cm", ""], "number")
    fitted = Features(kinds, {"a[]": "a_", "[a": "1"}).fit(pd.DataFrame({name: [1.0] for name in kinds}))
    names = fitted.get_feature_names_out()
    assert len(set(names)) == len(names) == 9
    assert not set("[]<") & set("".join(names))
    assert names[5:7].tolist() == ["größe cm", ""]
    matrix = fitted.transform(pd.DataFrame({name: [1.0] for name in kinds}))
    assert xgb.DMatrix(matrix, feature_names=list(names)).feature_names == list(names)


def test_names_that_are_legal_stay(features: Features) -> None:
    names = features.get_feature_names_out().tolist()
    assert names == ["length", "width _mm_", "count", "checked", "town", "ratio _1>"]


def test_the_types_tell_categories_from_quantities(features: Features) -> None:
    assert features.feature_types == ["q", "q", "q", "q", "c", "q"]


def test_fitted_features_say_which_raw_columns_they_want(features: Features) -> None:
    assert features.feature_names_in_.tolist() == list(KINDS)
    assert features.n_features_in_ == 5


def test_a_clone_is_not_fitted_and_fits_the_same(frame: pd.DataFrame, features: Features) -> None:
    twin = clone(features)
    assert not hasattr(twin, "encoders_")
    assert twin.get_params() == {"kinds": KINDS, "derived": DERIVED, "readings": None}
    np.testing.assert_array_equal(twin.fit_transform(frame), features.transform(frame))


def test_transforming_leaves_the_rows_alone(frame: pd.DataFrame, features: Features) -> None:
    before = frame.copy(deep=True)
    features.transform(frame)
    pd.testing.assert_frame_equal(frame, before)


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
CELLS = {
    "float64": st.floats() | st.none(),
    "float32": st.floats(width=32),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "Int64": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "uint8": st.integers(0, 255),
    "bool": st.booleans(),
    "boolean": st.booleans() | st.none(),
    "string": st.text(max_size=3) | st.none(),
    "category": st.text(max_size=3) | st.none(),
    "datetime64[ns]": st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)) | st.none(),
    "object": st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary()),
}


@st.composite
def odd_frames(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw training and other rows of the same odd columns."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(0, 3))
    drawn = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        dtype = draw(st.sampled_from(sorted(CELLS)))
        items = draw(st.lists(CELLS[dtype], min_size=n + m, max_size=n + m))
        drawn[name] = pd.Series(items, dtype=dtype)
    rows = pd.DataFrame(drawn)
    return rows.iloc[:n], rows.iloc[n:]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(odd_frames())
def test_an_odd_frame_is_refused_or_gives_a_matrix_that_xgboost_takes(
    frames: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    training, others = frames
    try:
        kinds = settle_columns(training).kinds
        features = Features(kinds)
        matrices = [features.fit_transform(training, np.arange(len(training)) % 2), features.transform(others)]
    except UserError:
        return
    names = features.get_feature_names_out()
    for matrix, rows in zip(matrices, frames, strict=True):
        assert matrix.dtype == np.float32
        assert matrix.shape == (len(rows), len(names))
        assert not np.isinf(matrix).any()
    if not kinds:
        return
    data = xgb.DMatrix(
        matrices[0],
        feature_names=list(names),
        feature_types=features.feature_types,
        enable_categorical=True,
    )
    assert (data.num_row(), data.num_col()) == (len(training), len(names))
