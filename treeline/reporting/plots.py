"""The pictures a person looks at: each function takes values and gives a matplotlib figure."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MAX_BARS = 25
COLOUR, FAINT = "#4c72b0", "#bbbbbb"


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
    axes.barh(range(len(shown)), shown.to_numpy(), color=COLOUR)
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
    order = np.argsort(np.abs(contributions).mean(axis=0))[-MAX_BARS:]
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


def calibration_curve(table: pd.DataFrame, error: float) -> Figure:
    """Draw how often probabilities came true; the diagonal is perfect.

    Args:
        table: of `treeline.evaluation.diagnostics.calibration`.
        error: the expected calibration error.
    """
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    axes.plot(table["predicted"], table["observed"], marker="o", color=COLOUR, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability given", ylabel="how often it came true")
    axes.set_title(f"Calibration (expected error {error:.3f})")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def threshold_curves(table: pd.DataFrame, best: float, positive: str) -> Figure:
    """Draw precision, recall and F1, and the cost if there is one, against the threshold.

    Args:
        table: of `treeline.evaluation.diagnostics.thresholds`.
        best: the threshold with the largest F1.
        positive: the class whose probability is meant.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, colour in (("precision", "#dd8452"), ("recall", "#55a868"), ("f1", COLOUR)):
        axes.plot(table["threshold"], table[name], label=name, color=colour)
    axes.axvline(best, color=FAINT, linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold", title=f"Thresholds (largest F1 at {best:.2f})")
    axes.set_xlabel(f"threshold on the probability of {_short(positive)}").set_parse_math(False)
    if "cost" in table:
        costs = axes.twinx()
        costs.plot(table["threshold"], table["cost"], label="cost", color="#8172b3", linestyle="--")
        costs.set_ylabel("mean cost a row")
    else:
        axes.spines["right"].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    axes.spines["top"].set_visible(False)
    return figure


def residuals(y: np.ndarray, predicted: np.ndarray, most: int = 5_000) -> Figure:
    """Draw predictions against the truth, and the residuals against the predictions; at most 5,000 points."""
    if len(y) > most:
        places = np.random.default_rng(0).choice(len(y), most, replace=False)
        y, predicted = y[places], predicted[places]
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    ends = [min(y.min(), predicted.min()), max(y.max(), predicted.max())]
    left.plot(ends, ends, color=FAINT, linewidth=1)
    left.scatter(y, predicted, s=8, alpha=0.5, color=COLOUR, linewidths=0)
    left.set(xlabel="truth", ylabel="prediction", title="Predictions")
    right.axhline(0, color=FAINT, linewidth=1)
    right.scatter(predicted, y - predicted, s=8, alpha=0.5, color=COLOUR, linewidths=0)
    right.set(xlabel="prediction", ylabel="truth - prediction", title="Residuals")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def confusion_table(counts: pd.DataFrame) -> Figure:
    """Draw a confusion matrix; beyond 20 classes without the counts."""
    n = len(counts)
    size = min(10.0, 3 + 0.5 * n)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_short(name, 20) for name in counts.index]
    axes.set_xticks(range(n), names, rotation=45, ha="right")
    axes.set_yticks(range(n), names)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set_parse_math(False)
    if n <= 20:
        for i in range(n):
            for j in range(n):
                colour = "white" if shares[i, j] > 0.5 else "#333333"
                axes.text(j, i, str(counts.iat[i, j]), ha="center", va="center", color=colour)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion")
    return figure
