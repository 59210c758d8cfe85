"""Text that spells a moment or a duration: its format, told from a whole column, and what it means.

A moment is datetime64[us] without a zone; one that is written with a zone is told in UTC, so that the hour that autumn
repeats stays two hours, and a file, a request and a real column of timestamps say the same. A time of day is a moment
of the first of January 1900, as `strptime` has it. Years of two digits are those of 1969 to 2068, as `strptime` has
them, unless the column's own years say otherwise; its format then ends with the first one, `%d.%m.%y, years from 1923`.
"""

import datetime
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treeline.data.numbers import are_few, marks_missing

ISO = "ISO8601"
QUARTER = "quarter"
WEEK = "ISO week"
NO_DATES = frozenset(("0000-00-00", "0000-00-00 00:00:00", "00/00/0000", "00.00.0000"))  # of MySQL: missing ones
ZONES = {"utc": "+0000", "gmt": "+0000", "z": "+0000", "est": "-0500", "edt": "-0400", "cst": "-0600", "cdt": "-0500"}
ZONES |= {
    "mst": "-0700",
    "mdt": "-0600",
    "pst": "-0800",
    "pdt": "-0700",
    "cet": "+0100",
    "cest": "+0200",
    "wet": "+0000",
}
ZONES |= {
    "eet": "+0200",
    "eest": "+0300",
    "bst": "+0100",
    "msk": "+0300",
    "jst": "+0900",
    "aest": "+1000",
    "aedt": "+1100",
}

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2}(?:[T ][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]+)?)?)?"
    r"[ ]?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?)?|[0-9]{8}T[0-9]{4}(?:[0-9]{2})?Z?"
)
_LONE_DIGIT = r"[:.][0-9](?:[^0-9]|$)"
_DURATION = re.compile(
    r"[+-]?(\d+ days?,? )?[+-]?\d+:\d{2}:\d{2}(\.\d+)?|[+-]?\d+:[0-5]\d(\.\d+)?"
    r"|[+-]?\d+ days?|-?P(?=.)(\d+D)?(T(\d+H)?(\d+M)?([\d.]+S)?)?"
    r"|(?=.*(h|min|sec|m.*s))(\d+ ?h(ours?|rs?)? ?)?(\d+ ?m(in(utes?|s)?)? ?)?(\d+ ?s(ec(onds?|s)?)?)?"
)
_HMS = re.compile(r"[+-]?(\d+):\d{2}:\d{2}(\.\d+)?")
_MINUTES = re.compile(r"([+-]?)(\d+):(\d{2}(?:\.\d+)?)")  # and seconds
# What a date looks like, and the formats that it may have; where a column fits two, its values decide.
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATES: list[tuple[str, tuple[str, ...]]] = [
    (r"\d{4}/\d{1,2}/\d{1,2}", ("%Y/%m/%d",)),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", ("%Y.%m.%d",)),
    (r"\d{4}-\d{1,2}-\d{1,2}", ("%Y-%m-%d",)),
    (r"\d{1,2}/\d{1,2}/\d{4}", ("%m/%d/%Y", "%d/%m/%Y")),
    (r"\d{1,2}-\d{1,2}-\d{4}", ("%m-%d-%Y", "%d-%m-%Y")),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", ("%d.%m.%Y", "%m.%d.%Y")),
    (r"\d{1,2}\. \d{1,2}\. \d{4}", ("%d. %m. %Y",)),
    (r"\d{1,2} \d{1,2} \d{4}", ("%m %d %Y", "%d %m %Y")),
    (r"\d{4} \d{2} \d{2}", ("%Y %m %d",)),
    (r"\d{4}年\d{1,2}月\d{1,2}日", ("%Y年%m月%d日",)),
    (r"\d{1,2}/\d{1,2}/\d{2}", ("%m/%d/%y", "%d/%m/%y", "%y/%m/%d")),
    (r"\d{1,2}-\d{1,2}-\d{2}", ("%m-%d-%y", "%d-%m-%y", "%y-%m-%d")),
    (r"\d{1,2}\.\d{1,2}\.\d{2}", ("%d.%m.%y", "%y.%m.%d")),
    (rf"\d{{1,2}}-{_MONTH}-\d{{4}}", ("%d-%b-%Y", "%d-%B-%Y")),
    (rf"\d{{1,2}}-{_MONTH}-\d{{2}}", ("%d-%b-%y", "%d-%B-%y")),
    (rf"\d{{1,2}}/{_MONTH}/\d{{4}}", ("%d/%b/%Y", "%d/%B/%Y")),
    (rf"\d{{1,2}}/{_MONTH}/\d{{2}}", ("%d/%b/%y",)),
    (rf"\d{{1,2}}\. {_MONTH} \d{{4}}", ("%d. %b %Y", "%d. %B %Y")),
    (rf"\d{{1,2}} {_MONTH}, \d{{4}}", ("%d %b, %Y", "%d %B, %Y")),
    (rf"\d{{4}}-{_MONTH}-\d{{1,2}}", ("%Y-%b-%d", "%Y-%B-%d")),
    (rf"\d{{4}} {_MONTH} \d{{1,2}}", ("%Y %b %d", "%Y %B %d")),
    (rf"\d{{1,2}} {_MONTH} \d{{4}}", ("%d %b %Y", "%d %B %Y")),
    (rf"\d{{1,2}} {_MONTH} \d{{2}}", ("%d %b %y", "%d %B %y")),
    (rf"\d{{1,2}}{_MONTH}\d{{4}}", ("%d%b%Y",)),
    (rf"{_MONTH} \d{{1,2}}, \d{{4}}", ("%b %d, %Y", "%B %d, %Y")),
    (rf"{_MONTH} \d{{1,2}} \d{{4}}", ("%b %d %Y", "%B %d %Y")),
    (rf"{_MONTH}-\d{{4}}", ("%b-%Y", "%B-%Y")),
    (rf"{_MONTH} \d{{4}}", ("%b %Y", "%B %Y")),
    (rf"{_MONTH}-\d{{2}}", ("%b-%y",)),
    (rf"\d{{4}}-{_MONTH}", ("%Y-%b", "%Y-%B")),
    (r"\d{1,2}/\d{4}", ("%m/%Y",)),
    (r"\d{4}/\d{1,2}", ("%Y/%m",)),
    (r"\d{8}", ("%Y%m%d",)),
    (r"", ("",)),
]
_TIMES = [
    (r"\d{1,2}:\d{2}:\d{2}\.\d{1,6} [ap]m", "%I:%M:%S.%f %p"),
    (r"\d{1,2}:\d{2}:\d{2} [ap]m", "%I:%M:%S %p"),
    (r"\d{1,2}:\d{2} [ap]m", "%I:%M %p"),
    (r"\d{1,2}\.\d{2}\.\d{2}\.\d{1,6} [ap]m", "%I.%M.%S.%f %p"),
    (r"\d{1,2}\.\d{2}\.\d{2} [ap]m", "%I.%M.%S %p"),
    (r"\d{1,2}\.\d{2} [ap]m", "%I.%M %p"),
    (r"\d{1,2} [ap]m", "%I %p"),
    (r"\d{1,2}:\d{2}:\d{2}\.\d{1,6}", "%H:%M:%S.%f"),
    (r"\d{1,2}:\d{2}:\d{2}", "%H:%M:%S"),
    (r"\d{1,2}:\d{2}", "%H:%M"),
    (r"\d{2}\.\d{2}\.\d{2}\.\d{1,6}", "%H.%M.%S.%f"),
    (r"\d{2}\.\d{2}\.\d{2}", "%H.%M.%S"),
    (r"\d{2}\.\d{2}", "%H.%M"),
    (r"", ""),
]
_WEEKDAYS = [(r"(?:mon|tue|wed|thu|fri|sat|sun),? ", "%a"), (r"[a-z]{3,6}day,? ", "%A")]
_OTHERS = ("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a %b %d %Y")  # Twitter, C's asctime, JavaScript
MAX_YEARS_IN_FRONT, MIN_DAYS_BEHIND = 12, 20  # of dates such as 21-03-02, from which the year stands first
_FIRST_YEAR = 1969  # that two digits mean to `strptime`
_MIN_GAP = 10  # years of a century that a column lacks, from which it tells where its years of two digits begin
_FROM = ", years from "  # between a format and the first year that its two digits mean
_SAMPLE = 60  # different values by which candidates are found


@dataclass(frozen=True)
class Dated:
    """What the text of a column says of moments.

    Attributes:
        form: the format, as `strptime` has it, or one of `ISO`, `QUARTER`, `WEEK`; `, years from 1923` behind it where
            two digits mean the years from then on.
        words: texts that are no moments, with the count of their cells.
        doubt: why it might be another format; empty where it cannot.
    """

    form: str
    words: Mapping[str, int]
    doubt: str = ""


def clean(value: object) -> str:
    """Spell a value as the formats have it: whole floats without a point, single blanks, zones as offsets, seconds with
    six digits at most.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if _ISO.fullmatch(text) or text.isdigit():
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


def settle_moments(counts: Mapping[str, int]) -> Dated | None:
    """Find the format of moments written as text.

    Args:
        counts: the different texts of a column, with the count of their cells.

    Returns:
        The format that reads most of the different values, and what it does not read; None where more than a few are no
        moments.
    """
    present = {text: count for text, count in counts.items() if not _is_gap(text)}
    if not present:
        return None
    texts = pd.Series(list(present), dtype=object)
    cells = sum(present.values())
    found: dict[str, np.ndarray] = {}
    for form in _candidates(texts.head(_SAMPLE)):
        some = parse(texts.head(_SAMPLE), form)
        if np.isnat(some).mean() <= 0.2:
            found[form] = parse(texts, form)
    if not found:
        return None
    fewest = min(int(np.isnat(each).sum()) for each in found.values())
    best = [form for form, each in found.items() if np.isnat(each).sum() == fewest]
    form, doubt = _choose(best, found)
    words = {text: present[text] for text in texts[np.isnat(found[form])]}
    form += _first_year(found[form]) if "%y" in form else ""
    return Dated(form, words, doubt) if are_few(words, cells) and len(words) < len(present) else None


def _choose(best: list[str], found: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """Choose between formats that read the same values: the month before the day, as in most public tables, unless the
    moments are much more evenly spaced the other way.
    """
    form = best[0]
    turned = next((each for each in best[1:] if each.startswith("%y") and form[:2] in ("%m", "%d")), "")
    if turned and _begins_with_years(found[turned]):
        return turned, "no value tells the year from the day, the year is taken to stand first"
    other = next((each for each in best[1:] if each[:2] != form[:2] and {each[:2], form[:2]} == {"%m", "%d"}), "")
    if form.startswith("%d."):  # with points the day stands first
        return form, ""
    if not other or np.array_equal(found[form], found[other], equal_nan=True):
        return form, ""
    if _unevenness(found[other]) < _unevenness(found[form]) / 2:
        form = other
    first = "month" if form.startswith("%m") else "day"
    return form, f"no value tells the day from the month, the {first} is taken to stand first"


def _begins_with_years(moments: np.ndarray) -> bool:
    """Tell whether moments of years in two digits, read with the year first, are of few years and of all days; a first
    or last day of a month, which may stand in front, is no year.
    """
    read = pd.DatetimeIndex(moments[~np.isnat(moments)])
    years, days = read.year.unique(), read.day.unique()
    return len(years) <= MAX_YEARS_IN_FRONT < MIN_DAYS_BEHIND <= len(days) and 2001 < years.min() < 2028


def _unevenness(moments: np.ndarray) -> float:
    gaps = np.diff(np.unique(moments[~np.isnat(moments)])).astype("int64").astype(np.float64)
    return float(gaps.std() / gaps.mean()) if len(gaps) > 1 else 0.0


def _first_year(moments: np.ndarray) -> str:
    """Tell the years that two digits mean in a column, as what follows its format; empty where `strptime` has them.

    The widest gap in the years of a century parts the earliest from the latest: from 46 to 99 they are 1946 to 1999,
    from 90 to 15 they are 1990 to 2015. Those that begin with 00 to 29 are of this century, as in Excel, unless they
    went on beyond 2068.
    """
    years = np.unique((moments[~np.isnat(moments)].astype("datetime64[Y]").astype(int) + 1970) % 100)
    gaps = np.diff(np.append(years, years[0] + 100))
    if gaps.max() < _MIN_GAP:
        return ""
    last = int(np.argmax(gaps))
    earliest = int(years[(last + 1) % len(years)])
    span = (int(years[last]) - earliest) % 100
    earliest += 2000 if earliest < 30 and earliest + span <= 68 else 1900
    if earliest >= _FIRST_YEAR and earliest + span < _FIRST_YEAR + 100:
        return ""
    return f"{_FROM}{earliest - int(gaps[last]) // 2}"


def _moved(moments: np.ndarray, first: int) -> np.ndarray:
    """Move moments of 1969 to 2068 by a century where that brings them into the hundred years from `first` on."""
    months = moments.astype("datetime64[M]")
    years = months.astype("datetime64[Y]").astype(int) + 1970
    centuries = np.where(np.isnat(moments), 0, (first - years + 99) // 100)
    return np.asarray((months + 1200 * centuries).astype("datetime64[us]") + (moments - months))


def _candidates(texts: pd.Series) -> list[str]:
    """Give the formats that some of the texts look like, the commonest shape first."""
    cleaned = [clean(text) for text in texts]
    forms: dict[str, int] = {}
    for text in cleaned:
        for form in _forms(text):
            forms[form] = forms.get(form, 0) + 1
    if any(form.startswith("%H.%M") or form == "%d.%m.%y" for form in forms):
        return [form for form in forms if not _is_version(form, cleaned)]
    return list(forms)


def _is_version(form: str, texts: list[str]) -> bool:
    """Tell whether dotted numbers may as well be versions: no part of any begins with a zero."""
    dotted = form in ("%d.%m.%y", "%y.%m.%d", "%H.%M.%S", "%H.%M")
    return dotted and not any(re.search(r"(^|\.)0\d", text) for text in texts)


def _forms(text: str) -> list[str]:
    """Give the formats that a text looks like."""
    if _ISO.fullmatch(text):
        return [ISO]
    if re.fullmatch(r"\d{4}[- ]?Q[1-4]|Q[1-4][- /]?\d{4}", text, flags=re.I):
        return [QUARTER]
    if re.fullmatch(r"\d{4}-?W\d{2}(-[1-7])?", text):
        return [WEEK]
    forms: list[str] = []
    for before, day in [("", ""), *_WEEKDAYS]:
        front = re.match(before, text, flags=re.I)
        if front is None:
            continue
        literal = (day + front[0].lstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) if day else ""
        for shape, dates in _DATES:
            found = re.match(shape, text[front.end() :], flags=re.I)
            rest = text[front.end() + found.end() :] if found else ""
            if found is None or (day and not shape):
                continue
            forms += [literal + date + behind for date in dates for behind in _behind(rest, date)]
    if re.fullmatch(r"[a-z]{3} [a-z]{3} \d{1,2}\b.*\d{4}.*", text, flags=re.I):
        forms += _OTHERS
    return [form for form in forms if form]


def _behind(rest: str, date: str) -> list[str]:
    """Give the formats of what follows a date: nothing, a time, a zone."""
    glue = re.match(r"(T| - |,? |:(?=\d{2}:)|-(?=\d{2}\.\d{2}\.))?", rest)
    between = (glue[0] if glue else "") if date else ""
    for shape, time in _TIMES:
        found = re.fullmatch(rf"{re.escape(between)}({shape})( ?)([+-]\d{{2}}:?\d{{2}})?", rest, flags=re.I)
        if found and bool(time) == bool(found[1]) and (time or not found[3]) and (time or not between):
            return [between + time + (f"{found[2]}%z" if found[3] else "")]
    return []


def _is_gap(text: str) -> bool:
    return marks_missing(text) or text.strip() in NO_DATES


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
    form, _, first = form.partition(_FROM)
    plain = texts.astype("str")
    if form == ISO:
        plain = plain.where(plain.str.fullmatch(_ISO.pattern).fillna(False).astype(bool))
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


def is_duration(counts: Mapping[str, int]) -> bool:
    """Tell whether text spells durations: nearly all of it, and some at least that is no time of a day."""
    cells = {text.strip(): count for text, count in counts.items() if not marks_missing(text)}
    read = {text: count for text, count in cells.items() if _DURATION.fullmatch(text)}
    words = {text: count for text, count in cells.items() if text not in read}
    if not read or not are_few(words, sum(cells.values())):
        return False
    beyond = {text: count for text, count in read.items() if not _in_a_day(text)}
    if all(map(_MINUTES.fullmatch, beyond)):  # a few 24:00 among times of the day make no durations of them
        seconds = any(re.search(r":0\d|\.", text) for text in read)  # which a score of 28:25 has not
        return seconds and not are_few(beyond, sum(read.values()))
    return True


def _in_a_day(text: str) -> bool:
    """Tell whether a duration may as well be a time of the day."""
    found = _HMS.fullmatch(text)
    if found is None and (found := _MINUTES.fullmatch(text)) is not None:
        return not found[1] and "." not in text and int(found[2]) <= 24
    return found is not None and int(found[1]) < 24 and text[0] not in "+-"


def parse_duration(text: str) -> float | None:
    """Read a duration as seconds; None where it is none. Of two parts the second is seconds."""
    text = text.strip()
    if not _DURATION.fullmatch(text) or not text:
        return None
    if found := _MINUTES.fullmatch(text):
        seconds = 60 * int(found[2]) + float(found[3])
        return -seconds if found[1] == "-" else seconds
    try:
        return float(pd.to_timedelta(text.replace(",", "")).total_seconds())
    except ValueError:
        return None
