"""What the text in each column of a table means, settled once: numbers, booleans, moments, or words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from treeline import UserError
from treeline.data.moments import NO_DATES, is_duration, settle_moments
from treeline.data.numbers import PLAIN, Spelled, are_few, has_leading_zero, is_plain, marks_missing, settle_numbers
from treeline.data.values import (
    DURATION,
    PAIRS,
    Reading,
    arrow_text,
    different_texts,
    examples,
    holds_decimals,
    is_datetime,
    is_text,
    read_column,
    replaced,
)

MAX_TEXTS_JUDGED = 20_000  # different ones, by which a column of text is told from one of numbers
MIN_ROWS_AT_ONCE = 1000  # rows from which it pays to ask first whether a whole column is plain numbers
MIN_SHARE_NEARLY = 0.5  # of the different values that are numbers, from which it is said what stands in the way
_DEGREES = r"[+-]?\d{1,3}\.\d+"
_PAIR = re.compile(
    rf"\s*\(?\s*{_DEGREES}\s*[,; ]\s*{_DEGREES}\s*\)?\s*"
    r"|\s*POINT ?Z? ?\(\s*[+-]?[\d.]+ [+-]?[\d.]+( [+-]?[\d.]+)?\s*\)\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Cells:
    """The cells of a table, read.

    Attributes:
        frame: the columns: numbers, booleans and moments in types of their own, words as they stood.
        readings: how the text of each column is read, as `Reading.to_dict` gives it, where that is not the default.
        kinds: the kind of the columns whose text decided it: `number`, `boolean`, `datetime` or `pair`.
        told: what was seen in each column that a person should hear of, a few words.
    """

    frame: pd.DataFrame
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Settled:
    """What the text of one column was found to be."""

    kind: str
    reading: Reading = Reading()  # noqa: RUF009  (frozen)
    told: str = ""
    decisive: int = 0


def settle_cells(frame: pd.DataFrame, asked: Mapping[str, str] | None = None) -> Cells:
    """Settle what the text of each column means, and read it.

    Args:
        frame: raw columns; real dates, times, durations and decimals become moments and numbers of one type each.
        asked: the kind of a column that the user has named: `number`, `category`, `datetime` or `text`.

    Raises:
        UserError: a column asked to be of a kind holds what is not of it.
    """
    asked = asked or {}
    found: dict[str, _Settled] = {}
    plain: dict[str, pd.Series] = {}
    for name in map(str, frame.columns):
        column = frame[name]
        if is_datetime(column):
            plain[name] = read_column(column, "datetime")[0]
        elif pd.api.types.is_timedelta64_dtype(column) or holds_decimals(column):
            plain[name] = read_column(column, "number")[0]
        elif _holds_text(column):
            counts = None if len(column) > MIN_ROWS_AT_ONCE and _plainly_numbers(column) else different_texts(column)
            found[name] = _settle(name, column, counts, asked.get(name, ""))
    commas = sum(each.decisive for each in found.values())
    if commas > 0:  # a group of three digits behind a sign is read as in the rest of the table
        for name, each in found.items():
            if each.kind == "number" and not each.decisive and asked.get(name, "") in ("", "number"):
                found[name] = _settle(name, frame[name], different_texts(frame[name]), asked.get(name, ""), True)
    read = plain | {name: _typed(frame[name], each) for name, each in found.items() if each.kind not in ("", "pair")}
    kept = {name: each.reading.to_dict() for name, each in found.items()}
    durations = {name: "a duration, in seconds" for name in plain if pd.api.types.is_timedelta64_dtype(frame[name])}
    return Cells(
        replaced(frame, read),
        {name: each for name, each in kept.items() if each},
        {name: each.kind for name, each in found.items() if each.kind},
        durations | {name: each.told for name, each in found.items() if each.told},
    )


def settle_label_cells(column: pd.Series, numbers: bool) -> tuple[pd.Series, Reading, str]:
    """Settle what the text of a target means, and read it: plain numbers, the words true and false, or labels.

    Args:
        column: the target, text.
        numbers: whether numbers are wanted; labels that only contain one, such as `36 months`, are then read as it.

    Returns:
        The target, read; how its text is read; and what was seen, a few words.
    """
    counts = different_texts(column)
    words = {text.strip().casefold() for text in counts}
    if words == set(PAIRS[0]):
        return _typed(column, _Settled("boolean")), Reading(), ""
    present = [text for text in counts if not marks_missing(text)]
    if any(map(has_leading_zero, present)) or not present:
        return column, Reading(), ""
    spelled = settle_numbers(counts)
    if spelled is None or spelled.words or not (numbers or all(map(is_plain, present))):
        return column, Reading(), ""
    settled = _as_number(counts, spelled)
    return _typed(column, settled), settled.reading, settled.told


def _holds_text(column: pd.Series) -> bool:
    """Tell whether a column holds text, be it among other values."""
    return is_text(column) or (column.dtype == object and any(isinstance(each, str) for each in column.head(1000)))


def _plainly_numbers(column: pd.Series) -> bool:
    """Tell whether every text is a number as programs write it, no code with zeros in front, no doubtful thousands."""
    for part in (column.head(1000), column):  # most columns of words show themselves early
        cells = arrow_text(part)
        if not pc.all(pc.match_substring_regex(cells, f"^(?:{PLAIN})?$"), min_count=0).as_py():
            return False
        if pc.any(pc.match_substring_regex(cells, "^[+-]?0[0-9]+$"), min_count=0).as_py():
            return False
        dotted = pc.sum(pc.match_substring(cells, "."), min_count=0).as_py()
        doubtful = pc.sum(pc.match_substring_regex(cells, r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"), min_count=0).as_py()
        if dotted and dotted == doubtful and len(part) == len(column):
            return False
    return bool(column.notna().any())


def _settle(name: str, column: pd.Series, counts: dict[str, int] | None, asked: str, commas: bool = False) -> _Settled:
    """Settle one column of text; without counts it is plainly one of numbers."""
    if counts is None:
        if asked in ("", "number"):
            return _Settled("number", decisive=-1 if _has_points(column) else 0)
        counts = different_texts(column)
    if not counts:
        return _Settled("")
    if asked == "category":
        return _Settled("category", Reading(levels_are_numbers=_levels_are_numbers(counts)))
    if asked == "text":
        return _Settled("")
    if asked == "datetime":
        return _asked_moment(name, counts)
    spelled = _spelled(counts, commas) if asked == "number" or not any(map(has_leading_zero, counts)) else None
    cells = sum(counts.values())
    if spelled is not None and are_few(spelled.words, cells):
        return _as_number(counts, spelled)
    if asked == "number":
        strange = spelled.words if spelled else [text for text in counts if not marks_missing(text)]
        raise UserError(
            f"numeric names {name!r}, which holds {examples(strange)}, not numbers: mend or empty those "
            f"{sum(counts[text] for text in strange)} cells, or read the column as categories."
        )
    return _settle_words(counts, spelled)


def _settle_words(counts: dict[str, int], spelled: Spelled | None) -> _Settled:
    """Settle a column of text that is not one of numbers: booleans, durations, moments, pairs of numbers, or words."""
    present = {text: count for text, count in counts.items() if not marks_missing(text)}
    words = {text.strip().casefold() for text in present}
    for pair in PAIRS:
        if words == set(pair):
            return _Settled("boolean", Reading(pair=pair), _gaps(counts, {}))
    if is_duration(counts):
        return _Settled("number", Reading(form=DURATION), "a duration, in seconds" + _gaps(counts, {}, "; "))
    if any(map(has_leading_zero, present)):
        return _Settled("")
    some = dict(list(counts.items())[:MAX_TEXTS_JUDGED])
    dated = settle_moments(some)
    if dated is not None and len(some) < len(counts):
        dated = settle_moments(counts)
    if dated is not None:
        told = f"dates or times as text ({dated.form}{'; ' + dated.doubt if dated.doubt else ''})"
        reading = Reading(form=dated.form, words=tuple(dated.words))
        return _Settled("datetime", reading, told + _gaps(counts, dated.words, "; "))
    if present and all(map(_PAIR.fullmatch, list(present)[:MAX_TEXTS_JUDGED])):
        return _Settled("pair", told=f"two numbers each, such as {next(iter(present))!r}")
    return _Settled("", told=_in_the_way(present, spelled))


def _spelled(counts: dict[str, int], commas: bool) -> Spelled | None:
    """Find how numbers are spelled; of very many different texts the first tell whether they are numbers at all."""
    if len(counts) > MAX_TEXTS_JUDGED:
        some = dict(list(counts.items())[:MAX_TEXTS_JUDGED])
        first = settle_numbers(some, commas)
        if first is None or not are_few(first.words, sum(some.values())):
            return first
    return settle_numbers(counts, commas)


def _as_number(counts: dict[str, int], spelled: Spelled) -> _Settled:
    """Take a column for numbers, and say how they are spelled."""
    signs = spelled.signs
    reading = Reading(signs.decimal, signs.thousands, signs.unit, signs.scales, words=tuple(spelled.words))
    told = [*spelled.details, *filter(None, [_gaps(counts, spelled.words)])]
    return _Settled("number", reading, "; ".join(told), spelled.decisive)


def _gaps(counts: dict[str, int], words: Mapping[str, int], glue: str = "") -> str:
    """Say which texts are read as missing values; empty cells need no word."""
    marks = [text for text in counts if (marks_missing(text) or text.strip() in NO_DATES) and text.strip()]
    gaps = [*marks, *words]
    cells = sum(counts[text] for text in gaps)
    return f"{glue}{cells} {'cell' if cells == 1 else 'cells'} read as missing: {examples(gaps)}" if gaps else ""


def _in_the_way(present: dict[str, int], spelled: Spelled | None) -> str:
    """Say what stands in the way of a column whose levels are numbers for the most part."""
    if spelled is None or len(spelled.words) >= MIN_SHARE_NEARLY * len(present):
        return ""
    count = len(spelled.words)
    are = "1 different one is not" if count == 1 else f"{count} different ones are not"
    return f"most are numbers, but {are}, such as {examples(spelled.words)}"


def _asked_moment(name: str, counts: dict[str, int]) -> _Settled:
    dated = settle_moments(counts)
    if dated is None:
        strange = next(text for text in counts if not marks_missing(text) or len(counts) == 1)
        raise UserError(
            f"datetime names {name!r}, which holds {strange!r}: no known format reads 95 % of its values. Write them "
            "as 2026-01-31 or 2026-01-31 12:00:00."
        )
    return _Settled("datetime", Reading(form=dated.form, words=tuple(dated.words)), _gaps(counts, dated.words))


def _levels_are_numbers(counts: dict[str, int]) -> bool:
    """Tell whether all levels are numbers that stay apart when each is spelled by its shortest form."""
    if not all(map(is_plain, counts)) or any(map(has_leading_zero, counts)):
        return False
    return len({float(text) for text in counts}) == len(counts) or all(float(text).is_integer() for text in counts)


def _has_points(column: pd.Series) -> bool:
    return bool(pc.any(pc.match_substring(arrow_text(column.head(1000)), "."), min_count=0).as_py())


def _typed(column: pd.Series, settled: _Settled) -> pd.Series:
    """Read a column; whole numbers without gaps stay whole."""
    if settled.kind == "number" and settled.reading == Reading():
        whole = _whole(column)
        if whole is not None:
            return whole
    return read_column(column, settled.kind, settled.reading)[0]


def _whole(column: pd.Series) -> pd.Series | None:
    """Read whole numbers without gaps as int64 or uint64, digit by digit; None where they are not."""
    cells = arrow_text(column)
    if cells.null_count or not pc.all(pc.match_substring_regex(cells, "^-?[0-9]{1,20}$")).as_py():
        return None
    for kind in (pa.int64(), pa.uint64()):
        try:
            return pd.Series(pc.cast(cells, kind).to_numpy(), index=column.index, name=column.name)
        except pa.ArrowInvalid:  # beyond 64 bits
            continue
    return None
