"""What kind each column of a table is, and why; which ones are left out."""

import csv
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from treeline import UserError, nearest
from treeline.data.values import date_format, is_moment

NATIVE_LEVELS = 100  # up to which XGBoost splits categories itself; beyond, they are encoded by the target's mean
ENOUGH_ROWS = 20  # below which nothing is said about ids, for in a few rows everything is different
WORDS = 4  # on average, from which text is read as free text
MARKERS = frozenset({"", "?", "-", "na", "n/a", "nan", "null", "none"})  # a missing number, as people spell it
ROW_NUMBER = "it numbers the rows"
ASKED = {"numeric": "number", "categorical": "category", "datetime": "datetime", "text": "text"}


@dataclass(frozen=True)
class Columns:
    """The columns of a table, settled.

    Attributes:
        kinds: the kind of each column that the model reads: `number`, `boolean`, `category` (few levels), `encoded`
            (a category of many), `datetime` or `text`.
        reasons: why, a few words a column.
        left_out: why each other column is not read.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def settle_columns(frame: pd.DataFrame, asked: Mapping[str, str] | None = None) -> Columns:
    """Give each raw column its kind, or leave it out.

    Args:
        frame: raw columns without the target; missing values may stand anywhere.
        asked: the kind of a column that the user has named: `number`, `category`, `datetime` or `text`. Such a column
            is left out only where it holds nothing.

    Raises:
        UserError: a column asked to be of a kind holds what is not of it.
    """
    asked = asked or {}
    settled = Columns()
    twins: dict[tuple[str, bytes], str] = {}
    for name in map(str, frame.columns):
        kind, reason = _kind(name, frame[name], asked.get(name, ""))
        twin = ""
        if kind and name not in asked:
            twin = twins.setdefault((kind, _fingerprint(frame[name])), name)
        if not kind:
            settled.left_out[name] = reason
        elif twin not in ("", name):
            settled.left_out[name] = f"the same as {twin!r}"
        else:
            settled.kinds[name], settled.reasons[name] = kind, reason
    if not settled.kinds:  # better the number of a row than nothing
        for name in [name for name, reason in settled.left_out.items() if reason == ROW_NUMBER]:
            settled.kinds[name], settled.reasons[name] = "number", "numbers"
            del settled.left_out[name]
    return settled


def read_names(text: str, known: Iterable[str], option: str) -> list[str]:
    """Read a list of column names, separated by commas; a name that holds a comma stands in double quotes.

    Raises:
        UserError: a name is not among the known ones.
    """
    known = list(known)
    if text.strip() in known:
        return [text.strip()]
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]
    for name in names:
        if name not in known:
            raise UserError(
                f"{option} names {name!r}, which is not among the columns beside the target.{nearest(name, known)} A "
                "name that holds a comma stands in double quotes."
            )
    return list(dict.fromkeys(names))


def is_numeric(column: pd.Series) -> bool:
    """Tell whether a column's dtype is one of real numbers or booleans."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def is_text(column: pd.Series) -> bool:
    """Tell whether every value present is a string."""
    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty") and not is_numeric(column)


def level(value: Any) -> Any:
    """Spell a category's level as text, so that 3, 3.0 and "3" are one; NaN where it is missing."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return np.nan
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def levels(column: pd.Series) -> np.ndarray:
    """Spell a whole column as levels: an object array of strings and NaN, of shape (n_rows,)."""
    if isinstance(column.dtype, pd.CategoricalDtype) or not isinstance(column.dtype, pd.StringDtype):
        return np.array([level(value) for value in column.to_numpy(dtype=object)], dtype=object)
    return column.to_numpy(dtype=object, na_value=np.nan)


def numbers_of(column: pd.Series) -> np.ndarray:
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


def first_strange(values: Iterable[Any]) -> Any:
    """Give the first of some values that is neither missing nor to be read as a number."""
    for value in values:
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            if not (
                value is None or value is pd.NA or value is pd.NaT or (isinstance(value, str) and marks_missing(value))
            ):
                return value
    raise AssertionError("every value is a number")


def spelled_numbers(column: pd.Series) -> bool:
    """Tell whether text spells numbers, but for a few blanks; codes with leading zeros are none."""
    values = [
        value.strip() for value in column.dropna().unique() if isinstance(value, str) and not marks_missing(value)
    ]
    if not values or len(values) < column.nunique() - len(MARKERS):
        return False
    if any(re.match(r"[+-]?0\d", value) for value in values):
        return False
    try:
        return bool(np.isfinite(np.array(values, dtype=np.float64)).all())
    except ValueError:
        return False


def marks_missing(value: str) -> bool:
    """Tell whether text stands for a missing value, as people spell it."""
    return value.strip().lower() in MARKERS


def _kind(name: str, column: pd.Series, asked: str) -> tuple[str, str]:
    """Settle one column: its kind and the reason, or an empty kind and why it is left out."""
    present = column.dropna()
    if is_text(column):
        present = present[present.astype("str").str.strip() != ""]
    if present.empty:
        return "", "it holds no value"
    if any(isinstance(value, list | dict | set | tuple | np.ndarray | bytes) for value in present.head(100)):
        return "", f"it holds {type(present.iloc[0]).__name__} values, such as {str(present.iloc[0])[:40]}"
    if pd.api.types.is_complex_dtype(column):
        return "", "it holds complex numbers"
    if asked:
        return _asked(name, column, asked)
    full = len(present) == len(column)
    if full and present.nunique() == 1 and len(column) > 1:
        return "", f"it is constant: {str(present.iloc[0])[:40]!r}"
    if pd.api.types.is_bool_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return "boolean", "true or false"
    if is_moment(column):
        return "datetime", "dates or times"
    if pd.api.types.is_timedelta64_dtype(column):
        return "number", "a duration, in seconds"
    if pd.api.types.infer_dtype(column, skipna=True) in ("integer", "decimal", "mixed-integer-float", "floating"):
        why_not = _row_number(name, present) if full else ""
        return ("", why_not) if why_not else ("number", "numbers")
    return _text(column)


def _asked(name: str, column: pd.Series, asked: str) -> tuple[str, str]:
    """Settle a column whose kind the user has named."""
    option = next(option for option, kind in ASKED.items() if kind == asked)
    reason = f"asked for by --{option}"
    if asked == "number":
        try:
            numbers_of(column)
        except (ValueError, TypeError, OverflowError):
            raise UserError(f"--numeric names {name!r}, which holds {first_strange(column)!r}, not a number.") from None
    if asked == "datetime" and not is_moment(column) and not date_format(column):
        raise UserError(
            f"--datetime names {name!r}, which holds {column.dropna().iloc[0]!r}: no known format reads 99 % of its "
            "values. Write them as 2026-01-31 or 2026-01-31 12:00:00."
        )
    if asked == "category" and pd.Series(levels(column)).nunique() > NATIVE_LEVELS:
        return "encoded", reason
    return asked, reason


def _text(column: pd.Series) -> tuple[str, str]:
    """Settle a column of text, or of values of mixed types."""
    text = pd.Series(levels(column))
    different = int(text.nunique())
    if spelled_numbers(column):
        blanks = sum(isinstance(value, str) and marks_missing(value) for value in column.dropna())
        return "number", "numbers spelled as text" + (f", {blanks} of them blank" if blanks else "")
    codes = text.dropna().str.fullmatch(r"\d+").mean() > 0.5  # such as 0123, which ISO 8601 would take for a year
    written = "" if codes else date_format(text)
    if written:
        return "datetime", f"dates or times as text ({written})"
    present = text.dropna()
    words = present.head(2000).str.split().map(len).mean()
    if words >= WORDS and different > len(present) / 2:
        return "text", f"free text, {words:.0f} words on average"
    if different == len(present) >= ENOUGH_ROWS:
        return "", f"it is an id: {different} rows, each with a value of its own"
    if different <= NATIVE_LEVELS:
        return "category", f"{different} levels"
    return "encoded", f"{different} levels, more than {NATIVE_LEVELS}: encoded by the target's mean"


def _row_number(name: str, column: pd.Series) -> str:
    """Say why a column of whole numbers without gaps is an id; empty where it is not."""
    if len(column) < ENOUGH_ROWS or not pd.api.types.is_integer_dtype(column) or not column.is_unique:
        return ""
    if (np.diff(column.to_numpy(dtype=np.int64)) == 1).all():
        return ROW_NUMBER
    if re.search(r"(?i)(^|[^a-z])id$", name) or re.search(r"[a-z]I[dD]$", name):
        return "it is an id: each row has a number of its own"
    return ""


def _fingerprint(column: pd.Series) -> bytes:
    """Hash a column's values, so that two columns that say the same are found."""
    if is_numeric(column):
        return hashlib.sha256(column.to_numpy(dtype=np.float64, na_value=np.nan).tobytes()).digest()
    text = pd.Series(levels(column)).fillna("\0").to_numpy(dtype=object)
    return hashlib.sha256(pd.util.hash_array(text).tobytes()).digest()
