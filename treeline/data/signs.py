"""The signs that the numbers of a column are written with, told from all of its texts."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from treeline.data.numbers import (
    SCALES,
    Parts,
    Signs,
    is_currency,
    marks_missing,
    parse_number,
    split_scale,
    take_apart,
    whole_pattern,
)

MIN_GROUPS = 20  # different numbers of three digits behind a point, from which none with fewer means something


@dataclass(frozen=True)
class Spelled:
    """What the text of a column says of numbers.

    Attributes:
        signs: of the column.
        words: texts that are no numbers, with the count of their cells.
        details: what was seen, a few words each.
        decisive: 1 where a decimal comma was seen beyond doubt, -1 a decimal point, 0 where neither.
    """

    signs: Signs = field(default_factory=Signs)
    words: Mapping[str, int] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    decisive: int = 0


def settle_numbers(counts: Mapping[str, int], comma_elsewhere: bool = False) -> Spelled | None:
    """Find the signs that the numbers of a column are written with.

    Args:
        counts: the different texts of the column, with the count of their cells.
        comma_elsewhere: whether other columns of the table have decimal commas.

    Returns:
        The signs and what is no number under them; None where no text is a number.
    """
    taken = {text: take_apart(text.strip()) for text in counts if not marks_missing(text)}
    parts = {text: each for text, each in taken.items() if each is not None}
    if not parts:
        return None
    unit, scales = _settle_unit([(each.unit, counts[text]) for text, each in parts.items()])
    if _abbreviates(parts.values()):
        unit, scales = "", True
    cores = [
        each.core + "0000" * bool(each.power)  # the comma of 5,631e+03 is no thousands'
        for each in parts.values()
        if each.unit in ("", unit) or (scales and split_scale(each.unit, unit)[0] == unit)
    ]
    decimal, thousands, seen, decisive = _settle_separators(cores, comma_elsewhere)
    signs = Signs(decimal, thousands, unit, scales)
    words = {text: counts[text] for text in taken if parse_number(text, signs) is None}
    if len(words) == len(taken):
        return None
    return Spelled(signs, words, (*seen, *_details(signs, parts), *_exceptions(signs, parts)), decisive)


def other_unit(word: str, signs: Signs) -> str:
    """Give the unit of a number that is not the one of its column; empty where either has none."""
    parts = take_apart(word.strip()) if signs.unit else None
    return parts.unit if parts and parts.unit != signs.unit else ""


def words_by_unit(spelled: Spelled) -> dict[str, int]:
    """Count the cells of words, those of numbers in another unit than the column's together."""
    cells = Counter[str]()
    for word, count in spelled.words.items():
        cells[other_unit(word, spelled.signs) or word] += count
    return cells


def _settle_unit(units: Iterable[tuple[str, int]]) -> tuple[str, bool]:
    """Find the one unit of a column, and whether scales stand beside it."""
    cells = Counter[str]()
    for unit, count in units:
        cells[unit] += count
    total = cells.total()
    if total == cells[""]:
        return "", False
    for beside in ("", *(unit for unit in cells if unit and is_currency(unit)), *_currencies(cells)):
        scaled = {unit for unit in cells if unit and split_scale(unit, beside)[1] != 1}
        held = sum(count for unit, count in cells.items() if unit in ("", beside) or unit in scaled)
        different = {split_scale(unit, beside)[1] for unit in scaled}
        if scaled and held >= 0.95 * total and (len(different) > 1 or (beside and cells[""] + cells[beside])):
            return beside, True
    unit, count = max(((unit, count) for unit, count in cells.items() if unit), key=lambda each: each[1])
    money = len(+cells) - (cells[""] > 0) == 1 and unicodedata.category(unit[-1]) == "Sc"  # 0 beside $4.99 is money too
    return (unit, False) if count >= 0.5 * total or money else ("", False)


def _abbreviates(parts: Collection[Parts]) -> bool:
    """Tell whether counts are written as pages write them: whole below a thousand, and 1.6K from there on."""
    below = [each.core for each in parts if not each.unit]
    above = [each.core for each in parts if each.unit == "k"]
    if not below or len(below) + len(above) < len(parts):
        return False
    return all(core.isdigit() and len(core) < 4 for core in below) and not all(map(str.isdigit, above))


def _currencies(units: Iterable[str]) -> list[str]:
    """Give the currencies that stand in front of a scale, as the € of €1.2M."""
    found = (unit.removesuffix(scale) for unit in units for scale in SCALES if unit.endswith(scale))
    return list(dict.fromkeys(each.strip() for each in found if each.strip() and is_currency(each.strip())))


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
            groups[last] += bool(re.fullmatch(whole_pattern(last), core))
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


def _details(signs: Signs, parts: Mapping[str, Parts]) -> list[str]:
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


def _exceptions(signs: Signs, parts: Mapping[str, Parts]) -> list[str]:
    """Say what is written otherwise than the rest, an example each."""
    read = {text: each for text, each in parts.items() if parse_number(text, signs) is not None}
    brackets = [text for text, each in read.items() if each.negative and not re.search(r"^\D*[-−–－]", text.strip())]
    other = "," if signs.decimal == "." else "."
    strange = [text for text, each in read.items() if other in each.core and signs.thousands != other]
    without = [text for text, each in read.items() if signs.unit and not each.unit]
    bounds = [text for text, each in read.items() if each.bound]
    found = {
        f"some without {signs.unit!r}": without,
        "bounds read as their number": bounds,
        "negative by brackets or a sign behind": brackets,
        f"some with {other!r} as the decimal sign": strange,
    }
    return [f"{what}, such as {texts[0]!r}" for what, texts in found.items() if texts]
