"""Read a whole table file of any kind into a frame."""

import csv
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa

from treeline import UserError
from treeline.data.csv_rows import csv_pieces, headers_again, text_frame
from treeline.data.dialects import csv_dialect
from treeline.data.files import AS_IT_STANDS, FileSettings, TableFile, path_kind, unchanged
from treeline.data.names import one_line
from treeline.data.parquet_files import arrow_table, find_parts, frame_of
from treeline.data.records import read_excel, read_json

BYTES_PER_PIECE = 1 << 25  # so large that what a column took goes back to the system when it is read
MAX_REASON_CHARACTERS = 300  # of what a reader says, which may quote the bytes it met
# What pandas, pyarrow and the unpackers raise for a file that is not what its name says; ArrowInvalid is a ValueError.
UNREADABLE = (pa.ArrowException, ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError)
UNREADABLE += (zipfile.BadZipFile, lzma.LZMAError, zlib.error, csv.Error)  # type: ignore[assignment]


@contextmanager
def readable(called: str) -> Iterator[None]:
    """Say in a sentence what the readers raise for a file that is not what its name says.

    Args:
        called: what messages call the file.

    Raises:
        UserError: they did.
    """
    try:
        yield
    except pd.errors.EmptyDataError:
        raise UserError(f"Cannot read {called}: it is empty; it needs a header line and rows.") from None
    except RecursionError:
        raise UserError(f"Cannot read {called}: it is nested too deep.") from None
    except UNREADABLE as error:
        reason = (next(iter(str(error).splitlines()), "") or type(error).__name__)[:MAX_REASON_CHARACTERS].rstrip(". ")
        if "crypt" in reason.lower() or "password" in reason.lower():
            raise UserError(f"Cannot read {called}: it is encrypted ({reason}). Write it without.") from error
        raise UserError(f"Cannot read {called}: {reason}. Is it a valid file of its kind?") from error


def read_path(path: Path, data: str, files: FileSettings = AS_IT_STANDS) -> TableFile:
    """Read a local file, or a folder of Parquet parts.

    Args:
        path: to read; its ending tells the kind.
        data: what the user called it.
        files: what the user says of it.

    Raises:
        UserError: of another kind, unreadable, without rows, or changed meanwhile.
    """
    kind = path_kind(path, data)
    with readable(data), unchanged(path, data):
        if kind == "csv":
            found = _read_csv(path, data, files)
        elif kind == "excel":
            records = read_excel(path, files, data)
            found = TableFile(records.frame(data), records.notes)
        elif kind in ("json", "lines"):
            records = read_json(path, files, data, lines=kind == "lines")
            found = TableFile(records.frame(data), records.notes)
        else:
            found = _read_arrow(path, data)
    frame = found.frame
    if not frame.shape[1]:
        raise UserError(f"{data} has no columns: there is nothing to learn from.")
    if frame.empty:
        raise UserError(f"{data} has a header but no rows: there is nothing to learn from.")
    return TableFile(frame, [*found.notes, *unread_settings(kind, files)])


def unread_settings(kind: str, files: FileSettings) -> list[str]:
    """Say which settings a file of this kind has no use for."""
    unread = [
        name
        for name, kinds in (
            ("encoding", ("csv", "json", "lines")),
            ("skip_rows", ("csv", "excel", "lines")),
            ("sheet", ("excel",)),
        )
        if getattr(files, name) and kind not in kinds
    ]
    return [f"Of no use to a file of this kind: {', '.join(unread)}."] if unread else []


def _read_csv(path: Path, data: str, files: FileSettings) -> TableFile:
    """Read a CSV file whole.

    Raises:
        UserError: a line has more fields than the header.
    """
    dialect = csv_dialect(path, files, data)
    tables, short = [], 0
    for piece in csv_pieces(path, dialect, BYTES_PER_PIECE):
        if piece.broken:
            line = piece.broken[0].split(" ", 2)[1]
            told = one_line(piece.broken[0][:200])
            raise UserError(f"{data}: {told}. Mend that line, or leave it out with skip_rows={line}.")
        tables.append(piece.table)
        short += piece.short
    names = dialect.names
    if not tables:
        return TableFile(pd.DataFrame(columns=names), dialect.notes)
    table = pa.concat_tables(tables)
    del tables
    frame = text_frame(
        table.slice(0) if not dialect.layout.row_names else table.select(range(1, table.num_columns)), names
    )
    notes = list(dialect.notes)
    again = int((mask := headers_again(frame)).sum())
    if again:
        frame = frame[~mask].reset_index(drop=True)
        notes.append(f"The header stands again in {'1 line' if again == 1 else f'{again} lines'}: they are left out.")
    if short:
        lines = "one line is" if short == 1 else f"{short} lines are"
        notes.append(f"{lines.capitalize()} shorter than the header: the last fields are taken for missing.")
    return TableFile(frame, notes)


def _read_arrow(path: Path, data: str) -> TableFile:
    if path_kind(path) == "arrow":
        return TableFile(*frame_of(arrow_table(path), data))
    parts = find_parts(path, data)
    table = parts.table()
    frame, notes = frame_of(table, data)
    del table
    pa.default_memory_pool().release_unused()  # what Arrow has kept for itself
    many = [f"The folder is read as one table of {len(parts.parts)} parts."] if path.is_dir() else []
    return TableFile(frame, many + notes)
