"""What the text in each column of a table means, settled once: numbers, booleans, moments, or words."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from treeline import UserError
from treeline.data.dtypes import arrow_text, holds_decimals, is_datetime, is_text, missing, replaced
from treeline.data.durations import is_duration, parse_duration
from treeline.data.formats import settle_moments
from treeline.data.numbers import PLAIN, are_few, has_leading_zero, is_plain, marks_missing, pattern
from treeline.data.sentences import examples
from treeline.data.signs import Spelled, other_unit, settle_numbers, words_by_unit
from treeline.data.values import DURATION, PAIRS, TIME, Reading, cast_plain, different_texts, read_column

MAX_ROWS_JUDGED = 20_000  # rows by which a long column is judged first
BLANKS_TOLD = "blanks around the words are left out"
DURATION_TOLD = "a duration, in seconds"
MIN_ROWS_AT_ONCE = 1000  # rows from which it pays to ask first whether a whole column is plain numbers
MIN_SHARE_NEARLY = 0.5  # of the different values that are numbers, from which it is said what stands in the way
_DEGREES = r"[+-]?\d{1,3}\.\d+"
_PAIR = re.compile(
    rf"\s*[\[(]?\s*{_DEGREES}\s*[,; ]\s*{_DEGREES}\s*[\])]?\s*"
    r"|\s*(?:SRID=\d+;)?POINT ?Z? ?\(\s*[+-]?[\d.]+ [+-]?[\d.]+( [+-]?[\d.]+)?\s*\)\s*",
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
    plain: bool = False  # whether every text is a number as programs write it


def settle_cells(frame: pd.DataFrame | dict[str, pd.Series], asked: Mapping[str, str] | None = None) -> Cells:
    """Settle what the text of each column means, and read it.

    Args:
        frame: raw columns; real dates, times, durations and decimals become moments and numbers of one type each. A
            dict of columns is emptied on the way, so that the text of a large table need not stay beside its numbers.
        asked: the kind of a column that the user has named: `number`, `category`, `datetime` or `text`.

    Raises:
        UserError: a column asked to be of a kind holds what is not of it.
    """
    asked, columns = (
        asked or {},
        frame if isinstance(frame, dict) else {str(name): each for name, each in frame.items()},
    )
    found: dict[str, _Settled] = {}
    read: dict[str, pd.Series] = {}
    told: dict[str, str] = {}
    kept: dict[str, dict[str, Any]] = {}
    doubtful: dict[str, pd.Series] = {}
    for name in list(columns):
        column = columns.pop(name)
        if is_datetime(column):
            read[name] = read_column(column, "datetime")[0]
            kept[name] = Reading(form=TIME if _holds_times(column) else "").to_dict()
        elif pd.api.types.is_timedelta64_dtype(column):
            read[name], told[name] = read_column(column, "number")[0], DURATION_TOLD
            kept[name] = Reading(form=DURATION).to_dict()
        elif holds_decimals(column):
            read[name] = read_column(column, "number")[0]
        elif _holds_text(column):
            found[name], read[name] = _settle(name, column, asked.get(name, ""))
            told[name] = _told(found[name], column, read[name])
            if found[name].kind == "number" and not found[name].decisive and not found[name].plain:
                doubtful[name] = column
        else:
            read[name] = column
        del column
    if sum(each.decisive for each in found.values()) > 0:  # the table has decimal commas
        for name, column in doubtful.items():
            found[name], read[name] = _settle(name, column, asked.get(name, ""), True)
            told[name] = _told(found[name], column, read[name])
    kept |= {name: each.reading.to_dict() for name, each in found.items()}
    return Cells(
        pd.DataFrame(read, copy=False) if isinstance(frame, dict) else replaced(frame, read),
        {name: each for name, each in kept.items() if each},
        {name: each.kind for name, each in found.items() if each.kind},
        {name: each for name, each in told.items() if each},
    )


def settle_label_cells(column: pd.Series, numbers: bool) -> tuple[pd.Series, Reading, str]:
    """Settle what the text of a target means, and read it: plain numbers, the words true and false, or labels.

    Args:
        column: the target, text.
        numbers: whether numbers are wanted; labels that only contain one, such as `36 months`, are then read as it.
            Without it, numbers are those with nothing beside them, be their decimal sign a point or a comma.

    Returns:
        The target, read; how its text is read; and what was seen, a few words.
    """
    if len(column) > MIN_ROWS_AT_ONCE and _plainly_numbers(column):
        return _read_plain(column), Reading(), ""
    counts = different_texts(column)
    words = {text.strip().casefold() for text in counts}
    if words == set(PAIRS[0]):
        return _typed(column, _Settled("boolean")), Reading(), ""
    present = [text for text in counts if not marks_missing(text)]
    if any(map(has_leading_zero, present)) or not present:
        return column, Reading(), ""
    spelled = settle_numbers(counts)
    if (
        spelled is None
        or spelled.words
        or not (numbers or all(map(is_plain, present)) or _are_fractions(spelled, present))
    ):
        return column, Reading(), ""
    settled = _as_number(spelled)
    read = _typed(column, settled)
    return read, settled.reading, _told(settled, column, read)


def _holds_times(column: pd.Series) -> bool:
    """Tell whether a column holds times of the day, which text and JSON carry without a date."""
    return pd.api.types.infer_dtype(column, skipna=True) == "time"


def _are_fractions(spelled: Spelled, texts: Iterable[str]) -> bool:
    """Tell whether all texts are numbers with decimal commas and nothing beside them."""
    bare = re.compile(pattern(spelled.signs))
    return spelled.decisive > 0 and all(bare.match(text.strip()) for text in texts)


def _holds_text(column: pd.Series) -> bool:
    """Tell whether a column holds text, be it among other values."""
    return is_text(column) or (column.dtype == object and any(isinstance(each, str) for each in column.head(1000)))


def _plainly_numbers(column: pd.Series) -> bool:
    """Tell whether every text is a number as programs write it, no code with zeros in front, no doubtful thousands."""
    for part in (column.head(MIN_ROWS_AT_ONCE), column):  # most columns of words show themselves early
        if not pc.all(pc.match_substring_regex(arrow_text(part), f"^(?:{PLAIN})?$"), min_count=0).as_py():
            return False
    return bool(column.notna().any()) and not _has_codes(column) and not _has_doubtful_groups(column)


def _has_doubtful_groups(column: pd.Series) -> bool:
    """Tell whether every point stands before three digits, which may be thousands."""
    for part in (column.head(MIN_ROWS_AT_ONCE), column):
        cells = arrow_text(part)
        dotted = pc.sum(pc.match_substring(cells, "."), min_count=0).as_py()
        doubtful = pc.sum(pc.match_substring_regex(cells, r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"), min_count=0).as_py()
        if dotted != doubtful:
            return False
    return bool(dotted)


def _has_codes(column: pd.Series) -> bool:
    """Tell whether a text is a number with zeros in front."""
    cells = arrow_text(column)
    zeros = pc.fill_null(pc.match_substring_regex(cells, r"^\s*[+-]?0[0-9]"), False)
    return bool(pc.any(pc.match_substring_regex(cells.filter(zeros), r"^\s*[+-]?0[0-9]+\s*$"), min_count=0).as_py())


def _settle(name: str, column: pd.Series, asked: str, commas: bool = False) -> tuple[_Settled, pd.Series]:
    """Settle one column of text, and read it.

    Of a long one some rows are judged; all are then read so, and judged only where that leaves anything strange.
    """
    if asked in ("", "number") and not commas and len(column) > MIN_ROWS_AT_ONCE and _plainly_numbers(column):
        return _Settled("number", decisive=-1 if _has_points(column) else 0, plain=True), _read_plain(column)
    if not asked and len(column) > MAX_ROWS_JUDGED:
        some = different_texts(column.iloc[:: -(-len(column) // MAX_ROWS_JUDGED)])
        settled = _judge(name, some, asked, commas)
        if settled.kind in ("", "pair"):
            return settled, _typed(column, settled)
        read, strange = read_column(column, settled.kind, settled.reading)
        if settled.kind == "number" and strange.any():  # what the rest holds beside them is judged with them
            some = different_texts(column[strange]) | some
            settled = _judge(name, some, asked, commas, int((~missing(column)).sum()))
            if settled.kind == "number":
                read, strange = read_column(column, settled.kind, settled.reading)
        if settled.kind and not strange.any() and not (is_text(column) and _has_codes(column)):
            return settled, read
    settled = _judge(name, different_texts(column), asked, commas)
    return settled, _typed(column, settled)


def _judge(name: str, counts: dict[str, int], asked: str, commas: bool, cells: int = 0) -> _Settled:
    """Settle what the different texts of a column are, which hold so many cells; 0 where the counts say how many."""
    if not counts:
        return _Settled("")
    if asked == "category":
        return _Settled("category", Reading(levels_are_numbers=_levels_are_numbers(counts)))
    if asked == "text":
        return _Settled("")
    if asked == "datetime":
        return _asked_moment(name, counts)
    spelled = settle_numbers(counts, commas) if asked == "number" or not any(map(has_leading_zero, counts)) else None
    if spelled is not None and are_few(words_by_unit(spelled), cells or sum(counts.values())):
        return _as_number(spelled)
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
    spoken = {text.strip().casefold() for text in present}
    for pair in PAIRS:
        if spoken == set(pair):
            return _Settled("boolean", Reading(pair=pair))
    if is_duration(counts):
        unread = tuple(text for text in present if parse_duration(text) is None)
        parts = next((text for text in present if text.count(":") == 1), "")
        told = f"; {parts!r} is taken for minutes and seconds" if parts else ""
        return _Settled("number", Reading(form=DURATION, words=unread), DURATION_TOLD + told)
    if any(map(has_leading_zero, present)):
        return _Settled("")
    dated = settle_moments(counts)
    if dated is not None:
        told = f"dates or times as text ({dated.form}{'; ' + dated.doubt if dated.doubt else ''})"
        return _Settled("datetime", Reading(form=dated.form, words=tuple(dated.words)), told)
    pairs = [text for text in present if _PAIR.fullmatch(text)]
    words = {text: count for text, count in present.items() if text not in set(pairs)}
    if pairs and are_few(words, sum(present.values())):
        others = f"; {_cells(sum(words.values()))} written otherwise: {examples(words)}" if words else ""
        return _Settled("pair", told=f"such as {pairs[0]!r}{others}")
    blanks = bool(present) and all(text != text.strip() for text in present)  # one behind every separator of the file
    return _Settled("", Reading(stripped=blanks), BLANKS_TOLD if blanks else _in_the_way(present, spelled))


def _as_number(spelled: Spelled) -> _Settled:
    """Take a column for numbers, and say how they are spelled."""
    signs = spelled.signs
    units = {word: other_unit(word, signs) for word in spelled.words}
    reading = Reading(
        signs.decimal,
        signs.thousands,
        signs.unit,
        signs.scales,
        words=tuple(word for word, unit in units.items() if not unit),
        others=tuple(sorted(set(filter(None, units.values())))),
    )
    return _Settled("number", reading, "; ".join(spelled.details), spelled.decisive)


def _told(settled: _Settled, column: pd.Series, read: pd.Series) -> str:
    """Say what was seen in a column, and which of its texts are read as missing; empty cells need no word."""
    if settled.kind in ("", "pair", "category") or not (unread := read.isna()).any():
        return settled.told
    gaps = np.flatnonzero(unread & ~missing(column))
    if not len(gaps):
        return settled.told
    cells = f"{len(gaps)} {'cell' if len(gaps) == 1 else 'cells'} read as missing: {examples(column.iloc[gaps])}"
    return f"{settled.told}; {cells}" if settled.told else cells


def _cells(count: int) -> str:
    return "1 cell is" if count == 1 else f"{count} cells are"


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
    return _Settled("datetime", Reading(form=dated.form, words=tuple(dated.words)))


def _levels_are_numbers(counts: dict[str, int]) -> bool:
    """Tell whether all levels are numbers that stay apart when each is spelled by its shortest form."""
    if not all(map(is_plain, counts)) or any(map(has_leading_zero, counts)):
        return False
    return len({float(text) for text in counts}) == len(counts) or all(float(text).is_integer() for text in counts)


def _has_points(column: pd.Series) -> bool:
    return bool(pc.any(pc.match_substring(arrow_text(column.head(1000)), "."), min_count=0).as_py())


def _read_plain(column: pd.Series) -> pd.Series:
    """Read a column that is plainly one of numbers."""
    whole = _whole(column)
    if whole is not None:
        return whole
    cells = arrow_text(column)
    empty = pc.equal(cells, "")
    cells = pc.if_else(empty, None, cells) if pc.any(empty, min_count=0).as_py() else cells
    return pd.Series(cast_plain(cells), index=column.index, name=column.name)


def _typed(column: pd.Series, settled: _Settled) -> pd.Series:
    """Read a column; whole numbers without gaps stay whole."""
    if settled.kind == "number" and settled.reading == Reading():
        whole = _whole(column)
        if whole is not None:
            return whole
    return read_column(column, settled.kind, settled.reading)[0]


def _whole(column: pd.Series) -> pd.Series | None:
    """Read whole numbers without gaps as int64 or uint64, digit by digit; None where they are not."""
    for part in (column.head(MIN_ROWS_AT_ONCE), column):
        cells = arrow_text(part)
        if cells.null_count or not pc.all(pc.match_substring_regex(cells, "^-?[0-9]{1,20}$")).as_py():
            return None
    for kind in (pa.int64(), pa.uint64()):
        try:
            return pd.Series(pc.cast(cells, kind).to_numpy(), index=column.index, name=column.name)
        except pa.ArrowInvalid:  # beyond 64 bits
            continue
    return None
