"""A store in a SQLite file: made whole or not at all, healed where a first start was killed, upgraded beside a copy.

MLflow's own migration takes seconds and many steps. Killed on its way, or begun by several processes at once, it leaves
a file that no later start opens. So it is done here, by one process at a time, on a file of another name.
"""

import shutil
import sqlite3
import time
from contextlib import closing
from enum import Enum, auto
from pathlib import Path

import mlflow
from alembic.script import ScriptDirectory
from loguru import logger
from mlflow.store.db import utils as migrations
from mlflow.tracking._tracking_service.utils import _get_sqlalchemy_store
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from tracking.sqlite_files import (
    beside,
    folder_lock,
    free_name,
    opened,
    put_aside,
    silent_seconds,
    tables_of,
    temporary_file,
)
from tracking.store_errors import store_error
from treeline import StoreError
from treeline.interruption import stop_if_wished

QUIET_SECONDS = 10.0  # after which a store that is half made is held for abandoned; a step of a migration takes less
MAKING_SECONDS = 120.0  # how long another process may take to make or upgrade a store
HALF_TABLE = "_alembic_tmp_"  # a table that is being rebuilt


class State(Enum):
    """What a file is to MLflow."""

    MISSING = auto()  # or empty
    HALF = auto()  # a first start began it and did not end it: it holds no experiment, not even the default one
    OLD = auto()
    WHOLE = auto()


def settle(uri: str, path: Path, make: bool) -> None:
    """Bring a store to the state that MLflow opens without a migration.

    Args:
        uri: as MLflow names it.
        path: its file.
        make: make it where there is none.

    Raises:
        StoreError: a newer MLflow wrote it, it is no store, it is locked, or there is no room to make it.
    """
    if _is_settled(path, make):
        return
    with folder_lock(path.parent, MAKING_SECONDS):
        _wait_for_others(path)
        state = state_of(path)
        if state is State.HALF:
            aside = put_aside(path)
            logger.warning(f"{path} was left half made by a first start that was killed: made anew; it lies in {aside}")
        if state is State.HALF or (state is State.MISSING and make):
            _make(uri, path)
        elif state is State.OLD:
            _upgrade(uri, path)


def state_of(path: Path) -> State:
    """Tell what a file is to MLflow.

    Raises:
        StoreError: a newer MLflow wrote it, or it is a database of something else.
        sqlite3.DatabaseError: it cannot be read as a database.
    """
    if not path.exists() or path.stat().st_size == 0:
        return State.MISSING
    with opened(path) as database:
        tables = tables_of(database)
        revisions = database.execute("SELECT version_num FROM alembic_version") if "alembic_version" in tables else []
        revision = next((row[0] for row in revisions), "")
        made = "experiments" in tables and database.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
    known = {table for table in tables if table.startswith((HALF_TABLE, "alembic_"))}
    if not tables:
        return State.MISSING
    if not known | tables & set(migrations.InitialBase.metadata.tables):
        raise StoreError(
            f"{path} is a database of something else, with the tables {', '.join(sorted(tables))[:200]}: name another "
            "file with MLFLOW_TRACKING_URI."
        )
    scripts = ScriptDirectory.from_config(migrations._get_alembic_config(""))
    if revision == scripts.get_current_head():
        return State.WHOLE if made else State.HALF
    if revision and revision not in {each.revision for each in scripts.walk_revisions()}:
        raise StoreError(
            f"The store {path} was written by a newer MLflow (its schema is {revision}, which MLflow "
            f"{mlflow.__version__} does not know): install that one, or name another store with MLFLOW_TRACKING_URI."
        )
    return State.OLD if made else State.HALF


def _is_settled(path: Path, make: bool) -> bool:
    state = state_of(path)
    return state is State.WHOLE or (state is State.MISSING and not make)


def _wait_for_others(path: Path) -> None:
    """Wait while a process that knows no lock of ours, such as MLflow's UI, makes the store.

    Raises:
        StoreError: it takes too long.
    """
    deadline = time.monotonic() + MAKING_SECONDS
    while state_of(path) is State.HALF and silent_seconds(path) < QUIET_SECONDS:
        stop_if_wished()
        if time.monotonic() > deadline:
            raise StoreError(f"Another process is making the store {path}: start the command again when it is done.")
        time.sleep(0.2)


def _make(uri: str, path: Path) -> None:
    """Make a store as MLflow would, under another name, and rename it when it is whole."""
    with temporary_file(path) as fresh:
        try:
            fresh.touch()
            fresh.unlink()  # what a folder refuses is told at once; MLflow would try for a minute
        except OSError as error:
            why = f"cannot be made ({error.strerror}): name another with MLFLOW_TRACKING_URI"
            raise store_error(error) or StoreError(f"The store {path} {why}.") from error
        _get_sqlalchemy_store(beside(uri, fresh), None).engine.dispose()
        if state_of(path) is State.MISSING:  # or else a process that knows no lock of ours was quicker
            fresh.replace(path)


def _upgrade(uri: str, path: Path) -> None:
    """Upgrade a store of an older MLflow: a copy of it first, which is told, then the file itself in one transaction.

    Raises:
        StoreError: there is no room, or it cannot be upgraded; it is as it was then.
    """
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 4 * size:
        raise StoreError(
            f"The store {path} must be upgraded for MLflow {mlflow.__version__}, for which it "
            f"takes {_megabytes(4 * size)}, and {_megabytes(free)} are free: make room, then start the command again."
        )
    aside = free_name(path, f"before-mlflow-{mlflow.__version__}")
    with temporary_file(path) as fresh, opened(path) as database:
        before = _data_version(database)
        _copy(database, fresh)
        fresh.rename(aside)
        logger.warning(
            f"{path} was written by an older MLflow: it is upgraded, and lies as it was in {aside} ({_megabytes(size)})"
        )
        _copy(database, fresh)
        _migrate(beside(uri, fresh), fresh, aside)
        if _data_version(database) != before:
            raise StoreError(f"Another process wrote to {path} during its upgrade: let that end, then start again.")
        with closing(sqlite3.connect(fresh)) as upgraded:
            upgraded.backup(database)


def _migrate(uri: str, fresh: Path, aside: Path) -> None:
    """Bring a copy to the schema of this MLflow.

    Raises:
        StoreError: it cannot be.
    """
    with closing(sqlite3.connect(fresh)) as database:
        tables = tables_of(database)
        for half in [each for each in tables if each.startswith(HALF_TABLE) and each[len(HALF_TABLE) :] in tables]:
            database.execute(f'DROP TABLE "{half}"')  # a step that was killed: it begins again
        database.commit()
    engine = create_engine(uri)
    try:
        migrations._upgrade_db(engine)
    except SQLAlchemyError as error:
        raise StoreError(
            f"The store cannot be upgraded for MLflow {mlflow.__version__} and is as it was "
            f"({str(error).splitlines()[0]}): use the MLflow that wrote it, or name another store with "
            f"MLFLOW_TRACKING_URI; a copy lies in {aside}."
        ) from error
    finally:
        engine.dispose()


def _copy(database: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        database.backup(copy)


def _data_version(database: sqlite3.Connection) -> int:
    """A number that changes when another connection has written."""
    return int(database.execute("PRAGMA data_version").fetchone()[0])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
