"""The pictures a person looks at: each function takes values and gives a matplotlib figure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MAX_BARS = 25  # bars, or features, of a picture
MAX_POINTS = 5_000  # points of a picture
MAX_CLASSES_COUNTED = 20  # classes whose confusion shows its counts
MAX_NAME_CHARS, MAX_CLASS_CHARS = 40, 20  # characters of the name of a row, and of a class
MAIN_COLOUR, FAINT_COLOUR = "#4c72b0", "#bbbbbb"


def bars(values: pd.Series, title: str, label: str) -> Figure:
    """Draw the largest values as horizontal bars, the largest on top; at most 25.

    Args:
        values: indexed by what each bar stands for, in descending order.
        title: of the picture.
        label: of the horizontal axis.
    """
    shown = values.head(MAX_BARS)[::-1]
    figure = Figure(figsize=(8, 1 + 0.3 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(shown)), shown.to_numpy(), color=MAIN_COLOUR)
    _name_rows(axes, list(shown.index))
    left_out = len(values) - len(shown)
    axes.set_title(title + (f" (the first {len(shown)} of {len(values)})" if left_out > 0 else ""))
    axes.set_xlabel(label)
    open_frame(axes)
    return figure


def contributions_summary(contributions: np.ndarray, matrix: np.ndarray, names: list[str], seed: int = 0) -> Figure:
    """Draw each row's contribution of each feature (SHAP summary), coloured by the feature's value; at most 25.

    Args:
        contributions: shape (n_rows, n_features), in margin units.
        matrix: the features' values, of the same shape; NaN is drawn grey.
        names: of the features.
        seed: of the vertical jitter.
    """
    order = np.argsort(np.abs(contributions).mean(axis=0))[-MAX_BARS:]
    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(8, 1 + 0.3 * len(order)), layout="constrained")
    axes = figure.subplots()
    dots = None
    for place, j in enumerate(order):
        ranks = pd.Series(matrix[:, j]).rank(pct=True).to_numpy()
        height = place + rng.uniform(-0.3, 0.3, len(matrix))
        axes.scatter(contributions[:, j], height, s=6, color=FAINT_COLOUR, linewidths=0)
        dots = axes.scatter(contributions[:, j], height, c=ranks, cmap="coolwarm", vmin=0, vmax=1, s=6, linewidths=0)
    axes.axvline(0, color="#888888", linewidth=0.8)
    _name_rows(axes, [names[j] for j in order])
    axes.set_title("What moved each prediction")
    axes.set_xlabel("contribution to the margin (XGBoost's exact SHAP values)")
    open_frame(axes)
    if dots is not None:
        legend = figure.colorbar(dots, ax=axes, ticks=[0, 1])
        legend.ax.set_yticklabels(["low", "high"])
        legend.set_label("value of the feature")
    return figure


def calibration_curve(table: pd.DataFrame, error: float) -> Figure:
    """Draw how often probabilities came true; the diagonal is perfect.

    Args:
        table: a row a bin: `predicted`, the mean probability given, and `observed`, the share that came true.
        error: the expected calibration error.
    """
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=FAINT_COLOUR, linewidth=1)
    axes.plot(table["predicted"], table["observed"], marker="o", color=MAIN_COLOUR, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability given", ylabel="how often it came true")
    axes.set_title(f"Calibration (expected error {error:.3f})")
    open_frame(axes)
    return figure


def threshold_curves(table: pd.DataFrame, best: float, positive: str) -> Figure:
    """Draw precision, recall and F1, and the cost if there is one, against the threshold.

    Args:
        table: a row a `threshold`: `precision`, `recall`, `f1`, NaN where there is none, and perhaps the mean `cost`.
        best: the threshold with the largest F1.
        positive: the class whose probability is meant.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, colour in (("precision", "#dd8452"), ("recall", "#55a868"), ("f1", MAIN_COLOUR)):
        axes.plot(table["threshold"], table[name], label=name, color=colour)
    axes.axvline(best, color=FAINT_COLOUR, linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), title=f"Thresholds (largest F1 at {best:.2f})")
    label = axes.set_xlabel(f"threshold on the probability of {_short(positive, MAX_NAME_CHARS)}")
    label.set_parse_math(False)
    open_frame(axes)
    if "cost" in table:
        costs = axes.twinx()
        costs.plot(table["threshold"], table["cost"], label="cost", color="#8172b3", linestyle="dashed")
        costs.set_ylabel("mean cost a row")
        costs.spines["top"].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def residuals(y_true: np.ndarray, y_pred: np.ndarray) -> Figure:
    """Draw predictions against the truth, and the residuals against the predictions; at most 5,000 rows at random.

    Args:
        y_true: numbers, shape (n_rows,), at least one row.
        y_pred: of the same rows.
    """
    if len(y_true) > MAX_POINTS:
        shown = np.random.default_rng(0).choice(len(y_true), MAX_POINTS, replace=False)
        y_true, y_pred = y_true[shown], y_pred[shown]
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    ends = [min(y_true.min(), y_pred.min()), max(y_true.max(), y_pred.max())]
    left.plot(ends, ends, color=FAINT_COLOUR, linewidth=1)
    left.scatter(y_true, y_pred, s=8, alpha=0.5, color=MAIN_COLOUR, linewidths=0)
    left.set(xlabel="truth", ylabel="prediction", title="Predictions")
    right.axhline(0, color=FAINT_COLOUR, linewidth=1)
    right.scatter(y_pred, y_true - y_pred, s=8, alpha=0.5, color=MAIN_COLOUR, linewidths=0)
    right.set(xlabel="prediction", ylabel="truth - prediction", title="Residuals")
    open_frame(left, right)
    return figure


def confusion_table(counts: pd.DataFrame) -> Figure:
    """Draw a confusion matrix, coloured by the share of each true class; beyond 20 classes without the counts.

    Args:
        counts: of rows, shape (n_classes, n_classes), by true class (index) and predicted class (columns).
    """
    n = len(counts)
    size = min(10.0, 3 + 0.5 * n)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_short(name, MAX_CLASS_CHARS) for name in counts.index]
    axes.set_xticks(range(n), names, rotation=45, ha="right")
    axes.set_yticks(range(n), names)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set_parse_math(False)
    if n <= MAX_CLASSES_COUNTED:
        for (i, j), share in np.ndenumerate(shares):
            colour = "white" if share > 0.5 else "#333333"
            axes.text(j, i, str(counts.iat[i, j]), ha="center", va="center", color=colour)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion")
    return figure


def open_frame(*panels: Axes) -> None:
    """Take the upper and the right line of the frame away."""
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)


def _name_rows(axes: Axes, names: Sequence[object]) -> None:
    axes.set_yticks(range(len(names)), [_short(name, MAX_NAME_CHARS) for name in names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a column may be named `US$ to $`


def _short(name: object, most: int) -> str:
    text = str(name)
    return text if len(text) <= most else text[: most - 1] + "…"
