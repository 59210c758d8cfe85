"""Files: what is read under which ending, how text is told, what is fetched, and what is refused in which words."""

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from treeline import UserError
from treeline.data.files import CSV_ENDINGS, PARQUET_ENDINGS, local_copy, read_path
from treeline.data.tables import read_file

JUNK = bytes(np.random.default_rng(0).integers(0, 256, 500, dtype=np.uint8))
SPOILT = gzip.compress(b"a,b\n1,2\n" * 100)[:12] + JUNK
ROWS = pd.DataFrame({"größe": [1.5, 2.5, 3.5], "Straße": ["a;b", 'sagt "ja"', "zwei\nZeilen"], "y": ["é", "ß", "€"]})


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
    assert_frame_equal(read_path(path, str(path)), plain, check_dtype=False)


@pytest.mark.parametrize("ending", PARQUET_ENDINGS)
def test_a_parquet_file_is_read_under_every_ending(tmp_path: Path, plain: pd.DataFrame, ending: str) -> None:
    path = tmp_path / f"house_prices{ending}"
    plain.to_parquet(path, index=False)
    assert_frame_equal(read_path(path, str(path)), plain, check_dtype=False)


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.csv.tar", "csv", "t.json"])
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


def test_an_archive_of_two_files_is_named(tmp_path: Path) -> None:
    path = tmp_path / "two.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
        archive.writestr("b.csv", "x\n1\n")
    with pytest.raises(UserError, match=r"two\.csv\.zip"):
        read_path(path, str(path))


def test_a_header_without_rows_is_named(tmp_path: Path, plain: pd.DataFrame) -> None:
    plain.head(0).to_csv(tmp_path / "t.csv", index=False)
    plain.head(0).to_parquet(tmp_path / "t.parquet", index=False)
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(UserError, match=rf"{name} has a header but no rows"):
            read_path(tmp_path / name, str(tmp_path / name))


def test_an_empty_file_is_told_from_one_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    with pytest.raises(UserError, match=r"t\.csv is empty"):
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
    pd.testing.assert_frame_equal(read_path(path, str(path)), ROWS)


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".tsv"])
def test_packed_files_are_read_alike(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    ROWS.to_csv(path, index=False, sep="\t", encoding="cp1252")
    pd.testing.assert_frame_equal(read_path(path, str(path)), ROWS)


def test_a_decimal_comma_is_read_where_the_separator_is_another_sign(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    ROWS.to_csv(path, index=False, sep=";", decimal=",")
    pd.testing.assert_frame_equal(read_path(path, str(path)), ROWS)


def test_text_with_commas_does_not_fool_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    reviews = pd.DataFrame({"review": [f"well, {'so, ' * (i % 4)}fine; or not" for i in range(50)], "y": range(50)})
    reviews.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_path(path, str(path)), reviews)


def test_one_column_is_one_column(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("x\n1\n2\n")
    assert list(read_path(path, str(path)).columns) == ["x"]


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
        pd.testing.assert_frame_equal(read_path(path, data), ROWS)
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
    assert set(read_path(path, str(path)).columns) == set(ROWS.columns)
