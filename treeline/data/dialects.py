"""How a CSV file is written, told once for all who read it: encoding, separator, header, and what lies around it."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from treeline import UserError
from treeline.data.encodings import tell_encoding
from treeline.data.files import AS_IT_STANDS, FileSettings, unpacked
from treeline.data.headers import SEPARATORS, Layout, Row, check_second_header, find_layout, mangled

HEAD_CHARACTERS = 1 << 17  # by which separator and header are told; more where lines are long
MAX_HEAD_CHARACTERS = 1 << 25
MAX_LINE_CHARACTERS = 1 << 25  # of a line and of a cell, for each is held whole, several times over
MIN_HEAD_LINES = 30
MAX_HEAD_ROWS = 1000


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        encoding: by Python's name.
        separator: one character.
        layout: where the table lies among the rows.
        names: of the columns, each once.
        skip: numbers of rows to leave out.
        start: characters up to the first row that is read as it comes.
        start_bytes: the same in bytes of UTF-8.
        first: rows to be read before that one, as they stand.
        whole: no row to leave out lies behind `start`.
        notes: how the file is read, where a person should know, in sentences.
    """

    encoding: str
    separator: str
    layout: Layout
    names: list[str]
    skip: frozenset[int]
    start: int
    start_bytes: int
    first: str
    whole: bool
    notes: list[str]


@dataclass(frozen=True)
class _Head:
    """The beginning of a file: its lines, and whether they are all."""

    lines: list[str]
    whole: bool


@dataclass(frozen=True)
class _Parsed:
    """The head as a separator cuts it: all rows, blank ones too, and how many lines lie before and in each."""

    separator: str
    rows: list[Row]
    ends: list[int]

    def table(self, skip: frozenset[int]) -> list[Row]:
        """Leave out what is blank, to be skipped, or a line that names the separator."""
        named = 1 if self.rows and _named_separator(self.rows[0].fields, self.separator) else 0
        return [row for row in self.rows if row.number > named and row.number not in skip and not is_blank(row.fields)]


def csv_dialect(path: Path, files: FileSettings = AS_IT_STANDS, called: str = "") -> Dialect:
    """Tell how a CSV file is written.

    Args:
        path: of the file.
        files: what a person says of it.
        called: what messages call it; its name where empty.

    Raises:
        pandas.errors.EmptyDataError: it holds nothing.
        UserError: it is a web page, its rows have more fields than its header, or it has a second header.
        ValueError: it is no text.
    """
    encoding = tell_encoding(path, files.encoding)
    head = _read_head(path, encoding.name)
    if not any(line.strip() for line in head.lines):
        raise pd.errors.EmptyDataError("it is empty")
    _refuse_page("".join(head.lines[:MIN_HEAD_LINES]), called or path.name)
    parsed, layout = _best(head, files.skipped, called or path.name)
    check_second_header(parsed.table(files.skipped)[:MAX_HEAD_ROWS], layout, called or path.name)
    names, twins = mangled(layout.named)
    notes = [*filter(None, [encoding.note]), *layout.notes, *twins]
    if files.skipped:
        notes.append(f"Left out, as skip_rows asks: {files.skip_rows}.")
    last = max([layout.header, *(number for number in files.skipped if number <= len(parsed.rows))])
    start = "".join(head.lines[: parsed.ends[last - 1]])
    between = range(layout.header + 1, last + 1)
    first = "".join(
        "".join(head.lines[parsed.ends[number - 2] : parsed.ends[number - 1]])
        for number in between
        if number not in files.skipped
    )
    return Dialect(
        encoding=encoding.name,
        separator=parsed.separator,
        layout=layout,
        names=names,
        skip=files.skipped,
        start=len(start),
        start_bytes=len(start.encode("utf-8", errors="surrogatepass")),
        first=first,
        whole=max(files.skipped, default=0) <= len(parsed.rows) or (head.whole and len(parsed.rows) < MAX_HEAD_ROWS),
        notes=notes,
    )


def is_blank(fields: list[str]) -> bool:
    """Tell whether a row is an empty line."""
    return not fields or (len(fields) == 1 and not fields[0].strip())


def read_rows(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    """Cut lines into rows.

    Raises:
        ValueError: a cell is longer than memory should take.
    """
    csv.field_size_limit(MAX_LINE_CHARACTERS)  # the module's own limit is for all
    try:
        yield from csv.reader(lines, delimiter=separator)
    except csv.Error as error:
        if "field limit" not in str(error):
            raise
        raise ValueError(
            f"a cell is longer than {MAX_LINE_CHARACTERS:,} characters: a quote may be opened and never closed"
        ) from error


def lines_of(text: io.TextIOWrapper) -> Iterator[str]:
    """Give the lines of a file.

    Raises:
        ValueError: one is longer than memory should take.
    """
    while line := text.readline(MAX_LINE_CHARACTERS + 1):
        if len(line) > MAX_LINE_CHARACTERS:
            raise ValueError(f"a line is longer than {MAX_LINE_CHARACTERS:,} characters")
        yield line


def _read_head(path: Path, encoding: str) -> _Head:
    """Read as much of a file as tells its header: thirty lines at least, however long they are."""
    size = HEAD_CHARACTERS
    with unpacked(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        head = text.read(size)
        while len(head) == size < MAX_HEAD_CHARACTERS and len(_lines(head)) <= MIN_HEAD_LINES:
            head += text.read(size)
            size *= 2
        whole = len(head) < size
    lines = _lines(head)
    if len(lines[-1] if lines else "") > MAX_LINE_CHARACTERS:
        raise ValueError(f"a line is longer than {MAX_LINE_CHARACTERS:,} characters")
    return _Head(lines if whole or len(lines) < 2 else lines[:-1], whole)


def _lines(text: str) -> list[str]:
    """Cut text where lines of a file end; `splitlines` would cut at signs that stand in cells."""
    return list(io.StringIO(text, newline=""))


def _refuse_page(text: str, called: str) -> None:
    """Refuse a page that a browser was given in place of a file.

    Raises:
        UserError: it is one.
    """
    if re.match(r"\ufeff?\s*<(!doctype|html|\?xml)\b", text, re.IGNORECASE):
        raise UserError(
            f"{called} is a web page or XML, no table: download the file that the page shows, and give that."
        )


def _parse(head: _Head, separator: str) -> _Parsed:
    rows: list[Row] = []
    ends: list[int] = []
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in head.lines:
            taken += 1
            yield line

    for fields in islice(read_rows(lines(), separator), MAX_HEAD_ROWS):
        rows.append(Row(len(rows) + 1, fields))
        ends.append(taken)
    if not head.whole and len(rows) > 2:  # a quoted line break may cut the last
        del rows[-1], ends[-1]
    return _Parsed(separator, rows, ends)


def _named_separator(fields: list[str], separator: str) -> bool:
    """Tell whether the first line is the one by which Excel is told the separator: `sep=;`."""
    return re.fullmatch(r"\s*\"?sep=(.|\\t)?\"?\s*", separator.join(fields), re.IGNORECASE) is not None


def _best(head: _Head, skip: frozenset[int], called: str) -> tuple[_Parsed, Layout]:
    """Tell the separator: the one that cuts header and rows into the same number of fields, most of them.

    A file of one column has none; a comma does no harm then.

    Raises:
        UserError: the rows have more fields than the header, whatever separates them.
    """
    told = re.match(r"\s*\"?sep=(.|\\t)\"?\s*$", head.lines[0], re.IGNORECASE)
    candidates = [told[1].replace("\\t", "\t")] if told and 1 not in skip else list(SEPARATORS)
    parsed = [_parse(head, separator) for separator in candidates]
    layouts = [find_layout(each.table(skip)) for each in parsed]
    found = [(each, layout) for each, layout in zip(parsed, layouts, strict=True) if layout is not None]
    regular = [(each, layout) for each, layout in found if layout.width > 1 and layout.fits > 0.9]
    if regular:
        return max(regular, key=lambda pair: (not pair[1].above, pair[1].width))
    longer = [each for each, layout in zip(parsed, layouts, strict=True) if layout is None and each.table(skip)]
    for each in longer:
        _refuse_longer_rows(each.table(skip), called)
    if not found:
        raise pd.errors.EmptyDataError("no row is left")
    return max(found, key=lambda pair: pair[1].width * (pair[1].fits > 0.5))


def _refuse_longer_rows(rows: list[Row], called: str) -> None:
    """Refuse rows that have more fields than the header, where most have.

    Raises:
        UserError: names the first such row.
    """
    header = rows[0]
    longer = [row for row in rows[1:] if len(row.fields) > len(header.fields)]
    alike = sum(len(row.fields) == len(longer[0].fields) for row in longer) if longer else 0
    if len(header.fields) > 1 and alike > 0.9 * len(rows[1:]):
        raise UserError(
            f"{called}: line {longer[0].number} has {len(longer[0].fields)} fields, the header in line {header.number} "
            f"names {len(header.fields)}. Name each column in the header, or leave out the lines above the header with "
            "skip_rows."
        )
