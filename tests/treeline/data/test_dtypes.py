"""What type the values of a column have."""

import datetime

import numpy as np
import pandas as pd
import pytest

from treeline.data.dtypes import is_boolean, is_datetime, is_missing, is_numeric, is_text, missing, replaced


def values(*items: object) -> pd.Series:
    return pd.Series(list(items))


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (values(1, 2.5), "number"),
        (values(True, False), "boolean"),
        (values(True, None), "boolean"),
        (values("a", None), "text"),
        (values(datetime.time(1, 2), None), "datetime"),
        (values(pd.Timestamp("2020-01-01")), "datetime"),
        (values("a", 1), ""),
    ],
)
def test_a_type_is_told_by_what_is_there(column: pd.Series, kind: str) -> None:
    told = {"text": is_text(column), "datetime": is_datetime(column), "boolean": is_boolean(column)}
    assert [name for name, found in told.items() if found] == ([kind] if kind not in ("", "number") else [])
    assert is_numeric(column) == (kind == "number" or column.dtype == bool)


def test_blanks_are_missing_and_words_are_not() -> None:
    column = pd.Series(["", " ", None, "None", "a"], dtype="str")
    assert missing(column).tolist() == missing(column.astype(object)).tolist() == [True, True, True, False, False]
    assert [is_missing(each) for each in (np.nan, pd.NaT, pd.NA, 0, "-")] == [True, True, True, False, False]


def test_columns_are_replaced_and_the_rest_is_the_same_object() -> None:
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    assert replaced(frame, {}) is frame
    assert replaced(frame, {"b": values("y")}).to_dict("list") == {"a": [1], "b": ["y"]}
