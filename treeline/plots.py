"""The pictures a person looks at: each function takes values and gives a matplotlib figure."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MOST_BARS = 25


def bars(values: pd.Series, title: str, label: str) -> Figure:
    """Draw the largest values as horizontal bars, the largest on top; at most 25.

    Args:
        values: indexed by what each bar stands for, in descending order.
        title: of the picture.
        label: of the horizontal axis.
    """
    shown = values.head(MOST_BARS)[::-1]
    figure = Figure(figsize=(8, 1 + 0.3 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(shown)), shown.to_numpy(), color="#4c72b0")
    _name_rows(axes, list(shown.index))
    left_out = len(values) - len(shown)
    axes.set_title(title + (f" (the first {len(shown)} of {len(values)})" if left_out > 0 else ""))
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def contributions_summary(contributions: np.ndarray, matrix: np.ndarray, names: list[str], seed: int = 0) -> Figure:
    """Draw each row's contribution of each feature (SHAP summary), coloured by the feature's value; at most 25.

    Args:
        contributions: shape (n_rows, n_features), in margin units.
        matrix: the features' values, of the same shape; NaN is drawn grey.
        names: of the features.
        seed: of the vertical jitter.
    """
    order = np.argsort(np.abs(contributions).mean(axis=0))[-MOST_BARS:]
    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(8, 1 + 0.3 * len(order)), layout="constrained")
    axes = figure.subplots()
    colours = None
    for place, j in enumerate(order):
        ranks = pd.Series(matrix[:, j]).rank(pct=True).to_numpy()
        height = place + rng.uniform(-0.3, 0.3, len(matrix))
        axes.scatter(contributions[:, j], height, s=6, color="#bbbbbb", linewidths=0)
        colours = axes.scatter(contributions[:, j], height, c=ranks, cmap="coolwarm", vmin=0, vmax=1, s=6, linewidths=0)
    axes.axvline(0, color="#888888", linewidth=0.8)
    _name_rows(axes, [names[j] for j in order])
    axes.set_title("What moved each prediction")
    axes.set_xlabel("contribution to the margin (XGBoost's exact SHAP values)")
    axes.spines[["top", "right"]].set_visible(False)
    if colours is not None:
        bar = figure.colorbar(colours, ax=axes, ticks=[0, 1])
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("value of the feature")
    return figure


def _name_rows(axes: Axes, names: list[object]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a column may be named `US$ to $`


def _short(name: object, most: int = 40) -> str:
    text = str(name)
    return text if len(text) <= most else text[: most - 1] + "…"
