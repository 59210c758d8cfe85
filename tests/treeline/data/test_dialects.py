"""CSV files as they come: where the header stands, what lies around the table, and that no column ever moves."""

import random
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from treeline import UserError
from treeline.data.chunks import chunks
from treeline.data.csv_rows import csv_pieces
from treeline.data.dialects import csv_dialect
from treeline.data.files import FileSettings, TableFile
from treeline.data.reading import read_path

RANDOM = random.Random(0)
ROWS = [f"{RANDOM.randint(200, 9000)},{RANDOM.uniform(1, 40):.2f},{RANDOM.choice(['yes', 'no'])}" for _ in range(60)]
BODY = "\n".join(ROWS) + "\n"
TABLE = pd.DataFrame([row.split(",") for row in ROWS], columns=["area", "temp", "sold"], dtype="str")
PEOPLE = "\n".join(f"{RANDOM.randint(18, 80)},{RANDOM.randint(1, 99)},{RANDOM.choice(['Oslo', 'Rome'])}" for _ in ROWS)


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("treeline.data.chunks.BYTES_PER_CHUNK", 300)


def read(text: str, files: FileSettings = FileSettings(), name: str = "t.csv") -> TableFile:  # noqa: B008
    """Read text as a file, whole, and see that its pieces say the same."""
    path = Path(name)
    path.write_bytes(text.encode("utf-8"))
    found = read_path(path, name, files)
    pieces = list(chunks(path, files))
    assert not any(piece.broken for piece in pieces)
    assert_frame_equal(pd.concat([piece.frame for piece in pieces], ignore_index=True), found.frame)
    assert set(pieces[0].notes) <= set(found.notes)
    return found


def semicolons(text: str) -> str:
    return text.replace(",", ";")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("area,temp,sold\n" + BODY, ""),
        ("area,temp,sold\r\n" + BODY.replace("\n", "\r\n"), ""),
        ("area,temp,sold\r" + BODY.replace("\n", "\r"), ""),
        ("\n\narea,temp,sold\n" + BODY.replace("\n", "\n\n") + "\n\n  \n\t\n", ""),
        ("sep=;\n" + semicolons("area,temp,sold\n" + BODY), ""),
        ('"sep=,"\r\narea,temp,sold\r\n' + BODY, ""),
        ("# made by an archive\n# 2014-02-15, version 3\n#\narea,temp,sold\n" + BODY, "in line 4; .* '# made by"),
        ("Sales report Q3,,\n,,\narea,temp,sold\n" + BODY, "in line 3; .* 'Sales report Q3'"),
        ("Sales report, Q3\nby me\n\narea,temp,sold\n" + BODY, "in line 4; .* 'Sales report'"),
        ("Umsatz\n" + semicolons("area,temp,sold\n" + BODY), "in line 2; .* 'Umsatz'"),
        ("area,temp,sold,\n" + BODY, "ends with an empty name"),
        ("area,temp,sold,,\n" + BODY, "ends with an empty name"),
        ("area,temp,sold\n" + BODY.replace("\n", ",\n"), "1 empty field more than the header"),
        ("area,temp,sold\n" + BODY.replace("\n", ", ,\n"), "2 empty fields more than the header"),
        (semicolons("area,temp,sold\n" + BODY.replace("\n", ",\n")), "1 empty field more"),
        ("area,temp,sold\n" + "\n".join([*ROWS[:30], ROWS[30] + ",,", *ROWS[31:]]), ""),
        ("area,temp,sold\n" + "\n".join(f"{i + 1},{row}" for i, row in enumerate(ROWS)), "names or numbers the row"),
        ("area,temp,sold\n" + "\n".join(f"{3 * i},{row}" for i, row in enumerate(ROWS)), "names or numbers the row"),
        (
            '"area"\t"temp"\t"sold"\n'
            + "".join(f'"car {i}"\t{row}\n'.replace(",", "\t") for i, row in enumerate(ROWS)),
            "row",
        ),
    ],
)
def test_what_lies_around_the_table_moves_no_column(text: str, note: str) -> None:
    found = read(text)
    assert_frame_equal(found.frame, TABLE, check_dtype=False)
    assert len(found.notes) == bool(note)
    if note:
        pd.testing.assert_series_equal(
            pd.Series(found.notes).str.contains(note), pd.Series([True]), check_dtype=False, check_names=False
        )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (",a,a\n1,2,3\n", ["Unnamed: 0", "a", "a.1"]),
        ("a,a.1,a\n1,2,3\n", ["a", "a.1", "a.2"]),
        ('"a\nb","c ""d"""," e"\n1,2,3\n', ["a\nb", 'c "d"', " e"]),
        ("#id,b,c\n1,2,3\n4,5,6\n", ["#id", "b", "c"]),
        ("country,2019,2020\n" + "".join(f"C{i},{i},{i}\n" for i in range(9)), ["country", "2019", "2020"]),
        ("By year,,\ncountry,2019,2020\n" + "".join(f"C{i},{i},{i}\n" for i in range(9)), ["country", "2019", "2020"]),
        ("x\n1\n2\n", ["x"]),
        ("x;y\n1,5;well, fine\n2,5;well, fine\n", ["x", "y"]),
        ("x,y\na,b\nc,d\n", ["x", "y"]),
    ],
)
def test_columns_are_named_as_pandas_names_them(text: str, names: list[str]) -> None:
    assert list(read(text).frame.columns) == names


def test_names_that_stand_twice_are_told() -> None:
    assert read("a,a,b\n1,2,3\n").notes == ["Names stand twice in the header: 'a' again as 'a.1' is read."]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("5.1,3.5,1.4,setosa", True),
        ("6173,31,69,69", True),
        ("0,1,2,3", False),
        ("400.5,401,401.5,y", False),
        ("2020,2019,2018,c", False),
        ("a,b,c,3", False),
    ],
)
def test_a_first_line_of_values_is_told(first: str, told: bool) -> None:
    found = read(first + "\n" + "".join(f"{i}.5,{i % 7},{i % 3}.1,{i % 9}\n" for i in range(40)))
    assert any("look like values" in note for note in found.notes) == told


def test_cells_stand_as_they_are_written() -> None:
    text = 'a,b,c\nNA,None,007\n" 1,5 ", x ,"two\nlines"\n"",,"say ""no"""\n1e5,-,9007199254740993\n'
    frame = read(text).frame
    assert frame["a"].tolist()[:2] == ["NA", " 1,5 "]
    assert frame.isna().to_numpy().tolist() == [[False] * 3, [False] * 3, [True, True, False], [False] * 3]
    assert frame["c"].tolist() == ["007", "two\nlines", 'say "no"', "9007199254740993"]
    assert all(pd.api.types.is_string_dtype(frame[name]) for name in frame)


def test_the_last_fields_of_a_short_line_are_missing_and_told() -> None:
    found = read("a,b,c\n" + "1,2,3\n" * 20 + "4,5\n6\n" + "1,2,3\n" * 20)
    assert found.frame.iloc[20:22].isna().to_numpy().tolist() == [[False, False, True], [False, True, True]]
    assert found.notes == ["2 lines are shorter than the header: the last fields are taken for missing."]


def test_what_is_read_by_pyarrow_is_what_is_read_row_by_row() -> None:
    """On a file that turns irregular late, the rows before are not read twice."""
    text = (
        "a,b\n" + "".join(f'{i},"x {i}"\n' for i in range(200)) + "200\n" + "".join(f"{i},y\n" for i in range(201, 300))
    )
    Path("t.csv").write_text(text)
    dialect = csv_dialect(Path("t.csv"))
    for size in (64, 500, 1 << 20):
        cells = [row for piece in csv_pieces(Path("t.csv"), dialect, size) for row in piece.table.column(0).to_pylist()]
        assert cells == [str(i) for i in range(300)]


def test_a_header_of_words_and_years_is_found_below_its_titles() -> None:
    titles = '"Data Source","World Indicators",\n\n"Last Updated Date","2018-03-01",\n\n'
    years = '"Country Name","Country Code","Indicator","1960","1961","1962",\n'
    found = read(titles + years + "".join(f'"C {i}","C{i}","GDP","","{i}.5","{i + 1}.25",\n' for i in range(30)))
    assert list(found.frame)[:6] == ["Country Name", "Country Code", "Indicator", "1960", "1961", "1962"]
    assert len(found.frame) == 30
    assert found.notes == ["The header stands in line 5; what stands above it is left out: 'Data Source'."]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("area,temp\n" + BODY, "line 2 has 3 fields, the header in line 1 names 2. Name each column"),
        ("id,temp\n" + "".join(f"{i},{i},a\n" for i in range(9)), "line 2 has 3 fields, the header in line 1 names 2"),
        ("a,b,c\n" + BODY + "1,2,3,4\n" + BODY, r"line 62 has 4 fields, the header 3: 1,2,3,4\. .* skip_rows=62"),
        ("a,b,c\n" + BODY.replace("\n", ",\n") + "1,2,3,4\n", r"line 62 has 4 fields, the header 3: 1,2,3,4"),
        ('a,b,c\n1,2,3\n4,"5,6\n7,8,9\n', "a quote is opened before '5,6' and never closed"),
        ('\n\n<!DOCTYPE html>\n<html lang="en">\n<body>a,b</body>\n</html>\n', "t.csv is a web page or XML, no table"),
        ("<?xml version='1.0'?>\n<rows>\n</rows>\n", "t.csv is a web page or XML, no table"),
        ("", "it is empty"),
        ("\n\n \n", "it is empty"),
        ("a,b\n", "has a header but no rows"),
    ],
)
def test_what_would_move_a_column_is_a_sentence_with_the_line(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read(text)


def test_a_longer_line_is_told_and_left_out_of_a_batch() -> None:
    Path("t.csv").write_text("a,b,c\n" + BODY + "1,2,3,4\n" + BODY)
    found = list(chunks(Path("t.csv")))
    assert sum(len(piece.frame) for piece in found) == 120
    assert [line for piece in found for line in piece.broken] == ["line 62 has 4 fields, the header 3: 1,2,3,4"]


@pytest.mark.parametrize(
    ("text", "skip", "rows"),
    [
        ("x\ny y y\narea,temp,sold\n" + BODY, "1-2", 60),
        ("area,temp,sold\n" + BODY, "2,61", 58),
        ("area,temp,sold\n" + BODY + "Total,,5\n", "62", 60),
        ("area,temp,sold\nhow large,how warm,sold?\n" + BODY, "2", 60),
    ],
)
def test_rows_are_left_out_where_they_are_named(text: str, skip: str, rows: int) -> None:
    found = read(text, FileSettings(skip_rows=skip))
    assert (list(found.frame.columns), len(found.frame)) == (["area", "temp", "sold"], rows)
    assert f"Left out, as skip_rows asks: {skip}." in found.notes


def test_a_row_far_behind_the_head_is_left_out_too() -> None:
    text = "a,b\n" + "".join(f"{i},x\n" for i in range(3000))
    frame = read(text, FileSettings(skip_rows="3,2001")).frame
    assert frame["a"].tolist() == [str(i) for i in range(3000) if i not in (1, 1999)]


IDS = '"{""ImportId"":""QID1""}","{""ImportId"":""QID2""}","{""ImportId"":""QID3""}"\n'


@pytest.mark.parametrize(
    ("text", "skip"),
    [
        ("Q1,Q2,city\nHow old are you?,How much?,Where do you live?\n" + IDS + PEOPLE, "2,3"),
        ("Q1,Q2,city\n" + IDS + PEOPLE, "2"),
        ("Q1,Q2,city\nHow old are you?,How much?,Where do you live?\n" + PEOPLE, "2"),
        ("Q1,Q2,city\nyears,EUR,name\n" + PEOPLE, "2"),
        ('Q1,Q2,city\n"How old\nare you?",How much?,Where?\n' + IDS + PEOPLE, "2,3"),
        ("Faith?,Age?,City?\nResponse,Response,Response\n" + "Other,18 - 29,Rome\nNone,60+,Bari\n" * 30, "2"),
    ],
)
def test_a_second_header_is_named_with_the_rows_to_skip(text: str, skip: str) -> None:
    with pytest.raises(UserError, match=rf"t\.csv seems to have its header in line 1 .*skip_rows={skip}\.$"):
        read(text)
    assert len(read(text, FileSettings(skip_rows=skip)).frame) == 60


SEEN = "Id,Which have you seen?,,,,,,Your age\n,Alien,Brazil,Casablanca,Dune,Elf,Fargo,Response\n"


@pytest.mark.parametrize("skip", ["1", "2"])
def test_a_header_in_two_lines_is_named_with_both(skip: str) -> None:
    text = SEEN + "".join(f"{i},Alien,,,Dune,Elf,,{i % 9 + 20}\n" for i in range(60))
    with pytest.raises(UserError, match=r"header in two lines, 1 and 2: line 1 names 'Id', where line 2 names nothing"):
        read(text)
    frame = read(text, FileSettings(skip_rows=skip)).frame
    assert len(frame) == 60
    assert frame.columns[0] == ("Unnamed: 0" if skip == "1" else "Id")


@pytest.mark.parametrize(
    "text",
    [
        "age,score,city\nyes,yes,yes\n" + "yes,no,yes\nno,no,no\n" * 30,
        "Report of May\n,age,city\n" + "".join(f"{i},{i % 50},Rome\n" for i in range(60)),
        "age,score,city\nunkonwn,5,Rome\n" + PEOPLE,
        "age,score,city\nunknown,n/a,Rome\n" + PEOPLE,
        "age,score,city\n,,\n" + PEOPLE,
        "age,score,city\nabout 40,5,New York\n" + PEOPLE,
        "id,name,age\nA0,Bob Smith,unknown age\n" + "".join(f"A{i + 1},Name {i},{i + 20}\n" for i in range(50)),
        "review,stars\nwell it was fine,3\n" + "".join(f"text number {i},{i % 5}\n" for i in range(50)),
        "a,b,c\nx,y,z\n1,2,3\n4,5,6\n",
    ],
)
def test_an_ordinary_first_row_is_no_second_header(text: str) -> None:
    read(text)


def test_a_wide_header_is_seen_whole() -> None:
    names = [f"a column with a name that goes on and on and on, {i}".replace(",", "") for i in range(3000)]
    frame = read(",".join(names) + "\n" + ("1," * 2999 + "2\n") * 3).frame
    assert list(frame.columns) == names


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a,b\n1,2\n" + "x" * 3000 + "\n", "a line is longer than 1,000 characters"),
        ("x" * 3000, "a line is longer than 1,000 characters"),
        ('a,b\n1,"2\n' + "1,2\n" * 1000, "a cell is longer than 1,000 characters: a quote may be opened"),
        ("a,b\n" + "1,2\n" * 40_000 + "3,4,5\n" + "x" * 3000, "a line is longer than 1,000 characters"),
    ],
)
def test_an_endless_line_or_cell_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, sentence: str
) -> None:
    monkeypatch.setattr("treeline.data.dialects.MAX_LINE_CHARACTERS", 1000)
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=sentence):
        list(chunks(path))
