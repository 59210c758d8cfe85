"""Write table files that belong together: all appear under their names when each is whole, or none does."""

import contextlib
import errno
import glob
import gzip
import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from treeline import StoreError, UserError
from treeline.data.files import is_csv

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed: nothing else is needed to spare it
    fcntl = None  # type: ignore[assignment]

ALONE, AT_ONCE = (fcntl.LOCK_EX, fcntl.LOCK_NB) if fcntl is not None else (0, 0)
NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # of file systems without them
MAX_NAME_BYTES = 200  # of a file, from which its hidden twin gets a name of its own
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
Append = Callable[[pa.Table], None]


@contextmanager
def atomic_writer(*paths: Path) -> Iterator[list[Append]]:
    """Give a function for each of some files that appends rows to it; the files appear under their names when the block
    ends, and only then.

    Until then the rows lie beside them under hidden names of this process's own, which an error removes; what writers
    that were killed left there is removed. A file without rows does not appear, and one of its name that stands beside
    the others from before is removed, for it would speak of other rows. A link stays: what it points to is replaced.

    Args:
        paths: each ends in one of `treeline.data.chunks.WRITABLE`.

    Raises:
        StoreError: one cannot be written, as on a full disk; what was there before stays.
    """
    files = [_HiddenFile(Path(os.path.realpath(path))) for path in paths]
    try:
        with _alone_in(files[0].folder):
            for file in files:
                file.open()
        yield [file.append for file in files]
        for file in files:
            file.finish()
        with _alone_in(files[0].folder):
            for file in files[1:]:  # before the first appears: beside it never stand rows of another batch
                file.remove_former()
            for file in files:
                file.appear()
    finally:
        for file in files:
            file.discard()


class _HiddenFile:
    """A file that is being written under a hidden name, held by a lock that ends with its process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        name = path.name if len(path.name.encode()) <= MAX_NAME_BYTES else _hashed(path.name)
        self._leftovers = f".{glob.escape(name)}.*.partial"
        self._partial = path.with_name(f".{name}.{uuid.uuid4().hex[:8]}.partial")
        self._stack = ExitStack()
        self.folder = path.parent
        self._binary: IO[bytes] | None = None
        self._write: Append | None = None

    def open(self) -> None:
        """Begin, where no writer that was killed has left anything."""
        with _told(self._path):
            for left in self._path.parent.glob(self._leftovers):
                _remove_unless_held(left)
            self._binary = self._partial.open("xb")
            _lock(self._binary, ALONE | AT_ONCE)

    def append(self, rows: pa.Table) -> None:
        """Write rows behind those before, all of the same columns."""
        assert self._binary is not None
        with _told(self._path):
            if self._write is None:
                writer = _csv_writer if is_csv(self._path.name) else _parquet_writer
                self._write = writer(self._binary, self._path.name, rows.schema, self._stack)
            self._write(rows)

    def finish(self) -> None:
        """Write what is still to be written, through to the disk."""
        assert self._binary is not None
        with _told(self._path):
            self._stack.close()
            self._binary.flush()
            os.fsync(self._binary.fileno())

    def remove_former(self) -> None:
        """Remove the file of this name."""
        with _told(self._path):
            self._path.unlink(missing_ok=True)

    def appear(self) -> None:
        """Take the name, if there are rows."""
        assert self._binary is not None
        with _told(self._path):
            if fcntl is None:
                self._binary.close()  # Windows renames no open file; elsewhere the lock holds until the name is there
            if self._write is not None:
                self._partial.replace(self._path)

    def discard(self) -> None:
        """Leave nothing under the hidden name."""
        if self._binary is None:
            return
        # What cannot be written to the end is thrown away: the error that led here is the one to tell.
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):
            self._stack.close()
        with contextlib.suppress(OSError):
            self._binary.close()
        with _told(self._path):
            self._partial.unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in a sentence why a file cannot be written.

    Raises:
        StoreError: it cannot.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"Cannot write {path}: {error.strerror or error}. What was there before is as it was; make room or name "
            "another place."
        ) from error


def _hashed(name: str) -> str:
    """Shorten a name so far that a file system takes it with more beside it."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _lock(file: IO[bytes] | int, how: int) -> bool:
    """Lock a file or a folder; tell whether its file system has locks.

    Raises:
        BlockingIOError: another holds it, and waiting was not asked for.
    """
    if fcntl is None:
        return os.name == "nt"
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def _remove_unless_held(path: Path) -> None:
    """Remove what a writer left, unless it is still at work, in this process or another, on this machine or another."""
    try:
        with path.open("rb+") as file:
            if _lock(file, ALONE | AT_ONCE):
                path.unlink()
    except (BlockingIOError, FileNotFoundError, PermissionError):  # held, gone by now, or another user's
        return


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let no other writer rename files in a folder meanwhile, so that those of two never stand side by side."""
    with _told(folder), ExitStack() as stack:
        if fcntl is not None:
            place = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, place)
            _lock(place, ALONE)
        yield


def _parquet_writer(file: IO[bytes], name: str, schema: pa.Schema, stack: ExitStack) -> Append:
    try:
        writer = stack.enter_context(pq.ParquetWriter(file, schema))
    except pa.ArrowNotImplementedError as error:
        raise UserError(
            f"Parquet does not hold what the rows of {name} do: {error}. Write a CSV file instead."
        ) from error
    return lambda rows: writer.write_table(rows.cast(schema))


def _csv_writer(file: IO[bytes], name: str, schema: pa.Schema, stack: ExitStack) -> Append:
    binary: Any = file
    if name.lower().endswith(".gz"):
        binary = stack.enter_context(gzip.GzipFile(filename="", fileobj=file, mode="wb"))
    text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
    stack.callback(text.detach)  # flushes, and leaves the file open
    header = iter([True])

    def write(rows: pa.Table) -> None:
        frame = rows.to_pandas(ignore_metadata=True, types_mapper=WHOLE_NUMBERS.get)
        frame.to_csv(text, index=False, header=next(header, False))

    return write
