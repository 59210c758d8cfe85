"""What words look like to a person: addresses, names of files, ranges, running text."""

import re
from collections.abc import Iterable

import pandas as pd

MIN_SHARE_ALIKE = 0.9  # of the values, from which a column looks like something
MAX_LOOKED_AT = 500
LOOKS = {
    "a URL": r"(?:https?|ftp)://\S+|www\.\S+",
    "an e-mail address": r"[^@\s]+@[^@\s]+\.\w+",
    "an IP address": r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+|/\d+)?|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,7}",
    "a UUID": r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}",
    "a hash": r"(?=.*\d)(?=.*[a-fA-F])(?:[0-9a-f]{32,}|[0-9A-F]{32,})",
    "a range": r"\d+(?:\.\d+)?\s?(?:-|–|to|\.\.)\s?\d+(?:\.\d+)?",
    "a length in feet and inches": r"\d{1,2}'\s?\d{1,2}(?:\"|'')?",
    "a ratio": r"\d+:\d",
    "a version": r"v?\d+(?:\.\d+){2,}\S*",
    "JSON": r"[\[{].*[\]}]",
    "a file name": r"[^\s/\\]*[/\\]\S+|\S+\.(?:jpe?g|png|gif|pdf|csv|txt|xlsx?|mp[34]|html?)",
    # A number first, none with zeros in front: `03  LOFTS` is a code. Words and blanks match in one way only.
    "a street address": r"[1-9]\d*(?:-\d+)?[A-Za-z]?(?:,? +[\w.'#&/-]+){1,8},?|\D+ \d+[A-Za-z]?(?:, .*)?",
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
            return look
    return ""


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
