"""Text that spells a number: what is a number and what is not, and the signs that a column of them uses."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
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
    "|kr.|zł|ft|lei|r$|us$|a$|c$|nz$|s$|hk$|mex$|nt$|fr.|sfr.|sfr|rp|rp."
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
BOUNDS = ("<=", ">=", "<", ">", "≤", "≥", "~", "≈")
MAX_WORDS = 5  # different words that are no numbers, up to which a column of numbers may hold them as gaps
MAX_SHARE_OF_WORDS = 0.05  # of the cells, likewise
MAX_RARE_WORDS, MAX_SHARE_OF_RARE = 100, 0.001  # or so many in so few of the cells, for long tables have more typos
MIN_GROUPS = 20  # different numbers of three digits behind a point, from which none with fewer means something

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
class Spelled:
    """What the text of a column says of numbers.

    Attributes:
        signs: of the column.
        words: texts that are no numbers, with the count of their cells.
        details: what was seen, a few words each.
        decisive: 1 where a decimal comma was seen beyond doubt, -1 a decimal point, 0 where neither.
        counted: whether the details count cells.
    """

    signs: Signs = field(default_factory=Signs)
    words: Mapping[str, int] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    decisive: int = 0
    counted: bool = False


@dataclass(frozen=True)
class _Parts:
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
    parts = _take_apart(text)
    if parts is None:
        return None
    unit, factor = parts.unit, 1.0
    if signs.scales and unit != signs.unit:
        unit, factor = _scale(unit, signs.unit)
    if unit not in ("", signs.unit):
        return math.nan if unit in signs.others else None
    spelled = _core_value(parts.core, signs)
    if spelled is None:
        return None
    number = float(f"{spelled}{parts.power}") * factor
    return -number if parts.negative else number


def settle_numbers(counts: Mapping[str, int], comma_elsewhere: bool = False) -> Spelled | None:
    """Find the signs that the numbers of a column are written with.

    Args:
        counts: the different texts of the column, with the count of their cells.
        comma_elsewhere: whether other columns of the table have decimal commas.

    Returns:
        The signs and what is no number under them; None where no text is a number.
    """
    taken = {text: _take_apart(text.strip()) for text in counts if not marks_missing(text)}
    parts = {text: each for text, each in taken.items() if each is not None}
    if not parts:
        return None
    unit, scales = _settle_unit([(each.unit, counts[text]) for text, each in parts.items()])
    if _abbreviates(parts.values()):
        unit, scales = "", True
    cores = [
        each.core + "0000" * bool(each.power)  # the comma of 5,631e+03 is no thousands'
        for each in parts.values()
        if each.unit in ("", unit) or (scales and _scale(each.unit, unit)[0] == unit)
    ]
    decimal, thousands, seen, decisive = _settle_separators(cores, comma_elsewhere)
    signs = Signs(decimal, thousands, unit, scales)
    words = {text: counts[text] for text in taken if parse_number(text, signs) is None}
    if len(words) == len(taken):
        return None
    counted = _counts(signs, counts, parts)
    return Spelled(signs, words, (*seen, *_details(signs, parts), *counted), decisive, bool(counted))


def are_few(words: Mapping[str, int], cells: int) -> bool:
    """Tell whether what is no number is little enough to be a gap among numbers.

    Args:
        words: texts that are no numbers, with the count of their cells.
        cells: of the column that hold anything.
    """
    held = sum(words.values())
    rare = len(words) <= MAX_RARE_WORDS and held <= MAX_SHARE_OF_RARE * cells
    return rare or (len(words) <= MAX_WORDS and held <= MAX_SHARE_OF_WORDS * cells)


def other_unit(word: str, signs: Signs) -> str:
    """Give the unit of a number that is not the one of its column; empty where either has none."""
    parts = _take_apart(word.strip()) if signs.unit else None
    return parts.unit if parts and parts.unit != signs.unit else ""


def words_by_unit(spelled: Spelled) -> dict[str, int]:
    """Count the cells of words, those of numbers in another unit than the column's together."""
    cells = Counter[str]()
    for word, count in spelled.words.items():
        cells[other_unit(word, spelled.signs) or word] += count
    return cells


def pattern(signs: Signs) -> str:
    """Give the regular expression of numbers with these signs and nothing beside them, in RE2's dialect."""
    if signs.decimal == "." and not signs.thousands:
        return f"^{PLAIN}$"
    decimal = re.escape(signs.decimal)
    return rf"^[+-]?(?:{_whole(signs.thousands)})(?:{decimal}[0-9]*)?$"


@lru_cache(maxsize=64)
def _whole(thousands: str) -> str:
    """Give the expression of digits, in groups of three or not; a comma also sets apart lakhs, 12,34,567."""
    if not thousands:
        return "[0-9]+"
    sign = re.escape(thousands)
    inner = f"(?:{sign}[0-9]{{2,3}})*{sign}[0-9]{{3}}" if thousands == "," else f"(?:{sign}[0-9]{{3}})+"
    return f"[0-9]+|[0-9]{{1,3}}{inner}"


@lru_cache(maxsize=64)
def _core(decimal: str, thousands: str) -> re.Pattern[str]:
    sign = re.escape(decimal)
    return re.compile(rf"(?:{_whole(thousands)})(?:{sign}[0-9]*)?|{sign}[0-9]+")


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


def _take_apart(text: str) -> _Parts | None:
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
    if (before and not _is_currency(before)) or (after and not _is_unit(after)):
        return None
    if before and after and not (_scale(after.casefold(), "")[1] != 1 or after.casefold() == before.casefold()):
        return None
    unit = before.casefold() + (after.casefold() if after.casefold() != before.casefold() else "")
    unit = unit[:-1] if len(unit) > 3 and unit.isalpha() and unit.endswith("s") else unit  # a year, two years
    negative = bool(brackets or found["behind"] == "-" or sign == "-")
    return _Parts(found["core"], found["power"] or "", negative, unit, bool(bound or found["behind"] == "+"))


def _is_currency(word: str) -> bool:
    return word.casefold().strip() in CURRENCIES or (len(word) <= 2 and unicodedata.category(word[-1]) == "Sc")


def _is_unit(word: str) -> bool:
    """Tell whether what follows a number may be its unit: no code such as the E5 of 1E5, no month, no half of a day."""
    plain = word.casefold().rstrip(".")
    if plain in NO_UNITS:
        return False
    if any(sign.isdigit() for sign in plain):
        return bool(re.fullmatch(r"(?:[munkc]?m|km|ft|in|yd|mi)[23]|[^0-9]*/\s*[0-9]*[^0-9]+[0-9]?", plain))
    return not any(sign in word for sign in "()[]{}<>=") and len(word.split()) <= 3


def _scale(unit: str, beside: str) -> tuple[str, float]:
    """Split a scale such as k or bn off a unit; 1 where there is none."""
    rest = unit.removeprefix(beside) if beside and unit.startswith(beside) else unit
    rest = rest.removesuffix(beside).strip() if beside and rest != unit.removeprefix(beside) else rest.strip()
    if rest in SCALES:
        return beside, SCALES[rest]
    return unit, 1.0


def _settle_unit(units: Iterable[tuple[str, int]]) -> tuple[str, bool]:
    """Find the one unit of a column, and whether scales stand beside it."""
    cells = Counter[str]()
    for unit, count in units:
        cells[unit] += count
    total = cells.total()
    if total == cells[""]:
        return "", False
    for beside in ("", *(unit for unit in cells if unit and _is_currency(unit)), *_currencies(cells)):
        scaled = {unit for unit in cells if unit and _scale(unit, beside)[1] != 1}
        held = sum(count for unit, count in cells.items() if unit in ("", beside) or unit in scaled)
        different = {_scale(unit, beside)[1] for unit in scaled}
        if scaled and held >= 0.95 * total and (len(different) > 1 or (beside and cells[""] + cells[beside])):
            return beside, True
    unit, count = max(((unit, count) for unit, count in cells.items() if unit), key=lambda each: each[1])
    money = len(+cells) - (cells[""] > 0) == 1 and unicodedata.category(unit[-1]) == "Sc"  # 0 beside $4.99 is money too
    return (unit, False) if count >= 0.5 * total or money else ("", False)


def _abbreviates(parts: Collection[_Parts]) -> bool:
    """Tell whether counts are written as pages write them: whole below a thousand, and 1.6K from there on."""
    below = [each.core for each in parts if not each.unit]
    above = [each.core for each in parts if each.unit == "k"]
    if not below or len(below) + len(above) < len(parts):
        return False
    return all(core.isdigit() and len(core) < 4 for core in below) and not all(map(str.isdigit, above))


def _currencies(units: Iterable[str]) -> list[str]:
    """Give the currencies that stand in front of a scale, as the € of €1.2M."""
    found = (unit.removesuffix(scale) for unit in units for scale in SCALES if unit.endswith(scale))
    return list(dict.fromkeys(each.strip() for each in found if each.strip() and _is_currency(each.strip())))


def _settle_separators(cores: Iterable[str], comma_elsewhere: bool) -> tuple[str, str, list[str], int]:
    """Tell the decimal sign and the one between thousands, what was seen, and whether a comma or a point decided.

    A group of exactly three digits behind one sign can be either. Where nothing else in the column decides, a comma
    sets thousands apart; a point does where the numbers are then nearer to each other in size, or where other columns
    have decimal commas.
    """
    decimals, groups = Counter[str](), Counter[str]()
    doubtful: dict[str, list[str]] = {",": [], ".": []}
    plain: list[str] = []
    for core in cores:
        signs = [sign for sign in core if not sign.isdigit()]
        last = signs[-1] if signs else ""
        left, _, right = core.rpartition(last) if last else (core, "", "")
        if not signs:
            plain.append(core)
        elif last in " '":
            groups[last] += len(right) == 3
        elif len(set(signs)) > 1:
            decimals[last] += signs.count(last) == 1
            groups[signs[0]] += 1
        elif len(signs) > 1:
            groups[last] += bool(re.fullmatch(_whole(last), core))
        elif len(right) == 3 and 1 <= len(left) <= 3 and not left.startswith("0"):
            doubtful[last].append(core)
        else:
            decimals[last] += 1
    groups, decimals = +groups, +decimals
    decisive = (decimals[","] > decimals["."]) - (decimals["."] > decimals[","])
    decimal = "," if decisive > 0 else "."
    known = [sign for sign, _ in groups.most_common() if sign != decimal or not decimals[sign]]
    thousands = known[0] if known else ""
    if thousands == decimal:
        decimal = "." if thousands == "," else ","
    seen = []
    for sign, found in doubtful.items():
        if not found or thousands == sign or decimals[sign]:
            continue
        if (decimals and decimal != sign) or _are_groups(sign, found, plain, comma_elsewhere):
            thousands = thousands or sign
            decimal = ("." if sign == "," else ",") if decimal == sign else decimal
        else:
            decimal = sign
        if not decimals and not groups and not (sign == "," and any(len(each) < 4 for each in plain)):
            meant = "thousands" if thousands == sign else "decimals"
            seen.append(f"{found[0]!r} is taken for {meant}, which the column does not decide")
    return decimal, thousands, seen, decisive or (1 if groups["."] else 0)


def _are_groups(sign: str, doubtful: list[str], plain: list[str], comma_elsewhere: bool) -> bool:
    """Tell whether three digits behind a sign are thousands, where nothing in the column says so."""
    if comma_elsewhere:
        return sign == "." or bool(plain)
    if sign == ",":
        return True
    if not any(map(int, plain)) or any(len(each) > 3 for each in plain):  # a lone 0 is written so by anyone
        return False
    if len(set(doubtful)) >= MIN_GROUPS and any(each.endswith("0") for each in doubtful):
        return True  # who writes 5 without a point would write 5.2 rather than 5.200
    return _spread([float(each.replace(sign, "")) for each in doubtful], plain) < _spread(
        [float(each.replace(sign, ".")) for each in doubtful], plain
    )


def _spread(numbers: list[float], plain: list[str]) -> float:
    """Measure how far numbers are apart in size: the standard deviation of their logarithms."""
    logs = [math.log10(each) for each in [*numbers, *map(float, plain)] if each > 0]
    middle = sum(logs) / len(logs)
    return math.sqrt(sum((each - middle) ** 2 for each in logs) / len(logs))


def _details(signs: Signs, parts: Mapping[str, _Parts]) -> list[str]:
    """Say how the numbers are written, a few words each; nothing of what every program writes."""
    blank = {" ": "a blank", "'": "an apostrophe", ",": "','", ".": "'.'"}
    found = []
    if signs.decimal == "," and any("," in each.core for each in parts.values()):
        found.append("decimal commas")
    if signs.thousands:
        found.append(f"thousands set apart by {blank[signs.thousands]}")
    if signs.unit:
        found.append(f"in {signs.unit!r}")
    if signs.scales:
        found.append("k, M and bn multiplied out")
    return found


def _counts(signs: Signs, counts: Mapping[str, int], parts: Mapping[str, _Parts]) -> list[str]:
    """Say how many cells are written otherwise than the rest."""
    read = {text: each for text, each in parts.items() if parse_number(text, signs) is not None}
    brackets = [text for text, each in read.items() if each.negative and not re.search(r"^\D*[-−–－]", text.strip())]
    other = "," if signs.decimal == "." else "."
    strange = [text for text, each in read.items() if other in each.core and signs.thousands != other]
    without = [text for text, each in read.items() if signs.unit and not each.unit]
    return [
        *_counted(counts, without, f"without {signs.unit!r}"),
        *_counted(counts, [text for text, each in read.items() if each.bound], "bounds read as their number"),
        *_counted(counts, brackets, "negative by brackets or a sign behind"),
        *_counted(counts, strange, f"with {other!r} as the decimal sign"),
    ]


def _counted(counts: Mapping[str, int], texts: list[str], what: str) -> list[str]:
    return [f"{sum(counts[text] for text in texts)} {what}, such as {texts[0]!r}"] if texts else []
