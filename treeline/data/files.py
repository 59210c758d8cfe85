"""Read a table from a file, a URL or an MLflow artifact: Parquet, and CSV as it comes."""

import contextlib
import csv
import io
import lzma
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow

from treeline import UserError

CSV_ENDINGS = tuple(kind + packed for kind in (".csv", ".tsv") for packed in ("", ".gz", ".bz2", ".zip", ".xz"))
PARQUET_ENDINGS = (".parquet", ".pq")
ENDINGS = CSV_ENDINGS + PARQUET_ENDINGS
SEPARATORS = ",;\t|"
HEAD_BYTES = 1 << 16  # bytes by which separator and encoding are told
ARTIFACTS = ("runs:/", "models:/", "mlflow-artifacts:/")

# Fetches an artifact URI into a folder and gives the file; an OSError says why not.
Download = Callable[[str, Path], Path]


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    encoding: str
    separator: str
    decimal: str


def is_remote(data: str) -> bool:
    """Tell whether a name is a URL or an MLflow artifact URI rather than a path."""
    return data.startswith(ARTIFACTS) or re.match(r"[a-zA-Z][\w+.-]+://|[a-z0-9]+::", data) is not None


def is_csv(name: str, called: str = "") -> bool:
    """Tell a CSV from a Parquet file by its name.

    Args:
        name: of the file.
        called: what the user called it, for the message; its name where empty.

    Raises:
        UserError: it is neither.
    """
    if not name.lower().endswith(ENDINGS):
        raise UserError(f"Cannot tell what {called or name!r} is: its name must end in {', '.join(ENDINGS)}.")
    return name.lower().endswith(CSV_ENDINGS)


@contextlib.contextmanager
def local_copy(data: str, download: Download | None = None) -> Iterator[Path]:
    """Give a path to read: the file itself, or a copy of what a URL or an artifact URI names, for the while.

    Args:
        data: a path, a URL of any file system that fsspec knows, or an MLflow artifact URI.
        download: fetches artifact URIs; without it they are refused.

    Raises:
        UserError: there is no such file, or it cannot be fetched.
    """
    if not is_remote(data):
        yield Path(data)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (data.rstrip("/").partition("?")[0].rpartition("/")[2] or "table")
        try:
            if data.startswith(ARTIFACTS):
                if download is None:
                    raise UserError(f"{data} is an artifact of MLflow: give the path of a file.")
                path = download(data, Path(folder))
            else:
                with fsspec.open(data, "rb") as source, path.open("wb") as copy:
                    while chunk := source.read(1 << 22):
                        copy.write(chunk)
        # Each file system and client raises its own; none of them is more than a URL that does not work.
        except (OSError, ValueError, ImportError) as error:
            hint = " Install what reads it with pip." if isinstance(error, ImportError) else ""
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise UserError(f"Cannot fetch {data}: {reason}.{hint}") from error
        yield path


def read_path(path: Path, data: str) -> pd.DataFrame:
    """Read a local CSV or Parquet file.

    Args:
        path: to read; its ending tells the kind.
        data: what the user called it.

    Raises:
        UserError: of another kind, unreadable, or without rows.
    """
    try:
        frame = _read_csv(path) if is_csv(path.name, data) else _read_parquet(path)
    except pd.errors.EmptyDataError:
        raise UserError(f"{data} is empty: it needs a header line and rows.") from None
    # What pandas and pyarrow raise for a file that is not what its name says; ArrowInvalid is a ValueError.
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, csv.Error) as error:
        raise UserError(f"Cannot read {data}: {str(error).splitlines()[0]}. Is it a valid file of its kind?") from error
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()  # pandas keeps a named index in Parquet apart from the columns
    frame.columns = frame.columns.map(str)
    if frame.empty:
        raise UserError(f"{data} has a header but no rows: there is nothing to learn from.")
    if not frame.columns.is_unique:
        raise UserError(f"{data} names the column {frame.columns[frame.columns.duplicated()][0]!r} twice: rename one.")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet file without holding it twice, and give back what Arrow has kept for itself."""
    lean = {"to_pandas_kwargs": {"split_blocks": True, "self_destruct": True}} if pd.__version__ >= "3" else {}
    frame = pd.read_parquet(path, **lean)  # type: ignore[call-overload]
    pyarrow.default_memory_pool().release_unused()
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    dialect = csv_dialect(path)
    return pd.read_csv(
        path,
        sep=dialect.separator,
        decimal=dialect.decimal,
        encoding=dialect.encoding,
        encoding_errors="strict",
        low_memory=False,
    )


def csv_dialect(path: Path) -> Dialect:
    """Tell the encoding, the separator and the decimal sign of a CSV file by its first 64 KiB.

    Raises:
        pandas.errors.EmptyDataError: it holds nothing.
    """
    head = _head(path)
    if not head.strip():
        raise pd.errors.EmptyDataError("it is empty")
    encoding = _encoding(head, path)
    text = head.decode(encoding, errors="ignore")
    separator = _separator(text)
    return Dialect(encoding, separator, "," if separator != "," and _decimal_comma(text, separator) else ".")


def _head(path: Path) -> bytes:
    with unpacked(path) as file:
        return bytes(file.read(HEAD_BYTES))


def unpacked(path: Path) -> Any:
    """Open a local file for its bytes, unpacked as its ending says."""
    return fsspec.open(f"file://{path.absolute()}", "rb", compression="infer")


def _encoding(head: bytes, path: Path) -> str:
    """Tell the encoding: what a byte order mark says, else UTF-8 where the whole file is, else Windows' Latin."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if head.startswith(mark):
            return encoding
    try:
        with unpacked(path) as file, io.TextIOWrapper(file, encoding="utf-8") as text:
            while text.read(1 << 22):
                pass
    except UnicodeDecodeError:
        if re.search(rb"[\x00-\x08\x0e-\x1f]", head):
            raise ValueError("it holds bytes that no text has") from None
        return "cp1252" if not re.search(rb"[\x81\x8d\x8f\x90\x9d]", head) else "latin-1"
    return "utf-8"


def _separator(text: str) -> str:
    """Tell the separator: the one that cuts the header and the first rows into the same number of fields, most of them.

    A file of one column has none; a comma does no harm then.
    """
    lines = text.splitlines(keepends=True)[:200]
    whole = lines if len(text) < HEAD_BYTES // 4 else lines[:-1]
    fields: dict[str, int] = {}
    for separator in SEPARATORS:
        widths = [len(row) for row in csv.reader(whole, delimiter=separator) if row]
        widths = widths[:-1] if len(widths) > 2 else widths  # a quoted line break may cut the last
        alike = sum(width == widths[0] for width in widths) / len(widths) if widths else 0
        fields[separator] = widths[0] if widths and alike > 0.9 else 1
    return max(SEPARATORS, key=lambda separator: fields[separator])


def _decimal_comma(text: str, separator: str) -> bool:
    """Tell whether more fields are numbers with a comma than with a point."""
    fields = [field.strip().strip('"') for field in re.split(rf"[{re.escape(separator)}\n]", text)]
    commas = sum(bool(re.fullmatch(r"[+-]?\d+,\d+", field)) for field in fields)
    return commas > sum(bool(re.fullmatch(r"[+-]?\d+\.\d+", field)) for field in fields)
