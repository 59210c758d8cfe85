"""The pictures a person looks at: each function takes values and gives a matplotlib figure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

MAX_BARS = 25  # bars, or features, of a picture
MAX_POINTS = 5_000  # points of a picture
MAX_CLASSES_COUNTED = 20  # classes whose confusion shows its counts
MAX_NAME_CHARS, MAX_CLASS_CHARS = 44, 20  # characters of the name of a row, and of a class
MAIN_COLOUR, FAINT_COLOUR, WORSE_COLOUR = "#4c72b0", "#bbbbbb", "#c44e52"


def bars(values: pd.Series, title: str, label: str) -> Figure:
    """Draw the largest values as horizontal bars, the largest on top; at most 25.

    Args:
        values: indexed by what each bar stands for, in descending order.
        title: of the picture.
        label: of the horizontal axis.
    """
    shown = values.head(MAX_BARS)[::-1]
    figure, axes = _rows_panel(list(shown.index), title, len(values))
    axes.barh(range(len(shown)), shown.to_numpy(), color=MAIN_COLOUR)
    axes.set_xlabel(label)
    return figure


def importance_bars(table: pd.DataFrame, title: str, label: str) -> Figure:
    """Draw how much worse a metric gets without each column, with the spread of the repeats; at most 25.

    Args:
        table: a row a column, in descending order: `column`, `loss`, `std`, NaN where there is none, and `surely`,
            whether it is above 0 by more than chance; what is not is drawn faint.
        title: of the picture.
        label: of the horizontal axis.
    """
    shown = table.head(MAX_BARS)[::-1]
    figure, axes = _rows_panel(list(shown["column"]), title, len(table))
    colours = [MAIN_COLOUR if sure else FAINT_COLOUR for sure in shown["surely"]]
    spread = {"elinewidth": 1, "ecolor": "#333333"}
    axes.barh(range(len(shown)), shown["loss"], color=colours, xerr=shown["std"].fillna(0), error_kw=spread)
    axes.axvline(0, color="#333333", linewidth=0.8)
    drawn = {MAIN_COLOUR: "surely above 0", FAINT_COLOUR: "not surely above 0"}
    keys: dict[str, Any] = {name: Patch(color=colour) for colour, name in drawn.items() if colour in colours}
    keys["standard deviation of the repeats"] = Line2D([], [], color="#333333", linewidth=1)
    _legend(figure, keys)
    axes.set_xlabel(label)
    return figure


def slice_intervals(table: pd.DataFrame, metric: str, overall: float) -> Figure:
    """Draw the metric of slices with its 95 % intervals, in the order of the table; at most 25.

    Args:
        table: a row a slice: `column`, `slice`, `rows`, the metric, its interval `low` and `high`, NaN where it has
            none, and `surely_worse`.
        metric: its name.
        overall: of all rows, drawn as a line.
    """
    shown = table.head(MAX_BARS)[::-1]
    parts = shown[["column", "slice", "rows"]].itertuples(index=False)
    names = [f"{_short(column, 14)}: {_short(_brief(name), 20)} ({rows})" for column, name, rows in parts]
    figure, axes = _rows_panel(names, f"{metric} by slice", len(table))
    drawn = {False: (MAIN_COLOUR, "not surely worse"), True: (WORSE_COLOUR, "surely worse than the other rows")}
    keys: dict[str, Any] = {}
    for worse, (colour, name) in drawn.items():
        places = np.flatnonzero(shown["surely_worse"].to_numpy(dtype=bool) == worse)
        if len(places):
            rows = shown.iloc[places]
            axes.hlines(places, rows["low"], rows["high"], color=colour, linewidth=1.5)
            keys[name] = axes.plot(rows[metric], places, "o", color=colour, markersize=5)[0]
    keys["all rows"] = axes.axvline(overall, color="#333333", linewidth=1, linestyle="dashed", zorder=0)
    _legend(figure, keys)
    axes.set_xlabel(f"{metric} and its 95 % interval")
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


def calibration_curve(table: pd.DataFrame, error: float, chance: float) -> Figure:
    """Draw how often probabilities came true, and where a perfect model would lie.

    Args:
        table: a row a bin: `predicted`, the mean probability given, `observed`, the share that came true, and `low`
            and `high`, the ends between which 95 % of perfect models lie in every bin.
        error: the expected calibration error.
        chance: what 95 % of perfect models stay below.
    """
    figure = Figure(figsize=(5.5, 5.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=FAINT_COLOUR, linewidth=1)
    spread = [table["predicted"] - table["low"], table["high"] - table["predicted"]]
    bars_ = axes.errorbar(
        table["predicted"], table["predicted"], yerr=spread, fmt="none", ecolor="#dddddd", elinewidth=7, zorder=0
    )
    curve = axes.plot(table["predicted"], table["observed"], marker="o", color=MAIN_COLOUR, clip_on=False)[0]
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability given", ylabel="how often it came true")
    axes.set_title(f"Calibration error {error:.3f}\n(95 % of perfect models: below {chance:.3f})")
    _legend(figure, {"this model": curve, "where 95 % of perfect models lie": bars_})
    open_frame(axes)
    return figure


def threshold_curves(table: pd.DataFrame, chosen: Mapping[str, float], positive: str) -> Figure:
    """Draw precision, recall and F1, and the cost if there is one, against the threshold.

    Args:
        table: a row a `threshold`: `precision`, `recall`, `f1`, NaN where there is none, and perhaps the mean `cost`.
        chosen: thresholds chosen on other rows, by what each is called; perhaps none.
        positive: the class whose probability is meant.
    """
    figure = Figure(figsize=(7, 4.8), layout="constrained")
    axes = figure.subplots()
    keys: dict[str, Any] = {}
    for name, colour in (("precision", "#dd8452"), ("recall", "#55a868"), ("f1", MAIN_COLOUR)):
        keys[name] = axes.plot(table["threshold"], table[name], color=colour, label=name)[0]
    for (name, place), style in zip(chosen.items(), ("solid", "dotted", "dashdot"), strict=False):
        keys[f"{name} ({place:.3g})"] = axes.axvline(place, color="#666666", linewidth=1.2, linestyle=style)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), title="What each threshold is worth on the evaluated rows")
    label = axes.set_xlabel(f"threshold on the probability of {_short(positive, MAX_NAME_CHARS)}")
    label.set_parse_math(False)
    open_frame(axes)
    if "cost" in table:
        costs = axes.twinx()
        keys["cost"] = costs.plot(table["threshold"], table["cost"], color="#8172b3", linestyle="dashed")[0]
        costs.set_ylabel("mean cost a row")
        costs.spines["top"].set_visible(False)
    _legend(figure, keys)
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


def _rows_panel(names: Sequence[object], title: str, count: int) -> tuple[Figure, Axes]:
    """Begin a picture of named rows, the last on top, that says how many of `count` it shows."""
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    _name_rows(axes, names)
    axes.set_title(title + (f" (the first {len(names)} of {count})" if count > len(names) else ""))
    open_frame(axes)
    return figure, axes


def _legend(figure: Figure, keys: Mapping[str, Any]) -> None:
    """Name what is drawn, under the picture."""
    figure.legend(list(keys.values()), list(keys), loc="outside lower center", ncols=min(len(keys), 4), frameon=False)


def _name_rows(axes: Axes, names: Sequence[object]) -> None:
    axes.set_yticks(range(len(names)), [_short(name, MAX_NAME_CHARS) for name in names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a column may be named `US$ to $`


def _brief(text: str) -> str:
    """Write the numbers of a text with three digits."""
    return re.sub(r"-?\d+\.\d{3,}(e[+-]?\d+)?", lambda found: f"{float(found[0]):.3g}", text)


def _short(name: object, most: int) -> str:
    text = str(name)
    return text if len(text) <= most else text[: most - 1] + "…"
