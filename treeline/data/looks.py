"""What words look like to a person: addresses, names of files, ranges, running text."""

import re
from collections.abc import Iterable

import pandas as pd

MIN_SHARE_ALIKE = 0.9  # of the values, from which a column looks like something
MAX_LOOKED_AT = 500
_YEAR = r"(?:19|20)\d\d"
RANGE = "a range"
PAIR = "two numbers"
ADDRESS = "a street address"
LOOKS = {
    "a URL": r"(?:https?|ftp)://\S+|www\.\S+",
    "an e-mail address": r"[^@\s]+@[^@\s]+\.\w+",
    "a MAC address": r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}",
    "an IP address": r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+|/\d+)?|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,7}",
    "a UUID": r"\{?[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\}?",
    "a hash": r"(?=.*\d)(?=.*[a-fA-F])(?:[0-9a-f]{32,}|[0-9A-F]{32,})",
    "a date or time": rf"(?:[A-Za-z]{{3,9}},? )?(?:{_YEAR}[-./ ]\d{{1,2}}[-./ ]\d{{1,2}}"
    rf"|\d{{1,2}}[-./ ]{{1,2}}\w{{1,12}}[-./ ]{{1,2}}{_YEAR})(?:[T ,-].{{0,40}})?",
    "a coordinate": r"[+-]?\d{1,3}(?:\.\d+)?\s?°.{0,20}",
    "a phone number": (
        r"(?:\+\d[\d ]{0,3}[ .-]?)?(?:\(\d{2,5}\)|\d{3})[ .-]?\d{3}[ .-]\d{4}|\d{3}-\d{4}|\+\d[\d ()./-]{8,18}"
    ),
    PAIR: r"\d+/\d+",
    RANGE: r"\d+(?:\.\d+)?\s?(?:-|–|to|\.\.)\s?\d+(?:\.\d+)?",
    "a length in feet and inches": r"\d{1,2}'\s?\d{1,2}(?:\"|'')?",
    "a ratio": r"\d+:\d",
    "a version": r"v?\d+(?:\.\d+){2,}\S*",
    "JSON": r"[\[{].*[\]}]",
    "a file name": r"(?:[A-Za-z]:)?[/\\]\S+|\S+[/\\]\S+[/\\]\S+|\S+\.(?:jpe?g|png|gif|pdf|csv|txt|xlsx?|mp[34]|html?)",
    # A number first, none with zeros in front: `03  LOFTS` is a code. Words and blanks match in one way only.
    ADDRESS: (
        r"[1-9]\d*(?:-\d+)?[A-Za-z]?(?=.*[^\W\d_]{2})(?=.*[A-Z])(?:,? +[\w.'#&/-]+){1,8},?|\D+ \d+[A-Za-z]?(?:, .*)?"
    ),
}
_COMPILED = {look: re.compile(shape, re.DOTALL) for look, shape in LOOKS.items()}
# Han, kana, Hangul without blanks, Thai, Lao, Khmer: written without blanks between words.
_WITHOUT_BLANKS = re.compile(r"[぀-ヿ㐀-䶿一-鿿豈-﫿฀-໿ក-៿]")
# Names under which programs save the number of a row: pandas', its JSON's, R's.
_INDEX = re.compile(r"Unnamed: \d+|index|__index_level_\d+__|level_\d+|row\.?names?|X|")


def looks_like(texts: Iterable[str]) -> str:
    """Say what nearly all of some texts look like, such as `a URL`; empty where it is nothing that is known."""
    some = [text.strip() for text in pd.Series(texts).drop_duplicates().head(MAX_LOOKED_AT)]
    for look, shape in _COMPILED.items():
        if some and sum(shape.fullmatch(text) is not None for text in some) >= MIN_SHARE_ALIKE * len(some):
            return PAIR if look == RANGE and not _ascend(some) else look
    return ""


def _ascend(texts: Iterable[str]) -> bool:
    """Tell whether two numbers each go up, as from 10 to 19; those of a height of 6-2 or a score of 3-1 do not."""
    pairs = [re.findall(r"\d+(?:\.\d+)?", text) for text in texts]
    up = [float(pair[0]) <= float(pair[-1]) for pair in pairs if pair]
    return sum(up) >= MIN_SHARE_ALIKE * len(up)


def word_count(text: str) -> float:
    """Count the words of a text; where words are written without blanks, two signs make one."""
    signs = len(_WITHOUT_BLANKS.findall(text))
    return signs / 2 if signs > len(text) / 3 else len(text.split())


def is_unspaced(text: str) -> bool:
    """Tell whether a text is written without blanks between its words, as Chinese and Japanese are."""
    return len(_WITHOUT_BLANKS.findall(text)) > len(text) / 3


def is_index_name(name: str) -> bool:
    """Tell whether a name is one under which programs save the numbers of rows."""
    return _INDEX.fullmatch(name.strip()) is not None
