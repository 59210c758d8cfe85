"""The pictures: each renders for few and many features, for missing values, and for any name a column may have."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure

from treeline.reporting.plots import MAX_BARS, bars, contributions_summary

NAMES = ["größe", "東京", "a$b", "US$ to $", "$^$", "\\frac{", "a_b^c", "{", "a\nb", "", " ", "%s", "x" * 300]


def rendered(figure: Figure) -> bytes:
    """Render as a PNG, whatever glyphs the font lacks."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="png")
    content = buffer.getvalue()
    assert content.startswith(b"\x89PNG")
    return content


def labels(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def summary(n_features: int, names: list[str] | None = None, n_rows: int = 30) -> Figure:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(n_rows, n_features))
    matrix[::3] = np.nan
    contributions = rng.choice([-1.0, 1.0], (n_rows, n_features)) * np.arange(1, n_features + 1)
    return contributions_summary(contributions, matrix, names or [f"f{i}" for i in range(n_features)])


@pytest.mark.parametrize("n", [1, 2, MAX_BARS, 40])
def test_bars_show_the_largest_on_top(n: int) -> None:
    values = pd.Series(np.linspace(1, 0.1, n), index=[f"f{i}" for i in range(n)])
    figure = bars(values, "the title", "the label")
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == values.head(MAX_BARS).tolist()[::-1]
    assert labels(figure) == values.head(MAX_BARS).index.tolist()[::-1]
    assert axes.get_xlabel() == "the label"
    assert axes.get_title() == ("the title" if n <= MAX_BARS else "the title (the first 25 of 40)")


def test_bars_of_missing_values_render() -> None:
    rendered(bars(pd.Series([1.0, np.nan, 0.0], index=["a", "b", "c"]), "t", "l"))


def test_any_names_of_columns_render() -> None:
    rendered(bars(pd.Series(1.0, index=NAMES), "t", "l"))
    rendered(summary(len(NAMES), NAMES))


@pytest.mark.parametrize("name", ["größe", "a_b^c", "a$b", "US$ to $"])
def test_a_name_is_shown_as_it_is_spelled_and_no_formula(name: str) -> None:
    for figure in (bars(pd.Series([2.0, 1.0], index=[name, "f"]), "t", "l"), summary(2, ["f", name])):
        label = figure.axes[0].get_yticklabels()[-1]
        assert label.get_text().replace("\\$", "$") == name
        assert not (label.get_parse_math() and is_math_text(label.get_text()))


def test_long_names_that_begin_alike_keep_a_bar_each() -> None:
    figure = bars(pd.Series([2.0, 1.0], index=["x" * 50 + "1", "x" * 50 + "2"]), "t", "l")
    assert len({bar.get_y() for bar in figure.axes[0].patches}) == 2
    assert len(labels(figure)) == 2


@pytest.mark.parametrize("n", [1, 2, MAX_BARS, 40])
def test_the_summary_shows_the_features_that_move_most_on_top(n: int) -> None:
    assert labels(summary(n)) == [f"f{i}" for i in range(n)][-MAX_BARS:]


def test_pictures_of_many_features_render() -> None:
    rendered(bars(pd.Series(np.arange(40.0)), "t", "l"))
    rendered(summary(40))


def test_the_summary_of_one_row_and_of_missing_values_renders() -> None:
    rendered(summary(3, n_rows=1))
    rendered(contributions_summary(np.ones((4, 2)), np.full((4, 2), np.nan), ["a", "b"]))


def test_the_summary_follows_from_the_seed() -> None:
    rng = np.random.default_rng(0)
    contributions, matrix = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    figures = [contributions_summary(contributions, matrix, ["a", "b"], seed) for seed in (0, 0, 1)]
    one, same, other = (np.array([dots.get_offsets() for dots in figure.axes[0].collections]) for figure in figures)
    assert (one == same).all()
    assert (one != other).any()
