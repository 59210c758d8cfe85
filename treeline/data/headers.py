"""Where a table begins among the rows of a text file or a sheet: its header, what stands above it, and what lies beside
the columns that it names.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from treeline import UserError
from treeline.data.numbers import INFINITE, is_plain, marks_missing

MAX_TITLE_ROWS = 30  # above a header
MIN_SHARE_NUMBERS = 0.9  # of a column below a second header
MIN_ROWS_BELOW = 4  # that a second header needs, to be told from a row
MIN_SAME_WORD = 3  # columns under which a second header says the same word, such as Response
MIN_NAMES_ABOVE = 3  # in a line above the header, from which it names columns and is no title
NAMES_OF_KEYS = re.compile(r"(?i)\W*(.*id|index|key|name|.*date|.*time|day|year|month|nr|no|number|row|code)\W*")
SEPARATORS = ",;\t|"  # of a CSV


@dataclass(frozen=True)
class Row:
    """A row as it stands in a file: its number, counted from 1 with blank rows, and its fields as text."""

    number: int
    fields: list[str]

    def filled(self) -> int:
        """Count the fields that hold something."""
        return sum(bool(field.strip()) for field in self.fields)


@dataclass(frozen=True)
class Layout:
    """How a table lies among rows.

    Attributes:
        header: number of the row that names the columns.
        named: the names as they stand there.
        row_names: each row begins with a field more, which names or numbers it.
        extra: how many empty fields more each row ends with.
        fits: the share of the rows that are as long as the header says.
        above: numbers of the rows above the header that are no part of the table.
        notes: sentences on all this.
    """

    header: int
    named: list[str]
    row_names: bool
    extra: int
    fits: float
    above: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many fields a row has, the row's name among them, empty ones behind the last name not."""
        return len(self.named) + self.row_names


def find_layout(rows: Sequence[Row]) -> Layout | None:
    """Find the header among the first rows of a file, blank ones left out.

    Returns:
        The layout; None where the rows have more fields than any row that could be their header.
    """
    place = _header_place(rows)
    if place is None:
        return None
    header, body = rows[place], rows[place + 1 :]
    width = _usual_width(body) if body else len(header.fields)
    named = list(header.fields)
    while len(named) > max(width, 1) and not named[-1].strip():
        named.pop()
    over = width - len(named)
    full = [row.fields for row in body if len(row.fields) == width]
    held = sum(any(field.strip() for field in row[len(named) :]) for row in full)
    extra = over if over > 0 and held <= 0.1 * len(full) else 0  # a line that holds more is told when it is read
    row_names = over == 1 and not extra and _name_rows([row[0] for row in full], named[0])
    if over > 0 and not extra and not row_names:
        return None
    fitting = sum(len(row.fields) == width or not any(row.fields[width:]) for row in body if row.filled() > 1)
    fits = fitting / max(1, sum(row.filled() > 1 for row in body))
    above = tuple(row.number for row in rows[:place])
    notes = []
    if above:
        told = next((field.strip() for row in rows[:place] for field in row.fields if field.strip()), "")
        notes.append(f"The header stands in line {header.number}; what stands above it is left out: {told[:60]!r}.")
    if row_names:
        notes.append(
            "The rows have a field more than the header: the first one names or numbers the row and is left out."
        )
    if extra:
        notes.append(f"Each row ends with {extra} empty field{'s' * (extra > 1)} more than the header: ignored.")
    if len(named) < len(header.fields) and width < len(header.fields):
        notes.append("The header ends with an empty name more than the rows have fields: ignored.")
    if strange := _values_as_names(named):
        told = " and ".join(map(repr, strange[:2]))
        notes.append(
            f"The names in line {header.number} look like values, such as {told}: if the file has no header, give it "
            "one."
        )
    return Layout(header.number, named, row_names, extra, fits, above, tuple(notes))


def _values_as_names(named: Sequence[str]) -> list[str]:
    """Give the names that are numbers, where most are; rising ones and years are names."""
    strange = [name.strip() for name in named if is_plain(name)]
    numbers = list(map(float, strange))
    years = all(1800 <= number <= 2100 and number % 1 == 0 for number in numbers)
    if len(strange) < 3 or len(strange) <= len(named) / 2 or years or numbers == sorted(set(numbers)):
        return []
    return strange


def mangled(named: Sequence[str]) -> tuple[list[str], list[str]]:
    """Name columns as pandas does: an empty name by its place, the second of two by a number behind it.

    Returns:
        The names, and a sentence where one stood twice.
    """
    line = io.StringIO()
    csv.writer(line).writerow(named)
    line.seek(0)
    names = [str(name) for name in pd.read_csv(line, nrows=0, index_col=False).columns]
    twins = [(old, new) for old, new in zip(named, names, strict=True) if old != new and old.strip()]
    told = ", ".join(f"{old!r} again as {new!r}" for old, new in twins[:5])
    return names, [f"Names stand twice in the header: {told} is read."] if twins else []


def check_second_header(rows: Sequence[Row], layout: Layout, called: str) -> None:
    """Refuse rows beside the header that are a header too: question texts, units, import ids.

    Args:
        rows: the first of the file.
        layout: found by `find_layout`.
        called: what the user calls the file.

    Raises:
        UserError: says where header and data seem to be and how to skip what lies between.
    """
    _check_above(rows, layout, called)
    body = [row for row in rows if row.number > layout.header]
    found = 0
    while found < min(3, len(body) - MIN_ROWS_BELOW) and _is_header_too(body, found):
        found += 1
    for ids in range(found, min(3, len(body))):  # import ids come last, whatever stands above them
        if _holds_import_ids(body[ids]):
            found = ids + 1
    if found:
        numbers = ",".join(str(row.number) for row in body[:found])
        words = max((field.strip() for field in body[0].fields), key=len)
        data = f"line {body[found].number}" if len(body) > found else "below"
        raise UserError(
            f"{called} seems to have its header in line {layout.header} and its data from {data} on: between them "
            f"stand words that are none of their values, such as {words[:60]!r}. Leave those lines out with "
            f"skip_rows={numbers}."
        )


def _check_above(rows: Sequence[Row], layout: Layout, called: str) -> None:
    """Refuse a header whose first names stand in the line above it, as surveys write questions over their answers."""
    for row in rows:
        if row.number in layout.above and row.filled() >= MIN_NAMES_ABOVE:
            alone = [above for above, name in zip(row.fields, layout.named, strict=False) if above and not name]
            if alone:
                raise UserError(
                    f"{called} seems to have its header in two lines, {row.number} and {layout.header}: line "
                    f"{row.number} names {alone[0].strip()[:60]!r}, where line {layout.header} names nothing. Leave "
                    f"one of them out with skip_rows={layout.header} or skip_rows={row.number}."
                )


def looks_like_data(field: str) -> bool:
    """Tell whether a field begins as numbers, amounts and dates do."""
    return re.match(r"\s*[-+($€£¥<>~]*\s*[.,]?\d", field) is not None


def _header_place(rows: Sequence[Row]) -> int | None:
    """Find the header's place among the rows."""
    if not rows:
        return None
    width = _usual_width(rows[1:] or rows)
    start = _comments(rows, width)
    first = rows[start]
    whole = len(first.fields) >= width and not _sparse(first, width)
    if whole or start == len(rows) - 1:
        return start
    one_less = len(first.fields) == width - 1 and first.filled() > 0
    for place in range(start + 1, min(start + MAX_TITLE_ROWS, len(rows) - 1)):
        row = rows[place]
        if width - 1 <= len(row.fields) and row.filled() >= max(2, width - 1) and not _sparse(row, width):
            beneath = rows[place + 1 :]
            if _heads(row, beneath, strict=one_less or len(first.fields) >= width):
                return place
            break
    return start if one_less or len(first.fields) >= width or not _sparse(first, width) else None


def _comments(rows: Sequence[Row], width: int) -> int:
    """Count the rows of comments at the top, which begin with `#`; a header may begin with it too."""
    count = 0
    while count < len(rows) - 1 and rows[count].fields[0].startswith("#"):
        count += 1
    if count and len(rows[count - 1].fields) == width > 1 and not _heads(rows[count], rows[count + 1 :], strict=False):
        return count - 1
    return count


def _usual_width(rows: Sequence[Row]) -> int:
    return Counter(len(row.fields) for row in rows).most_common(1)[0][0]


def _sparse(row: Row, width: int) -> bool:
    """Tell whether a row names too few columns to be a header."""
    filled = row.filled()
    return 2 * filled < width or (filled == 1 < width and bool(row.fields[0].strip()))


def _heads(row: Row, beneath: Sequence[Row], *, strict: bool) -> bool:
    """Tell whether a row is a header of those beneath it: words stand over what looks like data.

    Args:
        row: it.
        beneath: the rows below.
        strict: ask for such a column; else words alone over words alone will do.
    """
    columns = [[each.fields[i] for each in beneath if i < len(each.fields)] for i in range(len(row.fields))]
    numbers = [_share_of_data(column) > 0.8 for column in columns]
    words = [bool(field.strip()) and not looks_like_data(field) for field in row.fields]
    if any(number and word for number, word in zip(numbers, words, strict=True)):
        return True
    named = [field.strip() for field in row.fields if field.strip()]
    years = [name for name in named if re.fullmatch(r"(18|19|20)\d\d", name)]
    if words[0] and len(years) > 1 and len(years) + sum(words) == len(named) and years == sorted(set(years)):
        return True
    return not strict and not any(numbers) and all(words)


def _share_of_data(column: Sequence[str]) -> float:
    present = [field for field in column if not _is_mark(field)]
    return sum(map(looks_like_data, present)) / len(present) if present else 0.0


def _name_rows(first: Sequence[str], name: str) -> bool:
    """Tell whether the first fields name or number the rows, and are not the column that the header names first."""
    values = [field.strip() for field in first]
    if len(set(values)) < len(values) or "" in values or NAMES_OF_KEYS.fullmatch(name.strip()):
        return False
    if all(re.fullmatch(r"\d{1,15}", value) for value in values):
        numbers = list(map(int, values))
        return all(low < high for low, high in pairwise(numbers))
    return not any(looks_like_data(value) for value in values)


def _holds_import_ids(row: Row) -> bool:
    """Tell whether the fields are ids in JSON, as survey tools write them below the question texts."""
    ids = sum(re.match(r"\s*\{\s*[\"']ImportId[\"']\s*:", field) is not None for field in row.fields)
    return ids > row.filled() / 2


def _is_header_too(body: Sequence[Row], place: int) -> bool:
    """Tell whether a row holds words in nearly all columns that hold numbers below it, and in two of them at least;
    a column of few words counts as one where this word never comes again. So is one that says one word everywhere.
    """
    row, beneath = body[place], body[place + 3 :] or body[place + 1 :]
    if _says_one_word(row, beneath):
        return True
    for_it, against = 0.0, 0.0
    for i, field in enumerate(row.fields):
        word = field.strip()
        column = [each.fields[i].strip() for each in beneath if i < len(each.fields) and each.fields[i].strip()]
        if _is_mark(word) or len(column) < MIN_ROWS_BELOW:
            continue
        if _share_of_data(column) >= MIN_SHARE_NUMBERS:
            for_it += not looks_like_data(word) and word not in column
            against += looks_like_data(word)
        elif len(set(column)) <= len(column) / 2:
            against += word in column
            for_it += 0.5 * (word not in column and " " in word)
    return for_it >= 2 and against <= 0.1 * for_it


def _says_one_word(row: Row, beneath: Sequence[Row]) -> bool:
    """Tell whether a row says the same word under nearly all names, one that stands nowhere below: `Response`."""
    counts = Counter(field.strip() for field in row.fields if field.strip())
    word, count = counts.most_common(1)[0] if counts else ("", 0)
    if count < max(MIN_SAME_WORD, MIN_SHARE_NUMBERS * row.filled()) or _is_mark(word) or looks_like_data(word):
        return False
    return len(beneath) >= MIN_ROWS_BELOW and not any(
        field.strip() == word for each in beneath for field in each.fields
    )


def _is_mark(field: str) -> bool:
    """Tell whether a field among numbers says nothing of a header: a gap, or infinite."""
    return marks_missing(field) or field.strip().casefold() in INFINITE
