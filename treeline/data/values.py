"""What a cell means: the one place that turns a value, however it came, into a number, a boolean, a moment, a category
or a gap.

How the text of a column is read is settled once, on the table that is trained on, and kept as a `Reading`. A table
file, an evaluation table, a batch, a request and a frame in Python are all read by these functions and by that reading.
"""

import datetime
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from treeline.data.dtypes import arrow_text, is_missing, is_numeric, missing
from treeline.data.durations import parse_duration
from treeline.data.moments import ISO, NO_DATES, parse, parse_plain
from treeline.data.numbers import Signs, is_plain, marks_missing, parse_number, pattern, pattern_with_unit

# Two spellings of yes and no are one pair; 1 and 0 are numbers.
PAIRS = (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"))
MAX_ROWS_IN_LOOP = 50  # cells up to which a loop beats Arrow
DURATION = "duration"
TIME = "%H:%M:%S"


@dataclass(frozen=True)
class Reading:
    """How the text of a column is read; the defaults read what programs write.

    Attributes:
        decimal, thousands, unit, scales: the signs of numbers, as in `treeline.data.numbers.Signs`.
        form: of a moment its format, as in `treeline.data.moments.Dated`; `duration` for numbers that are one.
        words: what stood for a missing value among numbers, booleans or moments of this column alone.
        pair: the words for true and false, in small letters.
        others: units of a few cells, whose numbers are missing, as in `treeline.data.numbers.Signs`.
        levels_are_numbers: whether a category's levels are numbers, so that 3, 3.0 and "3.0" are one level.
        stripped: whether blanks around words mean nothing, for every cell of the table had some.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    scales: bool = False
    form: str = ""
    words: tuple[str, ...] = ()
    pair: tuple[str, str] = ("true", "false")
    others: tuple[str, ...] = ()
    levels_are_numbers: bool = False
    stripped: bool = False

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any] | None) -> "Reading":
        """Take a reading back from what `to_dict` gave; None is the default one."""
        if not kept:
            return PLAIN_READING
        made: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in kept.items()}
        return cls(**made)

    def to_dict(self) -> dict[str, Any]:
        """Give what differs from the default, in types that JSON has."""
        plain = asdict(PLAIN_READING)
        mine = {name: each for name, each in asdict(self).items() if each != plain[name]}
        return {name: list(each) if isinstance(each, tuple) else each for name, each in mine.items()}

    @property
    def signs(self) -> Signs:
        """The signs of numbers."""
        return Signs(self.decimal, self.thousands, self.unit, self.scales, self.others)

    def is_gap(self, text: str) -> bool:
        """Tell whether text stands for a missing value where numbers, booleans or moments stand."""
        return marks_missing(text) or text in self.words or text.strip() in NO_DATES


PLAIN_READING = Reading()


# --- a number


def read_numbers(column: pd.Series, reading: Reading = PLAIN_READING) -> tuple[np.ndarray, np.ndarray]:
    """Read a column as numbers and tell which values are none.

    Returns:
        float64 of shape (n_rows,), NaN where a value is missing or no number; and a boolean for each value that stands
        there and is no number. Booleans are 1 and 0, durations seconds.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":  # at once, for one row is asked most often
        return column.to_numpy(dtype=np.float64), np.zeros(len(column), dtype=bool)
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds().to_numpy(dtype=np.float64), np.zeros(len(column), dtype=bool)
    if is_numeric(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    if isinstance(column.dtype, pd.StringDtype) and len(column) > MAX_ROWS_IN_LOOP and reading.form != DURATION:
        return _read_text(column, reading)
    read = [_number(value, reading) for value in column.array]
    strange = np.fromiter((value is None for value in read), dtype=bool, count=len(read))
    return np.array([np.nan if value is None else value for value in read], dtype=np.float64), strange


def _read_text(column: pd.Series, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Read text as numbers at once; what is not written plainly is read value by value, each different one once."""
    signs = reading.signs
    cells = arrow_text(column)
    written = pc.if_else(pc.match_substring_regex(cells, pattern(signs)), cells, None)
    if signs.unit and not signs.scales:
        number = pc.struct_field(pc.extract_regex(cells, pattern_with_unit(signs)), "n")
        number = pc.if_else(pc.match_substring_regex(number, "^[+-]?0[0-9]+$"), None, number)  # a code beside a unit
        written = pc.coalesce(written, number)
    plain = pc.is_valid(written)
    if signs.thousands:
        written = pc.replace_substring(written, signs.thousands, "")
    if signs.decimal != ".":
        written = pc.replace_substring(written, signs.decimal, ".")
    numbers = cast_plain(written)
    strange = np.zeros(len(numbers), dtype=bool)
    rest = np.flatnonzero(~np.asarray(plain, dtype=bool) & column.notna().to_numpy())
    if len(rest):
        codes, different = pd.factorize(column.iloc[rest])
        read = [_number(value, reading) for value in different]
        numbers[rest] = np.array([np.nan if value is None else value for value in read], dtype=np.float64)[codes]
        strange[rest] = np.array([value is None for value in read])[codes]
    return numbers, strange


def cast_plain(cells: pa.Array) -> np.ndarray:
    """Read text that is plain numbers, or null, or empty: float64 of shape (n_rows,)."""
    if pc.any(pc.starts_with(cells, "+"), min_count=0).as_py():  # which Arrow does not take
        cells = pc.utf8_ltrim(cells, "+")
    return np.array(pc.fill_null(pc.cast(cells, pa.float64()), math.nan))


def _number(value: Any, reading: Reading) -> float | None:
    """Read one value as a number, NaN where it is missing or marked so; None where it is none."""
    if isinstance(value, str):
        if reading.is_gap(value):
            return math.nan
        number = parse_duration(value) if reading.form == DURATION else None
        number = parse_number(value, reading.signs) if number is None else number
        return _truth(value, reading) if number is None else number
    if is_missing(value):
        return math.nan
    if isinstance(value, complex | np.complexfloating):
        return None
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _truth(value: str, reading: Reading) -> float | None:
    """Read a word as 1 or 0: the column's own pair, or JSON's."""
    word = value.strip().casefold()
    for pair in (reading.pair, PAIRS[0]):
        if word in pair:
            return 1.0 - pair.index(word)
    return None


def to_numeric(column: pd.Series, reading: Reading = PLAIN_READING) -> np.ndarray:
    """Read a column as numbers: float64 of shape (n_rows,), NaN where one is missing or marked so in text.

    Raises:
        ValueError: a value is no number.
    """
    numbers, strange = read_numbers(column, reading)
    if strange.any():
        raise ValueError(f"{column[strange].iloc[0]!r} is no number")
    return numbers


# --- a boolean


def read_booleans(column: pd.Series, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Read a column as booleans, 1 and 0, and tell which values are none; as `read_numbers`."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return read_numbers(column)
    codes, different = _factorize(column)
    read = [_boolean(value, reading) for value in different]
    numbers = np.array([np.nan if value is None else value for value in [*read, np.nan]], dtype=np.float64)
    strange = np.array([value is None for value in [*read, np.nan]])
    return numbers[codes], strange[codes]


def _boolean(value: Any, reading: Reading) -> float | None:
    if isinstance(value, str):
        return math.nan if reading.is_gap(value) else _truth(value, reading)
    return _number(value, reading)


# --- a category


def as_category(value: Any, reading: Reading = PLAIN_READING) -> Any:
    """Spell a value as text, so that 3 and 3.0 are one category; NaN where it is missing."""
    if isinstance(value, str):
        if reading.levels_are_numbers and is_plain(value):
            return _shortest(value)
        value = value.strip() if reading.stripped else value
        return value if value and not value.isspace() else np.nan
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return np.nan
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def as_categories(column: pd.Series, reading: Reading = PLAIN_READING) -> np.ndarray:
    """Spell a whole column as categories: an object array of strings and NaN, of shape (n_rows,)."""
    if isinstance(column.dtype, pd.StringDtype) and not (reading.levels_are_numbers or reading.stripped):
        values = column.to_numpy(dtype=object, na_value=np.nan)
        blank = missing(column)
        return np.where(blank, np.nan, values) if blank.any() else values
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "f" and column.dtype.itemsize < 8:
        values = column.to_numpy()  # whose scalars know their width: 0.1 is spelled so
        return np.array([as_category(value) for value in values], dtype=object)
    return np.array([as_category(value, reading) for value in column.to_numpy(dtype=object)], dtype=object)


def _shortest(text: str) -> str:
    """Spell a number by the shortest text that means it; a whole one, however long, digit by digit."""
    text = text.strip().removeprefix("+")
    if text.lstrip("-").isdigit():
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() else str(number)


# --- a moment


def read_datetimes(column: pd.Series, reading: Reading = PLAIN_READING) -> tuple[np.ndarray, np.ndarray]:
    """Read a column as moments, and tell which values are none.

    Args:
        column: real dates, text, or numbers, which are milliseconds since 1970, as pandas writes dates into JSON.
        reading: whose `form` text has; text in ISO 8601 is read by every column, as JSON carries real dates.

    Returns:
        datetime64[us] of shape (n_rows,), without a zone and in UTC where there was one, NaT where a value is missing
        or no moment; and a boolean for each value that stands there and is no moment.
    """
    fine = np.zeros(len(column), dtype=bool)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column):
        if isinstance(column.dtype, pd.DatetimeTZDtype | pd.ArrowDtype):
            column = (
                column.dt.tz_localize(None)
                if column.dt.tz is None
                else column.dt.tz_convert("UTC").dt.tz_localize(None)
            )
        return column.to_numpy(dtype="datetime64[us]"), fine
    if is_numeric(column) and reading.form != "%Y%m%d":
        return pd.to_datetime(column, unit="ms", errors="coerce").to_numpy(dtype="datetime64[us]"), fine
    if isinstance(column.dtype, pd.StringDtype) and len(column) > MAX_ROWS_IN_LOOP:
        moments = parse_plain(column, reading.form or ISO)
        rest = np.flatnonzero(np.isnat(moments) & column.notna().to_numpy())
        if len(rest):
            moments[rest], fine[rest] = _read_moments(column.iloc[rest], reading)
        return moments, fine
    return _read_moments(column, reading)


def _read_moments(column: pd.Series, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Read values as moments, each different one once."""
    codes, different = _factorize(column)
    values = pd.Series([_plain_moment(value, reading) for value in different], dtype=object)
    moments = parse(values, reading.form or ISO)
    if reading.form not in ("", ISO):
        again = np.isnat(moments) & values.notna().to_numpy()
        plain = values[again]  # a caller who has parsed the text sends ISO 8601
        if reading.form.startswith(("%H", "%I")):
            plain = plain.str.replace(r"^(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)$", r"1900-01-01T\1", regex=True)
        moments[again] = parse(plain, ISO)
    unread = np.isnat(moments) & values.notna().to_numpy()
    moments, unread = np.append(moments, np.datetime64("NaT")), np.append(unread, False)  # a gap has the code -1
    return moments[codes], unread[codes]


def _plain_moment(value: Any, reading: Reading) -> Any:
    """Spell a value as text in ISO 8601 where it is a real date or time; None where it is missing."""
    if isinstance(value, str):
        return None if reading.is_gap(value) else value
    if is_missing(value):
        return None
    if isinstance(value, datetime.time):
        return f"1900-01-01T{value.replace(tzinfo=None).isoformat()}"
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def to_datetimes(column: pd.Series, written: str = "") -> np.ndarray:
    """Read a column as moments, datetime64[us] of shape (n_rows,); what cannot be read is NaT.

    Args:
        column: as `read_datetimes` takes it.
        written: the format of text; empty for ISO 8601.
    """
    return read_datetimes(column, Reading(form=written))[0]


def _factorize(column: pd.Series) -> tuple[np.ndarray, Iterable[Any]]:
    """Number the different values, so that each is read once; a missing one has the number -1."""
    try:
        codes, different = pd.factorize(column)
        return codes, list(np.asarray(different, dtype=object))
    except TypeError:  # a list among them, which is no value of any kind
        return np.arange(len(column)), list(column)


# --- any kind


def read_column(column: pd.Series, kind: str, reading: Reading = PLAIN_READING) -> tuple[pd.Series, np.ndarray]:
    """Read a column as its kind wants it: the values, and which of them stand there and are none of the kind.

    Args:
        column: as it came.
        kind: as in `treeline.data.columns.Columns`.
        reading: settled on the table that is trained on.

    Returns:
        Under the column's index: numbers as float64, booleans as such (as objects, None where one is missing), moments
        as datetime64[us], everything else as it came, or as the reading spells it. And a boolean of shape (n_rows,).
    """
    values: Any
    if kind == "number":
        values, strange = read_numbers(column, reading)
    elif kind == "boolean":
        numbers, strange = read_booleans(column, reading)
        values, gaps = (numbers > 0).astype(object), np.isnan(numbers)
        values[gaps] = None
        values = values if gaps.any() else values.astype(bool)
    elif kind == "datetime":
        values, strange = read_datetimes(column, reading)
    else:
        values = as_categories(column, reading) if reading.levels_are_numbers or reading.stripped else column
        strange = np.zeros(len(column), dtype=bool)
    return pd.Series(values, index=column.index, name=column.name), strange


def different_texts(column: pd.Series) -> dict[str, int]:
    """Count the cells of each different text; what is missing is left aside, and other values are spelled as text."""
    present = column[~missing(column)]
    if not isinstance(present.dtype, pd.StringDtype):
        present = present.map(as_text)
    return {str(text): int(count) for text, count in present.value_counts(sort=False).items()}


def as_text(value: Any) -> str:
    """Spell a value that stands among text, a moment as JSON carries it."""
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(as_category(value))
