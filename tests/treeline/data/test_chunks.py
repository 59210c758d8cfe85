"""Files read in chunks: nothing changes on the way."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from treeline import UserError
from treeline.data.chunks import Chunk, chunks, count_rows, file_digest
from treeline.data.files import FileSettings
from treeline.data.reading import read_path
from treeline.data.writing import atomic_writer


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("treeline.data.chunks.ROWS_PER_CHUNK", 7)
    monkeypatch.setattr("treeline.data.chunks.BYTES_PER_CHUNK", 200)


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "a": np.arange(40),
            "b": [1.5, None] * 20,
            "c": ['say "no"', "two\nlines", "ä;ö", None] * 10,
            "5": pd.date_range("2020-01-01", periods=40).astype(str),
        }
    )


def together(found: list[Chunk]) -> pd.DataFrame:
    return pd.concat([chunk.frame for chunk in found], ignore_index=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("t.csv", {}),
        ("t.csv.gz", {}),
        ("t.csv", {"sep": ";", "decimal": ","}),
        ("t.csv", {"encoding": "utf-8-sig"}),
        ("t.csv", {"encoding": "cp1252"}),
        ("t.tsv", {"sep": "\t"}),
    ],
)
def test_the_pieces_of_a_csv_make_the_whole(name: str, options: dict[str, str]) -> None:
    frame().to_csv(name, index=False, **options)
    found = list(chunks(Path(name)))
    assert len(found) > 2
    pd.testing.assert_frame_equal(together(found), read_path(Path(name), name).frame)
    assert sum(chunk.raw.num_rows for chunk in found) == 40
    assert found[0].raw.column("b").to_pylist()[:2] == ["1,5" if options.get("decimal") else "1.5", None]


def test_the_pieces_of_parquet_make_the_whole() -> None:
    frame().assign(a=lambda t: t["a"] % 13, n=pd.array([1, None] * 20, dtype="Int64")).set_index("a").to_parquet(
        "t.parquet"
    )
    found = list(chunks(Path("t.parquet")))
    assert len(found) == 6
    whole = read_path(Path("t.parquet"), "t.parquet").frame
    pd.testing.assert_frame_equal(together(found)[whole.columns], whole, check_dtype=False)
    assert count_rows(Path("t.parquet")) == 40


def test_columns_without_a_name_or_with_the_same_are_named_as_pandas_names_them() -> None:
    Path("t.csv").write_text(",a,a\n1,2,3\n")
    (chunk,) = chunks(Path("t.csv"))
    assert chunk.frame.columns.tolist() == ["Unnamed: 0", "a", "a.1"]


def test_lines_that_are_no_rows_are_told_and_short_ones_are_rows() -> None:
    Path("t.csv").write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    found = list(chunks(Path("t.csv")))
    assert together(found).to_dict("list") == {"a": ["1", "3", "7"], "b": ["2", np.nan, "8"]}
    assert [line for chunk in found for line in chunk.broken] == ["line 4 has 3 fields, the header 2: 4,5,6"]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_file_without_rows_is_one_empty_piece(name: str) -> None:
    empty = frame().head(0)
    empty.to_csv(name, index=False) if name == "t.csv" else empty.to_parquet(name)
    (chunk,) = chunks(Path(name))
    assert (len(chunk.frame), chunk.raw.num_rows) == (0, 0)
    assert chunk.frame.columns.tolist() == ["a", "b", "c", "5"]


@pytest.mark.parametrize(("name", "content"), [("t.parquet", b"PAR1"), ("t.csv", b""), ("t.csv.gz", b"a,b\n1,2\n")])
def test_what_is_no_such_file_is_a_sentence(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(UserError, match=f"Cannot read {name}"):
        list(chunks(Path(name)))


def test_the_digest_is_of_every_byte() -> None:
    Path("a").write_bytes(b"x" * 1000)
    Path("b").write_bytes(b"x" * 999 + b"y")
    assert file_digest(Path("a")) != file_digest(Path("b"))


def test_the_digest_of_a_folder_is_of_names_and_bytes() -> None:
    for folder, name, content in (("one", "p", b"x"), ("other", "p", b"y"), ("third", "q", b"x")):
        Path(folder).mkdir()
        (Path(folder) / name).write_bytes(content)
    assert len({file_digest(Path(folder)) for folder in ("one", "other", "third")}) == 3


def test_notes_come_with_the_first_piece() -> None:
    frame().to_csv("t.csv", index=False, encoding="cp1252")
    found = list(chunks(Path("t.csv"), FileSettings(sheet="x")))
    assert [bool(chunk.notes) for chunk in found] == [True] + [False] * (len(found) - 1)
    assert ["cp1252" in note for note in found[0].notes] == [True, False]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.xlsx", "t.feather", "parts"])
def test_the_pieces_of_every_other_kind_make_the_whole(name: str) -> None:
    rows = frame().assign(whole=pd.array([1, None] * 20, dtype="Int64"), mixed=[1, "x"] * 20)
    if name == "t.jsonl":
        rows.to_json(name, orient="records", lines=True)
    elif name == "t.json":
        rows.to_json(name, orient="records")
    elif name == "t.xlsx":
        rows.to_excel(name, index=False)
    elif name == "t.feather":
        rows.drop(columns="mixed").to_feather(name)
    else:
        Path(name).mkdir()
        rows.drop(columns="mixed").to_parquet("parts/a.parquet")
        rows.drop(columns="mixed").to_parquet("parts/b.parquet")
    found = list(chunks(Path(name)))
    assert len(found) > 2
    pd.testing.assert_frame_equal(together(found), read_path(Path(name), name).frame)
    with atomic_writer(Path("out.csv")) as (append,):
        for chunk in found:
            append(chunk.raw)
    assert "1.0" not in Path("out.csv").read_text()
    assert count_rows(Path(name)) in ({80} if name == "parts" else {0, 40})


def test_row_names_and_an_index_go_through_a_batch_and_are_no_columns() -> None:
    Path("t.csv").write_text('"a","b"\n"r1",1,2\n"r2",3,4\n')
    pd.DataFrame({"a": [1, 2]}, index=[7, 3]).to_parquet("t.parquet")
    for name, raw in (("t.csv", ["", "a", "b"]), ("t.parquet", ["a", "__index_level_0__"])):
        (chunk,) = chunks(Path(name))
        assert chunk.raw.column_names == raw
        assert chunk.frame.columns.tolist() == ["a", "b"][: chunk.frame.shape[1]]
        assert len(chunk.notes) == 1


def test_a_header_that_stands_again_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "joined.csv"
    path.write_text("x,y\n1,a\nx,y\n2,b\n")
    [chunk] = chunks(path)
    assert chunk.frame.to_dict("list") == {"x": ["1", "2"], "y": ["a", "b"]}
    assert chunk.raw.num_rows == 2
    assert chunk.broken == ["the header stands again"]
