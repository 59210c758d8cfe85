"""What kind each column of a table is, and why; which ones are left out."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.data.cells import settle_cells
from treeline.data.dtypes import is_boolean, is_datetime, is_numeric, missing
from treeline.data.looks import ADDRESS, PAIR, RANGE, is_index_name, looks_like, word_count
from treeline.data.sentences import examples
from treeline.data.values import as_categories, read_datetimes, read_numbers

MAX_NATIVE_CATEGORIES = (
    100  # up to which XGBoost splits categories itself; beyond, they are encoded by the target's mean
)
MIN_ROWS_FOR_IDS = 20  # below which nothing is said about ids, for in a few rows everything is different
MIN_WORDS_OF_TEXT = 4  # on average, from which text is read as free text
MAX_INDEX_PER_ROW = 50  # of a table of few rows drawn from many, whose index goes on beyond them
MIN_SHARE_OF_IDS = 0.9  # of the values that are different, from which text tells one row from another and no more
ROW_NUMBER = "it numbers the rows"
KINDS_BY_SETTING = {"numeric": "number", "categorical": "category", "datetime": "datetime", "text": "text"}


@dataclass(frozen=True)
class Columns:
    """The columns of a table, settled.

    Attributes:
        kinds: the kind of each column that the model reads: `number`, `boolean`, `category` (few levels),
            `high_cardinality` (a category of many), `datetime`, `text` or `pair` (text of two numbers).
        reasons: why, a few words a column.
        left_out: why each other column is not read.
        readings: how the text of each column is read, as `treeline.data.values.Reading.to_dict` gives it, where that is
            not the default.
        frame: the columns, read: numbers, booleans and moments in types of their own.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)


def settle_columns(frame: pd.DataFrame | dict[str, pd.Series], asked: Mapping[str, str] | None = None) -> Columns:
    """Give each raw column its kind, or leave it out.

    Args:
        frame: raw columns without the target; missing values may stand anywhere. A dict of them is emptied on the way.
        asked: the kind of a column that the user has named: `number`, `category`, `datetime` or `text`. Such a column
            is left out only where it holds nothing.

    Raises:
        UserError: a column asked to be of a kind holds what is not of it.
    """
    asked = asked or {}
    cells = settle_cells(frame, asked)
    frame = cells.frame
    settled = Columns(readings=cells.readings, frame=frame)
    twins: dict[tuple[str, bytes], str] = {}
    for name in map(str, frame.columns):
        kind, reason = _kind(name, frame[name], asked.get(name, ""), cells.kinds.get(name, ""))
        if kind and cells.told.get(name):
            whole = reason in ("numbers", "dates or times") and cells.told[name].startswith(("a duration", "dates"))
            reason = cells.told[name] if whole else f"{reason}; {cells.told[name]}"
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


def _kind(name: str, column: pd.Series, asked: str, spelled: str) -> tuple[str, str]:
    """Settle one column: its kind and the reason, or an empty kind and why it is left out.

    Args:
        name: of the column.
        column: read.
        asked: the kind that the user has named.
        spelled: the kind that its text spelled.
    """
    if not name:  # MLflow's signature takes it for a column without one
        return "", "it has no name"
    gaps = missing(column)
    present = column[~gaps] if gaps.any() else column
    if present.empty:
        return "", "it holds no value"
    if any(isinstance(value, list | dict | set | tuple | np.ndarray | bytes) for value in present.head(100)):
        return "", f"it holds {type(present.iloc[0]).__name__} values, such as {str(present.iloc[0])[:40]}"
    if pd.api.types.is_complex_dtype(column):
        return "", "it holds complex numbers"
    if asked:
        return _asked(name, column, asked)
    full = len(present) == len(column)
    if full and len(column) > 1 and bool((present == present.iloc[0]).all()):
        return "", f"it is constant: {str(present.iloc[0])[:40]!r}"
    if is_boolean(column):
        return "boolean", "true or false"
    if is_datetime(column):
        return "datetime", "dates or times"
    if pd.api.types.infer_dtype(column, skipna=True) in ("integer", "decimal", "mixed-integer-float", "floating"):
        why_not = _row_number(name, present)
        return ("", why_not) if why_not else ("number", "numbers")
    if spelled == "pair":
        return "pair", "two numbers each"
    return _text(present)


def _asked(name: str, column: pd.Series, asked: str) -> tuple[str, str]:
    """Settle a column whose kind the user has named."""
    setting = next(setting for setting, kind in KINDS_BY_SETTING.items() if kind == asked)
    reason = f"asked for by {setting}"
    if asked in ("number", "datetime"):
        _, strange = (read_numbers if asked == "number" else read_datetimes)(column)
        if strange.any():
            what = "not numbers" if asked == "number" else "no moments"
            raise UserError(f"{setting} names {name!r}, which holds {examples(column[strange])}, {what}.")
    if asked == "category" and pd.Series(as_categories(column)).nunique() > MAX_NATIVE_CATEGORIES:
        return "high_cardinality", reason
    return asked, reason


def _text(present: pd.Series) -> tuple[str, str]:
    """Settle a column of words, or of values of mixed types; none of them is missing."""
    text = pd.Series(as_categories(present))
    different = int(text.nunique())
    words = float(np.mean([word_count(each) for each in text.head(2000)]))
    if words >= MIN_WORDS_OF_TEXT and different > len(text) / 2:
        return "text", f"free text, {words:.0f} words on average"
    look = looks_like(text)
    if look in (RANGE, PAIR) and different > MAX_NATIVE_CATEGORIES:
        what = "ranges" if look == RANGE else "different ones"
        return "pair", f"{different} {what}, such as {text.iloc[0]!r}: two numbers each"
    if different >= MIN_SHARE_OF_IDS * len(text) and len(text) >= MIN_ROWS_FOR_IDS:
        if different == len(text) and not look:
            return "", f"it is an id: {different} rows, each with a value of its own"
        what = f"it looks like {look}" if look else "it is a name or an id"
        return "", f"{what}: {different} different values in {len(text)} rows, such as {text.iloc[0][:40]!r}"
    few = different <= MAX_NATIVE_CATEGORIES
    known = look and not (few and look == ADDRESS)  # so look Level 5 and 2 Seasons
    told = f", {look} each, such as {text.iloc[0][:40]!r}" if known else ""
    if few:
        return "category", f"{different} {'level' if different == 1 else 'levels'}{told}"
    return (
        "high_cardinality",
        f"{different} levels, more than {MAX_NATIVE_CATEGORIES}: encoded by the target's mean{told}",
    )


def _row_number(name: str, column: pd.Series) -> str:
    """Say why a column of numbers, none of them missing, is an id or numbers the rows; empty where it does not."""
    if len(column) < 2 or not column.is_unique:
        return ""
    numbers = column.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all() or not (numbers % 1 == 0).all():
        return ""
    if is_index_name(name) and numbers.min() >= 0 and numbers.max() < MAX_INDEX_PER_ROW * len(numbers):
        return "it is an index, which numbers the rows"
    if len(column) < MIN_ROWS_FOR_IDS:
        return ""
    if (np.diff(numbers) == 1).all():
        return ROW_NUMBER
    if re.search(r"(?i)(^|[^a-z])id$", name) or re.search(r"[a-z]I[dD]$", name):
        return "it is an id: each row has a number of its own"
    return ""


def _fingerprint(column: pd.Series) -> bytes:
    """Hash a column's values, so that two columns that say the same are found."""
    if is_numeric(column):
        return hashlib.sha256(column.to_numpy(dtype=np.float64, na_value=np.nan).tobytes()).digest()
    if is_datetime(column):
        return hashlib.sha256(column.to_numpy(dtype="datetime64[us]").tobytes()).digest()
    return hashlib.sha256(pd.util.hash_pandas_object(column.astype("str"), index=False).to_numpy().tobytes()).digest()
