"""The picture of drift: each column's distribution before and now, those that drift first."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from treeline.data.drift import NOT_COMPARED, values_compared
from treeline.reporting.plots import FAINT_COLOUR, MAIN_COLOUR, open_frame

Columns = Mapping[str, pd.Series] | pd.DataFrame

MAX_PANELS, PANELS_ACROSS = 12, 3
MAX_LEVELS, MAX_BINS = 8, 20
MAX_TITLE_CHARS, MAX_LEVEL_CHARS = 24, 16
DRIFT_COLOUR = "#c44e52"
MISSING, OTHERS = "missing", "others"
BELOW_AT, ABOVE_AT, MISSING_AT = -2, MAX_BINS + 1, MAX_BINS + 5  # places of the bars beside the bins
_LOOKS = ((FAINT_COLOUR, 0.95), (MAIN_COLOUR, 0.5))  # colour and width of the bars of before and of now


def drift_panels(found: pd.DataFrame, reference: Columns, current: Columns) -> Figure:
    """Draw a panel a column: the shares of today's rows in blue before those of the reference in grey.

    The bins of numbers span what is not far outside the middle half of either side (Tukey's fences); what lies beyond
    stands in a bar of its own at either end, and what is missing in another.

    Args:
        found: as `treeline.data.drift.drift` gives it; at most 12 columns are drawn, in its order.
        reference: the columns of before, by name.
        current: the columns of today.
    """
    drawn = found[~found["kind"].isin(NOT_COMPARED)]
    shown = drawn.head(MAX_PANELS)
    n_down = max(1, -(-len(shown) // PANELS_ACROSS))
    figure = Figure(figsize=(4 * PANELS_ACROSS, 0.8 + 2.4 * n_down), layout="constrained")
    panels = np.ravel(figure.subplots(n_down, PANELS_ACROSS))
    for axes, row in zip(panels, shown.to_dict("records"), strict=False):
        sides = [values_compared(each[row["column"]], row["kind"]) for each in (reference, current)]
        (_draw_numbers if row["kind"] == "number" else _draw_levels)(axes, sides)
        name = _short(row["column"], MAX_TITLE_CHARS) + ("" if np.isnan(row["psi"]) else f"  PSI {row['psi']:.2f}")
        title = axes.set_title(f"{name}  drifts" if row["drifts"] else name, fontsize=10, loc="left")
        title.set_color(DRIFT_COLOUR if row["drifts"] else "black")
        title.set_parse_math(False)
        axes.tick_params(labelsize=8)
        open_frame(axes)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    handles = [Patch(color=FAINT_COLOUR, label="before"), Patch(color=MAIN_COLOUR, label="now")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    left_out = f" (the first {len(shown)} of {len(drawn)} are drawn)" if len(drawn) > len(shown) else ""
    figure.suptitle(f"{int(found['drifts'].sum())} of {len(found)} columns drift{left_out}")
    return figure


def _draw_numbers(axes: Axes, sides: list[np.ndarray]) -> None:
    """Draw the bins, and beside them what is below, above, and missing."""
    present = [side[~np.isnan(side)] for side in sides]
    low, high = _fences([each for each in present if len(each)])
    edges = np.linspace(low, high, MAX_BINS + 1)
    bins = [-np.inf, *edges[:-1], np.nextafter(high, np.inf), np.inf]
    places = np.array([BELOW_AT, *range(MAX_BINS), ABOVE_AT, MISSING_AT])
    for side, each, (colour, width) in zip(sides, present, _LOOKS, strict=True):
        counts = np.append(np.histogram(each, bins)[0], len(side) - len(each))
        axes.bar(places, counts / max(1, len(side)), width=width, color=colour)
    axes.set_xticks([BELOW_AT, 0, MAX_BINS - 1, ABOVE_AT, MISSING_AT], ["<", f"{low:.3g}", f"{high:.3g}", ">", MISSING])
    axes.set_xlim(BELOW_AT - 1, MISSING_AT + 2)
    axes.get_xticklabels()[1].set_horizontalalignment("left")
    axes.get_xticklabels()[2].set_horizontalalignment("right")
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _draw_levels(axes: Axes, sides: list[np.ndarray]) -> None:
    """Draw the commonest levels of either side, all others in one bar, and what is missing."""
    present = [side[~pd.isna(side)] for side in sides]
    codes, levels = pd.factorize(np.concatenate(present))
    counts = [np.bincount(each, minlength=len(levels)) for each in np.split(codes, [len(present[0])])]
    shares = np.stack([each / max(1, len(side)) for each, side in zip(counts, sides, strict=True)])
    first, rest = np.split(np.argsort(-shares.max(axis=0), kind="stable"), [MAX_LEVELS])
    names = [*map(str, levels[first]), *([OTHERS] if len(rest) else []), MISSING]
    gaps = [1 - len(each) / max(1, len(side)) for each, side in zip(present, sides, strict=True)]
    columns = [*shares[:, first].T, *([shares[:, rest].sum(axis=1)] if len(rest) else []), np.array(gaps)]
    places = np.arange(len(names))[::-1]
    for heights, (colour, width) in zip(np.array(columns).T, _LOOKS, strict=True):
        axes.barh(places, heights, height=width, color=colour)
    axes.set_yticks(places, [_short(name, MAX_LEVEL_CHARS) for name in names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.xaxis.set_major_formatter(PercentFormatter(1))


def _fences(present: list[np.ndarray]) -> tuple[float, float]:
    """Give the ends of the bins: Tukey's fences of both sides, within the values that there are."""
    if not present:
        return 0.0, 1.0
    quartiles = np.array([np.percentile(each, [25, 75]) for each in present])
    reach = 1.5 * (quartiles[:, 1] - quartiles[:, 0])
    low = max(min(float(each.min()) for each in present), float((quartiles[:, 0] - reach).min()))
    high = min(max(float(each.max()) for each in present), float((quartiles[:, 1] + reach).max()))
    margin = 0.5 * max(1.0, abs(low)) if low == high else 0.0
    return low - margin, high + margin


def _short(name: object, most: int) -> str:
    text = " ".join(str(name).split())
    return text if len(text) <= most else text[: most - 1] + "…"
