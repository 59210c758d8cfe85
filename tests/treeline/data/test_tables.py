"""Tables: what is read from which file, what is refused in which words, the digest and the name of the model."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from sklearn import datasets
from tables_maker import TARGET, make_table

from treeline import UserError, nearest
from treeline.data.files import CSV_ENDINGS, PARQUET_ENDINGS
from treeline.data.tables import digest, hash_rows, model_name, read_file, read_table

JUNK = bytes(np.random.default_rng(0).integers(0, 256, 500, dtype=np.uint8))
SPOILT = gzip.compress(b"a,b\n1,2\n" * 100)[:12] + JUNK


@pytest.fixture
def plain() -> pd.DataFrame:
    """A frame that CSV spells out without loss."""
    return pd.DataFrame(
        {"x": [1.5, np.nan, -3.25], "n": [1, 2, 3], "flag": [True, False, True], "größe": ["a", None, "東京, b"]}
    )


@pytest.mark.parametrize(
    ("name", "shape", "labels"),
    [
        ("breast_cancer", (569, 31), ["benign", "malignant"]),
        ("iris", (150, 5), ["setosa", "versicolor", "virginica"]),
        ("wine", (178, 14), ["class_0", "class_1", "class_2"]),
        ("digits", (1797, 65), list(range(10))),
    ],
)
def test_a_built_in_table_has_its_labels_by_name(name: str, shape: tuple[int, int], labels: list[object]) -> None:
    table = read_table(name)
    assert (table.name, table.target, table.frame.shape) == (name, "target", shape)
    assert sorted(table.frame["target"].unique().tolist()) == labels


def test_a_built_in_label_stands_in_the_row_it_belongs_to() -> None:
    bunch = datasets.load_breast_cancer()
    assert read_table("breast_cancer").frame["target"].tolist() == bunch.target_names[bunch.target].tolist()


def test_the_built_in_regression_table_has_numbers() -> None:
    table = read_table("diabetes")
    assert table.frame.shape == (442, 11)
    assert table.frame["target"].dtype.kind == "f"


def test_another_column_of_a_built_in_table_may_be_the_target() -> None:
    assert read_table("iris", "petal length (cm)").target == "petal length (cm)"


@pytest.mark.parametrize("ending", CSV_ENDINGS)
def test_a_csv_file_is_read_under_every_ending(tmp_path: Path, plain: pd.DataFrame, ending: str) -> None:
    path = tmp_path / f"house_prices{ending}"
    plain.to_csv(path, index=False)
    assert_frame_equal(read_file(str(path)), plain, check_dtype=False)


@pytest.mark.parametrize("ending", PARQUET_ENDINGS)
def test_a_parquet_file_is_read_under_every_ending(tmp_path: Path, plain: pd.DataFrame, ending: str) -> None:
    path = tmp_path / f"house_prices{ending}"
    plain.to_parquet(path, index=False)
    assert_frame_equal(read_file(str(path)), plain, check_dtype=False)


def test_csv_and_parquet_of_one_frame_are_one_table(tmp_path: Path, plain: pd.DataFrame) -> None:
    plain.to_csv(tmp_path / "t.csv", index=False)
    plain.to_parquet(tmp_path / "t.parquet", index=False)
    one, other = (read_table(str(tmp_path / name), "größe") for name in ("t.csv", "t.parquet"))
    assert_frame_equal(one.frame, other.frame)
    assert digest(one.frame) == digest(other.frame)
    assert (one.name, other.name) == ("t", "t")


def test_a_table_is_named_after_its_file_and_says_where_it_lies(tmp_path: Path, plain: pd.DataFrame) -> None:
    path = tmp_path / "House.Prices.CSV.GZ"
    plain.to_csv(path, index=False, compression="gzip")
    table = read_table(str(path), "x")
    assert (table.name, table.source, table.target) == ("House.Prices", str(path), "x")


def test_a_column_with_a_number_for_a_name_gets_a_string(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1], 7: [2]}, dtype=object).to_csv(tmp_path / "t.csv", index=False)
    assert list(read_table(str(tmp_path / "t.csv"), "7").frame.columns) == ["a", "7"]


def test_an_unknown_target_names_the_nearest_column_and_lists_all(tmp_path: Path, plain: pd.DataFrame) -> None:
    plain.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError) as caught:
        read_table(str(tmp_path / "t.csv"), "grösse")
    for part in ("'grösse'", "Did you mean 'größe'?", "'x', 'n', 'flag', 'größe'"):
        assert part in str(caught.value)


def test_a_missing_target_lists_the_first_columns(tmp_path: Path) -> None:
    pd.DataFrame({f"c{i}": [1] for i in range(30)}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=r"--target; the columns of .*t\.csv are 'c0'.*'c19' and 10 more"):
        read_table(str(tmp_path / "t.csv"))


def test_a_mistyped_built_in_table_is_suggested() -> None:
    with pytest.raises(UserError, match=r"No file '.*breast-cancer'\. Did you mean 'breast_cancer'\?"):
        read_table("breast-cancer")


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet", "folder.csv", ""])
def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"No file '{tmp_path}.*{name}'.*breast_cancer"):
        read_table(name, "x")


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.csv.tar", "csv", "t.json"])
def test_an_unknown_ending_is_named_with_those_that_are_known(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=rf"{name}.*must end in \.csv.*\.parquet"):
        read_table(str(tmp_path / name), "a")


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
        read_file(str(path))
    assert str(path) in str(caught.value)


def test_an_archive_of_two_files_is_named(tmp_path: Path) -> None:
    path = tmp_path / "two.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
        archive.writestr("b.csv", "x\n1\n")
    with pytest.raises(UserError, match=r"two\.csv\.zip"):
        read_file(str(path))


def test_a_header_without_rows_is_named(tmp_path: Path, plain: pd.DataFrame) -> None:
    plain.head(0).to_csv(tmp_path / "t.csv", index=False)
    plain.head(0).to_parquet(tmp_path / "t.parquet", index=False)
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(UserError, match=rf"{name} has a header but no rows"):
            read_file(str(tmp_path / name))


def test_an_empty_file_is_told_from_one_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    with pytest.raises(UserError, match=r"t\.csv is empty"):
        read_file(str(tmp_path / "t.csv"))


def test_a_column_that_stands_twice_in_parquet_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2], [3]], names=["a", "twin", "twin"]), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet.*twin"):
        read_file(str(tmp_path / "t.parquet"))


def test_a_file_with_its_target_only_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"y": [1, 2]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=r"t\.csv has no column beside the target 'y'"):
        read_table(str(tmp_path / "t.csv"), "y")


def test_the_digest_is_stable() -> None:
    one, other = make_table(n=20_000), make_table(n=20_000)
    assert digest(one) == digest(other)
    assert len(digest(one)) == 16
    assert int(digest(one), 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.assign(length=[*frame["length"].iloc[:-1], 0.0]),
        lambda frame: frame.assign(town=[*frame["town"].iloc[:-1], "elsewhere"]),
        lambda frame: frame.assign(checked=[*frame["checked"].iloc[:-1], "maybe"]),
        lambda frame: frame.assign(**{TARGET: [*frame[TARGET].iloc[:-1], "perhaps"]}),
        lambda frame: frame.rename(columns={"town": "Town"}),
        lambda frame: frame.astype({"count": "Float64"}),
        lambda frame: frame.astype({"length": "float32"}),
        lambda frame: frame.iloc[::-1],
        lambda frame: frame.iloc[[1, 0, *range(2, len(frame))]],
        lambda frame: frame[frame.columns[::-1]],
        lambda frame: frame.iloc[:-1],
    ],
    ids=["number", "text", "boolean", "target", "name", "dtype", "width", "order", "swap", "columns", "length"],
)
def test_the_digest_changes_with_one_change_of_20000_rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    frame = make_table(n=20_000)
    assert digest(change(frame)) != digest(frame)


@pytest.mark.parametrize(("dtype", "other"), [("int64", "int32"), ("int64", "uint8"), ("boolean", "bool")])
def test_the_digest_changes_with_a_dtype_of_the_same_values(dtype: str, other: str) -> None:
    frame = pd.DataFrame({"x": [0, 1, 1]})
    assert digest(frame.astype(dtype)) != digest(frame.astype(other))


def test_the_digest_does_not_depend_on_the_index() -> None:
    frame = make_table()
    assert digest(frame) == digest(frame.set_axis(frame.index[::-1]))


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("breast_cancer", "CancerModel"),
        ("house_prices", "HousePricesModel"),
        ("iris", "IrisModel"),
        ("camelCase table", "CamelCaseTableModel"),
        ("v1.2-final", "V12FinalModel"),
        ("123", "123Model"),
        ("a/b:c", "ABCModel"),
        ("größe_tabelle", "GrößeTabelleModel"),
        ("表", "表Model"),
        ("---", "TableModel"),
        ("", "TableModel"),
    ],
)
def test_the_model_is_named_after_the_table(table: str, name: str) -> None:
    assert model_name(table) == name


@pytest.mark.parametrize(
    ("word", "hint"), [("iriss", " Did you mean 'iris'?"), ("iris", " Did you mean 'iris'?"), ("zzz", ""), ("", "")]
)
def test_the_nearest_word_is_a_hint_or_nothing(word: str, hint: str) -> None:
    assert nearest(word, ["iris", "wine"]) == hint


ROWS = pd.DataFrame({"größe": [1.5, 2.5, 3.5], "Straße": ["a;b", 'sagt "ja"', "zwei\nZeilen"], "y": ["é", "ß", "€"]})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encoding_and_separator_are_told_from_the_file(tmp_path: Path, encoding: str, separator: str) -> None:
    path = tmp_path / "rows.csv"
    ROWS.to_csv(path, index=False, sep=separator, encoding=encoding)
    pd.testing.assert_frame_equal(read_file(str(path)), ROWS)


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".tsv"])
def test_packed_files_are_read_alike(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    ROWS.to_csv(path, index=False, sep="\t", encoding="cp1252")
    pd.testing.assert_frame_equal(read_file(str(path)), ROWS)


def test_a_decimal_comma_is_read_where_the_separator_is_another_sign(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    ROWS.to_csv(path, index=False, sep=";", decimal=",")
    pd.testing.assert_frame_equal(read_file(str(path)), ROWS)


def test_text_with_commas_does_not_fool_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    reviews = pd.DataFrame({"review": [f"well, {'so, ' * (i % 4)}fine; or not" for i in range(50)], "y": range(50)})
    reviews.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_file(str(path)), reviews)


def test_one_column_is_one_column(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("x\n1\n2\n")
    assert list(read_file(str(path)).columns) == ["x"]


@pytest.mark.parametrize("form", ["file://{path}", "memory://{name}", "{path}"])
def test_any_file_system_is_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "rows.parquet"
    ROWS.to_parquet(path)
    with fsspec.open("memory://rows.parquet", "wb") as copy:
        copy.write(path.read_bytes())
    data = form.format(path=path, name=path.name)
    table = read_table(data, "y")
    assert table.name == "rows"
    pd.testing.assert_frame_equal(table.frame, ROWS)
    assert table.source == data


@pytest.mark.parametrize(
    "data", ["memory://none.csv", "s3://bucket/rows.csv", "nosuch://x/rows.csv", "runs:/0123/rows.csv"]
)
def test_a_url_that_leads_nowhere_is_named(data: str) -> None:
    with pytest.raises(UserError, match=f"Cannot fetch {data}"):
        read_file(data)


def test_a_named_index_of_a_parquet_file_is_a_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    ROWS.set_index("y").to_parquet(path)
    assert set(read_file(str(path)).columns) == set(ROWS.columns)


def test_a_row_is_known_again_where_a_reader_missed_the_last_digit() -> None:
    kinds = {"a": "number", "town": "category"}
    rows = pd.DataFrame({"a": [0.1 + 0.2, -0.0, np.nan, 3.0], "town": ["x", "y", None, "z"], "y": [1, 2, 3, 4]})
    again = rows.assign(a=["0.3", "0", "", "3"], y=rows["y"].astype(float))
    assert hash_rows(rows, kinds, "y").tolist() == hash_rows(again, kinds, "y").tolist()
    others = [rows.assign(a=rows["a"] + 1e-3), rows.assign(town="w"), rows.assign(y=9)]
    assert all((hash_rows(rows, kinds, "y") != hash_rows(each, kinds, "y"))[[0, 1, 3]].all() for each in others)
