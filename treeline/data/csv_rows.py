"""The rows of a CSV file as text, piece by piece: by pyarrow while all are as long as the header, else one by one."""

import io
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from treeline.data.dialects import Dialect, is_blank, lines_of, read_rows
from treeline.data.files import unpacked

MAX_BROKEN_SHOWN = 2000  # characters of a line that is no row


@dataclass(frozen=True)
class Piece:
    """Some rows of a CSV file.

    Attributes:
        table: the cells as they stand, under the numbers of their columns; an empty one is null.
        broken: lines that are no rows, each with its reason.
        short: how many rows had fewer fields than the header; their last fields are missing.
    """

    table: pa.Table
    broken: list[str]
    short: int


def csv_pieces(path: Path, dialect: Dialect, size: int) -> Iterator[Piece]:
    """Read the rows of a CSV file, piece by piece.

    Args:
        path: of the file.
        dialect: how it is written.
        size: of a piece, in bytes.

    Raises:
        ValueError: it is no text, or a quote is never closed.
    """
    done = 0
    if dialect.whole:
        pieces = _regular(path, dialect, size)
        with closing(pieces):
            while True:
                try:
                    table = next(pieces, None)
                except pa.ArrowInvalid:  # no row is left, or one is longer, shorter, or larger than a piece
                    break
                if table is None:
                    return
                done += table.num_rows
                yield Piece(table, [], 0)
    yield from _one_by_one(path, dialect, size, done)


def text_frame(table: pa.Table, names: list[str]) -> pd.DataFrame:
    """Make a frame of text of a table of text, without copying where pandas can hold it so."""
    frame: pd.DataFrame = table.rename_columns([str(i) for i in range(table.num_columns)]).to_pandas(**text_types())
    return frame.set_axis(names, axis=1)


def headers_again(frame: pd.DataFrame) -> np.ndarray:
    """Tell which rows are the header again, as of files that were put together: a boolean of shape (n_rows,)."""
    again = np.ones(len(frame), dtype=bool)
    for name in frame.columns:
        again &= (frame[name] == name).to_numpy(dtype=bool)
        if not again.any():
            break
    return again


def text_types() -> dict[str, Any]:
    """Ask pandas before 3 for text of the type that pandas 3 calls `str`."""
    if pd.__version__ >= "3":
        return {}
    kind = pd.StringDtype("pyarrow_numpy")  # type: ignore[call-overload]
    return {"types_mapper": {pa.string(): kind, pa.large_string(): kind}.get}


def _regular(path: Path, dialect: Dialect, size: int) -> Generator[pa.Table]:
    """Read rows that are all as long as the header says.

    Raises:
        pyarrow.ArrowInvalid: one is not.
    """
    layout = dialect.layout
    names = [str(i) for i in range(layout.width + layout.extra)]
    with ExitStack() as stack:
        reader = pyarrow.csv.open_csv(
            _from_first_row(path, dialect, stack),
            read_options=pyarrow.csv.ReadOptions(block_size=size, column_names=names),
            parse_options=pyarrow.csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        table = None
        for batch in reader:
            table = pa.Table.from_batches([batch])
            if any(table.column(i).null_count < len(table) for i in range(layout.width, len(names))):
                raise pa.ArrowInvalid("a field that no name stands over is not empty")
            table = table.select(names[: layout.width])
            yield table
        if table is not None:
            _check_closed(path, dialect, table.column(layout.width - 1)[-1].as_py())


def _from_first_row(path: Path, dialect: Dialect, stack: ExitStack) -> io.IOBase:
    """Open a file for the bytes of its rows, in UTF-8."""
    file = stack.enter_context(unpacked(path))
    plain = dialect.encoding.lower().replace("_", "-") in ("utf-8", "utf-8-sig", "utf8", "ascii")
    if plain and not dialect.first:
        file.read(dialect.start_bytes + 3 * (dialect.encoding == "utf-8-sig"))
        return file  # type: ignore[return-value]
    text = stack.enter_context(io.TextIOWrapper(file, encoding=dialect.encoding, newline=""))
    text.read(dialect.start)
    return io.BufferedReader(_Utf8(dialect.first, text), 1 << 20)


class _Utf8(io.RawIOBase):
    """Text as bytes of UTF-8: some that is given, then what is read."""

    def __init__(self, first: str, rest: io.TextIOWrapper) -> None:
        self._ready = first.encode()
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the text goes."""
        if not self._ready:
            self._ready = self._rest.read(max(len(buffer) // 4, 1)).encode()
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _one_by_one(path: Path, dialect: Dialect, size: int, done: int) -> Iterator[Piece]:
    """Read rows of any length: what a short one lacks is missing, empty fields too many are ignored, and one with more
    is broken.

    Args:
        path: of the file.
        dialect: how it is written.
        size: of a piece, in characters.
        done: how many rows to pass over, for they were read before.
    """
    width = dialect.layout.width
    rows: list[list[str]] = []
    broken: list[str] = []
    short = held = 0
    row: list[str] = []
    with unpacked(path) as file, io.TextIOWrapper(file, encoding=dialect.encoding, newline="") as text:
        for number, row in enumerate(read_rows(lines_of(text), dialect.separator), 1):
            blank = not row or (width > 1 and is_blank(row))
            if number <= dialect.layout.header or number in dialect.skip or blank:
                continue
            if len(row) > width and any(field.strip() for field in row[width:]):
                if done == 0:
                    broken.append(_told(number, row, dialect))
                continue
            if done:
                done -= 1
                continue
            short += len(row) < width
            rows.append(row[:width] + [""] * (width - len(row)))
            held += sum(map(len, row))
            if held > size:
                yield Piece(_table(rows, width), broken, short)
                rows, broken, short, held = [], [], 0, 0
    if row and len(row) <= width:
        _check_closed(path, dialect, row[-1])
    if rows or broken:
        yield Piece(_table(rows, width), broken, short)


def _told(number: int, row: list[str], dialect: Dialect) -> str:
    text = dialect.separator.join(row)[:MAX_BROKEN_SHOWN]
    return f"line {number} has {len(row)} fields, the header {len(dialect.layout.named)}: {text}"


def _table(rows: list[list[str]], width: int) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * width
    cells = [pa.array([field or None for field in column], pa.large_string()) for column in columns]
    return pa.table(cells, names=[str(i) for i in range(width)])


def _check_closed(path: Path, dialect: Dialect, last: str | None) -> None:
    """Refuse a file whose last field runs on to its end because a quote is never closed: rows would be lost in it.

    Raises:
        ValueError: it does.
    """
    if not last or not ("\n" in last or "\r" in last):
        return
    end = ""
    with unpacked(path) as file, io.TextIOWrapper(file, encoding=dialect.encoding, newline="") as text:
        while block := text.read(1 << 20):
            end = (end + block)[-1000:]
    if not end.rstrip().endswith('"'):
        start = next(iter(last.splitlines()), "")[:60]
        raise ValueError(f"a quote is opened before {start!r} and never closed")
