"""Tables: what is read from which file, what is refused in which words, the digest and the name of the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn import datasets
from tables_maker import TARGET, make_table

from treeline import UserError, nearest
from treeline.data.tables import check_exists, digest, hash_rows, read_table
from treeline.data.tables import make_table as table_of

ROWS = pd.DataFrame({"größe": [1.5, 2.5, 3.5], "Straße": ["a;b", 'sagt "ja"', "zwei\nZeilen"], "y": ["é", "ß", "€"]})


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


def test_csv_and_parquet_of_one_frame_are_one_table(tmp_path: Path, plain: pd.DataFrame) -> None:
    plain = plain.astype("str").where(plain.notna())
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
    with pytest.raises(
        UserError, match=r"^Name the column to predict with target=COLUMN; .* of .*t\.csv are 'c0'.*'c19' and 10 more"
    ):
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
    ("word", "hint"), [("iriss", " Did you mean 'iris'?"), ("iris", " Did you mean 'iris'?"), ("zzz", ""), ("", "")]
)
def test_the_nearest_word_is_a_hint_or_nothing(word: str, hint: str) -> None:
    assert nearest(word, ["iris", "wine"]) == hint


@pytest.mark.parametrize("form", ["file://{path}", "memory://{name}", "{path}"])
def test_any_file_system_is_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "rows.parquet"
    ROWS.to_parquet(path)
    with fsspec.open("memory://rows.parquet", "wb") as copy:
        copy.write(path.read_bytes())
    data = form.format(path=path, name=path.name)
    table = read_table(data, "y")
    assert table.name == "rows"
    pd.testing.assert_frame_equal(table.frame, ROWS, check_dtype=False)
    assert table.source == data


def test_a_row_is_known_again_where_a_reader_missed_the_last_digit() -> None:
    kinds = {"a": "number", "town": "category"}
    rows = pd.DataFrame({"a": [0.1 + 0.2, -0.0, np.nan, 3.0], "town": ["x", "y", None, "z"], "y": [1, 2, 3, 4]})
    again = rows.assign(a=["0.3", "0", "", "3"], y=rows["y"].astype(float))
    assert hash_rows(rows, kinds, "y").tolist() == hash_rows(again, kinds, "y").tolist()
    others = [rows.assign(a=rows["a"] + 1e-3), rows.assign(town="w"), rows.assign(y=9)]
    assert all((hash_rows(rows, kinds, "y") != hash_rows(each, kinds, "y"))[[0, 1, 3]].all() for each in others)


def test_a_frame_becomes_a_table_whatever_its_index_and_the_names_of_its_columns() -> None:
    frame = pd.DataFrame({0: [1, 2], "y": [3, 4], 2.5: [5, 6]}, index=[7, 7])
    table = table_of("mine", frame, "y")
    assert (table.name, table.source, table.target) == ("mine", "memory", "y")
    assert_frame_equal(table.frame, pd.DataFrame({"0": [1, 2], "y": [3, 4], "2.5": [5, 6]}))
    assert frame.columns.tolist() == [0, "y", 2.5]
    assert frame.index.tolist() == [7, 7]


@pytest.mark.parametrize(
    ("frame", "target", "complaint"),
    [
        (pd.DataFrame({"y": [1]}), "", "^Name the column to predict with target=COLUMN; the columns of mine are 'y'"),
        (
            pd.DataFrame({"x": [1], "yes": [1]}),
            "yess",
            r"^Unknown target 'yess': mine has no such.* Did you mean 'yes'",
        ),
        (pd.DataFrame([[1, 2, 3]], columns=["x", "x", "y"]), "y", "^mine names the column 'x' twice"),
        (pd.DataFrame([[1, 2, 3]], columns=[1, "1", "y"]), "y", "^mine names the column '1' twice"),
        (pd.DataFrame({"y": [1]}), "y", "^mine has no column beside the target 'y'"),
        (pd.DataFrame({"x": [], "y": []}), "y", "^mine has no rows"),
        (np.zeros((3, 2)), "y", "^The table is a ndarray: give a pandas DataFrame"),
        ("rows.csv", "y", "^The table is a str: give a pandas DataFrame"),
    ],
    ids=str,
)
def test_a_frame_that_is_no_table_is_named(frame: Any, target: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        table_of("mine", frame, target)


def test_only_a_local_file_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    for data in (str(tmp_path / "t.csv"), "s3://bucket/t.csv", "runs:/0123/t.csv"):
        check_exists(data)
    with pytest.raises(UserError, match=r"^No file '.*/iriss'\. Did you mean 'iris'\? .* or one of: iris, wine\.$"):
        check_exists("iriss", ["iris", "wine"])
    with pytest.raises(UserError, match=r"Give a CSV, .*folder of Parquet parts\.$"):
        check_exists(str(tmp_path))


def test_a_table_says_how_its_file_was_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Report\na,b,y\n1,2,3\n4,5,6\n")
    assert read_table(str(tmp_path / "t.csv"), "y").notes == [
        "The header stands in line 2; what stands above it is left out: 'Report'."
    ]
    assert read_table("iris").notes == []


def test_the_digest_takes_lists_and_dicts() -> None:
    frames = [pd.DataFrame({"a": [[1, 2], each], "b": [{"x": 1}, None]}) for each in ([3], [4], None)]
    assert len({digest(frame) for frame in frames}) == 3


def test_a_folder_without_parts_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "_tmp.parquet").touch()
    with pytest.raises(UserError, match="holds no Parquet file"):
        check_exists(str(tmp_path))
    (tmp_path / "part-0.parquet").touch()
    check_exists(str(tmp_path))


def test_a_header_that_stands_again_among_the_rows_is_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40))
    path.write_text(f"x,y\n{rows}x,y\n{rows}x,y\n{rows}x,b\n")
    table = read_table(str(path), "y")
    assert len(table.frame) == 121
    assert "The header stands again in 2 lines: they are left out." in table.notes


@pytest.mark.parametrize(
    ("first", "told"), [("39,Private,13,<=50K", True), ("a,b,c,d", False), ("team,0,1,2", False), ("x,2019,y,z", False)]
)
def test_a_file_without_names_is_told(tmp_path: Path, first: str, told: bool) -> None:
    path = tmp_path / "t.csv"
    path.write_text(first + "\n" + "50,Local,9,>50K\n28,Private,11,<=50K\n" * 20)
    with pytest.raises(UserError, match=r"^Unknown target 'income'") as error:
        read_table(str(path), "income")
    assert ("put a line of names above it" in str(error.value)) == told
