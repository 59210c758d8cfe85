"""Read a CSV or Parquet file in chunks that fit in memory, and write one that is whole or not there at all."""

import csv
import hashlib
import io
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from fsspec.core import get_compression

from treeline import UserError
from treeline.data.files import PARQUET_ENDINGS, Dialect, csv_dialect, is_csv, unpacked

ROWS_PER_CHUNK = 50_000  # of a chunk of Parquet
BYTES_PER_CHUNK = 1 << 24  # of a chunk of CSV
WRITABLE = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file, one after another.

    Attributes:
        raw: as they stand in the file: Parquet's own types, or the very text of a CSV.
        frame: as pandas reads them, under the same column names that the whole file would have.
        broken: lines of a CSV that are no rows, each with its reason; they are not in the other two.
    """

    raw: pa.Table
    frame: pd.DataFrame
    broken: list[str]


def chunks(path: Path, text: Collection[str] = ()) -> Iterator[Chunk]:
    """Read a file chunk by chunk, at least one, which may be empty.

    Args:
        path: its ending tells the kind.
        text: columns of a CSV that are text whatever a chunk of them looks like.

    Raises:
        UserError: the file cannot be read.
    """
    with _readable(path):
        yield from _csv_chunks(path, text) if is_csv(path.name) else _parquet_chunks(path)


def count_rows(path: Path) -> int:
    """Count the rows of a file; of a CSV roughly, for a quoted value may hold line breaks.

    Raises:
        UserError: the file cannot be read.
    """
    with _readable(path):
        if path.name.lower().endswith(PARQUET_ENDINGS):
            return int(pq.ParquetFile(path).metadata.num_rows)
        lines = 0
        with unpacked(path) as file:
            while chunk := file.read(BYTES_PER_CHUNK):
                lines += chunk.count(b"\n")
        return max(lines - 1, 0)


def file_digest(path: Path) -> str:
    """Hash a file's bytes by SHA-256; 64 hexadecimal digits."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
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
    partial = path.with_name(f".{path.name}.partial")
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


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in a sentence what pandas, pyarrow and the unpackers raise for a file that is not what its name says."""
    try:
        yield
    except (pa.ArrowException, ValueError, OSError, EOFError) as error:
        raise UserError(f"Cannot read {path.name}: {str(error).splitlines()[0]}. Is it valid?") from error


def _parquet_chunks(path: Path) -> Iterator[Chunk]:
    file = pq.ParquetFile(path, pre_buffer=False)
    batches = file.iter_batches(ROWS_PER_CHUNK) if file.metadata.num_rows else [file.schema_arrow.empty_table()]
    for batch in batches:
        raw = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        frame = raw.to_pandas()
        if not isinstance(frame.index, pd.RangeIndex):
            frame = frame.reset_index()  # pandas keeps a named index apart from the columns
        yield Chunk(raw, frame.set_axis(frame.columns.map(str), axis=1), [])


def _csv_chunks(path: Path, text: Collection[str]) -> Iterator[Chunk]:
    dialect = csv_dialect(path)
    broken: list[str] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        broken.append(
            f"line {row.number} has {row.actual_columns} fields, the header {row.expected_columns}: {row.text}"
        )
        return "skip"

    with unpacked(path) as head:
        header = pd.read_csv(head, sep=dialect.separator, encoding=dialect.encoding, nrows=0)
    with unpacked(path) as file:
        as_text = {name: pa.string() for name in _names(path, dialect)}
        reader = pyarrow.csv.open_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=BYTES_PER_CHUNK, encoding=dialect.encoding
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pyarrow.csv.ConvertOptions(column_types=as_text, strings_can_be_null=False),
        )
        any_rows = False
        for batch in reader:
            raw = pa.Table.from_batches([batch])
            yield Chunk(raw, _typed(raw, header.columns, dialect.decimal, text), broken[:])
            broken.clear()
            any_rows = True
        if not any_rows or broken:
            raw = reader.schema.empty_table()
            yield Chunk(raw, _typed(raw, header.columns, dialect.decimal, text), broken[:])


def _names(path: Path, dialect: Dialect) -> list[str]:
    """Give the header of a CSV as it stands."""
    with unpacked(path) as file, io.TextIOWrapper(file, encoding=dialect.encoding, newline="") as text:
        return next(row for row in csv.reader(text, delimiter=dialect.separator) if row)


def _typed(raw: pa.Table, names: pd.Index, decimal: str, text: Collection[str]) -> pd.DataFrame:
    """Let pandas read the text of a chunk as it reads a whole file."""
    plain = io.BytesIO()
    pyarrow.csv.write_csv(raw.rename_columns([str(i) for i in range(raw.num_columns)]), plain)
    plain.seek(0)
    kinds = {i: "str" for i, name in enumerate(names) if name in text}
    frame = pd.read_csv(plain, decimal=decimal, dtype=kinds, header=0, names=range(raw.num_columns), low_memory=False)
    return frame.set_axis(names.map(str), axis=1)


def _parquet_writer(path: Path, schema: pa.Schema, stack: ExitStack) -> Callable[[pa.Table], None]:
    writer = stack.enter_context(pq.ParquetWriter(path, schema))
    return lambda rows: writer.write_table(rows.cast(schema))


def _csv_writer(path: Path, name: str, stack: ExitStack) -> Callable[[pa.Table], None]:
    packed = get_compression(name, "infer")
    url = f"file://{path.absolute()}"
    file = stack.enter_context(fsspec.open(url, "wt", compression=packed, encoding="utf-8", newline=""))
    header = iter([True])
    return lambda rows: rows.to_pandas().to_csv(file, index=False, header=next(header, False))
