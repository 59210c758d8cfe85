"""Text that spells a duration."""

import re
from collections.abc import Mapping

import pandas as pd

from treeline.data.numbers import are_few, marks_missing

_DURATION = re.compile(
    r"[+-]?(\d+ days?,? )?[+-]?\d+:\d{2}:\d{2}(\.\d+)?|[+-]?\d+:[0-5]\d(\.\d+)?"
    r"|[+-]?\d+ days?|-?P(?=.)(\d+D)?(T(\d+H)?(\d+M)?([\d.]+S)?)?"
    r"|(?=.*(h|min|sec|m.*s))(\d+ ?h(ours?|rs?)? ?)?(\d+ ?m(in(utes?|s)?)? ?)?(\d+ ?s(ec(onds?|s)?)?)?"
)


_HMS = re.compile(r"[+-]?(\d+):\d{2}:\d{2}(\.\d+)?")


_MINUTES = re.compile(r"([+-]?)(\d+):(\d{2}(?:\.\d+)?)")  # and seconds


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
