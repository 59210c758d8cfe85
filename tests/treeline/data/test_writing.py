"""Files written whole: what belongs together appears together, and a failure leaves what was there and nothing else."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from treeline import StoreError, UserError
from treeline.data.reading import read_path
from treeline.data.writing import Append, atomic_writer

ROWS = pa.table({"a": [1, 2], "b": ["x", None]})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(*files: Append) -> None:
    for append in files:
        append(ROWS)


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_what_is_written_is_there_when_it_is_whole(name: str) -> None:
    Path(name).write_text("before")
    part = pa.table({"a": [1, 2], "b": ["x", None]})
    with atomic_writer(Path(name)) as (append,):
        append(part)
        append(part)
        assert Path(name).read_text() == "before"
    assert [int(a) for a in read_path(Path(name), name).frame["a"]] == [1, 2, 1, 2]
    assert [path.name for path in Path().iterdir()] == [name]


def test_an_error_leaves_what_was_there() -> None:
    Path("t.parquet").write_text("before")
    with contextlib.suppress(pa.ArrowInvalid), atomic_writer(Path("t.parquet")) as (append,):
        append(pa.table({"a": [1]}))
        append(pa.table({"a": ["no number"]}))
    assert Path("t.parquet").read_text() == "before"
    assert [path.name for path in Path().iterdir()] == ["t.parquet"]


def test_without_rows_there_is_no_file() -> None:
    with atomic_writer(Path("t.csv")):
        pass
    assert list(Path().iterdir()) == []


def test_a_long_name_is_written_with_room_beside_it() -> None:
    name = "n" * 251 + ".csv"
    with atomic_writer(Path(name)) as (append,):
        append(pa.table({"a": [1]}))
    assert [path.name for path in Path().iterdir()] == [name]


def test_what_parquet_cannot_hold_is_a_sentence() -> None:
    span = pa.array([pa.scalar((1, 2, 3), pa.month_day_nano_interval())])
    with pytest.raises(UserError, match="Write a CSV file instead"), atomic_writer(Path("t.parquet")) as (append,):
        append(pa.table({"a": span}))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_two_writers_of_one_file_never_mix_rows(name: str) -> None:
    with atomic_writer(Path(name)) as (one,):
        one(ROWS)
        with atomic_writer(Path(name)) as (other,):
            other(pa.table({"a": [7]}))
            one(ROWS)
        assert [int(a) for a in read_path(Path(name), name).frame["a"]] == [7]
    assert [int(a) for a in read_path(Path(name), name).frame["a"]] == [1, 2, 1, 2]
    assert names() == [name]


def test_what_a_killed_writer_left_is_removed_and_nothing_else() -> None:
    code = (
        "import os, pathlib, pyarrow as pa\n"
        "from treeline.data.writing import atomic_writer\n"
        "with atomic_writer(pathlib.Path('t.csv')) as (append,):\n"
        "    append(pa.table({'a': [1]}))\n"
        "    os._exit(9)\n"
    )
    root = str(Path(sys.modules["treeline"].__file__ or "").parents[1])
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, check=False)
    (left,) = Path().glob(".t.csv.*.partial")
    Path(".u.csv.0.partial").touch()
    with atomic_writer(Path("t.csv")) as (append,):
        assert not left.exists()
        append(ROWS)
    assert names() == [".u.csv.0.partial", "t.csv"]


def test_both_files_appear_or_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("t.csv", "u.csv"):
        Path(name).write_text("before")
    calls: list[int] = []

    def fsync(number: int) -> None:
        calls.append(number)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    complaint = r"Cannot write .*u\.csv: No space left on device"
    with pytest.raises(StoreError, match=complaint), atomic_writer(Path("t.csv"), Path("u.csv")) as (one, other):
        write(one, other)
    assert [Path(name).read_text() for name in names()] == ["before", "before"]
    assert names() == ["t.csv", "u.csv"]


def test_a_second_file_of_before_goes_before_the_first_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("t.csv", "u.csv"):
        Path(name).write_text("before")

    def killed(self: Path, target: Path) -> None:
        assert not Path("u.csv").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with contextlib.suppress(KeyboardInterrupt), atomic_writer(Path("t.csv"), Path("u.csv")) as (one, other):
        one(ROWS)
        other(ROWS)
    assert (Path("t.csv").read_text(), names()) == ("before", ["t.csv"])


def test_the_second_file_of_before_is_gone_where_there_are_no_rows_for_it() -> None:
    Path("u.csv").write_text("before")
    with atomic_writer(Path("t.csv"), Path("u.csv")) as (one, _):
        one(ROWS)
    assert names() == ["t.csv"]


def test_a_link_stays_and_what_it_points_to_is_replaced() -> None:
    Path("real").mkdir()
    Path("t.csv").symlink_to("real/t.csv")
    with atomic_writer(Path("t.csv")) as (append,):
        append(ROWS)
    assert Path("t.csv").is_symlink()
    assert Path("real/t.csv").read_text() == "a,b\n1,x\n2,\n"


def lose_folder(append: Append) -> None:
    append(ROWS)
    shutil.rmtree("out")


@pytest.mark.parametrize("name", ["out/t.csv", "out/t.csv.gz", "out/t.parquet"])
def test_a_folder_that_is_removed_midway_is_a_sentence(name: str) -> None:
    Path("out").mkdir()
    complaint = r"Cannot write .*out.*: No such file or directory"
    with pytest.raises(StoreError, match=complaint), atomic_writer(Path(name)) as (append,):
        lose_folder(append)
    assert names() == []


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(name: str) -> None:
    """In a process whose files may not grow, which the system refuses as it refuses a full disk: by an OSError."""
    pytest.importorskip("resource")
    code = (
        "import pathlib, resource, signal, sys, numpy as np, pyarrow as pa\n"
        "from treeline import StoreError\n"
        "from treeline.data.writing import atomic_writer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "rows = pa.table({'a': np.random.default_rng(0).random(20_000)})\n"
        "try:\n"
        f"    with atomic_writer(pathlib.Path({name!r})) as (append,):\n"
        "        append(rows)\n"
        "except StoreError as error:\n"
        "    sys.exit(str(error))\n"
    )
    Path(name).write_text("before")
    root = str(Path(sys.modules["treeline"].__file__ or "").parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.startswith(f"Cannot write {Path(name).absolute()}: File too large")
    assert len(done.stderr.splitlines()) == 1
    assert (Path(name).read_text(), names()) == ("before", [name])


def test_the_files_of_two_writers_never_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two that end at once waits until both files of the first are there."""
    replace, order, inside = Path.replace, list[str](), threading.Event()

    def slow(self: Path, target: Path) -> Path:
        order.append(threading.current_thread().name)
        inside.set()
        time.sleep(0.2)
        return replace(self, target)

    def pair() -> None:
        with atomic_writer(Path("t.csv"), Path("u.csv")) as (one, other):
            write(one, other)

    monkeypatch.setattr(Path, "replace", slow)
    threads = [threading.Thread(target=pair, name=name) for name in ("one", "two")]
    threads[0].start()
    inside.wait()
    threads[1].start()
    for thread in threads:
        thread.join()
    assert order == ["one", "one", "two", "two"]
    assert names() == ["t.csv", "u.csv"]
