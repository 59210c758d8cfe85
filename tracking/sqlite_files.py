"""The file of a SQLite store and what lies beside it: opened, locked, put aside, made under another name."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import make_url

from treeline import StoreError
from treeline.interruption import stop_if_wished

LOCKED_SECONDS = 15.0  # how long another process may write without a pause
BESIDE = ("", "-journal", "-wal", "-shm")  # the files of a SQLite database


def sqlite_file(uri: str) -> Path | None:
    """Give the file of a SQLite store; None where a store is anything else."""
    if not uri.startswith("sqlite"):
        return None
    database = make_url(uri).database
    return Path(database).absolute() if database and database != ":memory:" else None


@contextmanager
def folder_lock(folder: Path, seconds: float = float("inf")) -> Iterator[None]:
    """Let one process at a time work on the store of a folder: they lock the folder itself, which leaves no file behind
    and is undone by the system when a process is killed.

    Args:
        folder: to lock.
        seconds: to wait for another process.

    Raises:
        StoreError: another process took longer.
        KeyboardInterrupt: this process was asked to stop meanwhile.
    """
    descriptor, deadline = os.open(folder, os.O_RDONLY), time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"Another process has been at the store in {folder} for {seconds:.0f} s: let it end, or "
                        "end it, then start the command again."
                    ) from None
            stop_if_wished()
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def opened(path: Path, seconds: float = LOCKED_SECONDS) -> Iterator[sqlite3.Connection]:
    """Open a database that exists; it is not made, and it is closed again."""
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    with closing(sqlite3.connect(f"file:{quoted}?mode=rw", uri=True, timeout=seconds)) as database:
        yield database


def tables_of(database: sqlite3.Connection) -> set[str]:
    """Name the tables of a database."""
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {row[0] for row in found}


def check_lock(path: Path, seconds: float) -> None:
    """Make sure that no other process keeps a store locked; one that is read-only may still be read.

    Raises:
        sqlite3.OperationalError: it is locked, or cannot be opened.
    """
    try:
        with opened(path, max(LOCKED_SECONDS, seconds)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error):
            raise


def silent_seconds(path: Path) -> float:
    """How long ago a database was last written."""
    written = [0.0]
    for suffix in BESIDE:
        with suppress(FileNotFoundError):  # a journal goes when a transaction ends
            written.append(path.with_name(path.name + suffix).stat().st_mtime)
    return time.time() - max(written)


def put_aside(path: Path) -> Path:
    """Move a database out of the way; give its new place."""
    aside = free_name(path, f"half-made-{datetime.now():%Y%m%d-%H%M%S}")
    for suffix in reversed(BESIDE):  # the database last: a journal without it is never taken for another one's
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def free_name(path: Path, word: str) -> Path:
    """Give a name beside a file, with a word behind it, that nothing has yet."""
    names = (path.with_name(f"{path.name}.{word}{f'-{number}' if number else ''}") for number in range(10_000))
    return next(name for name in names if not name.exists())


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Give the name of a file of this process beside a store; it is removed, and what killed processes left with it.

    Only to be used under the lock: no other process has one then.
    """
    prefix = f".{path.name}.new-"

    def clear() -> None:
        for left in [each for each in path.parent.iterdir() if each.name.startswith(prefix)]:
            left.unlink(missing_ok=True)

    clear()
    try:
        yield path.with_name(f"{prefix}{os.getpid()}")
    finally:
        clear()


def beside(uri: str, fresh: Path) -> str:
    """Name a file in the folder of a store as the store is named."""
    return f"{uri.partition('?')[0].rpartition('/')[0]}/{fresh.name}"
