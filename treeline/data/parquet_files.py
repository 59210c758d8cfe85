"""Tables of Arrow: a Parquet file, a folder of Parquet parts, a Feather file; and the frame that such a table makes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from treeline import UserError
from treeline.data.csv_rows import text_types
from treeline.data.files import PARQUET_ENDINGS

UNNAMED_INDEX = re.compile(r"__index_level_(\d+)__")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
EXACT = 2**53  # beyond which a float cannot tell whole numbers apart
# What pyarrow and pandas raise for types and bytes that they cannot read, beside their own errors.
READ_ERRORS = (pa.ArrowException, ValueError, TypeError, KeyError, OverflowError, NotImplementedError, AttributeError)


@dataclass(frozen=True)
class Part:
    """A file of a table, and what the folders above it say: `key=value`, typed for all parts alike."""

    path: Path
    keys: dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """The files of a table, with the schema that they share, the keys of their folders behind it."""

    parts: list[Part]
    schema: pa.Schema

    def batches(self, rows: int) -> Iterator[pa.Table]:
        """Read all parts, some rows at a time."""
        for part in self.parts:
            with part.path.open("rb") as source:
                for batch in pq.ParquetFile(source, pre_buffer=False).iter_batches(rows):
                    yield self._whole(pa.Table.from_batches([batch]), part)

    def table(self) -> pa.Table:
        """Read all parts at once."""
        tables = []
        for part in self.parts:
            with part.path.open("rb") as source:
                tables.append(self._whole(pq.ParquetFile(source).read(), part))
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables)

    def count(self) -> int:
        """Count the rows of all parts."""
        count = 0
        for part in self.parts:
            with part.path.open("rb") as source:
                count += pq.ParquetFile(source).metadata.num_rows
        return count

    def _whole(self, table: pa.Table, part: Part) -> pa.Table:
        if len(self.parts) == 1 and not part.keys:
            return table
        for name, value in part.keys.items():
            kind = self.schema.field(name).type
            table = table.append_column(name, pa.array([value] * len(table), kind))
        return table.select(self.schema.names).cast(self.schema)


def has_parts(folder: Path) -> bool:
    """Tell whether a folder holds Parquet files that are not hidden."""
    return next(_files(folder), None) is not None


def find_parts(path: Path, called: str = "") -> Parts:
    """Give the files of a Parquet table: the one, or all in a folder but those whose names begin with `_` or `.`.

    Args:
        path: of the file or the folder.
        called: what messages call it; its name where empty.

    Raises:
        UserError: a folder holds no Parquet file, or parts of different columns.
    """
    if not path.is_dir():
        return Parts([Part(path, {})], _schema(path))
    files = sorted(_files(path))
    if not files:
        raise UserError(f"The folder {called or path.name} holds no Parquet files, whose names end in .parquet or .pq.")
    schemas = [_schema(file) for file in files]
    for file, schema in zip(files, schemas, strict=True):
        if sorted(schema.names) != sorted(schemas[0].names):
            differ = sorted(set(schema.names) ^ set(schemas[0].names)) or schema.names
            raise _differing(called or path.name, files[0], file, differ[0])
    keys = _typed_keys([_keys(file.relative_to(path)) for file in files])
    try:
        schema = pa.unify_schemas([each.remove_metadata() for each in schemas], promote_options="permissive")
    except (pa.ArrowException, ValueError):
        file, name = next(
            (file, name)
            for file, schema in zip(files, schemas, strict=True)
            for name in schema.names
            if schema.field(name).type != schemas[0].field(name).type
        )
        raise _differing(called or path.name, files[0], file, name) from None
    for name, kind in keys.items():
        if name not in schema.names:
            schema = schema.append(pa.field(name, kind))
    schema = schema.with_metadata(schemas[0].metadata)
    parts = [
        Part(file, {name: _key(value, keys[name]) for name, value in _keys(file.relative_to(path)).items()})
        for file in files
    ]
    own = set(schemas[0].names)
    return Parts([Part(each.path, {k: v for k, v in each.keys.items() if k not in own}) for each in parts], schema)


def arrow_table(path: Path) -> pa.Table:
    """Read a Feather or Arrow file, of either format."""
    with path.open("rb") as file:
        first = file.read(6)
        file.seek(0)
        if first.startswith(b"FEA1"):
            raise UserError(f"{path.name} is of Feather's first version: write it anew, by frame.to_feather.")
        reader = pa.ipc.open_file(file) if first == b"ARROW1" else pa.ipc.open_stream(file)
        table = reader.read_all()
    table.validate(full=True)  # the bytes are taken as they lie: what points beyond them would end the process
    return table


def frame_of(table: pa.Table, called: str) -> tuple[pd.DataFrame, list[str]]:
    """Make a frame of a table of Arrow, under string names, and say what became of its index and of odd columns.

    An unnamed index of whole numbers, by which pandas numbers rows, is left out; any other index is a column.

    Raises:
        UserError: the table names a column twice.
    """
    table, notes = _without_row_numbers(table)
    if len(set(table.column_names)) < table.num_columns:
        twin = next(name for name in table.column_names if table.column_names.count(name) > 1)
        raise UserError(f"{called} names the column {twin!r} twice: rename one.")
    try:
        frame = table.to_pandas(**_lean())
    except READ_ERRORS:
        frame, odd = _column_by_column(table)
        notes += odd
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()  # pandas keeps a named index apart from the columns
    frame = frame.set_axis(frame.columns.map(str), axis=1)
    whole = {
        field.name: _whole_numbers(table.column(field.name))
        for field in table.schema
        if field.name in frame.columns and _float_would_lie(table.column(field.name))
    }
    return (frame.assign(**whole) if whole else frame), notes


def index_columns(table: pa.Table) -> list[str]:
    """Name the columns that hold an unnamed index of whole numbers, which number rows."""
    return [
        field.name for field in table.schema if UNNAMED_INDEX.fullmatch(field.name) and pa.types.is_integer(field.type)
    ]


def _without_row_numbers(table: pa.Table) -> tuple[pa.Table, list[str]]:
    numbers = index_columns(table)
    if not numbers:
        return table, []
    return table.drop_columns(numbers), [
        "The index that pandas stored with the table numbers its rows: it is left out and no column."
    ]


def _lean() -> dict[str, Any]:
    """Ask pandas for columns of their own, where it then holds nothing twice."""
    return {"split_blocks": True} if pd.__version__ >= "3" else text_types()


def _float_would_lie(column: pa.ChunkedArray) -> bool:
    """Tell whether whole numbers with gaps are too large for the floats that pandas would make of them."""
    if not pa.types.is_integer(column.type) or column.null_count in (0, len(column)) or column.type.bit_width < 64:
        return False
    ends = pc.min_max(column).as_py()
    return bool(ends["max"] > EXACT or ends["min"] < -EXACT)


def _whole_numbers(column: pa.ChunkedArray) -> pd.Series:
    kind = pd.UInt64Dtype() if pa.types.is_unsigned_integer(column.type) else pd.Int64Dtype()
    return column.to_pandas(types_mapper={column.type: kind}.get).reset_index(drop=True)


def _column_by_column(table: pa.Table) -> tuple[pd.DataFrame, list[str]]:
    """Make a frame of those columns that pandas can hold; the others are named."""
    made: dict[str, pd.Series] = {}
    odd: dict[str, str] = {}
    for field in table.schema:
        try:
            made[field.name] = _readable_column(table.column(field.name))
        except READ_ERRORS:
            odd[field.name] = str(field.type)
    told = ", ".join(f"{name!r} ({kind[:60]})" for name, kind in list(odd.items())[:10])
    notes = [f"Left out, for their types cannot be read: {told}{' and more' if len(odd) > 10 else ''}."] if odd else []
    return pd.DataFrame(made, index=pd.RangeIndex(len(table))), notes


def _readable_column(column: pa.ChunkedArray) -> pd.Series:
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    if pa.types.is_dictionary(column.type):
        try:
            return column.to_pandas()
        except READ_ERRORS:
            column = column.cast(column.type.value_type)
    return column.to_pandas()


def _files(folder: Path) -> Iterator[Path]:
    """Find the Parquet files of a folder and those below it, but hidden ones."""
    for path in folder.rglob("*"):
        inner = path.relative_to(folder).parts
        hidden = any(name.startswith((".", "_")) and "=" not in name for name in inner)
        if not hidden and path.name.lower().endswith(PARQUET_ENDINGS) and path.is_file():
            yield path


def _schema(path: Path) -> pa.Schema:
    with path.open("rb") as source:
        return pq.ParquetFile(source).schema_arrow


def _differing(called: str, one: Path, other: Path, name: str) -> UserError:
    return UserError(
        f"The parts of {called} are not one table: the column {name!r} is not the same in {one.name} and {other.name}. "
        "Write them with the same columns and types."
    )


def _keys(inner: Path) -> dict[str, str]:
    """Read `key=value` from the folders above a part."""
    pairs = (name.partition("=") for name in inner.parts[:-1])
    return {unquote(key): unquote(value) for key, sign, value in pairs if sign}


def _typed_keys(keys: list[dict[str, str]]) -> dict[str, pa.DataType]:
    """Type what folders say: whole numbers where each is spelled as one is, else text."""
    names = dict.fromkeys(name for each in keys for name in each)
    values = {name: [each[name] for each in keys if each.get(name, NO_VALUE) != NO_VALUE] for name in names}
    plain = re.compile(r"-?(0|[1-9]\d{0,17})")
    return {
        name: pa.int64() if found and all(map(plain.fullmatch, found)) else pa.string()
        for name, found in values.items()
    }


def _key(value: str, kind: pa.DataType) -> Any:
    if value == NO_VALUE:
        return None
    return int(value) if pa.types.is_integer(kind) else value
