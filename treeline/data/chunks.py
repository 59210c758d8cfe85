"""Read a table file in chunks that fit in memory."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from treeline.data.csv_rows import csv_pieces, headers_again, text_frame
from treeline.data.dialects import csv_dialect
from treeline.data.files import AS_IT_STANDS, FileSettings, path_kind, unchanged, unpacked
from treeline.data.parquet_files import arrow_table, find_parts, frame_of
from treeline.data.reading import readable, unread_settings
from treeline.data.records import read_excel, read_json
from treeline.interruption import stop_if_wished

ROWS_PER_CHUNK = 50_000  # of a chunk of Parquet
BYTES_PER_CHUNK = 1 << 24  # of a chunk of CSV
WRITABLE = (".csv", ".csv.gz", ".parquet")


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
        UserError: the file cannot be read, or changes meanwhile.
        KeyboardInterrupt: the process is to stop.
    """
    kind = path_kind(path)
    with readable(path.name), unchanged(path, path.name):
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
                stop_if_wished()
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
                stop_if_wished()
                sha.update(chunk)
    return sha.hexdigest()


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
