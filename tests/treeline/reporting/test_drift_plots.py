"""The picture of drift: the columns that drift first, shares that add up, and any value and name there may be."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from treeline.data.drift import drift
from treeline.reporting.drift_plots import MAX_PANELS, drift_panels


def sides(columns: int = 3, n: int = 300) -> tuple[pd.DataFrame, pd.DataFrame]:
    made = []
    for now in (0, 1):
        rng = np.random.default_rng(now)
        frame = pd.DataFrame({f"q{i}": rng.normal(size=n) for i in range(columns)})
        frame["moved"] = rng.normal(3.0 * now, 1, n)
        frame["$a_b^c largest of all the long names there are"] = rng.choice(["東京", "$x^2$", "l" * 50], n)
        frame["zip"] = rng.integers(0, 100, n).astype(str)
        frame["gone"] = np.nan if now else rng.normal(size=n)
        frame["never"] = np.nan
        frame["same"] = 1e9
        frame["note"] = "words"
        made.append(frame)
    return made[0], made[1]


def kinds_of(frame: pd.DataFrame) -> dict[str, str]:
    kinds = {name: "number" if frame[name].dtype == float else "category" for name in frame}
    return {str(name): kind for name, kind in kinds.items()} | {"note": "text"}


def panels_of(before: pd.DataFrame, now: pd.DataFrame) -> Figure:
    return drift_panels(drift(before, now, kinds_of(before)), before, now)


def seen(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]


@pytest.mark.parametrize("columns", [0, 3, 30])
def test_columns_that_drift_come_first_and_every_side_adds_up(columns: int) -> None:
    before, now = sides(columns)
    figure = panels_of(before, now)
    titles = seen(figure)
    assert len(titles) == min(MAX_PANELS, columns + 6)
    assert titles[0].startswith("moved  PSI")
    assert titles[1] == "gone  drifts"
    assert not any("drifts" in title for title in titles[2:])
    assert figure.get_suptitle().startswith(f"2 of {columns + 7} columns drift")
    assert ("are drawn" in figure.get_suptitle()) == (columns == 30)
    for axes in figure.axes[: len(titles)]:
        for bars in axes.containers:
            assert isinstance(bars, BarContainer)
            sizes = [bar.get_height() if bars.orientation == "vertical" else bar.get_width() for bar in bars]
            assert sum(sizes) == pytest.approx(1)


def test_it_renders_whatever_the_names() -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Glyph")
        panels_of(*sides()).savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")


def test_no_columns_and_no_values_are_drawn_as_such() -> None:
    before, now = sides(0)
    assert seen(panels_of(before[["note"]], now[["note"]])) == []
    figure = drift_panels(drift(before[["never"]], now[["never"]], {"never": "number"}), before, now)
    assert seen(figure) == ["never"]
