"""Dates and times, real or as text: recognise the format, and turn a column into calendar and clock parts."""

import numpy as np
import pandas as pd

ISO = "ISO8601"
# Tried in this order; where a column fits both, the month stands before the day, as in most public tables.
DATES = ["%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y"]
DATES += ["%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"]
TIMES = ["", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p"]
FORMATS = [ISO, *(date + time for date in DATES for time in TIMES), "%H:%M:%S", "%H:%M", "%I:%M %p", "%Y%m%d"]
PARTS = ["year", "month", "day", "weekday", "hour", "minute", "days"]
ENOUGH = 0.99  # share of the values that a format must read
DAY = 86_400.0


def is_moment(column: pd.Series) -> bool:
    """Tell whether a column holds real dates or times rather than text."""
    if isinstance(column.dtype, pd.PeriodDtype) or pd.api.types.is_datetime64_any_dtype(column):
        return True
    return pd.api.types.infer_dtype(column, skipna=True) in ("date", "datetime", "datetime64", "time", "period")


def date_format(column: pd.Series) -> str:
    """Find the format of dates and times written as text.

    Args:
        column: text, or real dates, which need none; missing values may stand anywhere.

    Returns:
        The first of the known formats that reads 99 % of the different values; empty where none does, or where the
        column holds real dates.
    """
    if is_moment(column):
        return ""
    values = pd.Series(column.dropna().unique()).map(_plain)
    values = values[values != ""]
    if values.empty:
        return ""
    head = values.head(50)
    for each in FORMATS:
        if _read(head, each).notna().mean() >= ENOUGH and _read(values, each).notna().mean() >= ENOUGH:
            return each
    return ""


def moments(column: pd.Series, written: str) -> np.ndarray:
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
    read = _read(text, written or ISO)
    if written not in ("", ISO) and read.isna().sum() > text.isna().sum():
        read = read.fillna(_read(text, ISO))  # a caller who has parsed the text sends ISO 8601
    return read.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def parts(values: np.ndarray, start: np.datetime64) -> dict[str, np.ndarray]:
    """Give the calendar and clock parts of moments, and the days elapsed since a start.

    Args:
        values: datetime64[ns] of shape (n_rows,).
        start: where the days are counted from.

    Returns:
        float64 of shape (n_rows,) for each of `PARTS`; NaN for NaT. Monday is weekday 0; days have fractions.
    """
    at = pd.DatetimeIndex(values)
    attributes = {"weekday": "day_of_week"}
    found = {name: np.asarray(getattr(at, attributes.get(name, name)), dtype=np.float64) for name in PARTS[:-1]}
    since = (values - start) / np.timedelta64(1, "ns")
    found["days"] = np.where(np.isnat(values), np.nan, since / (DAY * 1e9))
    return found


def _plain(value: object) -> str:
    """Spell a value as text: whole floats, which a missing value makes of integers, without their point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _read(text: pd.Series, written: str) -> pd.Series:
    return pd.to_datetime(text, format=written, errors="coerce", utc=True)
