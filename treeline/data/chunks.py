"""Read a table file in chunks that fit in memory, and write one that is whole or not there at all."""

import gzip
import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from treeline import UserError
from treeline.data.csv_rows import csv_pieces, headers_again, text_frame
from treeline.data.dialects import csv_dialect
from treeline.data.files import AS_IT_STANDS, FileSettings, is_csv, path_kind, unpacked
from treeline.data.parquet_files import arrow_table, find_parts, frame_of
from treeline.data.reading import readable, unread_settings
from treeline.data.records import read_excel, read_json

ROWS_PER_CHUNK = 50_000  # of a chunk of Parquet
BYTES_PER_CHUNK = 1 << 24  # of a chunk of CSV
WRITABLE = (".csv", ".csv.gz", ".parquet")
# Whole numbers with a gap are no floats in a CSV either.
WHOLE_NUMBERS = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
MAX_NAME_BYTES = 200  # of a file, from which its hidden twin gets a name of its own


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file, one after another.

    Attributes:
        raw: as they stand in the file: its own types, or the very text of a CSV.
        frame: the same rows as the whole file would give them, under the same column names.
        broken: lines of a CSV that are no rows, each with its reason; they are not in the other two.
        notes: how the file is read, in sentences, on the first chunk.
    """

    raw: pa.Table
    frame: pd.DataFrame
    broken: list[str]
    notes: list[str] = field(default_factory=list)


def chunks(path: Path, files: FileSettings = AS_IT_STANDS) -> Iterator[Chunk]:
    """Read a file chunk by chunk, at least one, which may be empty.

    Args:
        path: its ending tells the kind; a folder of Parquet parts is one table.
        files: what the user says of it.

    Raises:
        UserError: the file cannot be read.
    """
    with readable(path.name):
        kind = path_kind(path)
        if kind == "csv":
            yield from _csv_chunks(path, files)
        elif kind == "parquet":
            yield from _parquet_chunks(path, unread_settings(kind, files))
        else:
            yield from _slices(path, files)


def count_rows(path: Path) -> int:
    """Count the rows of a file; of a CSV roughly, for a quoted value may hold line breaks; 0 where one must read it.

    Raises:
        UserError: the file cannot be read.
    """
    with readable(path.name):
        kind = path_kind(path)
        if kind == "parquet":
            return find_parts(path).count()
        if kind not in ("csv", "lines"):
            return 0
        lines = 0
        with unpacked(path) as file:
            while chunk := file.read(BYTES_PER_CHUNK):
                lines += chunk.count(b"\n")
        return max(lines - (kind == "csv"), 0)


def file_digest(path: Path) -> str:
    """Hash a file's bytes by SHA-256; 64 hexadecimal digits. Of a folder the names and bytes of all its files."""
    sha = hashlib.sha256()
    for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if each.is_dir():
            continue
        if each != path:
            sha.update(str(each.relative_to(path)).encode())
        with each.open("rb") as file:
            while chunk := file.read(BYTES_PER_CHUNK):
                sha.update(chunk)
    return sha.hexdigest()


@contextmanager
def atomic_writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """Give a function that appends rows to a file, which appears under its name when the block ends, and only then.

    Until then the rows lie beside it under a hidden name, which an error removes. No rows, no file.

    Args:
        path: ends in one of `WRITABLE`; a file of this name is replaced.
    """
    partial = path.with_name(f".{_short(path.name)}.partial")
    try:
        with ExitStack() as stack:
            write: list[Callable[[pa.Table], None]] = []

            def append(rows: pa.Table) -> None:
                if not write:
                    write.append(
                        _csv_writer(partial, path.name, stack)
                        if is_csv(path.name)
                        else _parquet_writer(partial, rows.schema, stack)
                    )
                write[0](rows)

            yield append
        if write:
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _short(name: str) -> str:
    """Shorten a name so far that a file system takes it with more beside it."""
    return name if len(name.encode()) <= MAX_NAME_BYTES else hashlib.sha256(name.encode()).hexdigest()[:32]


def _parquet_chunks(path: Path, notes: list[str]) -> Iterator[Chunk]:
    parts = find_parts(path)
    if path.is_dir():
        notes = [*notes, f"The folder is read as one table of {len(parts.parts)} parts."]
    first = True
    for raw in parts.batches(ROWS_PER_CHUNK):
        frame, told = frame_of(raw, path.name)
        yield Chunk(raw, frame, [], [*notes, *told] if first else [])
        first = False
    if first:
        raw = parts.schema.empty_table()
        yield Chunk(raw, frame_of(raw, path.name)[0], [], notes)


def _csv_chunks(path: Path, files: FileSettings) -> Iterator[Chunk]:
    dialect = csv_dialect(path, files)
    layout = dialect.layout
    named = [""] * layout.row_names + layout.named
    notes = [*dialect.notes, *unread_settings("csv", files)]

    def chunk(table: pa.Table, broken: list[str], first: bool) -> Chunk:
        columns = table.select(range(layout.row_names, layout.width))
        raw, frame = table.rename_columns(named), text_frame(columns, dialect.names)
        if (again := headers_again(frame)).any():
            raw, frame = raw.filter(pa.array(~again)), frame[~again].reset_index(drop=True)
            broken = [*broken, *["the header stands again"] * int(again.sum())]
        return Chunk(raw, frame, broken, notes if first else [])

    first = True
    for piece in csv_pieces(path, dialect, BYTES_PER_CHUNK):
        yield chunk(piece.table, piece.broken, first)
        first = False
    if first:
        fields = [pa.field(str(i), pa.large_string()) for i in range(layout.width)]
        yield chunk(pa.schema(fields).empty_table(), [], first)


def _slices(path: Path, files: FileSettings) -> Iterator[Chunk]:
    """Read a file that comes whole, and cut it."""
    kind = path_kind(path)
    if kind == "arrow":
        raw = arrow_table(path)
        frame, notes = frame_of(raw, path.name)
    else:
        if kind == "excel":
            found = read_excel(path, files, path.name)
        else:
            found = read_json(path, files, path.name, lines=kind == "lines")
        frame, notes, raw = found.frame(path.name), found.notes, found.table()
    notes = [*notes, *unread_settings(kind, files)]
    for start in range(0, max(len(frame), 1), ROWS_PER_CHUNK):
        rows = frame.iloc[start : start + ROWS_PER_CHUNK].reset_index(drop=True)
        yield Chunk(raw.slice(start, ROWS_PER_CHUNK), rows, [], notes if start == 0 else [])


def _parquet_writer(path: Path, schema: pa.Schema, stack: ExitStack) -> Callable[[pa.Table], None]:
    try:
        writer = stack.enter_context(pq.ParquetWriter(path, schema))
    except pa.ArrowNotImplementedError as error:
        raise UserError(f"Parquet does not hold what the rows do: {error}. Write a CSV file instead.") from error
    return lambda rows: writer.write_table(rows.cast(schema))


def _csv_writer(path: Path, name: str, stack: ExitStack) -> Callable[[pa.Table], None]:
    binary: Any = stack.enter_context(path.open("wb"))
    if name.lower().endswith(".gz"):
        binary = stack.enter_context(gzip.GzipFile(fileobj=binary, mode="wb"))
    file = stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8", newline=""))
    header = iter([True])

    def write(rows: pa.Table) -> None:
        frame = rows.to_pandas(ignore_metadata=True, types_mapper=WHOLE_NUMBERS.get)
        frame.to_csv(file, index=False, header=next(header, False))

    return write
