"""Text that spells a moment, and what it means.

A moment is datetime64[us] without a zone; one that is written with a zone is told in UTC, so that the hour that autumn
repeats stays two hours, and a file, a request and a real column of timestamps say the same. A time of day is a moment
of the first of January 1900, as `strptime` has it. Years of two digits are those of 1969 to 2068, as `strptime` has
them, unless the column's own years say otherwise; its format then ends with the first one, `%d.%m.%y, years from 1923`.
"""

import datetime
import re
import unicodedata

import numpy as np
import pandas as pd

ISO = "ISO8601"
QUARTER = "quarter"
WEEK = "ISO week"
NO_DATES = frozenset(("0000-00-00", "0000-00-00 00:00:00", "00/00/0000", "00.00.0000"))  # of MySQL: missing ones
_ZONES = (
    "utc +0000, gmt +0000, z +0000, wet +0000, cet +0100, bst +0100, cest +0200, eet +0200, eest +0300, msk +0300, "
    "jst +0900, aest +1000, aedt +1100, est -0500, edt -0400, cst -0600, cdt -0500, mst -0700, mdt -0600, pst -0800, "
    "pdt -0700"
)
ZONES = dict(each.split() for each in _ZONES.split(", "))

ISO_TEXT = re.compile(
    r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2}(?:[T ][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?)?"
    r"[ ]?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?)?|[0-9]{8}T[0-9]{4}(?:[0-9]{2})?Z?"
)
_LONE_DIGIT = r"[:.][0-9](?:[^0-9]|$)"
FIRST_YEAR = 1969  # that two digits mean to `strptime`
YEARS_FROM = ", years from "  # between a format and the first year that its two digits mean


def clean(value: object) -> str:
    """Spell a value as the formats have it: whole floats without a point, single blanks, zones as offsets, seconds with
    six digits at most.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if ISO_TEXT.fullmatch(text) or text.isdigit():
        return text
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text))
    text = re.sub(r"(?<=\d)\s?([ap])\.?\s?m\b\.?", lambda found: f" {found[1].upper()}M", text, flags=re.I)
    text = re.sub(r"(:\d{2}|\.\d{2}\.\d{2})([.,]\d{6})\d+", r"\1\2", text)
    text = re.sub(r"(?<=\d\d) Uhr$", "", text)
    text = re.sub(r"\b(\d{1,2})(?:st|nd|rd|th)\b", r"\1", text)
    text = re.sub(r" ?\[[A-Za-z_/]+\]$", "", text)  # Java's [Europe/Berlin], behind its offset
    text = re.sub(r"(?<=\d) ?([A-Za-z]{1,4})(?= \d{4}$|$)", lambda found: _zone(found[0], found[1]), text)
    return re.sub(r"\b(sept|[a-z]{3,4})\.(?=[ -])", lambda found: found[1][:3], text, flags=re.I)


def _zone(whole: str, name: str) -> str:
    offset = ZONES.get(name.lower())
    return f" {offset}" if offset else whole


def _moved(moments: np.ndarray, first: int) -> np.ndarray:
    """Move moments of 1969 to 2068 by a century where that brings them into the hundred years from `first` on."""
    months = moments.astype("datetime64[M]")
    years = months.astype("datetime64[Y]").astype(int) + 1970
    centuries = np.where(np.isnat(moments), 0, (first - years + 99) // 100)
    return np.asarray((months + 1200 * centuries).astype("datetime64[us]") + (moments - months))


def parse(texts: pd.Series, form: str) -> np.ndarray:
    """Read text as moments in a format: datetime64[us] of shape (n_rows,), NaT for whatever is none."""
    moments = parse_plain(texts, form)
    rest = np.flatnonzero(np.isnat(moments) & texts.notna().to_numpy())
    if not len(rest):
        return moments
    cleaned = texts.iloc[rest].map(clean)
    if form in (QUARTER, WEEK):
        cleaned = cleaned.map(_quarter if form == QUARTER else _week)
    moments[rest] = parse_plain(cleaned, ISO if form in (QUARTER, WEEK) else form)
    for i in rest[np.isnat(moments[rest])]:
        moments[i] = _beyond(clean(texts.iloc[i]), form)
    return moments


def parse_plain(texts: pd.Series, form: str) -> np.ndarray:
    """Read text that is written just so, as programs write it: as `parse`, and fast."""
    if form in (QUARTER, WEEK):
        return np.full(len(texts), np.datetime64("NaT"), dtype="datetime64[us]")
    form, _, first = form.partition(YEARS_FROM)
    plain = texts.astype("str")
    if form == ISO:
        plain = plain.where(plain.str.fullmatch(ISO_TEXT.pattern).fillna(False).astype(bool))
    elif "%M" in form:  # strptime takes the one digit of 16:9 for minutes
        plain = plain.where(~plain.str.contains(_LONE_DIGIT, regex=True).fillna(True).astype(bool))
    read = pd.to_datetime(plain, format=form, errors="coerce", utc=True)
    moments = read.dt.tz_localize(None).to_numpy(dtype="datetime64[us]").copy()
    return _moved(moments, int(first)) if first else moments


def _beyond(text: str, form: str) -> np.datetime64:
    """Read a moment that older pandas cannot hold, such as 9999-12-31; NaT where it is none."""
    if not any(int(year) < 1678 or int(year) > 2261 for year in re.findall(r"\d{4}", text)):
        return np.datetime64("NaT")
    try:
        at = datetime.datetime.fromisoformat(text) if form == ISO else datetime.datetime.strptime(text, form)
    except ValueError:
        return np.datetime64("NaT")
    if at.tzinfo is not None:
        at = (at - (at.utcoffset() or datetime.timedelta())).replace(tzinfo=None)
    return np.datetime64(at, "us")


def _quarter(text: str) -> str:
    year, quarter = re.search(r"\d{4}", text), re.search(r"[Qq]([1-4])", text)
    return f"{year[0]}-{3 * int(quarter[1]) - 2:02}-01" if year and quarter else ""


def _week(text: str) -> str:
    found = re.fullmatch(r"(\d{4})-?W(\d{2})(?:-([1-7]))?", text)
    if found is None:
        return ""
    try:
        return datetime.date.fromisocalendar(int(found[1]), int(found[2]), int(found[3] or 1)).isoformat()
    except ValueError:
        return ""
