"""A SQLite store: made by one process and whole, healed, upgraded beside a copy, or refused in a sentence."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from mlflow.store.db import utils as migrations
from sqlalchemy import create_engine

from tracking import sqlite_files, sqlite_store
from tracking.sqlite_files import check_lock, folder_lock, sqlite_file
from tracking.sqlite_store import State, settle, state_of
from treeline import StoreError

pytestmark = pytest.mark.store

SCRIPTS = ScriptDirectory.from_config(migrations._get_alembic_config(""))
OLDER = list(SCRIPTS.walk_revisions())[20].revision  # the schema of an MLflow of some versions before this one


class FakeEngine:
    def dispose(self) -> None:
        """Nothing is open."""


class Maker:
    """Makes a store by copying an empty one, which takes no seconds; counts how often."""

    def __init__(self, empty: Path) -> None:
        self.empty, self.made, self.engine = empty, 0, FakeEngine()
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, uri: str, artifacts: str | None) -> "Maker":
        self.made += 1
        self.meanwhile()
        shutil.copy(self.empty / "mlflow.db", uri.removeprefix("sqlite:///"))
        return self


@pytest.fixture
def maker(empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    made = Maker(empty_store)
    monkeypatch.setattr(sqlite_store, "_get_sqlalchemy_store", made)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mlflow.db"


def settled(path: Path, make: bool = True) -> State:
    settle(f"sqlite:///{path}", path, make)
    return state_of(path)


def half_made(path: Path, seconds_ago: float) -> None:
    """What a first start leaves that was killed in its migration."""
    engine = create_engine(f"sqlite:///{path}")
    migrations.InitialBase.metadata.create_all(engine)
    engine.dispose()
    execute(path, "CREATE TABLE _alembic_tmp_runs (a)")
    written = path.stat().st_mtime - seconds_ago
    os.utime(path, (written, written))


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


def value(path: Path, query: str) -> object:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchone()[0]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


# --- making


def test_a_store_is_made_where_there_is_none_and_only_when_it_is_asked_for(path: Path, maker: Maker) -> None:
    assert settled(path, make=False) is State.MISSING
    assert settled(path) is State.WHOLE
    assert (maker.made, names(path.parent)) == (1, ["mlflow.db"])


def test_an_empty_file_is_made_a_store(path: Path, maker: Maker) -> None:
    path.touch()
    assert settled(path) is State.WHOLE


def test_of_several_at_once_one_makes_it(path: Path, maker: Maker) -> None:
    maker.meanwhile = lambda: time.sleep(0.3)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(settled, [path] * 8)) == [State.WHOLE] * 8
    assert maker.made == 1


def test_what_killed_processes_left_goes_with_the_next(path: Path, maker: Maker) -> None:
    for left in (".mlflow.db.new-1", ".mlflow.db.new-1-journal"):
        (path.parent / left).write_bytes(b"half")
    seen: list[list[str]] = []
    maker.meanwhile = lambda: seen.append(names(path.parent))
    settled(path)
    assert seen == [[]]
    assert names(path.parent) == ["mlflow.db"]


def test_a_store_that_cannot_be_made_leaves_nothing(path: Path, maker: Maker) -> None:
    def full() -> None:
        (path.parent / f".mlflow.db.new-{os.getpid()}").touch()
        raise sqlite3.OperationalError("database or disk is full")

    maker.meanwhile = full
    with pytest.raises(sqlite3.OperationalError, match="full"):
        settled(path)
    assert names(path.parent) == []


def test_a_store_that_another_program_made_meanwhile_stays(path: Path, maker: Maker) -> None:
    def quicker() -> None:
        shutil.copy(maker.empty / "mlflow.db", path)
        execute(path, "UPDATE experiments SET name = 'theirs'")

    maker.meanwhile = quicker
    assert settled(path) is State.WHOLE
    assert value(path, "SELECT name FROM experiments") == "theirs"


# --- healing


def test_a_store_left_half_made_is_put_aside_and_made_anew(path: Path, maker: Maker) -> None:
    half_made(path, seconds_ago=60)
    assert state_of(path) is State.HALF
    assert settled(path, make=False) is State.WHOLE
    aside, store = names(path.parent)[1], names(path.parent)[0]
    assert store == "mlflow.db"
    assert state_of(path.parent / aside) is State.HALF


def test_a_store_that_another_program_is_making_is_waited_for(path: Path, maker: Maker) -> None:
    half_made(path, seconds_ago=0)
    done = threading.Timer(0.5, lambda: shutil.copy(maker.empty / "mlflow.db", path))
    done.start()
    assert settled(path) is State.WHOLE
    done.join()
    assert (maker.made, names(path.parent)) == (0, ["mlflow.db"])


# --- older, newer, something else


def test_an_older_store_is_copied_and_upgraded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    engine = create_engine(f"sqlite:///{path}")
    migrations.InitialBase.metadata.create_all(engine)
    config = migrations._get_alembic_config(f"sqlite:///{path}")
    command.upgrade(config, OLDER)
    engine.dispose()
    execute(
        path, "INSERT INTO experiments (experiment_id, name) VALUES (7, 'old')", "CREATE TABLE _alembic_tmp_runs (a)"
    )
    assert state_of(path) is State.OLD
    assert settled(path) is State.WHOLE
    assert value(path, "SELECT name FROM experiments WHERE experiment_id = 7") == "old"
    store, aside = names(path.parent)
    assert store == "mlflow.db"
    assert value(path.parent / aside, "SELECT version_num FROM alembic_version") == OLDER


def test_a_store_that_cannot_be_upgraded_is_as_it_was(path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store / "mlflow.db", path)
    execute(path, f"UPDATE alembic_version SET version_num = '{OLDER}'")  # its tables are there already
    before = path.read_bytes()
    with pytest.raises(StoreError, match="cannot be upgraded") as told:
        settled(path)
    store, aside = names(path.parent)
    assert store == "mlflow.db"
    assert path.read_bytes() == before
    assert aside in str(told.value)


def test_an_upgrade_without_room_is_refused(path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(empty_store / "mlflow.db", path)
    execute(path, f"UPDATE alembic_version SET version_num = '{OLDER}'")
    usage = shutil.disk_usage(path.parent)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StoreError, match=r"1\.0 MB are free"):
        settled(path)
    assert names(path.parent) == ["mlflow.db"]


def test_what_is_written_during_an_upgrade_stops_it(
    path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_store / "mlflow.db", path)
    execute(path, f"UPDATE alembic_version SET version_num = '{OLDER}'")
    write = "UPDATE experiments SET name = 'written'"
    monkeypatch.setattr(sqlite_store, "_migrate", lambda *given: execute(path, write))
    with pytest.raises(StoreError, match="Another process wrote"):
        settled(path)
    assert value(path, "SELECT name FROM experiments") == "written"


def test_a_newer_store_is_refused(path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store / "mlflow.db", path)
    execute(path, "UPDATE alembic_version SET version_num = 'ffff'")
    with pytest.raises(StoreError, match="newer MLflow"):
        settled(path)


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    execute(path, "CREATE TABLE mine (a)")
    with pytest.raises(StoreError, match="mine"):
        settled(path)
    assert value(path, "SELECT count(*) FROM sqlite_master") == 1


# --- locks


def test_a_locked_store_is_an_error(path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_files, "LOCKED_SECONDS", 0.1)
    shutil.copy(empty_store / "mlflow.db", path)
    check_lock(path, 0)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            check_lock(path, 0)


def test_a_folder_is_locked_for_as_long_as_told(tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(StoreError, match="Another process"), folder_lock(tmp_path, 0.1):
        pass
    with folder_lock(tmp_path, 0.1):
        pass


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////a/mlflow.db", "/a/mlflow.db"),
        ("sqlite+pysqlite:////a/x.db?timeout=5", "/a/x.db"),
        ("sqlite://", ""),
        ("sqlite:///:memory:", ""),
        ("postgresql://host/name", ""),
        ("http://host", ""),
    ],
)
def test_the_file_of_a_store(uri: str, file: str) -> None:
    assert sqlite_file(uri) == (Path(file) if file else None)
