"""The format of the moments of a column, told from all of its texts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treeline.data.moments import FIRST_YEAR, ISO, ISO_TEXT, QUARTER, WEEK, YEARS_FROM, clean, parse
from treeline.data.numbers import are_few
from treeline.data.values import PLAIN_READING

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


_MIN_GAP = 10  # years of a century that a column lacks, from which it tells where its years of two digits begin


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


def settle_moments(counts: Mapping[str, int]) -> Dated | None:
    """Find the format of moments written as text.

    Args:
        counts: the different texts of a column, with the count of their cells.

    Returns:
        The format that reads most of the different values, and what it does not read; None where more than a few are no
        moments.
    """
    present = {text: count for text, count in counts.items() if not PLAIN_READING.is_gap(text)}
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
    if earliest >= FIRST_YEAR and earliest + span < FIRST_YEAR + 100:
        return ""
    return f"{YEARS_FROM}{earliest - int(gaps[last]) // 2}"


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
    if ISO_TEXT.fullmatch(text):
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
