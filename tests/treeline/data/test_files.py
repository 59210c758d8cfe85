"""Files: what is read under which ending, how text is told, what is fetched, and what is refused in which words."""

import bz2
import gzip
import http.server
import io
import lzma
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from treeline import UserError
from treeline.data.chunks import chunks
from treeline.data.files import (
    CSV_ENDINGS,
    LINES_ENDINGS,
    PARQUET_ENDINGS,
    FileSettings,
    TableFile,
    is_remote,
    local_copy,
    unpacked,
)
from treeline.data.reading import read_path
from treeline.data.tables import read_file

JUNK = bytes(np.random.default_rng(0).integers(0, 256, 500, dtype=np.uint8))
SPOILT = gzip.compress(b"a,b\n1,2\n" * 100)[:12] + JUNK
ROWS = pd.DataFrame({"größe": [1.5, 2.5, 3.5], "Straße": ["a;b", 'sagt "ja"', "zwei\nZeilen"], "y": ["é", "ß", "€"]})


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """What a file of text gives: its cells, an empty one missing."""
    return pd.read_csv(io.StringIO(frame.to_csv(index=False)), dtype="str", keep_default_na=False, na_values=[""])


def read(path: Path, files: FileSettings = FileSettings()) -> TableFile:  # noqa: B008
    return read_path(path, str(path), files)


def nowhere(uri: str, folder: Path) -> Path:
    raise FileNotFoundError(f"no {uri}")


@pytest.fixture
def plain() -> pd.DataFrame:
    """A frame that CSV spells out without loss."""
    return pd.DataFrame(
        {"x": [1.5, np.nan, -3.25], "n": [1, 2, 3], "flag": [True, False, True], "größe": ["a", None, "東京, b"]}
    )


@pytest.mark.parametrize("ending", CSV_ENDINGS)
def test_a_csv_file_is_read_under_every_ending(tmp_path: Path, plain: pd.DataFrame, ending: str) -> None:
    path = tmp_path / f"house_prices{ending}"
    plain.to_csv(path, index=False)
    assert_frame_equal(read(path).frame, as_text(plain), check_dtype=False)


@pytest.mark.parametrize("ending", PARQUET_ENDINGS)
def test_a_parquet_file_is_read_under_every_ending(tmp_path: Path, plain: pd.DataFrame, ending: str) -> None:
    path = tmp_path / f"house_prices{ending}"
    plain.to_parquet(path, index=False)
    assert_frame_equal(read(path).frame, plain, check_dtype=False)


@pytest.mark.parametrize("name", ["t.xls", "t", "t.csv.tar", "csv", "t.xml"])
def test_an_unknown_ending_is_named_with_those_that_are_known(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=rf"{name}.*must end in \.csv.*\.parquet"):
        read_path(tmp_path / name, str(tmp_path / name))


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        *((ending, JUNK) for ending in CSV_ENDINGS + PARQUET_ENDINGS),
        *((ending, b"") for ending in CSV_ENDINGS + PARQUET_ENDINGS),
        (".csv.gz", gzip.compress(JUNK)[:-20]),
        (".csv.gz", SPOILT),
        (".csv.bz2", bz2.compress(JUNK)[:-20]),
        (".csv.xz", lzma.compress(JUNK)[:-20]),
        (".csv.zip", b"PK\x03\x04" + JUNK),
        (".parquet", b"PAR1" + JUNK + b"PAR1"),
        (".csv", b"a,b\n1,2\n1,2,3,4\n"),
        (".csv", b"\0" * 100),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_named(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"junk{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_path(path, str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("inside", "held"),
    [(["a.csv", "b.csv"], "2 files, 'a.csv', 'b.csv'"), ([], "no file"), (["__MACOSX/._a.csv", ".b"], "no file")],
)
def test_a_zip_holds_one_table(tmp_path: Path, inside: list[str], held: str) -> None:
    path = tmp_path / "two.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in inside:
            archive.writestr(name, "x\n1\n")
    for reader in (read, lambda path: list(chunks(path))):
        with pytest.raises(UserError, match=rf"^two\.csv\.zip holds {held}: a zip must hold one table"):
            reader(path)


def test_what_macos_adds_to_a_zip_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "mac.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (
            ("__MACOSX/._t.csv", b"\0\5"),
            ("data/", b""),
            ("data/t.csv", b"x\n1\n"),
            (".DS_Store", b""),
        ):
            archive.writestr(name, content)
    assert read(path).frame["x"].tolist() == ["1"]


def test_a_header_without_rows_is_named(tmp_path: Path, plain: pd.DataFrame) -> None:
    plain.head(0).to_csv(tmp_path / "t.csv", index=False)
    plain.head(0).to_parquet(tmp_path / "t.parquet", index=False)
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(UserError, match=rf"{name} has a header but no rows"):
            read_path(tmp_path / name, str(tmp_path / name))


def test_an_empty_file_is_told_from_one_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    with pytest.raises(UserError, match=r"t\.csv: it is empty"):
        read_path(tmp_path / "t.csv", str(tmp_path / "t.csv"))


def test_a_column_that_stands_twice_in_parquet_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2], [3]], names=["a", "twin", "twin"]), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet.*twin"):
        read_path(tmp_path / "t.parquet", str(tmp_path / "t.parquet"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encoding_and_separator_are_told_from_the_file(tmp_path: Path, encoding: str, separator: str) -> None:
    path = tmp_path / "rows.csv"
    ROWS.to_csv(path, index=False, sep=separator, encoding=encoding)
    assert_frame_equal(read(path).frame, as_text(ROWS), check_dtype=False)


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".tsv"])
def test_packed_files_are_read_alike(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    ROWS.to_csv(path, index=False, sep="\t", encoding="cp1252")
    assert_frame_equal(read(path).frame, as_text(ROWS), check_dtype=False)


def test_a_decimal_comma_stands_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    ROWS.to_csv(path, index=False, sep=";", decimal=",")
    assert read(path).frame["größe"].tolist() == ["1,5", "2,5", "3,5"]


def test_text_with_commas_does_not_fool_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    reviews = pd.DataFrame({"review": [f"well, {'so, ' * (i % 4)}fine; or not" for i in range(50)], "y": range(50)})
    reviews.to_csv(path, index=False)
    assert_frame_equal(read(path).frame, as_text(reviews), check_dtype=False)


def test_one_column_is_one_column(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("x\n1\n2\n")
    assert list(read(path).frame.columns) == ["x"]


@pytest.mark.parametrize(
    "data", ["memory://none.csv", "s3://bucket/rows.csv", "nosuch://x/rows.csv", "runs:/0123/rows.csv"]
)
def test_a_url_that_leads_nowhere_is_named(data: str) -> None:
    with pytest.raises(UserError, match=f"Cannot fetch {data}: "), local_copy(data, nowhere):
        raise AssertionError("there is nothing to read")


@pytest.mark.parametrize("data", ["runs:/0123/rows.csv", "models:/m/1/rows.csv", "mlflow-artifacts:/rows.csv"])
def test_an_artifact_is_fetched_by_what_the_caller_gives_and_gone_afterwards(data: str) -> None:
    asked: list[str] = []

    def download(uri: str, folder: Path) -> Path:
        asked.append(uri)
        ROWS.to_csv(folder / "rows.csv", index=False)
        return folder / "rows.csv"

    with local_copy(data, download) as path:
        assert_frame_equal(read_path(path, data).frame, as_text(ROWS), check_dtype=False)
    assert asked == [data]
    assert not path.exists()


def test_an_artifact_is_refused_where_nothing_fetches_it() -> None:
    with pytest.raises(UserError, match=r"^runs:/0123/rows\.csv is an artifact of MLflow: give the path of a file"):
        read_file("runs:/0123/rows.csv")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("no such run\nand more"), "no such run."),
        (OSError(), "OSError."),
        (ValueError("odd"), "odd."),
        (ImportError("No module named 's3fs'"), "No module named 's3fs'. Install what reads it with pip."),
    ],
    ids=repr,
)
def test_why_it_cannot_be_fetched_is_one_line(error: Exception, reason: str) -> None:
    def download(uri: str, folder: Path) -> Path:
        raise error

    with pytest.raises(UserError) as caught:
        read_file("runs:/0123/rows.csv", download)
    assert str(caught.value) == f"Cannot fetch runs:/0123/rows.csv: {reason}"


def test_a_local_file_is_read_where_it_lies(tmp_path: Path) -> None:
    with local_copy(str(tmp_path / "rows.csv"), nowhere) as path:
        assert path == tmp_path / "rows.csv"


def test_a_named_index_of_a_parquet_file_is_a_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    ROWS.set_index("y").to_parquet(path)
    assert set(read(path).frame.columns) == set(ROWS.columns)


@pytest.mark.parametrize(
    "name",
    [
        "my table.csv",
        "x(1) [a] & 'b' + c, d.csv",
        "50%.csv",
        "100%25.csv",
        "x#1.csv",
        "a:b.csv",
        "a::b.csv",
        "zip::b.csv",
        "preis_€.csv",
        "~x?*.csv",
        "n" * 236 + ".csv",
        "x#1.csv.gz",
        "a:b.parquet",
        "x#1 50%.parquet",
        "a:b.jsonl",
        "a:b.feather",
    ],
)
def test_any_name_of_a_file_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame({"a": ["x", "y"]})
    if name.endswith("parquet"):
        rows.to_parquet(io_path := Path("plain.parquet"))
    elif name.endswith("feather"):
        rows.to_feather(io_path := Path("plain.feather"))
    elif name.endswith("jsonl"):
        rows.to_json(io_path := Path("plain.jsonl"), orient="records", lines=True)
    else:
        content = rows.to_csv(index=False).encode()
        (io_path := Path("plain")).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    io_path.rename(name)
    assert not is_remote(name)
    assert read_file(name).frame["a"].tolist() == ["x", "y"]
    assert [row for chunk in chunks(Path(name)) for row in chunk.frame["a"]] == ["x", "y"]


@pytest.mark.parametrize("name", ["n" * 5000 + ".csv", "a\0b.csv", "nosuch://x.csv", "runs:/1/x.csv"])
def test_a_name_that_no_file_can_have_is_a_sentence(name: str) -> None:
    with pytest.raises(UserError):
        read_file(name)


def test_a_folder_on_another_file_system_is_fetched_whole(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for i in range(2):
        ROWS.to_parquet(tmp_path / "p.parquet")
        memory.put(str(tmp_path / "p.parquet"), f"/parts/table.parquet/part-{i}.parquet")
    memory.touch("/parts/table.parquet/_SUCCESS")
    assert len(read_file("memory://parts/table.parquet").frame) == 6


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"encoding": "latin-99"}, "encoding got 'latin-99', which is none that Python knows"),
        ({"encoding": "base64"}, "encoding got 'base64'"),
        ({"encoding": 8}, "encoding got 8: give text"),
        ({"skip_rows": "two"}, "skip_rows got 'two': name rows by their numbers, counted from 1, such as 1-3 or 2,3"),
        ({"skip_rows": "0"}, "skip_rows got '0'"),
        ({"skip_rows": "3-1"}, "skip_rows got '3-1'"),
        ({"skip_rows": "-1"}, "skip_rows got '-1'"),
        ({"skip_rows": "1-99999999"}, "skip_rows got '1-99999999'"),
    ],
)
def test_a_setting_of_a_file_that_cannot_be_is_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        FileSettings(**given)


def test_rows_to_skip_are_numbers_and_ranges() -> None:
    assert FileSettings(skip_rows=" 1-3, 7 ,9 - 9").skipped == {1, 2, 3, 7, 9}
    assert FileSettings().skipped == set()


@pytest.mark.parametrize("ending", LINES_ENDINGS)
def test_packed_bytes_are_unpacked(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    pd.DataFrame({"a": [1]}).to_json(path, orient="records", lines=True)
    with unpacked(path) as file:
        assert file.read().strip() == b'{"a":1}'


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "null.csv").symlink_to(os.devnull)
    for name in ("pipe.csv", "null.csv"):
        for reader in (lambda path: read_file(str(path)), lambda path: list(chunks(path))):
            with pytest.raises(UserError, match=rf"{name} is a pipe, a socket or a device"):
                reader(tmp_path / name)


@pytest.mark.parametrize("content", ["x\n1\n2\n3\n", "x\n", "x\n4\n5\n"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x\n1\n2\n")
    read_in_pieces = chunks(path)
    next(read_in_pieces)
    path.write_text(content)
    with pytest.raises(UserError, match=r"^t\.csv changed while it was read"):
        next(read_in_pieces)


class Website(http.server.BaseHTTPRequestHandler):
    """Answers by what the path says."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        content = b"<html>log in" if self.path == "/page.csv" else b"a,b\n1,2\n"
        self.send_response(
            {"/gone.csv": 404, "/closed.csv": 401, "/broken.csv": 500, "/round.csv": 302}.get(self.path, 200)
        )
        self.send_header("Content-Length", str(len(content) + 50 * (self.path == "/short.csv")))
        self.send_header("Location", self.path)
        self.end_headers()
        self.wfile.write(content[: 3 if self.path == "/silent.csv" else None])
        if self.path == "/silent.csv":
            time.sleep(1)


@pytest.fixture
def website() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Website) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone.csv", "the server answers 404"),
        ("closed.csv", "the server answers 401"),
        ("broken.csv", "the server answers 500"),
        ("round.csv", "30 redirects"),
        ("short.csv", "broke"),
        ("silent.csv", "timed out"),
        ("page.csv", "is a web page or XML, no table"),
    ],
)
def test_a_url_that_gives_no_whole_file_is_a_sentence(
    website: str, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.setattr("treeline.data.files.MAX_SILENT_SECONDS", 0.3)
    assert read_file(f"{website}/fine.csv").frame.to_dict("list") == {"a": ["1"], "b": ["2"]}
    with pytest.raises(UserError, match=sentence):
        read_file(f"{website}/{name}")


def test_what_a_file_system_of_another_kind_raises_is_a_sentence() -> None:
    class ClientError(Exception):
        """As the clients of clouds have them, of no kind that Python has."""

    def download(uri: str, folder: Path) -> Path:
        raise ClientError("no credentials")

    with pytest.raises(UserError, match=r"^Cannot fetch runs:/1/t\.csv: no credentials\.$"):
        read_file("runs:/1/t.csv", download)
