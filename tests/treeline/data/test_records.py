"""Excel, JSON lines and JSON records: values keep their types, and what is no table is a sentence."""

import datetime as dt
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from treeline import UserError
from treeline.data.chunks import chunks
from treeline.data.files import FileSettings, TableFile
from treeline.data.reading import read_path

ROWS = [[f"00{i}", i, i / 2, i % 2 == 0, dt.datetime(2024, 1, i + 1)] for i in range(9)]
NAMES = ["code", "n", "x", "flag", "at"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def book(sheets: dict[str, list[list[Any]]], name: str = "t.xlsx") -> Path:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(row)
    made.save(name)
    return Path(name)


def read(path: Path, **given: str) -> TableFile:
    files = FileSettings(**given)
    found = read_path(path, path.name, files)
    pd.testing.assert_frame_equal(pd.concat([each.frame for each in chunks(path, files)]), found.frame)
    return found


@pytest.mark.parametrize(
    ("above", "left"), [([], 0), ([["Report"]], 0), ([[], ["Report"], []], 2)], ids=["plain", "title", "title, margins"]
)
def test_a_sheet_keeps_its_types(above: list[list[Any]], left: int) -> None:
    margin: list[Any] = [None] * left
    frame = read(book({"data": [*above, *(margin + row for row in [NAMES, *ROWS])]})).frame
    assert list(frame.columns) == NAMES
    assert frame["code"].tolist() == [row[0] for row in ROWS]
    assert [frame[name].dtype.kind for name in NAMES[1:]] == ["i", "f", "b", "M"]


def test_gaps_errors_and_mixed_cells_of_a_sheet() -> None:
    frame = read(book({"data": [["a", "b", "a"], [1, "#N/A", "x"], [None, 2, 3], ["  ", 4, None]]})).frame
    assert list(frame.columns) == ["a", "b", "a.1"]
    assert frame["a"].isna().tolist() == [False, True, True]
    assert frame["b"].isna().tolist() == [True, False, False]
    assert frame["a.1"].tolist()[:2] == ["x", 3]


def test_the_only_sheet_with_a_table_is_taken_and_one_of_several_is_asked_for() -> None:
    rows = [NAMES, *ROWS]
    one = read(book({"remarks": [["nothing here"]], "data": rows}))
    assert one.notes == ["Read is the sheet 'data', the only one that holds a table."]
    several = book({"old": rows[:5], "new": rows})
    with pytest.raises(UserError, match=r"tables on 2 sheets: name one of 'old', 'new' with the setting sheet"):
        read(several)
    assert len(read(several, sheet="old").frame) == 4
    with pytest.raises(UserError, match=r"no sheet 'neu'\. Did you mean 'new'\? Its sheets are 'old', 'new'"):
        read(several, sheet="neu")


def test_a_second_header_of_a_sheet_is_named_and_skipped() -> None:
    path = book(
        {"data": [["age", "pay", "at"], ["How old?", "How much?", "When?"], *[[i, 10 * i, 2000 + i] for i in range(9)]]}
    )
    with pytest.raises(UserError, match="skip_rows=2"):
        read(path)
    assert read(path, skip_rows="2").frame["pay"].tolist() == [10 * i for i in range(9)]


@pytest.mark.parametrize("content", [b"", b"no workbook", b"PK\x03\x04 junk"])
def test_what_is_no_workbook_is_a_sentence(content: bytes) -> None:
    Path("t.xlsx").write_bytes(content)
    with pytest.raises(UserError, match=r"Cannot read t\.xlsx: .* Is it an Excel workbook"):
        read(Path("t.xlsx"))


@pytest.mark.parametrize("sheets", [{"data": []}, {"data": [["only a header", "b"]]}])
def test_a_workbook_without_rows_is_a_sentence(sheets: dict[str, list[list[Any]]]) -> None:
    with pytest.raises(UserError, match=r"is empty|no rows"):
        read(book(sheets))


def test_excel_without_its_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    path = book({"data": [NAMES, *ROWS]})
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UserError, match=r"^Reading t\.xlsx needs openpyxl: pip install openpyxl\.$"):
        read_path(path, "t.xlsx")


RECORDS = [
    {"code": "007", "big": 2**60 + 1, "x": 1, "flag": True, "at": "2024-01-31", "gap": None},
    {"code": "008", "big": None, "x": 2.5, "flag": False, "at": "2024-02-01", "gap": None, "late": [1]},
]
SHAPES = {
    "t.jsonl": "\n".join(map(json.dumps, RECORDS)) + "\n\n",
    "t.ndjson": "\r\n".join(map(json.dumps, RECORDS)),
    "lines in a list's name.json": "\n".join(map(json.dumps, RECORDS)),
    "list.json": json.dumps(RECORDS, indent=1),
    "split.json": json.dumps(
        {"columns": [*RECORDS[1]], "index": [0, 1], "data": [[each.get(k) for k in RECORDS[1]] for each in RECORDS]}
    ),
    "columns.json": json.dumps({k: {str(i): each.get(k) for i, each in enumerate(RECORDS)} for k in RECORDS[1]}),
    "arrays.json": json.dumps({k: [each.get(k) for each in RECORDS] for k in RECORDS[1]}),
    "table.json": json.dumps({"schema": {"fields": []}, "data": RECORDS}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_json_is_read_without_a_guess(name: str) -> None:
    Path(name).write_text(SHAPES[name], encoding="utf-8")
    frame = read(Path(name)).frame
    assert sorted(frame.columns) == sorted(RECORDS[1])
    assert frame["code"].tolist() == ["007", "008"]
    assert frame["at"].tolist() == ["2024-01-31", "2024-02-01"]
    assert int(frame["big"][0]) == 2**60 + 1
    assert pd.isna(frame["big"][1])
    assert frame["x"].tolist() == [1.0, 2.5]
    assert frame["flag"].tolist() == [True, False]
    assert frame["gap"].isna().all()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.jsonl", "", "it is empty"),
        ("t.json", " ", "it is empty"),
        ("t.jsonl", '{"a": 1}\n{"a": 2', r"line 2 is no JSON"),
        ("t.jsonl", '{"a": 1}\n[2]', r"its record 2 is '\[2\]'"),
        ("t.json", "[1, 2]", "its record 1 is '1'"),
        ("t.json", '"text"', "JSON that is no table"),
        ("t.json", '{"a": 1, "b": {"c": 2}}', "JSON that is no table"),
        ("t.json", '{"a": [1], "b": [1, 2]}', "JSON that is no table"),
        ("t.json", '{"columns": ["a"], "data": [[1, 2]]}', "a value for each of its columns"),
        ("t.json", '{"columns": ["a", "a"], "data": [[1, 2]]}', "names a column twice"),
        ("t.json", "[]", "no columns"),
        ("t.json", "{no json", "Cannot read t.json"),
        ("t.json", "[" * 100_000, "nested too deep|Cannot read"),
    ],
)
def test_json_that_is_no_table_is_a_sentence(name: str, content: str, sentence: str) -> None:
    Path(name).write_text(content)
    with pytest.raises(UserError, match=sentence):
        read_path(Path(name), name)


def test_whole_numbers_of_any_size_stay_whole() -> None:
    Path("t.jsonl").write_text('{"a": 123456789012345678901234567890}\n{"a": 1}\n')
    assert read(Path("t.jsonl")).frame["a"].tolist() == [123456789012345678901234567890, 1]


@pytest.mark.parametrize("orient", ["index", "columns"])
def test_rows_by_their_numbers_are_told_from_columns(orient: Any) -> None:
    frame = pd.DataFrame({str(i): ["a", None, i] for i in range(10, 13)}).T.set_axis(["x", "y", "z"], axis=1)
    frame.to_json("t.json", orient=orient)
    found = read(Path("t.json")).frame
    assert list(found) == ["x", "y", "z"]
    assert found["z"].tolist() == [10, 11, 12]


@pytest.mark.filterwarnings("error")
def test_hundreds_of_mixed_columns_warn_of_nothing() -> None:
    records = [{str(i): value for i in range(200)} | {"y": 1} for value in ("a", 1)]
    Path("t.json").write_text(json.dumps(records))
    assert read(Path("t.json")).frame.shape == (2, 201)


def workbook(change: Callable[[str], str]) -> Path:
    """Write a workbook of two rows whose sheet's XML is changed."""
    pd.DataFrame({"a": [1, 3], "b": [2, 4]}).to_excel("plain.xlsx", index=False)
    with zipfile.ZipFile("plain.xlsx") as old, zipfile.ZipFile("t.xlsx", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content.decode()) if name.endswith("sheet1.xml") else content)
    return Path("t.xlsx")


def with_rows(rows: str) -> Callable[[str], str]:
    return lambda xml: xml.replace("</sheetData>", f"{rows}</sheetData>")


def test_rows_beyond_what_a_sheet_says_of_its_size_are_read() -> None:
    path = workbook(with_rows('<row r="4"><c r="A4"><v>5</v></c><c r="B4"><v>6</v></c></row>'))
    assert read_path(path, path.name).frame["b"].tolist() == [2, 4, 6]


def test_empty_cells_far_below_and_beside_are_no_rows() -> None:
    rows = "".join(f'<row r="{i}"><c r="B{i}" s="0"/></row>' for i in (*range(4, 3000), 1_048_576))
    path = workbook(with_rows(rows.replace('"B1048576"', '"XFD1048576"')))
    assert read_path(path, path.name).frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ('<row r="1048577"><c r="A1048577"><v>5</v></c></row>', r"goes beyond row 1,048,576"),
        ('<row r="4"><c r="XFD4"><v>5</v></c></row>', r"holds more than 9,000 cells"),
        ('<row r="4"><c r="A4" t="s"><v>77</v></c></row>', r"Cannot read t\.xlsx: .* Is it an Excel workbook"),
        ("<row", r"Cannot read t\.xlsx: .* Is it an Excel workbook"),
    ],
)
def test_a_sheet_that_no_memory_holds_or_that_is_damaged_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, rows: str, sentence: str
) -> None:
    monkeypatch.setattr("treeline.data.records.MAX_SHEET_CELLS", 9000)
    path = workbook(with_rows(rows))
    with pytest.raises(UserError, match=sentence):
        read_path(path, path.name)


def test_a_workbook_that_unpacks_to_too_much_is_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treeline.data.records.MAX_WORKBOOK_BYTES", 1000)
    path = workbook(with_rows(""))
    with pytest.raises(UserError, match=r"^t\.xlsx unpacks to [\d,]+ bytes, more than the 1,000"):
        read_path(path, path.name)


def test_a_workbook_of_old_or_with_a_password_is_named() -> None:
    Path("t.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000))
    with pytest.raises(UserError, match=r"before 2007 \(\.xls\) or has a password"):
        read_path(Path("t.xlsx"), "t.xlsx")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"columns": 5, "data": [[1]]}', "each row of its data needs a value for each of its columns"),
        ('{"columns": null, "data": []}', "each row of its data needs a value for each of its columns"),
        ('[{"a": "\\ud800", "b": 1}]', "surrogates not allowed"),
        ("[" * 100_000, "it is nested too deep"),
        (f'[{{"a": {"9" * 5000}}}]', "digits"),
        (f'[{{"a": "{"x" * 5000}"}}]', "holds more than 4,000 characters of JSON"),
    ],
)
def test_json_of_odd_shapes_and_sizes_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, content: str, sentence: str
) -> None:
    if "x" in content:
        monkeypatch.setattr("treeline.data.records.MAX_JSON_CHARACTERS", 4000)
    Path("t.json").write_text(content)
    with pytest.raises(UserError, match=sentence):
        read_path(Path("t.json"), "t.json")


def test_a_pair_that_makes_one_sign_is_text() -> None:
    Path("t.json").write_text('[{"a": "\\ud83d\\ude00"}]')
    assert read_path(Path("t.json"), "t.json").frame["a"].tolist() == ["\U0001f600"]
