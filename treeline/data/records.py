"""Tables in files of records: Excel sheets, JSON lines, lists of records in JSON. Values keep their types."""

import codecs
import contextlib
import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from treeline import UserError, nearest
from treeline.data.encodings import tell_encoding
from treeline.data.files import FileSettings, unpacked
from treeline.data.headers import Row, check_second_header, find_layout, mangled
from treeline.data.parquet_files import frame_of

Columns = dict[str, list[Any]]
OLD_WORKBOOK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAX_SHEET_ROWS = 1_048_576  # Excel's own limit
MAX_SHEET_CELLS = 50_000_000
MAX_WORKBOOK_BYTES = 1 << 31  # unpacked
MAX_JSON_CHARACTERS = 1 << 29  # of a file, which is read whole
HALF_SIGN = re.compile(r"\\u[dD][89a-fA-F]")  # of a pair that makes one sign beyond the first 65,536
SHAPES = "a list of records, or what pandas' to_json writes"


@dataclass(frozen=True)
class Records:
    """What a file of records holds: its columns, of Python's values, and how it was read."""

    columns: Columns
    notes: list[str]

    def frame(self, called: str) -> pd.DataFrame:
        """Make a frame, each column typed as Arrow types it where it can; the others hold Python's values."""
        typed = {name: array for name, values in self.columns.items() if (array := _typed(values)) is not None}
        frame = frame_of(pa.table(typed), called)[0] if typed else pd.DataFrame()
        mixed = {name: pd.Series(self.columns[name], dtype=object) for name in self.columns.keys() - typed.keys()}
        return pd.DataFrame({name: mixed[name] if name in mixed else frame[name] for name in self.columns})

    def table(self) -> pa.Table:
        """Make a table of Arrow; columns of mixed values as text."""
        columns = {}
        for name, values in self.columns.items():
            array = _typed(values)
            if array is None:
                array = pa.array([None if value is None else str(value) for value in values], pa.string())
            columns[name] = array
        return pa.table(columns)


def _typed(values: list[Any]) -> pa.Array | None:
    """Type values as Arrow does; None where they are of mixed types."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return None


def read_excel(path: Path, files: FileSettings, called: str) -> Records:
    """Read the table of a sheet: the only one that holds a table, or the one that is named.

    Raises:
        UserError: the reader is not installed, the file or the sheet is not there, or several sheets hold tables.
    """
    try:
        import openpyxl
    except ImportError:
        raise UserError(f"Reading {called} needs openpyxl: pip install openpyxl.") from None
    try:
        _check_workbook(path, called)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        with contextlib.closing(book):
            name, cells, notes = _sheet(book, files.sheet, called)
    except (UserError, pd.errors.EmptyDataError):
        raise
    # Whatever openpyxl and its parsers of XML raise in the middle of a damaged workbook.
    except Exception as error:
        raise UserError(f"Cannot read {called}: {_first_line(error)}. Is it an Excel workbook?") from error
    every = (Row(number, [_spelled(cell) for cell in row]) for number, row in enumerate(cells, 1))
    rows = [row for row in every if row.number not in files.skipped and row.filled()]
    wide = [row for row in rows if row.filled() > 1] or rows  # a title may stand beside the table's columns
    places = [i for row in wide for i, field in enumerate(row.fields) if field.strip()] or [0]
    first, last = min(places), max(places)
    rows = [Row(row.number, row.fields[first : last + 1]) for row in rows]
    rows = [row for row in rows if row.filled()]
    layout = find_layout(rows)
    if layout is None:
        raise UserError(f"The sheet {name!r} of {called} holds no table: give one row of names above the rows.")
    check_second_header(rows, layout, called)
    names, twins = mangled(layout.named)
    body = [cells[row.number - 1][first : last + 1] for row in rows if row.number > layout.header]
    columns = [[_value(row[i]) if i < len(row) else None for row in body] for i in range(layout.width)]
    columns = columns[layout.row_names :]
    notes += [*layout.notes, *twins]
    if files.skipped:
        notes.append(f"Left out, as skip_rows asks: {files.skip_rows}.")
    return Records(dict(zip(names, columns, strict=True)), notes)


def read_json(path: Path, files: FileSettings, called: str, *, lines: bool) -> Records:
    """Read JSON lines, or a list of records; nothing is guessed: "007" is text, a whole number stays one.

    Raises:
        UserError: it holds no table.
        ValueError: it is no JSON.
    """
    encoding = tell_encoding(path, files.encoding)
    content = _content(path, _plain(encoding.name), called)
    if not content.strip():
        raise pd.errors.EmptyDataError("it is empty")
    columns = _of_content(content, files, called, lines=lines)
    if HALF_SIGN.search(content):
        json.dumps(columns, ensure_ascii=False).encode()  # raises where half of a sign stands alone
    return Records(columns, [*filter(None, [encoding.note])])


def _content(path: Path, encoding: str, called: str) -> str:
    """Read the text of a file.

    Raises:
        UserError: it is more than memory should take.
    """
    with unpacked(path) as file, io.TextIOWrapper(file, encoding=encoding) as text:
        content = text.read(MAX_JSON_CHARACTERS + 1)
    if len(content) > MAX_JSON_CHARACTERS:
        raise UserError(
            f"{called} holds more than {MAX_JSON_CHARACTERS:,} characters of JSON, which are read all at once: write "
            "its rows as CSV or Parquet."
        )
    return content


def _of_content(content: str, files: FileSettings, called: str, *, lines: bool) -> Columns:
    if lines:
        return _of_records(_json_lines(content, files.skipped), called)
    try:
        found = json.loads(content)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        return _of_records(_json_lines(content, files.skipped), called)
    return _of_json(found, called)


def _plain(encoding: str) -> str:
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _json_lines(content: str, skip: frozenset[int]) -> list[Any]:
    records = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip() or number in skip:
            continue
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} is no JSON ({error.msg})") from error
    return records


def _of_json(found: Any, called: str) -> Columns:
    """Give the columns of what a JSON file holds, in one of the shapes that pandas writes."""
    if isinstance(found, dict) and isinstance(found.get("data"), list) and set(found) <= {"columns", "index", "data"}:
        names, rows = found.get("columns", []), found["data"]
        if not isinstance(names, list) or not all(isinstance(row, list) and len(row) == len(names) for row in rows):
            raise UserError(f"{called} is no table: each row of its data needs a value for each of its columns.")
        if len({str(name) for name in names}) < len(names):
            raise UserError(f"{called} names a column twice: rename one.")
        return {str(name): [row[i] for row in rows] for i, name in enumerate(names)}
    if isinstance(found, dict) and isinstance(found.get("data"), list) and set(found) <= {"schema", "data"}:
        found = found["data"]
    if isinstance(found, list):
        return _of_records(found, called)
    if isinstance(found, dict) and found and all(isinstance(each, list) for each in found.values()):
        if len({len(each) for each in found.values()}) == 1:
            return dict(found)
    elif isinstance(found, dict) and found and all(isinstance(each, dict) for each in found.values()):
        keys = list(dict.fromkeys(key for each in found.values() for key in each))
        if all(map(str.isdigit, found)) and not all(map(str.isdigit, keys)):  # rows by their numbers
            return _of_records(list(found.values()), called)
        return {name: [each.get(key) for key in keys] for name, each in found.items()}
    raise UserError(f"{called} holds JSON that is no table: give {SHAPES}.")


def _of_records(records: Sequence[Any], called: str) -> Columns:
    """Give the columns of records; a column that a record lacks is missing there.

    Raises:
        UserError: one is no record.
    """
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise UserError(f"{called} is no table: its record {number} is {str(record)[:40]!r}. Give {SHAPES}.")
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def _sheet(book: Any, asked: str, called: str) -> tuple[str, list[Sequence[Any]], list[str]]:
    """Choose a sheet and give its cells."""
    if asked:
        if asked not in book.sheetnames:
            raise UserError(
                f"{called} has no sheet {asked!r}.{nearest(asked, book.sheetnames)} Its sheets are "
                f"{', '.join(map(repr, book.sheetnames))}."
            )
        return asked, _cells(book[asked]), []
    cells = {sheet.title: _cells(sheet) for sheet in book.worksheets}
    tables = [name for name, rows in cells.items() if _holds_table(rows)]
    if len(tables) > 1:
        raise UserError(
            f"{called} has tables on {len(tables)} sheets: name one of {', '.join(map(repr, tables))} with the setting "
            "sheet."
        )
    if not tables:
        tables = [name for name, rows in cells.items() if rows][:1]
    if not tables:
        raise pd.errors.EmptyDataError("it is empty")
    notes = [f"Read is the sheet {tables[0]!r}, the only one that holds a table."] if len(cells) > 1 else []
    return tables[0], cells[tables[0]], notes


def _check_workbook(path: Path, called: str) -> None:
    """Refuse what is no workbook of today, and one that unpacks to more than memory should take.

    Raises:
        UserError: it is of before 2007, encrypted, or too large.
        OSError, BadZipFile: it cannot be read, or is no workbook.
    """
    with path.open("rb") as file:
        if file.read(8) == OLD_WORKBOOK:
            raise UserError(
                f"Cannot read {called}: it is a workbook of before 2007 (.xls) or has a password. Save it as .xlsx "
                "without one."
            )
    with zipfile.ZipFile(path) as archive:
        size = sum(each.file_size for each in archive.infolist())
    if size > MAX_WORKBOOK_BYTES:
        raise UserError(
            f"{called} unpacks to {size:,} bytes, more than the {MAX_WORKBOOK_BYTES:,} that are read of a workbook: "
            "save the sheet as CSV."
        )


def _cells(sheet: Any) -> list[Sequence[Any]]:
    """Give the rows of a sheet, without the empty cells at the end of each and the empty rows at the end of all.

    Raises:
        UserError: there are more than a sheet of Excel can have, or more than memory should take.
    """
    rows: list[Sequence[Any]] = []
    if not hasattr(sheet, "iter_rows"):  # a sheet of a chart has none
        return rows
    sheet.reset_dimensions()  # what a file says of its size is often wrong, and rows beyond it would be lost
    held = last = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        width = next((i for i in range(len(row), 0, -1) if row[i - 1] is not None), 0)
        rows.append(row[:width])
        held, last = held + width, number if width else last
        if number > MAX_SHEET_ROWS or held > MAX_SHEET_CELLS:
            raise UserError(
                f"The sheet {sheet.title!r} goes beyond row {MAX_SHEET_ROWS:,} or holds more than "
                f"{MAX_SHEET_CELLS:,} cells: save it as CSV."
            )
    return rows[:last]


def _holds_table(rows: Sequence[Sequence[Any]]) -> bool:
    """Tell whether a sheet holds two rows of two cells at least, rather than a remark."""
    return sum(sum(cell is not None for cell in row) > 1 for row in rows) > 1


def _spelled(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _value(cell: Any) -> Any:
    """Give a cell's value; an error that Excel shows in it is none."""
    if isinstance(cell, str) and cell in ("#N/A", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!"):
        return None
    return None if isinstance(cell, str) and not cell.strip() else cell


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
