"""What kind each column of a table is, and why; which ones are left out."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.data.values import (
    as_categories,
    datetime_format,
    first_non_numeric,
    is_boolean,
    is_datetime,
    is_numeric,
    is_text,
    marks_missing,
    spells_numbers,
    to_numeric,
)

MAX_NATIVE_CATEGORIES = (
    100  # up to which XGBoost splits categories itself; beyond, they are encoded by the target's mean
)
MIN_ROWS_FOR_IDS = 20  # below which nothing is said about ids, for in a few rows everything is different
MIN_WORDS_OF_TEXT = 4  # on average, from which text is read as free text
ROW_NUMBER = "it numbers the rows"
KINDS_BY_SETTING = {"numeric": "number", "categorical": "category", "datetime": "datetime", "text": "text"}


@dataclass(frozen=True)
class Columns:
    """The columns of a table, settled.

    Attributes:
        kinds: the kind of each column that the model reads: `number`, `boolean`, `category` (few levels),
            `high_cardinality` (a category of many), `datetime` or `text`.
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
    if is_boolean(column):
        return "boolean", "true or false"
    if is_datetime(column):
        return "datetime", "dates or times"
    if pd.api.types.is_timedelta64_dtype(column):
        return "number", "a duration, in seconds"
    if pd.api.types.infer_dtype(column, skipna=True) in ("integer", "decimal", "mixed-integer-float", "floating"):
        why_not = _row_number(name, present) if full else ""
        return ("", why_not) if why_not else ("number", "numbers")
    return _text(column)


def _asked(name: str, column: pd.Series, asked: str) -> tuple[str, str]:
    """Settle a column whose kind the user has named."""
    setting = next(setting for setting, kind in KINDS_BY_SETTING.items() if kind == asked)
    reason = f"asked for by {setting}"
    if asked == "number":
        try:
            to_numeric(column)
        except (ValueError, TypeError, OverflowError):
            raise UserError(
                f"{setting} names {name!r}, which holds {first_non_numeric(column)!r}, not a number."
            ) from None
    if asked == "datetime" and not is_datetime(column) and not datetime_format(column):
        raise UserError(
            f"{setting} names {name!r}, which holds {column.dropna().iloc[0]!r}: no known format reads 99 % of its "
            "values. Write them as 2026-01-31 or 2026-01-31 12:00:00."
        )
    if asked == "category" and pd.Series(as_categories(column)).nunique() > MAX_NATIVE_CATEGORIES:
        return "high_cardinality", reason
    return asked, reason


def _text(column: pd.Series) -> tuple[str, str]:
    """Settle a column of text, or of values of mixed types."""
    text = pd.Series(as_categories(column))
    different = int(text.nunique())
    if spells_numbers(column):
        blanks = sum(isinstance(value, str) and marks_missing(value) for value in column.dropna())
        return "number", "numbers spelled as text" + (f", {blanks} of them blank" if blanks else "")
    codes = text.dropna().str.fullmatch(r"\d+").mean() > 0.5  # such as 0123, which ISO 8601 would take for a year
    written = "" if codes else datetime_format(text)
    if written:
        return "datetime", f"dates or times as text ({written})"
    present = text.dropna()
    words = present.head(2000).str.split().map(len).mean()
    if words >= MIN_WORDS_OF_TEXT and different > len(present) / 2:
        return "text", f"free text, {words:.0f} words on average"
    if different == len(present) >= MIN_ROWS_FOR_IDS:
        return "", f"it is an id: {different} rows, each with a value of its own"
    if different <= MAX_NATIVE_CATEGORIES:
        return "category", f"{different} levels"
    return "high_cardinality", f"{different} levels, more than {MAX_NATIVE_CATEGORIES}: encoded by the target's mean"


def _row_number(name: str, column: pd.Series) -> str:
    """Say why a column of whole numbers without gaps is an id; empty where it is not."""
    if len(column) < MIN_ROWS_FOR_IDS or not pd.api.types.is_integer_dtype(column) or not column.is_unique:
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
    text = pd.Series(as_categories(column)).fillna("\0").to_numpy(dtype=object)
    return hashlib.sha256(pd.util.hash_array(text).tobytes()).digest()
