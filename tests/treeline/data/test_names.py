"""Names: a column's on one line and in a list, a registered model's after the table."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import _model_name
from treeline import UserError
from treeline.data.names import (
    MAX_MODEL_NAME,
    file_name,
    free_name,
    is_dated,
    model_name,
    one_line,
    read_names,
)

KNOWN = ["a", "b", "x, y", "SALE\nPRICE", " blank ", 'said "hi"', "tab\there", "50% / off", "SALE", "😀"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        (" , ", []),
        ("a", ["a"]),
        ("a, b", ["a", "b"]),
        ('"x, y", a', ["x, y", "a"]),
        ("x, y", ["x, y"]),
        ("a,a,", ["a"]),
        ("SALE\nPRICE", ["SALE\nPRICE"]),
        ('a,"SALE\nPRICE"', ["a", "SALE\nPRICE"]),
        ("a,SALE\nPRICE,b", ["a", "SALE\nPRICE", "b"]),
        (r"a,SALE\nPRICE", ["a", "SALE\nPRICE"]),
        (r"tab\there", ["tab\there"]),
        (" blank ", [" blank "]),
        ('" blank ",a', [" blank ", "a"]),
        ('said "hi", a', ['said "hi"', "a"]),
        ('"said ""hi""",a', ['said "hi"', "a"]),
        ("50% / off,😀", ["50% / off", "😀"]),
    ],
)
def test_names_are_read_from_a_list(text: str, names: list[str]) -> None:
    assert read_names(text, KNOWN, "drop") == names


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_any_names_can_be_listed_in_quotes(names: list[str]) -> None:
    quoted = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    assert read_names(quoted, names, "drop") == names


def test_a_column_that_is_called_as_another_is_spelled_is_itself() -> None:
    assert read_names(r"a\nb", ["a\nb", r"a\nb"], "drop") == [r"a\nb"]


@pytest.mark.parametrize(
    ("typed", "known", "meant"),
    [
        ("lenght", "length", "'length'"),
        ("SALE PRICE", "SALE\nPRICE", r"'SALE\nPRICE'"),
        ("blank", " blank ", "' blank '"),
    ],
)
def test_a_name_that_is_unknown_is_named_with_the_one_that_was_meant(typed: str, known: str, meant: str) -> None:
    with pytest.raises(UserError) as refused:
        read_names(typed, [known], "drop")
    assert str(refused.value).startswith(f"drop names '{typed}', which is not among the columns beside the target.")
    assert f"Did you mean {meant}?" in str(refused.value)
    assert read_names(one_line(known).strip() if known.strip() == known else f'"{known}"', [known], "drop") == [known]


@given(st.text())
def test_a_name_is_spelled_on_one_line(name: str) -> None:
    assert one_line(name).isprintable()


def test_a_name_that_prints_stays_as_it_is() -> None:
    assert one_line("Größe [m²], 東京 😀 \\n") == "Größe [m²], 東京 😀 \\n"
    assert one_line("SALE\nPRICE\t") == r"SALE\nPRICE\t"


def test_a_name_that_is_taken_gets_a_sign_at_its_end() -> None:
    assert free_name("reason", []) == "reason"
    assert free_name("reason", {"reason", "reason_"}) == "reason__"


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
        ("gro\u0308ße", "GrößeModel"),  # as a Mac spells the names of files
        ("हिन्दी", "हिन्दीModel"),
        ("表", "表Model"),
        ("---", "TableModel"),
        ("", "TableModel"),
        ("IrisService", "IrisServiceModel"),
        ("sales_1994", "Sales1994Model"),  # a year alone is the table's own
        ("id_123456789012", "Id123456789012Model"),
        ("model_2026-13-45", "Model20261345Model"),  # no date
        ("decimal_2026", "Decimal2026Model"),
    ],
)
def test_the_model_is_named_after_the_table(table: str, name: str) -> None:
    assert model_name(table) == name
    assert not is_dated(table)


@pytest.mark.parametrize(
    "date",
    [
        *("2026-11-26", "20261126", "2026_11_26", "2026.11.26", "26.11.2026", "26-11-2026", "11-26-2026", "2026_11"),
        *("2026-11", "202611", "11-2026", "2026-W48", "2026Q4", "Q4_2026", "nov_2026", "26-Nov-2026", "november 2026"),
        *("2026-nov-26", "20261126_103000", "20261126103000", "2026-11-26T10:30:00Z", "2026-11-26 10-30", "1795689000"),
    ],
)
def test_a_date_is_no_part_of_the_models_name(date: str) -> None:
    for table in (f"churn_{date}", f"churn-{date}", f"churn {date}", f"{date}_churn"):
        assert model_name(table) == "ChurnModel"
        assert is_dated(table)
    assert model_name(f"churn_{date}_final") == "ChurnFinalModel"
    assert model_name(date) == "TableModel"


def test_a_name_too_long_is_cut_and_still_told_from_others() -> None:
    names = {model_name(stem * 240 + end) for stem in ("n", "東") for end in ("", "x", "y")}
    assert len(names) == 6
    assert all(len(name.encode()) <= MAX_MODEL_NAME and name.endswith("Model") for name in names)


@given(st.text())
def test_every_table_gives_a_model_a_name_that_is_legal(table: str) -> None:
    name = model_name(table)
    assert _model_name(name) == name
    assert name.endswith("Model")


@given(st.text())
def test_every_table_gives_a_file_a_name(table: str) -> None:
    name = file_name(table)
    assert re.fullmatch(r"[\w. -]*", name)
    assert len(name.encode()) <= 150


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_list_names_no_column_not_even_one_without_a_name(text: str) -> None:
    assert read_names(text, ["a", "", " "], "drop") == []
