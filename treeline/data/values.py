"""What a cell means: the one place that turns a value, however it came, into a number, a boolean, a moment, a category
or a gap.

A table file, an evaluation table, a batch, a request and a frame in Python are all read by these functions.
"""

import datetime
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

MISSING_MARKS = frozenset({"", "?", "-", "na", "n/a", "nan", "null", "none"})  # a missing number, as people spell it
BOOLEAN_WORDS = {"true": 1.0, "false": 0.0}

ISO = "ISO8601"
# Tried in this order; where a column fits both, the month stands before the day, as in most public tables.
DATES = ["%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y"]
DATES += ["%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"]
TIMES = ["", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p"]
FORMATS = [ISO, *(date + time for date in DATES for time in TIMES), "%H:%M:%S", "%H:%M", "%I:%M %p", "%Y%m%d"]
MIN_SHARE_READ = 0.99  # of the different values, by a format of dates


# --- what a column holds


def is_numeric(column: pd.Series) -> bool:
    """Tell whether a column's dtype is one of real numbers or booleans."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def is_text(column: pd.Series) -> bool:
    """Tell whether every value present is a string."""
    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty") and not is_numeric(column)


def is_boolean(column: pd.Series) -> bool:
    """Tell whether every value present is a boolean."""
    return pd.api.types.is_bool_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) == "boolean"


def is_datetime(column: pd.Series) -> bool:
    """Tell whether a column holds real dates or times rather than text."""
    if isinstance(column.dtype, pd.PeriodDtype) or pd.api.types.is_datetime64_any_dtype(column):
        return True
    return pd.api.types.infer_dtype(column, skipna=True) in ("date", "datetime", "datetime64", "time", "period")


def spells_numbers(column: pd.Series) -> bool:
    """Tell whether text spells numbers, but for a few gaps; codes with leading zeros are none."""
    values = [
        value.strip() for value in column.dropna().unique() if isinstance(value, str) and not marks_missing(value)
    ]
    if not values or len(values) < column.nunique() - len(MISSING_MARKS):
        return False
    if any(re.match(r"[+-]?0\d", value) for value in values):
        return False
    try:
        return bool(np.isfinite(np.array(values, dtype=np.float64)).all())
    except ValueError:
        return False


# --- a value in a sentence


def spell(value: Any) -> str:
    """Spell a value for a sentence as a person knows it from the table, whatever type of a library holds it.

    Text stands in quotes; a number in as few digits as tell it from every other of its own width, a whole one without
    its point; a moment as ISO 8601, without the time of day where that is midnight.
    """
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if is_missing(value):
        return "an empty cell"
    if isinstance(value, str):
        return repr(str(value))
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, np.generic):
        return str(int(value)) if isinstance(value, np.floating) and _is_plainly_whole(value) else str(value)
    if isinstance(value, float) and _is_plainly_whole(value):
        return str(int(value))
    return str(value)


def _is_plainly_whole(number: Any) -> bool:
    return float(number).is_integer() and abs(float(number)) < 1e16


# --- a gap


def is_missing(value: Any) -> bool:
    """Tell whether a value is none at all; text that marks a missing number is a value."""
    return value is None or value is pd.NA or value is pd.NaT or bool(isinstance(value, float) and value != value)


def marks_missing(value: str) -> bool:
    """Tell whether text stands for a missing number, as people spell it."""
    return value.strip().lower() in MISSING_MARKS


# --- a number


def to_numeric(column: pd.Series) -> np.ndarray:
    """Read a column as numbers: float64 of shape (n_rows,), NaN where one is missing or marked so in text.

    Raises:
        ValueError, TypeError, OverflowError: a value is no number.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":  # at once, for one row is asked most often
        return column.to_numpy(dtype=np.float64)
    if column.isna().all():
        return np.full(len(column), np.nan)
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds().to_numpy()
    if is_numeric(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    values = column.to_numpy(dtype=object, na_value=np.nan)
    read = (np.nan if isinstance(value, str) and marks_missing(value) else value for value in values)
    return np.fromiter(read, np.float64, len(values))  # np.array would take lists of one length for a table of numbers


def to_numeric_or_gap(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Read a column as numbers and tell which values are none.

    Returns:
        float64 of shape (n_rows,), NaN where a value is missing or no number; and a boolean for each value that stands
        there and is no number. The words true and false are 1 and 0.
    """
    try:
        return to_numeric(column).astype(np.float64), np.zeros(len(column), dtype=bool)
    except (ValueError, TypeError, OverflowError):
        one_by_one = [_number(value) for value in column]
    unreadable = np.array([value is None for value in one_by_one])
    return np.array([np.nan if value is None else value for value in one_by_one], dtype=np.float64), unreadable


def first_non_numeric(values: Iterable[Any]) -> Any:
    """Give the first of some values that is neither missing nor to be read as a number."""
    for value in values:
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            if not (is_missing(value) or (isinstance(value, str) and marks_missing(value))):
                return value
    raise AssertionError("every value is a number")


def share_numeric(column: pd.Series) -> float:
    """Give the share of a column's different values that are numbers or spell them, from 0 to 1."""
    return float(pd.to_numeric(pd.Series(column.unique()), errors="coerce").notna().mean())


def whole_numbers(column: pd.Series) -> bool:
    """Tell whether every number is whole, and small enough to be told from its neighbours as a float."""
    numbers = column.to_numpy(dtype=np.float64)
    return bool((np.abs(numbers) < 2**53).all() and (numbers % 1 == 0).all())


def _number(value: Any) -> float | None:
    """Read one value as a number, NaN where it marks a missing one; None where it is none."""
    if is_missing(value) or (isinstance(value, str) and marks_missing(value)):
        return np.nan
    word = str(value).strip().lower()
    if word in BOOLEAN_WORDS:
        return BOOLEAN_WORDS[word]
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


# --- a category


def as_category(value: Any) -> Any:
    """Spell a value as text, so that 3, 3.0 and "3" are one category; NaN where it is missing."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return np.nan
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def as_categories(column: pd.Series) -> np.ndarray:
    """Spell a whole column as categories: an object array of strings and NaN, of shape (n_rows,)."""
    if isinstance(column.dtype, pd.CategoricalDtype) or not isinstance(column.dtype, pd.StringDtype):
        return np.array([as_category(value) for value in column.to_numpy(dtype=object)], dtype=object)
    return column.to_numpy(dtype=object, na_value=np.nan)


# --- a moment


def datetime_format(column: pd.Series) -> str:
    """Find the format of dates and times written as text.

    Args:
        column: text, or real dates, which need none; missing values may stand anywhere.

    Returns:
        The first of the known formats that reads 99 % of the different values; empty where none does, or where the
        column holds real dates.
    """
    if is_datetime(column):
        return ""
    values = pd.Series(column.dropna().unique()).map(_plain)
    values = values[values != ""]
    if values.empty:
        return ""
    head = values.head(50)
    for each in FORMATS:
        if all(_parse(some, each).notna().mean() >= MIN_SHARE_READ for some in (head, values)):
            return each
    return ""


def to_datetimes(column: pd.Series, written: str) -> np.ndarray:
    """Read a column as moments, datetime64[ns] of shape (n_rows,); what cannot be read is NaT.

    Args:
        column: real dates, text, or numbers, which are milliseconds since 1970, as pandas writes dates into JSON.
        written: the format of text; empty for ISO 8601, as JSON carries real dates.
    """
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    if pd.api.types.is_numeric_dtype(column) and written != "%Y%m%d":
        return pd.to_datetime(column, unit="ms", errors="coerce").to_numpy(dtype="datetime64[ns]")
    text = column.map(_plain, na_action="ignore")
    read = _parse(text, written or ISO)
    if written not in ("", ISO) and read.isna().sum() > text.isna().sum():
        read = read.fillna(_parse(text, ISO))  # a caller who has parsed the text sends ISO 8601
    return read.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def _plain(value: object) -> str:
    """Spell a value as text: whole floats, which a missing value makes of integers, without their point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _parse(text: pd.Series, written: str) -> pd.Series:
    return pd.to_datetime(text, format=written, errors="coerce", utc=True)
