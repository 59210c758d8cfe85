"""Text that spells a number: what is a number, and what is not."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

# A missing value where numbers, moments or booleans stand, as people and programs spell it; compared without case.
_MARKS = (
    "|?|??|???|-|--|---|—|–|―|.|..|...|…|*|**|***|na|n.a.|n.a|n/a|n/a.|#n/a|#na|#n/a n/a|<na>|nan|-nan|nat"
    "|null|(null)|<null>|none|nil|\\n|missing|(missing)|unknown|unk|(unknown)|not known|nd|n.d.|n/d|no data"
    "|not available|not applicable|not reported|not recorded|not specified|undefined|unspecified|#div/0!"
    "|#value!|#ref!|#name?|#num!|#null!|empty|(empty)|blank|(blank)|[blank]|tbd|tba|unbekannt|k.a.|k. a."
    "|keine angabe|inconnu|desconocido|s/d|1.#qnan|1.#ind|-1.#ind"
)
MISSING_MARKS = frozenset(_MARKS.split("|"))
INFINITE = {"inf": math.inf, "infinity": math.inf, "∞": math.inf}
_CURRENCIES = (
    "usd|eur|gbp|jpy|cny|rmb|inr|chf|aud|cad|nzd|sek|nok|dkk|pln|czk|huf|ron|bgn|try|rub|uah|brl|mxn|clp"
    "|cop|ars|pen|zar|krw|twd|hkd|sgd|thb|idr|myr|php|vnd|ils|aed|sar|egp|ngn|kes|pkr|bdt|lkr|rs|rs.|kr"
    "|kr.|zł|ft|lei|r$|us$|a$|c$|nz$|s$|hk$|mex$|nt$|fr.|sfr.|sfr|rp|rp.|ksh|s/|s/.|qar"
    "|kwd|omr|mad|mx$|clp$"
)
CURRENCIES = frozenset(_CURRENCIES.split("|"))
SCALES = {"k": 1e3, "m": 1e6, "mn": 1e6, "mio": 1e6, "mio.": 1e6, "b": 1e9, "bn": 1e9, "mrd": 1e9, "mrd.": 1e9}
SCALES |= {"thousand": 1e3, "million": 1e6, "billion": 1e9, "mln": 1e6, "mld": 1e9, "tsd.": 1e3}
SCALES |= {"lakh": 1e5, "lakhs": 1e5, "lac": 1e5, "crore": 1e7, "crores": 1e7, "cr": 1e7}
_NO_UNITS = (
    "am|pm|a.m|p.m|jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec|january|february|march|april|june"
    "|july|august|september|october|november|december"
)
NO_UNITS = frozenset(_NO_UNITS.split("|"))
_GIVEN = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
BOUNDS = ("<=", ">=", "<", ">", "≤", "≥", "~", "≈")
MAX_WORDS = 5  # different words that are no numbers, up to which a column of numbers may hold them as gaps
MAX_SHARE_OF_WORDS = 0.05  # of the cells, likewise
MAX_RARE_WORDS, MAX_SHARE_OF_RARE = 100, 0.001  # or so many in so few of the cells, for long tables have more typos

# A number as programs write it. 1E5 is a code: no program writes an exponent with neither a sign nor a point before it.
PLAIN = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-][0-9]+)?|[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.[0-9]*[eE][0-9]+)"
_PLAIN = re.compile(PLAIN)
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]+")
_BESIDE = r"[^0-9.,+\-\s][^0-9,+\-]{0,7}?"
_PARTS = re.compile(
    rf"(?:(?P<before>{_BESIDE})\s*(?P<sign>[+-]?)|(?P<first>[+-])\s*(?P<inner>{_BESIDE})?|)\s*"
    r"(?P<core>[0-9](?:[0-9.,' ]*[0-9])?|(?<![^\W\d_])[.,][0-9]+|[0-9]+[.,])"  # the point of Rs.500 is not its own
    r"(?P<power>[eE][+-][0-9]+)?(?P<behind>[+-](?=$|\s[^\W\d_]))?\s*(?P<after>[^0-9\s.,:;_+\-][^;|]{0,19})?"
)


def plain_number(text: str) -> float:
    """Read a number that a person gave as a setting: 10, 0.5, 1e-3.

    Raises:
        ValueError: it is none, or spelled as Python alone would: 1_000, other digits than 0 to 9, nan, inf.
    """
    if not _GIVEN.fullmatch(text):
        raise ValueError("input should be a valid number, such as 10, 0.5 or 1e-3")
    return float(text)


@dataclass(frozen=True)
class Signs:
    """The signs that the numbers of a column are written with.

    Attributes:
        decimal: the decimal sign, a point or a comma.
        thousands: what stands between groups of three digits; empty where nothing may.
        unit: the one sign or word that may stand beside a number, in small letters, such as `$`, `%` or `km`.
        scales: whether k, m and bn beside a number multiply it.
        others: units of a few cells, whose numbers measure something else and are missing.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    scales: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """A text taken apart: the digits with their separators, and what stands around them."""

    core: str
    power: str
    negative: bool
    unit: str
    bound: bool


def marks_missing(value: str) -> bool:
    """Tell whether text stands for a missing number, as people spell it."""
    return value.strip().casefold() in MISSING_MARKS


def has_leading_zero(value: str) -> bool:
    """Tell whether text is a code with zeros in front, such as 00501."""
    return _LEADING_ZERO.fullmatch(value.strip()) is not None


def is_plain(value: str) -> bool:
    """Tell whether text is a number as programs write it."""
    return _PLAIN.fullmatch(value.strip()) is not None


def parse_number(value: str, signs: Signs = Signs()) -> float | None:
    """Read text as a number: NaN where it marks a missing one, None where it is none.

    Signs that the column does not use are read where they can mean one thing only (`1,5` in a column of points), and
    are no number where they could mean two (`1,234`).
    """
    text = value.strip()
    if signs.decimal == "." and _PLAIN.fullmatch(text) and not (signs.thousands == "." and "." in text):
        return float(text)
    word = text.casefold()
    if word in MISSING_MARKS:
        return math.nan
    if word.lstrip("+-") in INFINITE and len(word) - len(word.lstrip("+-")) < 2:
        return -math.inf if word[0] == "-" else math.inf
    parts = take_apart(text)
    if parts is None:
        return None
    unit, factor = parts.unit, 1.0
    if signs.scales and unit != signs.unit:
        unit, factor = split_scale(unit, signs.unit)
    if unit not in ("", signs.unit):
        return math.nan if unit in signs.others else None
    spelled = _core_value(parts.core, signs)
    if spelled is None:
        return None
    number = float(f"{spelled}{parts.power}") * factor
    return -number if parts.negative else number


def are_few(words: Mapping[str, int], cells: int) -> bool:
    """Tell whether what is no number is little enough to be a gap among numbers.

    Args:
        words: texts that are no numbers, with the count of their cells.
        cells: of the column that hold anything.
    """
    held = sum(words.values())
    rare = len(words) <= MAX_RARE_WORDS and held <= MAX_SHARE_OF_RARE * cells
    return rare or (len(words) <= MAX_WORDS and held <= MAX_SHARE_OF_WORDS * cells)


def pattern(signs: Signs) -> str:
    """Give the regular expression of numbers with these signs and nothing beside them, in RE2's dialect."""
    if signs.decimal == "." and not signs.thousands:
        return f"^{PLAIN}$"
    decimal = re.escape(signs.decimal)
    return rf"^[+-]?(?:{whole_pattern(signs.thousands)})(?:{decimal}[0-9]*)?$"


def pattern_with_unit(signs: Signs) -> str:
    """Give the regular expression of numbers beside their unit, in RE2's dialect; `n` is the number's group."""
    unit, number = re.escape(signs.unit), pattern(signs)[1:-1]
    return rf"(?i)^\s*(?:{unit})?\s*(?P<n>{number})\s*(?:{unit}s?)?\s*$"


@lru_cache(maxsize=64)
def whole_pattern(thousands: str) -> str:
    """Give the expression of digits, in groups of three or not; a comma also sets apart lakhs, 12,34,567."""
    if not thousands:
        return "[0-9]+"
    sign = re.escape(thousands)
    inner = f"(?:{sign}[0-9]{{2,3}})*{sign}[0-9]{{3}}" if thousands == "," else f"(?:{sign}[0-9]{{3}})+"
    return f"[0-9]+|[0-9]{{1,3}}{inner}"


@lru_cache(maxsize=64)
def _core(decimal: str, thousands: str) -> re.Pattern[str]:
    sign = re.escape(decimal)
    return re.compile(rf"(?:{whole_pattern(thousands)})(?:{sign}[0-9]*)?|{sign}[0-9]+")


def _core_value(core: str, signs: Signs) -> str | None:
    """Spell digits with separators as a plain number; None where they are none, or could mean two things."""
    if _core(signs.decimal, signs.thousands).fullmatch(core):
        return (core.replace(signs.thousands, "") if signs.thousands else core).replace(signs.decimal, ".")
    other = "," if signs.decimal == "." else "."
    left, found, right = core.partition(other)
    only_decimal = len(right) != 3 or left in ("", "0") or len(left) > 3 or left.startswith("0")
    if found and other != signs.thousands and only_decimal and (left + right).isdigit():
        return f"{left or '0'}.{right}"
    return None


def take_apart(text: str) -> Parts | None:
    """Take apart a text that may be a number with signs beside it; None where it is none."""
    if not any(sign.isdigit() for sign in text) or len(text) > 60:
        return None
    text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("’", "'").strip()
    if not text.isascii() or "-" in text:
        text = re.sub(r"^–(?=\D{0,3}[0-9])", "-", text)
        text = re.sub(r"(?<=[0-9])[.,](?:-|–|—)+(?![0-9])", "", text)  # 5.- and 5,- have no cents
    if "e" in text or "E" in text:
        text = re.sub(r"^([+-]?[0-9]*\.[0-9]*[eE])(?=[0-9]+$)", r"\1+", text)
    text = re.sub(r"(?<=[0-9])[\s'](?=[0-9])", lambda found: "'" if found[0] == "'" else " ", text)
    bound = next((sign for sign in BOUNDS if text.startswith(sign)), "")
    text = text.removeprefix(bound).strip()
    brackets = re.fullmatch(r"([^()0-9+-]{0,4})\((.+)\)", text)  # (5), and $(5) too
    found = _PARTS.fullmatch("".join(brackets.groups()).strip() if brackets else text)
    if found is None or (_LEADING_ZERO.fullmatch(found["core"]) and not is_plain(text)):
        return None
    sign = found["sign"] or found["first"] or ""
    if found["behind"] and (sign or brackets):
        return None
    before, after = (found["before"] or found["inner"] or "").strip(), (found["after"] or "").strip()
    if (before and not is_currency(before)) or (after and not _is_unit(after)):
        return None
    if before and after and not (split_scale(after.casefold(), "")[1] != 1 or after.casefold() == before.casefold()):
        return None
    unit = before.casefold() + (after.casefold() if after.casefold() != before.casefold() else "")
    unit = "th" if unit in ("st", "nd", "rd") else unit  # 1st, 2nd, 3rd, 4th
    unit = unit[:-1] if len(unit) > 3 and unit.isalpha() and unit.endswith("s") else unit  # a year, two years
    negative = bool(brackets or found["behind"] == "-" or sign == "-")
    return Parts(found["core"], found["power"] or "", negative, unit, bool(bound or found["behind"] == "+"))


def is_currency(word: str) -> bool:
    """Tell whether a sign or a word is one of money."""
    return word.casefold().strip() in CURRENCIES or (len(word) <= 2 and unicodedata.category(word[-1]) == "Sc")


def _is_unit(word: str) -> bool:
    """Tell whether what follows a number may be its unit: no code such as the E5 of 1E5, no month, no half of a day."""
    plain = word.casefold().rstrip(".")
    if plain in NO_UNITS:
        return False
    if any(sign.isdigit() for sign in plain):
        return bool(re.fullmatch(r"(?:[munkc]?m|km|ft|in|yd|mi)[23]|[^0-9]*/\s*[0-9]*[^0-9]+[0-9]?", plain))
    return not any(sign in word for sign in "()[]{}<>=") and len(word.split()) <= 3


def split_scale(unit: str, beside: str) -> tuple[str, float]:
    """Split a scale such as k or bn off a unit; 1 where there is none."""
    rest = unit.removeprefix(beside) if beside and unit.startswith(beside) else unit
    rest = rest.removesuffix(beside).strip() if beside and rest != unit.removeprefix(beside) else rest.strip()
    if rest in SCALES:
        return beside, SCALES[rest]
    return unit, 1.0
