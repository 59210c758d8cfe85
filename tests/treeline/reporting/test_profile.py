"""The profile of a table: what it says of each kind of column; every mark of a histogram stands at its place."""

import re
from dataclasses import replace
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from treeline.data.problem import Problem
from treeline.reporting.profile import BARS_PX, MAX_LEVELS_SHOWN, PICTURE_PX, profile_page

RNG = np.random.default_rng(0)
SKEWED = np.exp(RNG.normal(0, 1.5, 2000)).round(3)
DAYS = pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.exponential(100, 2000) * 86_400, unit="s")


def profile(column: Any, kind: str = "number", **changes: Any) -> str:
    """Make the profile of a table of one column, `x`, which the model reads as of this kind."""
    train = pd.DataFrame({"x": column})
    train["y"] = (["a", "b"] * len(train))[: len(train)]
    settings: dict[str, Any] = {"classes": ["a", "b"], "kinds": {"x": kind}} | changes
    problem = Problem(table="t", source="", target="y", task="binary", reason="", derived={}, digest="", **settings)
    return profile_page(problem, train, {"x": 0.5}, {})


class Drawing:
    """A picture of the column `x`, as it stands on the page."""

    def __init__(self, text: str) -> None:
        svg = re.findall("<svg.*?</svg>", text)[1]  # the first one is the target's
        self.root = ElementTree.fromstring(svg)
        self.texts = [(each.text or "", each) for each in self.root.iter("text")]
        numbers = ("x", "y", "width", "height")
        self.bars = [{key: float(bar.attrib[key]) for key in numbers} for bar in self.root.iter("rect")]

    @property
    def median(self) -> float:
        (tick,) = [each for each in self.root.iter("line") if each.get("class") == "median"]
        assert tick.get("x1") == tick.get("x2")
        return float(tick.attrib["x1"])

    @property
    def ends(self) -> tuple[str, str]:
        """What is said at the left and at the right end of the axis."""
        (left,) = [text for text, each in self.texts if each.get("x") == "0"]
        (right,) = [text for text, each in self.texts if each.get("text-anchor") == "end"]
        return left, right

    def boxes(self) -> list[tuple[float, float, float, float]]:
        """Where the labels stand: left, right, top and bottom, measured in a font that is rather wide."""
        found = []
        for text, each in self.texts:
            width = TextPath((0, 0), text, size=11, prop=FontProperties(family="DejaVu Sans")).get_extents().x1
            x, y = float(each.attrib["x"]), float(each.attrib["y"])
            left = x - width * {"middle": 0.5, "end": 1.0}.get(each.get("text-anchor", "start"), 0.0)
            found.append((left, left + width, y - 9, y + 2))
        return found


# --- the marks of a histogram


@pytest.mark.parametrize("sign", [1, -1])
def test_the_median_is_marked_at_its_place_on_the_axis(sign: int) -> None:
    values = sign * SKEWED
    low, high = np.percentile(values, [1, 99])
    drawing = Drawing(profile(values))
    assert drawing.median == pytest.approx(PICTURE_PX * (np.median(values) - low) / (high - low), abs=0.1)
    assert abs(drawing.median - PICTURE_PX / 2) > 100  # far from the middle, where it does not belong
    (label,) = [text for text, _ in drawing.texts if text.startswith("median ")]
    assert float(label.removeprefix("median ")) == pytest.approx(np.median(values), abs=0.01)


def test_the_ends_of_the_axis_carry_its_own_values_and_what_lies_beyond_is_said() -> None:
    text = profile(SKEWED)
    low, high = map(float, Drawing(text).ends)
    assert (low, high) == pytest.approx(tuple(np.percentile(SKEWED, [1, 99])), abs=0.01)
    ((least, most),) = re.findall(r"beyond the axis: min (\S+), max ([^<]+)<", text)
    assert (float(least), float(most)) == pytest.approx((SKEWED.min(), SKEWED.max()), abs=0.01)


def test_only_the_side_that_has_values_beyond_is_said() -> None:
    values = np.r_[np.repeat(np.arange(20.0), 50), 500.0]
    text = profile(values)
    assert "beyond the axis: max 500<" in text
    assert Drawing(text).ends == ("0", "19")


def test_where_both_percentiles_are_one_value_the_axis_has_all_values() -> None:
    text = profile([0.0] * 4980 + list(range(1, 21)))
    assert Drawing(text).ends == ("0", "20")
    assert "beyond the axis" not in text


def test_moments_are_marked_as_numbers_are() -> None:
    text = profile(DAYS, "datetime")
    seconds = pd.Series(DAYS).astype("datetime64[ns]").astype("int64") / 1e9
    low, high = np.percentile(seconds, [1, 99])
    drawing = Drawing(text)
    assert drawing.median == pytest.approx(PICTURE_PX * (seconds.median() - low) / (high - low), abs=0.1)
    assert drawing.ends == tuple(f"{pd.Timestamp(each, unit='s'):%Y-%m-%d}" for each in (low, high))
    assert f"median {pd.Series(DAYS).median():%Y-%m-%d}" in text
    assert f"beyond the axis: min {DAYS.min():%Y-%m-%d}, max {DAYS.max():%Y-%m-%d}<" in text


def test_a_few_different_values_are_all_on_the_axis() -> None:
    text = profile([0, 1, 1, 1, 5] * 50)
    assert Drawing(text).ends == ("0", "5")
    assert Drawing(text).median == pytest.approx(PICTURE_PX / 5)
    assert "beyond the axis" not in text


def test_bars_are_as_high_as_their_values_are_many() -> None:
    bars = Drawing(profile([0.0] * 10 + [1.0] * 40 + [2.0] * 20)).bars
    assert [bar["height"] for bar in bars] == pytest.approx([BARS_PX / 4, BARS_PX, BARS_PX / 2])
    assert all(bar["y"] + bar["height"] == pytest.approx(bars[0]["y"] + bars[0]["height"]) for bar in bars)


CLOSE = pd.Timestamp("2024-05-01 12:00") + pd.to_timedelta(np.linspace(0, 40, 50), unit="s")
HARD = {
    "skewed": (SKEWED, "number"),
    "skewed to the left": (-SKEWED * 1e6, "number"),
    "median at the left end": ([0.0] * 90 + [1.0, 2.0] * 5, "number"),
    "median at the right end": ([-123_456_789.0] * 10 + [-0.5] * 90, "number"),
    "close together": (1e6 + RNG.normal(0, 1e-4, 500), "number"),
    "large and close together": (1e17 + 16 * np.arange(40.0), "number"),
    "small and close together": (-1e-10 * (1 + 2.0**-48 * np.arange(40)), "number"),
    "nearly always zero": ([0.0] * 4980 + list(range(1, 21)), "number"),
    "tiny": (-1e-120 * SKEWED, "number"),
    "huge": (1e29 * RNG.normal(size=500), "number"),
    "the largest there are": ([-1e308, 0.0, 1e308], "number"),
    "the smallest there are": ([0.0, 5e-324], "number"),
    "neighbours": ([1.0, 1.0 + 2**-52], "number"),
    "dates": (DAYS, "datetime"),
    "within a minute": (CLOSE, "datetime"),
    "within hours": (pd.date_range("2024-05-01", periods=50, freq="10min"), "datetime"),
}


@pytest.mark.parametrize("name", HARD)
def test_labels_stay_in_the_picture_and_never_meet(name: str) -> None:
    drawing = Drawing(profile(*HARD[name]))
    boxes = drawing.boxes()
    assert len(boxes) == 3
    assert 0 <= drawing.median <= PICTURE_PX
    for left, right, top, bottom in boxes:
        assert -0.5 <= left < right <= PICTURE_PX + 0.5
        assert 0 <= top < bottom <= float(drawing.root.attrib["height"])
    for one, other in combinations(boxes, 2):
        beside = one[1] < other[0] or other[1] < one[0]
        assert beside or one[3] < other[2] or other[3] < one[2]


@pytest.mark.parametrize("name", sorted(HARD.keys() - {"neighbours"}))  # which differ in the 16th digit
def test_different_ends_of_an_axis_look_different(name: str) -> None:
    low, high = Drawing(profile(*HARD[name])).ends
    assert low != high


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [(5.0, "number", "5"), (-1e30, "number", "-1e+30"), ("2024-05-01", "datetime", "2024-05-01")],
)
def test_of_one_value_there_is_no_histogram(value: Any, kind: str, said: str) -> None:
    text = profile([value, value, np.nan], kind)
    assert f"always {said}<" in text
    assert text.count("<svg") == 1


@pytest.mark.parametrize("kind", ["number", "datetime", "category", "boolean", "text"])
def test_of_a_column_without_values_there_is_no_picture(kind: str) -> None:
    text = profile([np.nan] * 4, kind)
    assert text.count("<svg") == 1
    assert "100.0%" in text
    assert "nan" not in text


def test_gaps_and_infinite_values_are_missing_and_not_drawn() -> None:
    text = profile([0.0, 1.0, 2.0, np.inf, np.nan])
    assert ">40.0%<" in text
    assert Drawing(text).ends == ("0", "2")


# --- the other kinds


def test_the_commonest_categories_are_drawn_and_the_rest_counted() -> None:
    levels = [f"level {i}" for i in range(10) for _ in range(10 - i)]
    drawing = Drawing(text := profile(levels, "high_cardinality"))
    assert [label.split(" ", 1)[1] for label, _ in drawing.texts] == [f"level {i}" for i in range(MAX_LEVELS_SHOWN)]
    assert drawing.texts[0][0].startswith("18% ")
    assert "and 2 more" in text
    widths = [bar["width"] for bar in drawing.bars]
    assert [width / widths[0] for width in widths] == pytest.approx([(10 - i) / 10 for i in range(8)], abs=0.01)


def test_a_rare_category_is_not_said_to_be_none() -> None:
    assert "&lt;1% rare" in profile(["common"] * 500 + ["rare"], "category")


@pytest.mark.parametrize("level", ["x" * 100, "Ω" * 100, "東京" * 50])
def test_a_long_category_is_cut_within_the_picture_after_its_share(level: str) -> None:
    drawing = Drawing(profile([level] * 3 + ["b"], "category"))
    ((label, each), _) = drawing.texts
    assert label.startswith(f"75% {level[:8]}")
    assert label.endswith("…")
    wide = 11 if level[0] == "東" else 7
    assert float(each.attrib["x"]) + wide * len(label.removeprefix("75% ")) <= PICTURE_PX + wide


def test_a_category_is_no_markup() -> None:
    text = profile(["</svg><script>"] * 2 + ["&"], "category", reasons={"x": "<b>"}, warnings=["<i>"])
    assert "<script" not in text
    assert "<b>:" not in text
    assert "<i>" not in text
    assert Drawing(text).texts[0][0] == "67% </svg><script>"


def test_free_text_is_measured_in_words() -> None:
    text = profile(["one", "one two three", None, "one two three four five"], "text")
    assert "median 3 words, at most 5" in text


# --- the page


def test_the_target_comes_first_then_the_columns_by_what_they_tell() -> None:
    train = pd.DataFrame({"a": [1, 2], "b": [1, 2], "c": [1, 2], "unread": [1, 2], "y": [0.5, 1.5]})
    said = {"reasons": {"a": "numbers spelled as text"}, "left_out": {"unread": "it is an id"}}
    problem = Problem("houses <1>", "", "y", "regression", "", [], dict.fromkeys("abc", "number"), {}, "", **said)
    problem = replace(problem, warnings=["Mind the gap."])
    text = profile_page(problem, train, {"b": 0.25, "c": 0.75}, {"rows to train on": "1,234"})
    assert re.findall("<b>(.*?)</b>", text) == ["y", "c", "b", "a"]
    assert re.findall("<h2>(.*?)</h2>", text) == ["Target", "Columns", "Left out"]
    assert "<h1>houses &lt;1&gt;: profile</h1>" in text
    assert '<i style="width:75%"></i></span> 0.75' in text
    for words in ("numbers spelled as text", "it is an id", "Mind the gap.", "<dd>1,234</dd>", "number: the target"):
        assert words in text
    assert "number: numbers" not in text


def test_where_no_column_is_left_out_there_is_no_such_section() -> None:
    assert "Left out" not in profile([1, 2])
