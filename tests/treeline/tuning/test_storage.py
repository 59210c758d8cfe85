"""Where a study lives: what cannot be is refused before anything is made; journals that are garbled."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from sqlalchemy.exc import OperationalError

from treeline import StoreError, UserError
from treeline.tuning import storage
from treeline.tuning.storage import check_storage, journal_path, open_storage

BAD_STORAGES = [
    ("nonsense://x", "s", "^Cannot open storage 'nonsense://x': "),
    ("not a url", "s", "^Cannot open storage 'not a url': "),
    ("", "a/b", "^study_name 'a/b' cannot name a file"),
    ("", "x" * 201, "^study_name 'x{60}' cannot name a file.*200 bytes at most"),
]


@pytest.mark.parametrize(
    ("url", "name", "complaint"),
    [
        *BAD_STORAGES,
        ("sqlite:////no/such/folder/x.db", "s", "^Cannot open storage 'sqlite:////no"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_a_sentence(tmp_path: Path, url: str, name: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        open_storage(url, tmp_path / "s.log") if url else journal_path(tmp_path, name)


@pytest.mark.parametrize(
    ("url", "name", "complaint"),
    [*BAD_STORAGES, ("postgresql+psycopg2://localhost:1/x", "s", "^Cannot open storage 'postgresql")],
)
def test_a_storage_that_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, name: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=complaint):
        check_storage(url, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("url", "name"), [("", ""), ("", "größe-1.2 x"), ("sqlite:///x.db", "a/b")])
def test_checking_a_storage_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    check_storage(url, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "'", "x" * 201, "a\\b", "a\nb"])
def test_a_name_in_a_storage_has_no_quotes_and_an_end(name: str) -> None:
    if not name:
        check_storage("sqlite:///x.db", name)
        return
    with pytest.raises(UserError, match=r"^study_name .* cannot name a study: use no quotes"):
        check_storage("sqlite:///x.db", name)


def test_a_database_out_of_reach_is_the_stores_error_and_tells_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise OperationalError("SELECT 1", {}, Exception("connection refused"))

    def engine(place: Any, connect_args: Any) -> SimpleNamespace:
        assert connect_args == {"connect_timeout": 10}  # else a host that never answers takes minutes
        return SimpleNamespace(connect=refused, dispose=lambda: None)

    monkeypatch.setattr(storage, "create_engine", engine)
    with pytest.raises(
        StoreError, match=r"^Cannot open storage 'postgresql://\*\*\*@far:1/x\?\*\*\*': .*refused"
    ) as caught:
        check_storage("postgresql://ann:secret@far:1/x?application_name=secret", "s")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_the_stores_error(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database" * 100)
    with pytest.raises(StoreError, match=r"^Cannot open storage .*x.db'.*not a database"):
        open_storage(f"sqlite:///{tmp_path / 'x.db'}", tmp_path / "s.log")


GARBAGE = {
    "text": b"garbage\n",
    "bytes": b"\xff\xfe\x00\n",
    "a list": b"[1]\n",
    "another record": b'{"a": 1}\n',
    "deep": b"[" * 100_000 + b"\n",
    "two halves": b'{"op_code":4,"worker{"op_code":4}\n',
}


@pytest.mark.parametrize("line", GARBAGE.values(), ids=GARBAGE)
def test_a_journal_with_garbage_in_the_middle_names_the_line(tmp_path: Path, line: bytes) -> None:
    journal = journal_path(tmp_path, "s")
    study = optuna.create_study(storage=open_storage("", journal), study_name="s")
    study.ask()
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], line, *lines[1:]]))
    with pytest.raises(StoreError, match=r"s\.log' of the study cannot be read at line 2: cut it before that line"):
        open_storage("", journal)
    journal.write_bytes(lines[0])  # as it says
    assert optuna.load_study(study_name="s", storage=open_storage("", journal)).trials == []


def test_a_journal_whose_lines_contradict_each_other_is_a_sentence(tmp_path: Path) -> None:
    journal = journal_path(tmp_path, "s")
    journal.write_bytes(b'{"op_code":99,"worker_id":"w"}\n{"op_code":4,"worker_id":"w"}\n')
    with pytest.raises(StoreError, match="cannot be read: put back a copy of it, or choose another study_name"):
        open_storage("", journal)


def test_a_place_that_cannot_be_written_is_the_stores_error(tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("")
    with pytest.raises(StoreError, match="the study 's' cannot be read or written"):
        journal_path(tmp_path, "s")
    (tmp_path / "studies").unlink()
    journal_path(tmp_path, "s").mkdir()
    with pytest.raises(StoreError, match=r"^The storage of the study 's' cannot be read or written.*directory"):
        open_storage("", tmp_path / "studies" / "s.log")
