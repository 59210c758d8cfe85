"""Requests: the cells are what the caller wrote, and what is no table is refused in a sentence."""

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from treeline import UserError
from treeline.data.tables import read_file
from treeline.serving.requests import MAX_EXACT, csv_table, json_table, spell_large, split_of


def cells(text: str, *columns: str) -> tuple[list[str], list[list[Any]]]:
    """Read CSV; give its header and its rows, None where a cell is missing."""
    table = csv_table(text, columns)
    return list(table.columns), table.astype(object).where(table.notna(), None).to_numpy(dtype=object).tolist()


# --- CSV


@pytest.mark.parametrize("cell", ["00501", "None", "NA", "null", " 1,5 ", "1e5", "True", "-", "NaN", "東京", "\t"])
def test_a_cell_of_csv_is_the_text_that_stands_there(cell: str) -> None:
    assert cells(f'a,b\n"{cell}",x\n') == (["a", "b"], [[cell, "x"]])


def test_an_empty_cell_is_missing_quoted_or_not() -> None:
    assert cells('a,b\n,""\n') == (["a", "b"], [[None, None]])


def test_line_breaks_commas_and_quotes_stand_within_quotes() -> None:
    assert cells('"SALE\nPRICE","a,b"\r\n"x\ny","said ""no"""\r\n') == (["SALE\nPRICE", "a,b"], [["x\ny", 'said "no"']])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_they_do_on_any_machine(end: str) -> None:
    assert cells(end.join(["a,b", "1,2", "3,4"])) == (["a", "b"], [["1", "2"], ["3", "4"]])


def test_a_short_line_lacks_its_last_cells_and_a_blank_one_is_no_row() -> None:
    assert cells("\na,b\n\n1\n\n2,3\n") == (["a", "b"], [["1", None], ["2", "3"]])


def test_a_mark_of_the_byte_order_is_no_part_of_a_name() -> None:
    assert cells("\ufeffa,b\n1,2\n")[0] == ["a", "b"]


def test_further_cells_that_are_empty_are_no_matter() -> None:
    assert cells("a,b\n1,2,\n3,4,,\n") == (["a", "b"], [["1", "2"], ["3", "4"]])


def test_a_header_alone_is_a_table_without_rows() -> None:
    assert cells("a,b\n") == (["a", "b"], [])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_by_which_the_header_names_the_models_columns(separator: str) -> None:
    text = f'"a, or b"{separator}c\n"1,5"{separator}2\n'
    assert cells(text, "a, or b", "c") == (["a, or b", "c"], [["1,5", "2"]])


def test_a_cell_may_be_as_long_as_the_request() -> None:
    long = "word " * 50_000
    assert cells(f"a,b\n{long},x\n")[1] == [[long, "x"]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The CSV is empty: its first line must name the columns."),
        ("\n\n", "The CSV is empty: its first line must name the columns."),
        ("a,b\n1,2\n1,2,3\n", "Line 3 of the CSV has 3 cells, the header has 2."),
        ('"a\nb",c\n1,2\n1,2,3\n', "Line 4 of the CSV has 3 cells, the header has 2."),
        ('a,b\n1,2\n3,"4\n5', "Line 4 of the CSV cannot be read: unexpected end of data."),
        ('"a,b\n1,2\n', "The header of the CSV cannot be read: a quote does not end."),
    ],
)
def test_a_csv_that_is_no_table_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        csv_table(text, ["a", "b"])
    assert str(refused.value) == sentence


# --- JSON


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({"a": [1, 2], "b": ["x", None]}, [[1, "x"], [2, None]]),
        ({"a": np.array([1, 2]), "b": np.array(["x", "y"])}, [[1, "x"], [2, "y"]]),
        ([{"a": 1, "b": "x"}, {"b": "y", "a": 2}], [[1, "x"], [2, "y"]]),
        ({"a": 1, "b": "x"}, [[1, "x"]]),
        ({"a": "x", "b": "y"}, [["x", "y"]]),
        (pd.DataFrame({"a": [1], "b": ["x"]}), [[1, "x"]]),
    ],
)
def test_inputs_are_records_or_columns_or_a_record(asked: Any, rows: list[list[Any]]) -> None:
    table = json_table(asked)
    assert list(table.columns) == ["a", "b"]
    assert table.astype(object).where(table.notna(), None).to_numpy(dtype=object).tolist() == rows


@pytest.mark.parametrize("asked", ["three", 3, [{"a": 1}, 2], {"a": [1, 2], "b": [1]}], ids=str)
def test_what_is_no_table_is_refused(asked: Any) -> None:
    with pytest.raises(UserError, match=r"^The rows asked for are no table: "):
        json_table(asked)


def test_a_column_named_twice_is_refused() -> None:
    with pytest.raises(UserError, match="name the column 'a' twice"):
        json_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize("large", [MAX_EXACT + 1, -MAX_EXACT - 1, 2**64 - 1])
@pytest.mark.parametrize("shape", [lambda v: [{"a": v}, {"a": None}], lambda v: {"a": [v, None]}], ids=["rows", "a"])
def test_whole_numbers_that_a_float_cannot_tell_apart_keep_their_digits(large: int, shape: Any) -> None:
    asked = {"inputs": shape(large)}
    assert json_table(spell_large(asked)["inputs"])["a"].tolist()[0] == str(large)


@pytest.mark.parametrize("small", [MAX_EXACT, -MAX_EXACT, True, 1.5, 1e300, "x", None])
def test_everything_else_stays_what_it_is(small: Any) -> None:
    asked = {"dataframe_split": {"columns": ["a"], "data": [[small]]}}
    assert spell_large(asked) is asked


# --- the way back


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (0.1 + 0.2, 0.1 + 0.2),
        (np.float32(0.5), 0.5),
        (np.int64(2**53 + 1), 2**53 + 1),
        (np.bool_(True), True),
        (np.nan, None),
        (np.inf, None),
        (pd.NA, None),
        (pd.NaT, None),
        (None, None),
        ("00501", "00501"),
        (pd.Timestamp("9999-12-31 23:59:59.123456"), "9999-12-31T23:59:59.123456"),
        (pd.Timestamp("2026-10-25T01:30Z").tz_convert("Europe/Berlin"), "2026-10-25T02:30:00+01:00"),
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.time(10, 30), "10:30:00"),
        (pd.Timedelta("1h"), 3600.0),
        (Decimal("1.5"), 1.5),
        (pd.Period("2026-01"), "2026-01"),
    ],
    ids=str,
)
def test_a_value_is_written_as_json_carries_it(value: Any, plain: Any) -> None:
    frame = pd.DataFrame({"a": pd.Series([value, "x"], dtype=object)})
    split = json.loads(json.dumps(split_of(frame)))
    assert split["columns"] == ["a"]
    assert split["data"][0] == [plain]
    assert type(split["data"][0][0]) is type(plain)


def test_columns_keep_their_types_and_every_digit() -> None:
    frame = pd.DataFrame({"n": [2**53 + 1, 3], "x": [0.1 + 0.2, np.nan], "b": [True, False]})
    frame["gaps"] = pd.array([2**53 + 1, None], dtype="Int64")
    frame["when"] = pd.to_datetime(["2026-01-31 10:30:00.123456789", None])
    assert split_of(frame)["data"] == [
        [2**53 + 1, 0.1 + 0.2, True, 2**53 + 1, "2026-01-31T10:30:00.123456789"],
        [3, None, False, None, None],
    ]


@pytest.mark.parametrize(
    ("header", "names"), [("a,,a", ["a", "Unnamed: 1", "a.1"]), ("a,a,a.1,b", ["a", "a.2", "a.1", "b"])]
)
def test_columns_are_named_as_those_of_a_file_are(tmp_path: Path, header: str, names: list[str]) -> None:
    text = f"{header}\n{','.join('1' for _ in names)}\n"
    (tmp_path / "t.csv").write_text(text)
    assert list(csv_table(text, ["a"])) == list(read_file(str(tmp_path / "t.csv")).frame) == names
