"""Where a table file lies and what it is by its name: fetched, unpacked, and what a person says of it."""

import bz2
import contextlib
import gzip
import lzma
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal

import fsspec
import pandas as pd

from treeline import UserError

PACKED = ("", ".gz", ".bz2", ".zip", ".xz")
CSV_ENDINGS = tuple(kind + packed for kind in (".csv", ".tsv") for packed in PACKED)
PARQUET_ENDINGS = (".parquet", ".pq")
ARROW_ENDINGS = (".feather", ".arrow", ".ipc")
EXCEL_ENDINGS = (".xlsx", ".xlsm")
LINES_ENDINGS = tuple(kind + packed for kind in (".jsonl", ".ndjson") for packed in PACKED)
JSON_ENDINGS = tuple(".json" + packed for packed in PACKED)
Kind = Literal["csv", "parquet", "arrow", "excel", "lines", "json"]
KINDS: dict[Kind, tuple[str, ...]] = {
    "csv": CSV_ENDINGS,
    "parquet": PARQUET_ENDINGS,
    "arrow": ARROW_ENDINGS,
    "excel": EXCEL_ENDINGS,
    "lines": LINES_ENDINGS,
    "json": JSON_ENDINGS,
}
ENDINGS = tuple(ending for endings in KINDS.values() for ending in endings)
WHAT_IS_READ = "a CSV, Parquet, Excel, JSON or Feather file, or a folder of Parquet parts"
ARTIFACTS = ("runs:/", "models:/", "mlflow-artifacts:/")
MAX_SILENT_SECONDS = 20  # of a web server
MAX_SKIPPED = 1_000_000  # rows that skip_rows may name

# Fetches an artifact URI into a folder and gives the file, or the folder of parts; an OSError says why not.
Download = Callable[[str, Path], Path]


@dataclass(frozen=True)
class FileSettings:
    """What a person says of a file where it cannot be told, or is told wrong.

    Attributes:
        encoding: of a text file, such as `cp1252`; empty tells it from the file.
        skip_rows: rows to leave out, counted from 1 as an editor or Excel shows them, the header among them: `1-3` or
            `2,3`. A line break within quotes does not begin a row.
        sheet: of an Excel file; empty takes the only one that holds a table.
    """

    encoding: str = ""
    skip_rows: str = ""
    sheet: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no text, an encoding that nobody knows, and rows that are none.

        Raises:
            UserError: names the setting, the value got and what is allowed.
        """
        for each in fields(self):
            if not isinstance(getattr(self, each.name), str):
                raise UserError(f"{each.name} got {getattr(self, each.name)!r}: give text.")
        if self.encoding:
            try:
                "".encode(self.encoding).decode(self.encoding)
            except (LookupError, ValueError, TypeError):
                raise UserError(
                    f"encoding got {self.encoding!r}, which is none that Python knows: use such as utf-8, cp1252, "
                    "utf-16, shift_jis or gb18030."
                ) from None
        _ = self.skipped

    @property
    def skipped(self) -> frozenset[int]:
        """The numbers that `skip_rows` names.

        Raises:
            UserError: it cannot be read.
        """
        found: set[int] = set()
        for part in filter(None, (part.strip() for part in self.skip_rows.split(","))):
            match = re.fullmatch(r"([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?", part)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if not 1 <= first <= last or last - first >= MAX_SKIPPED:
                raise UserError(
                    f"skip_rows got {self.skip_rows!r}: name rows by their numbers, counted from 1, such as 1-3 or 2,3."
                )
            found.update(range(first, last + 1))
        return frozenset(found)


AS_IT_STANDS = FileSettings()


@dataclass(frozen=True)
class TableFile:
    """A file that was read.

    Attributes:
        frame: its rows, under string names. A file of text gives text alone, an empty cell missing and every other
            as it stands; other files give their own types.
        notes: how it was read, where a person should know, in sentences.
    """

    frame: pd.DataFrame
    notes: list[str]


def is_remote(data: str) -> bool:
    """Tell whether a name is a URL or an MLflow artifact URI rather than a path; a file that is there is none."""
    named = data.startswith(ARTIFACTS) or re.match(r"[a-zA-Z][\w+.-]+://|[a-z0-9]+::", data) is not None
    return named and not exists(data)


def exists(data: str) -> bool:
    """Tell whether there is a file or a folder of this name; a name that no file can have names none."""
    try:
        return bool(data) and Path(data).exists()
    except (OSError, ValueError):
        return False


def file_kind(name: str, called: str = "") -> Kind:
    """Tell what a file is by its name.

    Args:
        name: of the file.
        called: what the user called it, for the message; its name where empty.

    Raises:
        UserError: it is none of those that are read.
    """
    for kind, endings in KINDS.items():
        if name.lower().endswith(endings):
            return kind
    known = ", ".join(ending for kind in KINDS.values() for ending in kind if not ending.endswith(PACKED[1:]))
    raise UserError(
        f"Cannot tell what {called or name!r} is: its name must end in {known}; CSV and JSON may be packed, such as "
        ".csv.gz."
    )


def path_kind(path: Path, called: str = "") -> Kind:
    """Tell what a local file is: by its name, or Parquet where it is a folder.

    Raises:
        UserError: it is a file of another kind, or a pipe, a socket or a device, which can be read but once.
    """
    if path.is_dir():
        return "parquet"
    if path.exists() and not path.is_file():
        raise UserError(
            f"{called or path.name} is a pipe, a socket or a device: write its rows to a file first, and give that."
        )
    return file_kind(path.name, called)


@contextlib.contextmanager
def unchanged(path: Path, called: str) -> Iterator[None]:
    """Hold that a file, or a folder's files, are at the end what they were at the beginning, for a reader passes over
    them several times.

    Raises:
        UserError: one was written to, put in another's place, or removed meanwhile.
    """
    before = _state(path)
    yield
    if _state(path) != before:
        raise UserError(f"{called} changed while it was read: wait until it is written, and start again.")


def _state(path: Path) -> dict[str, tuple[int, ...]]:
    files = path.rglob("*") if path.is_dir() else [path]
    stats = {str(each): each.stat() for each in files if each.is_file()}
    return {name: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def is_csv(name: str, called: str = "") -> bool:
    """Tell a CSV from another file by its name.

    Raises:
        UserError: it is none of the files that are read.
    """
    return file_kind(name, called) == "csv"


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
    artifact = data.startswith(ARTIFACTS)
    if artifact and download is None:
        raise UserError(f"{data} is an artifact of MLflow: give the path of a file.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (data.rstrip("/").partition("?")[0].rpartition("/")[2] or "table")
        try:
            if artifact and download is not None:
                path = download(data, Path(folder))
            else:
                _fetch(data, path)
        # Each file system and client raises its own; none of them is more than a URL that does not work.
        except Exception as error:
            hint = " Install what reads it with pip." if isinstance(error, ImportError) else ""
            reason = (next(iter(str(error).splitlines()), "") or type(error).__name__).rstrip(". ")
            raise UserError(f"Cannot fetch {data}: {reason}.{hint}") from error
        yield path


def _fetch(data: str, path: Path) -> None:
    """Copy a file, or a folder of parts, from where fsspec finds it."""
    if data.lower().startswith(("http://", "https://")):
        _fetch_page(data, path)
        return
    system, inner = fsspec.core.url_to_fs(data)
    if system.isdir(inner):
        system.get(inner, str(path), recursive=True)
        return
    with system.open(inner, "rb") as source, path.open("wb") as copy:
        while chunk := source.read(1 << 22):
            copy.write(chunk)


def _fetch_page(url: str, path: Path) -> None:
    """Copy what a web server gives.

    Raises:
        OSError: it refuses, sends in circles, falls silent, or breaks off.
    """
    import requests  # a served model, which brings this module, fetches no files

    with requests.get(url, stream=True, timeout=MAX_SILENT_SECONDS) as answer, path.open("wb") as copy:
        if not answer.ok:
            raise OSError(f"the server answers {answer.status_code} {answer.reason}")
        for block in answer.iter_content(1 << 20):
            copy.write(block)
        told = answer.headers.get("Content-Length", "")
        if told.isdigit() and answer.raw.tell() < int(told):
            raise OSError(f"it broke off after {answer.raw.tell():,} of {int(told):,} bytes")


def unpacked(path: Path) -> IO[bytes]:
    """Open a local file for its bytes, unpacked as its ending says.

    Raises:
        UserError: a zip holds no file, or several.
        OSError, ValueError, EOFError, RuntimeError: it is not what its name says.
    """
    opened: dict[str, Callable[[Path, Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    ending = path.suffix.lower()
    if ending == ".zip":
        return _unzipped(path)
    file: IO[bytes] = opened[ending](path, "rb") if ending in opened else path.open("rb")
    return file


def _unzipped(path: Path) -> IO[bytes]:
    """Open the one table in a zip; what macOS and hidden files add to it is passed over."""
    archive = zipfile.ZipFile(path)
    tables = [
        each
        for each in archive.namelist()
        if not each.endswith("/") and not any(part.startswith((".", "__MACOSX")) for part in each.split("/"))
    ]
    if len(tables) != 1:
        held = f"{len(tables)} files, {', '.join(map(repr, tables[:5]))}" if tables else "no file"
        archive.close()
        raise UserError(f"{path.name} holds {held}: a zip must hold one table.")
    return archive.open(tables[0])
