"""Parquet as it comes: an index stored beside the columns, folders of parts, odd types, what is broken."""

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from treeline import UserError
from treeline.data.chunks import chunks, count_rows
from treeline.data.files import TableFile
from treeline.data.reading import read_path

ROWS = pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": ["x", "", None]})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("treeline.data.chunks.ROWS_PER_CHUNK", 2)


def read(path: str = "t.parquet") -> TableFile:
    found = read_path(Path(path), path)
    pieces = list(chunks(Path(path)))
    together = pd.concat([piece.frame for piece in pieces], ignore_index=True)
    assert list(together.columns) == list(found.frame.columns)
    assert len(together) == len(found.frame) == count_rows(Path(path))
    assert pieces[0].notes == found.notes
    return found


@pytest.mark.parametrize(
    ("index", "columns"),
    [
        (pd.Index([5, 3, 9]), ["a", "b"]),
        (pd.RangeIndex(3), ["a", "b"]),
        (pd.Index(["u", "v", "w"]), ["index", "a", "b"]),
        (pd.date_range("2024", periods=3), ["index", "a", "b"]),
        (pd.Index([5, 3, 9], name="id"), ["id", "a", "b"]),
        (pd.MultiIndex.from_tuples([(1, "u"), (2, "v"), (3, "w")], names=["k", "l"]), ["k", "l", "a", "b"]),
    ],
    ids=str,
)
def test_an_index_is_a_column_unless_it_numbers_the_rows(index: pd.Index, columns: list[str]) -> None:
    ROWS.set_axis(index).to_parquet("t.parquet")
    found = read()
    assert list(found.frame.columns) == columns
    assert isinstance(found.frame.index, pd.RangeIndex)
    numbered = (
        index.nlevels == 1 and index.name is None and index.dtype.kind == "i" and not isinstance(index, pd.RangeIndex)
    )
    assert any("numbers its rows" in note for note in found.notes) == numbered


def test_an_index_that_another_tool_has_carried_on_is_left_out_too() -> None:
    pq.write_table(pa.table({"a": [1, 2, 3], "__index_level_0__": [7, 1, 3]}), "t.parquet")
    assert list(read().frame.columns) == ["a"]


def test_a_folder_of_parts_is_one_table() -> None:
    for name in ("table.parquet", "table"):
        for year, month in ((2023, "01"), (2024, "02")):
            folder = Path(name) / f"year={year}" / f"month={month}"
            folder.mkdir(parents=True)
            ROWS.to_parquet(folder / "part-0.snappy.parquet", index=False)
        (Path(name) / "_SUCCESS").touch()
        (Path(name) / ".part.crc").touch()
        (Path(name) / "_temporary").mkdir()
        (Path(name) / "_temporary" / "broken.parquet").write_bytes(b"junk")
        found = read(name)
        assert found.frame["year"].tolist() == [2023] * 3 + [2024] * 3
        assert found.frame["month"].tolist() == ["01"] * 3 + ["02"] * 3
        assert found.notes == ["The folder is read as one table of 2 parts."]


def test_parts_may_differ_in_order_and_in_columns_that_hold_nothing() -> None:
    Path("t").mkdir()
    ROWS.to_parquet("t/1.parquet", index=False)
    ROWS[["b", "a"]].assign(b=None).to_parquet("t/2.parquet", index=False)
    assert read("t").frame["a"].tolist() == [1.5, 2.5, 3.5] * 2


@pytest.mark.parametrize("other", [ROWS.rename(columns={"b": "c"}), ROWS.assign(b=1), ROWS.assign(c=1)])
def test_parts_of_other_columns_are_no_table(other: pd.DataFrame) -> None:
    Path("t").mkdir()
    ROWS.to_parquet("t/1.parquet", index=False)
    other.to_parquet("t/2.parquet", index=False)
    for reader in (lambda: read_path(Path("t"), "t"), lambda: list(chunks(Path("t")))):
        with pytest.raises(UserError, match=r"The parts of t are not one table: the column '[bc]' .*1\.parquet and 2"):
            reader()


def test_a_file_in_a_folder_that_looks_like_a_key_is_read_as_it_is() -> None:
    Path("year=2020").mkdir()
    ROWS.to_parquet("year=2020/t.parquet", index=False)
    assert list(read("year=2020/t.parquet").frame.columns) == ["a", "b"]


ODD: dict[str, Any] = {
    "list": pa.array([[1], None, []]),
    "struct": pa.array([{"x": 1}, None, {"x": 2}]),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "binary": pa.array([b"\xff", None, b""]),
    "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "decimal": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.25")]),
    "decimal256": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal(1)], pa.decimal256(60, 2)),
    "dictionary": pa.array(["x", None, "x"]).dictionary_encode(),
    "dictionary twice": pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(["x", "x"])),
    "date": pa.array([dt.date(1, 1, 1), None, dt.date(9999, 12, 31)]),
    "moment": pa.array([dt.datetime(1, 1, 1), None, dt.datetime(9999, 12, 31)], pa.timestamp("us")),
    "zoned": pa.array([0, None, 1], pa.timestamp("ns", "America/New_York")),
    "time": pa.array([dt.time(1), None, dt.time(2)]),
    "duration": pa.array([dt.timedelta(1), None, dt.timedelta(2)]),
    "half": pa.array(np.array([1, 2, 3], "float16")),
    "null": pa.nulls(3),
    "uint64": pa.array([2**64 - 1, None, 1], pa.uint64()),
    "int64": pa.array([2**62 + 1, None, 1], pa.int64()),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["t.parquet", "t.feather"])
def test_odd_types_are_read_or_left_out_with_a_note(kind: str, name: str) -> None:
    table = pa.table({"odd": ODD[kind], "a": [1, 2, 3]})
    if name == "t.parquet":
        pq.write_table(table, name)
    else:
        with pa.OSFile(name, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    found = read_path(Path(name), name)
    assert list(found.frame.columns) == ["odd", "a"] or "'odd'" in found.notes[0]
    assert sum(len(piece.frame) for piece in chunks(Path(name))) == 3
    if kind in ("uint64", "int64"):
        assert int(found.frame["odd"][0]) == ODD[kind][0].as_py()


def test_a_type_that_pandas_cannot_hold_is_left_out_and_named() -> None:
    table = pa.table({"odd": pa.array([1, 1, 2]), "a": [1, 2, 3]})
    table = table.set_column(0, "odd", pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), ["x", "y"]))
    with pa.OSFile("t.arrow", "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found = read_path(Path("t.arrow"), "t.arrow")
    assert list(found.frame.columns) == ["a"] or found.frame["odd"].tolist() == ["x", "x", "y"]
    assert bool(found.notes) == ("odd" not in found.frame)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "Cannot read"), (b"PAR1" + b"\xff" * 60 + b"PAR1", "Cannot read"), (b"PARE" * 9, "Cannot read")],
)
def test_what_is_broken_or_encrypted_is_a_sentence(content: bytes, sentence: str) -> None:
    Path("t.parquet").write_bytes(content)
    for reader in (lambda: read_path(Path("t.parquet"), "t.parquet"), lambda: list(chunks(Path("t.parquet")))):
        with pytest.raises(UserError, match=sentence):
            reader()


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (pa.table([[1], [2]], names=["twin", "twin"]), "names the column 'twin' twice"),
        (pa.table({"a": pa.array([], pa.int64())}), "has a header but no rows"),
        (pa.table({}), "has no columns"),
    ],
)
def test_a_table_without_rows_or_names_of_its_own_is_a_sentence(table: pa.Table, sentence: str) -> None:
    pq.write_table(table, "t.parquet")
    with pytest.raises(UserError, match=sentence):
        read_path(Path("t.parquet"), "t.parquet")


def test_names_that_are_no_text_become_text() -> None:
    pd.DataFrame({0: [1], 1: [2]}).to_parquet("t.parquet")
    assert list(read().frame.columns) == ["0", "1"]


def test_parts_whose_numbers_have_gaps_here_and_none_there_are_one_table() -> None:
    Path("t").mkdir()
    pd.DataFrame({"n": [1, 2], "s": ["a", "b"]}).to_parquet("t/1.parquet", index=False)
    pd.DataFrame({"n": [None, 3.0], "s": ["a", None]}).to_parquet("t/2.parquet", index=False)
    assert read("t").frame["n"].fillna(-1).tolist() == [1, 2, -1, 3]
    assert sum(len(each.frame) for each in chunks(Path("t"))) == 4
