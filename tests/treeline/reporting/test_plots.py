"""The pictures: each renders for few and many features, for missing values, and for any name a column may have."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure

from treeline.reporting.plots import (
    MAX_BARS,
    MAX_CLASSES_COUNTED,
    MAX_POINTS,
    bars,
    calibration_curve,
    confusion_table,
    contributions_summary,
    importance_bars,
    residuals,
    slice_intervals,
    threshold_curves,
)

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


def test_the_calibration_stands_beside_its_diagonal_and_what_chance_would_do() -> None:
    table = pd.DataFrame({"predicted": [0.1, 0.9], "observed": [0.2, 1.0], "low": [0.0, 0.8], "high": [0.3, 1.0]})
    figure = calibration_curve(table, 0.1234, 0.2)
    diagonal, curve = figure.axes[0].lines[0], figure.axes[0].lines[-1]
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert curve.get_xydata().tolist() == [[0.1, 0.2], [0.9, 1.0]]
    chance = [segment.tolist() for segment in figure.axes[0].collections[0].get_segments()]
    assert np.array(chance) == pytest.approx(np.array([[[0.1, 0.0], [0.1, 0.3]], [[0.9, 0.8], [0.9, 1.0]]]))
    assert figure.axes[0].get_title() == "Calibration error 0.123\n(95 % of perfect models: below 0.200)"
    rendered(figure)


def decisions(**more: list[float]) -> pd.DataFrame:
    columns = {"precision": [0.5, np.nan], "recall": [1.0, 0.0], "f1": [0.7, np.nan]} | more
    return pd.DataFrame({"threshold": [0.2, 0.8], **columns})


def key(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_the_cost_of_a_threshold_has_an_axis_of_its_own_where_there_is_one() -> None:
    chosen = {"chosen by f1": 0.2, "chosen by cost": 0.6}
    without, costly = (threshold_curves(each, chosen, "yes") for each in (decisions(), decisions(cost=[10.0, 500.0])))
    assert len(without.axes) == 1
    curves, costs = costly.axes
    assert key(costly) == ["precision", "recall", "f1", "chosen by f1 (0.2)", "chosen by cost (0.6)", "cost"]
    assert costs.lines[0].get_ydata().tolist() == [10.0, 500.0]
    assert curves.get_ylim() == (0, 1.02)
    for figure in (without, costly):
        assert [line.get_xdata() for line in figure.axes[0].lines[3:]] == [[0.2, 0.2], [0.6, 0.6]]
        rendered(figure)


def test_without_a_chosen_threshold_none_is_drawn() -> None:
    figure = threshold_curves(decisions(), {}, "yes")
    assert key(figure) == ["precision", "recall", "f1"]
    rendered(figure)


def slices(n: int, worse: int) -> pd.DataFrame:
    value = np.linspace(2, 1, n)
    named = {"column": NAMES[0], "slice": [f"{each}.123456789 to 7" for each in range(n)], "rows": 30}
    ends = {"log_loss": value, "low": value - 0.1, "high": value + 0.1}
    return pd.DataFrame({**named, **ends, "surely_worse": np.arange(n) < worse})


@pytest.mark.parametrize(("n", "worse"), [(1, 0), (3, 1), (3, 3), (40, 2)])
def test_slices_show_their_intervals_in_order_and_the_worse_in_a_colour_of_their_own(n: int, worse: int) -> None:
    figure = slice_intervals(slices(n, worse), "log_loss", 1.4)
    shown = min(n, MAX_BARS)
    assert labels(figure)[-1] == "größe: 0.123 to 7 (30)"
    assert len(labels(figure)) == shown
    drawn = {"surely worse than the other rows": worse, "not surely worse": shown - worse}
    assert [name for name in key(figure) if name != "all rows"] == [
        name for name in ("not surely worse", "surely worse than the other rows") if drawn[name]
    ]
    ends = sorted(segment[:, 0].tolist() for each in figure.axes[0].collections for segment in each.get_segments())
    assert ends[-1] == pytest.approx([1.9, 2.1])
    assert figure.axes[0].get_title() == "log_loss by slice" + (" (the first 25 of 40)" if n > MAX_BARS else "")
    rendered(figure)


def test_a_slice_without_an_interval_is_a_point() -> None:
    rendered(slice_intervals(slices(2, 0).assign(low=np.nan, high=np.nan), "log_loss", 1.4))


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_slice_renders(name: str) -> None:
    rendered(slice_intervals(slices(2, 1).assign(column=name, slice=name), "log_loss", 1.4))


def importances(**more: list[float]) -> pd.DataFrame:
    columns = {"column": ["a", "b", "c"], "loss": [0.5, 0.01, 0.0], "std": [0.1, np.nan, 0.0]} | more
    return pd.DataFrame({**columns, "surely": [True, False, False]})


def test_what_is_not_surely_above_0_is_drawn_faint() -> None:
    figure = importance_bars(importances(), "the title", "the label")
    bars_ = figure.axes[0].patches
    assert [bar.get_width() for bar in bars_] == [0.0, 0.01, 0.5]
    assert bars_[0].get_facecolor() == bars_[1].get_facecolor() != bars_[2].get_facecolor()
    assert key(figure) == ["surely above 0", "not surely above 0", "standard deviation of the repeats"]
    assert labels(figure) == ["c", "b", "a"]
    rendered(figure)


def test_no_importance_at_all_renders() -> None:
    rendered(importance_bars(importances().head(0), "t", "l"))


@pytest.mark.parametrize("name", NAMES)
def test_any_label_of_a_class_renders(name: str) -> None:
    rendered(threshold_curves(decisions(), {"chosen by f1": 0.2}, name))
    rendered(confusion_table(pd.DataFrame([[1, 0], [2, 3]], index=[name, "b"], columns=[name, "b"])))


def test_residuals_are_truth_minus_prediction() -> None:
    y_true, y_pred = np.array([1.0, 5.0, 2.0]), np.array([2.0, 2.0, 2.0])
    left, right = residuals(y_true, y_pred).axes
    assert left.collections[0].get_offsets().tolist() == [[1, 2], [5, 2], [2, 2]]
    assert right.collections[0].get_offsets().tolist() == [[2, -1], [2, 3], [2, 0]]
    assert left.lines[0].get_xydata().tolist() == [[1, 1], [5, 5]]


def test_of_many_residuals_the_same_few_are_drawn_each_with_its_prediction() -> None:
    y_true = np.arange(MAX_POINTS + 100.0)
    one, two = (residuals(y_true, y_true + 7).axes[1].collections[0].get_offsets() for _ in range(2))
    assert len(one) == MAX_POINTS
    assert (one == two).all()
    assert (one[:, 1] == -7).all()


@pytest.mark.parametrize("n", [2, MAX_CLASSES_COUNTED, MAX_CLASSES_COUNTED + 1])
def test_the_confusion_shows_its_counts_unless_there_are_too_many(n: int) -> None:
    counts = pd.DataFrame(np.arange(n * n).reshape(n, n), index=range(n), columns=range(n))
    figure = confusion_table(counts)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ([] if n > MAX_CLASSES_COUNTED else [str(count) for count in range(n * n)])
    rendered(figure)


def test_the_confusion_is_coloured_by_the_share_of_the_true_class() -> None:
    counts = pd.DataFrame([[8, 2, 0], [0, 0, 0], [1, 0, 1]], index=list("abc"), columns=list("abc"))
    axes = confusion_table(counts).axes[0]
    assert axes.images[0].get_array().tolist() == [[0.8, 0.2, 0], [0, 0, 0], [0.5, 0, 0.5]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
