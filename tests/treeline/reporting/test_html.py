"""The frame of a page: one style and one document for the card and the profile, all escaped, loading nothing."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from treeline.data.problem import Problem
from treeline.reporting.html import STYLE, Section, boxed_table, card, page, shorten
from treeline.reporting.profile import profile_page

VOID = {"meta", "img", "br"}
BAD = "<script>\"&'"


class Tags(HTMLParser):
    """Collects the tags of a page, and fails where one is closed that was not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def profile() -> str:
    problem = Problem("flowers", "", "y", "binary", "", ["a", "b"], {"x": "number"}, {}, "")
    return profile_page(problem, pd.DataFrame({"x": [1.0, 2.0], "y": ["a", "b"]}), {}, {"rows": "2"})


@pytest.mark.parametrize("text", [page("t", "", []), card("t", "hold", "v", [Section("s").text("x")]), profile()])
def test_every_page_has_the_one_style_fits_a_phone_and_loads_nothing(text: str) -> None:
    assert re.findall("<style>(.*?)</style>", text, re.DOTALL) == [STYLE]
    assert text.startswith("<!doctype html>")
    assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in text
    assert not re.search(r"https?:|url\(|@import|<link|<script| src=(?!\"data:)", text)
    assert Tags(text).seen.count("body") == 1


@pytest.mark.parametrize("query", ["max-width:40rem", "print"])
def test_the_style_knows_phones_and_paper(query: str) -> None:
    assert f"@media({query})" in STYLE or f"@media {query}" in STYLE
    assert STYLE.count("{") == STYLE.count("}")


def test_whatever_is_said_is_escaped() -> None:
    section = Section(BAD).text(BAD).facts({BAD: BAD}).table(pd.DataFrame({BAD: [BAD]})).picture(b"", BAD).code(BAD)
    text = card(BAD, "hold", BAD, [section])
    assert "<script" not in text
    assert text.count("&lt;script&gt;&quot;&amp;&#x27;") == 11
    Tags(text)


def test_sections_stand_in_order_and_those_without_pieces_are_left_out() -> None:
    text = page("t", "<p>lead</p>", [Section("one").text("1"), Section("none"), Section("two").text("2")])
    assert re.findall("<h2>(.*?)</h2>", text) == ["one", "two"]
    assert text.index("<h1>t</h1>") < text.index("<p>lead</p>") < text.index("<h2>one")


@pytest.mark.parametrize("decision", ["promote", "hold", "refuse"])
def test_the_decision_colours_the_verdict(decision: str) -> None:
    assert f'<p class="verdict {decision}">why</p>' in card("t", decision, "why", [])
    assert re.search(rf"\.{decision}\b[^{{]*{{border-color", STYLE)


def test_facts_without_a_value_are_left_out() -> None:
    assert Section("s").facts({"a": 0, "b": "", "c": "x"}).pieces == [
        "<dl><dt>a</dt><dd>0</dd><dt>c</dt><dd>x</dd></dl>"
    ]


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (0.123456, "0.1235"),
        (9999.4, "9999"),
        (36_390.4, "36390"),
        (-1e6, "-1000000"),
        (1.5e12, "1.5e+12"),
        (1.5e-12, "1.5e-12"),
        (np.nan, ""),
        (123_456_789, "123456789"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        (None, "None"),
    ],
)
def test_a_value_isspelled_to_be_read(value: object, spelled: str) -> None:
    (piece,) = Section("s").table(pd.DataFrame({"a": pd.Series([value], dtype=object)})).pieces
    assert f"<td>{spelled}</td>" in piece


def test_a_table_shows_its_first_rows_and_says_how_many_there_are() -> None:
    table = pd.DataFrame({"name": list("abc"), "count": [1, 2, 3]})
    whole, cut = Section("s").table(table, most=3), Section("s").table(table, most=2)
    assert len(whole.pieces) == 1
    assert whole.pieces[0].count("<tr>") == 4
    assert cut.pieces[0].count("<tr>") == 3
    assert cut.pieces[1] == '<p class="dim">The first 2 of 3 rows.</p>'
    assert '<th>name</th><th class="n">count</th>' in whole.pieces[0]
    assert '<td>a</td><td class="n">1</td>' in whole.pieces[0]


def test_a_table_of_no_rows_or_of_two_columns_of_one_name_is_drawn() -> None:
    Tags(page("t", "", [Section("s").table(pd.DataFrame({"a": []}))]))
    (piece,) = Section("s").table(pd.DataFrame([[1, "x"]], columns=["a", "a"])).pieces
    assert '<th class="n">a</th><th>a</th>' in piece


def test_a_table_scrolls_in_a_box_of_its_own_and_its_cells_are_html() -> None:
    text = boxed_table([("a<b", "wrap"), ("n", "n")], [("<i>x</i>", "1")])
    assert text.startswith('<div class="table"><table>')
    assert '<th class="wrap">a&lt;b</th>' in text
    assert '<tr><td class="wrap"><i>x</i></td><td class="n">1</td></tr>' in text
    assert ".table{overflow-x:auto" in STYLE


def test_a_row_that_lacks_a_cell_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="argument"):
        boxed_table([("a", ""), ("b", "")], [("1",)])


def test_a_picture_lies_inside_the_page() -> None:
    (piece,) = Section("s").picture(b"\x89PNG", "what it shows").pieces
    assert 'alt="what it shows"' in piece
    data = re.search('base64,(.*?)"', piece)
    assert data
    assert base64.b64decode(data[1]) == b"\x89PNG"


@pytest.mark.parametrize(
    ("parameter", "shown"),
    [("0.0005718812", "0.0005719"), (0.65, "0.65"), ("212", "212"), (True, "True"), ("depthwise", "depthwise")],
)
def test_a_parameter_is_told_in_four_digits(parameter: object, shown: str) -> None:
    assert shorten(parameter) == shown
