"""Rows as a request carries them, in JSON or CSV: a table whose cells are what the caller wrote, and the way back."""

import csv
import io
import math
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.data.headers import SEPARATORS, mangled

MAX_EXACT = 2**53  # up to which every whole number is one of its own as a float
MAX_CELLS = 10_000_000  # of one request: gaps between rows of different columns are cells too
MAX_COLUMNS = 100_000
MAX_DEPTH = 32  # of lists and objects within each other


def csv_table(text: str, columns: Collection[str]) -> pd.DataFrame:
    """Read CSV with a header; every cell is text as it stands, an empty one is missing.

    What a cell means is the model's to say: pandas would make 501 of `00501`, and a gap of `None`.

    Args:
        text: may hold line breaks within quotes; lines without a cell are no rows, a short line lacks its last cells,
            and further cells are no matter where they are empty.
        columns: that the model wants; the separator is the one by which the header names most of them.

    Raises:
        UserError: there is no header, a quote does not end, or a line holds more cells than the header.
    """
    lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
    csv.field_size_limit(max(len(text), csv.field_size_limit()))  # a cell may be as long as the request
    header, separator, above = _header(lines, set(columns))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    rows: list[list[str | None]] = []
    try:
        for row in reader:
            if any(row[len(header) :]):
                line = above + reader.line_num
                raise UserError(f"Line {line} of the CSV has {len(row)} cells, the header has {len(header)}.")
            if row:
                _check_cells(len(rows) + 1, len(header))
                rows.append([cell or None for cell in row[: len(header)]] + [None] * (len(header) - len(row)))
    except csv.Error as error:
        raise UserError(f"Line {above + reader.line_num} of the CSV cannot be read: {error}.") from error
    return pd.DataFrame(rows, columns=header)


def json_table(asked: Any) -> pd.DataFrame:
    """Make a table of what a server leaves of `inputs` or `instances`: records, a record, or a column of values a name.

    Raises:
        UserError: it is no table, one of too many cells, or one that names a column twice.
    """
    check_size(asked)
    if isinstance(asked, dict):
        # Lists, for pandas wants no array of arrays in a column.
        asked = {
            name: np.atleast_1d(each).tolist() if isinstance(each, np.ndarray) else each for name, each in asked.items()
        }
        if asked and not any(isinstance(each, list | dict) for each in asked.values()):
            asked = [asked]
    if not isinstance(asked, pd.DataFrame):
        try:
            asked = pd.DataFrame(asked)
        except (ValueError, TypeError, AttributeError) as error:  # the three ways in which pandas says so
            raise UserError(f"The rows asked for are no table: {error}.") from error
    odd = next((name for name in asked.columns if isinstance(name, list | dict | tuple)), None)
    if odd is not None:
        raise UserError(f"The rows asked for name a column {odd!r}: the name of a column is text.")
    if not asked.columns.is_unique:
        twin = asked.columns[asked.columns.duplicated()][0]
        raise UserError(f"The rows asked for name the column {twin!r} twice: leave one out.")
    return asked


def check_size(asked: Any) -> None:
    """Refuse rows that pandas would fill up to a table of far more cells than were sent.

    Args:
        asked: records, lists, or columns by name.

    Raises:
        UserError: the table would have more than 10,000,000 cells, or 100,000 columns.
    """
    if isinstance(asked, dict):
        _check_cells(_reach(asked.values()), len(asked))
    elif isinstance(asked, list):
        _check_cells(len(asked), _reach(asked))


def check_split(asked: Any) -> None:
    """Refuse a table of the shape `dataframe_split` whose rows are no list, or too many for its columns.

    Raises:
        UserError: so it is; what else may be wrong with it, pandas says.
    """
    if not isinstance(asked, dict) or "data" not in asked:
        return
    rows, columns = asked["data"], asked.get("columns")
    if not isinstance(rows, list):
        raise UserError("The `data` of dataframe_split are a list of rows, each a list of values.")
    if not isinstance(columns, list | None):
        raise UserError("The `columns` of dataframe_split are a list of names.")
    _check_cells(len(rows), len(columns or []))
    check_size(rows)


def split_of(frame: pd.DataFrame) -> dict[str, Any]:
    """Write rows as JSON carries them, in the shape `dataframe_split`, every digit kept.

    Args:
        frame: rows of numbers, booleans, moments, durations and text; missing and infinite numbers become null, as the
            model takes them for missing.
    """
    return {
        "columns": list(frame.columns),
        "data": [[_plain(value) for value in row] for row in frame.astype(object).to_numpy(dtype=object).tolist()],
    }


def spell_large(asked: Any) -> Any:
    """Spell whole numbers beyond 2^53 as text, at any depth: beside a gap or a fraction pandas makes floats of numbers,
    and these would become their neighbours.

    Raises:
        UserError: lists and objects lie more than 32 deep within each other.
    """
    return _spelled(asked) if _holds_large([asked]) else asked


def _header(lines: io.StringIO, columns: set[str]) -> tuple[list[str], str, int]:
    """Read the first line with a cell by the separator that suits it, and how many lines that took; the text is then
    to be read on from there.
    """
    found: list[tuple[list[str], str, int, int]] = []
    for separator in SEPARATORS:
        lines.seek(0)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        with suppress(csv.Error):  # by another separator it may be one
            found.append((next((row for row in reader if row), []), separator, reader.line_num, lines.tell()))
    if not found:
        raise UserError("The header of the CSV cannot be read: a quote does not end.")
    header, separator, above, after = max(found, key=lambda each: len(columns.intersection(each[0])))
    if not header:
        raise UserError("The CSV is empty: its first line must name the columns.")
    _check_cells(1, len(header))
    lines.seek(after)
    return mangled(header)[0], separator, above


def _check_cells(rows: int, columns: int) -> None:
    if rows * columns > MAX_CELLS or columns > MAX_COLUMNS:
        raise UserError(
            f"The rows asked for make a table of {rows:,} rows and {columns:,} columns; it may have {MAX_COLUMNS:,} "
            f"columns and {MAX_CELLS:,} cells: send columns that the model wants, and fewer rows at a time."
        )


def _reach(parts: Collection[Any]) -> int:
    """Tell how far records, or columns of values, reach together: by keys they may reach further than the longest."""
    keyed = [each for each in parts if isinstance(each, dict)]
    longest = max((len(each) for each in parts if isinstance(each, list | dict)), default=1)
    return max(longest, len(set().union(*keyed)))


def _holds_large(cells: Iterable[Any], depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        raise UserError(f"The rows asked for are lists or objects more than {MAX_DEPTH} deep within each other.")
    for cell in cells:
        kind = cell.__class__  # JSON gives nothing derived from these
        if kind is int:
            if not -MAX_EXACT <= cell <= MAX_EXACT:
                return True
        elif (kind is list or kind is dict) and _holds_large(cell if kind is list else cell.values(), depth + 1):
            return True
    return False


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _spelled(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_spelled(each) for each in value]
    return str(value) if value.__class__ is int and not -MAX_EXACT <= value <= MAX_EXACT else value


def _plain(value: Any) -> Any:
    """Give a value that JSON knows: a moment by ISO 8601, a duration in seconds, anything strange as its text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, date | time):  # pandas' and Python's datetime among them
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return _plain(float(value))
    return value if isinstance(value, bool | int | float | str) else str(value)
