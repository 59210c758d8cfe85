"""The pictures of a study: history, importance of the parameters, parallel coordinates, slices.

Drawn here because Optuna's matplotlib pictures clip their labels at this many parameters, and its plotly ones need a
script of 4 MB or a network.
"""

import warnings
from typing import Any

import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from treeline.reporting.plots import FAINT_COLOUR, MAIN_COLOUR, bars, open_frame

BEST_COLOUR = "#c44e52"
MAX_PANELS_A_ROW = 4


def study_pictures(study: optuna.Study, metric: str) -> dict[str, Figure]:
    """Draw a study; with fewer than two finished trials there is nothing to compare, so there is its history only.

    Args:
        study: with at least one finished trial.
        metric: what its values are.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    figures = {"optimization_history": _history(study, trials, metric)}
    names = sorted({name for trial in trials for name in trial.params})
    if len(trials) > 1 and names:
        shares = _importances(study, trials, names)
        figures["parameter_importances"] = bars(shares, "Importance of the parameters", "share (PED-ANOVA)")
        figures["parallel_coordinate"] = _parallel(study, trials, names, metric)
        figures["slices"] = _slices(trials, names, metric)
    return figures


def _importances(study: optuna.Study, trials: list[FrozenTrial], names: list[str]) -> pd.Series:
    """Give each parameter's share, the largest first; one that a trial held at a value has none."""
    with warnings.catch_warnings():
        # Optuna 4 says so; Optuna 5 has taken the word back.
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator is experimental")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    held = {name for trial in trials for name, drawn in trial.distributions.items() if drawn.single()}
    free = [name for name in names if name not in held]
    with warnings.catch_warnings():
        # Of few trials, or trials of one value: no parameter then stands out, which the equal bars say.
        warnings.filterwarnings("ignore", "Target and region quantiles select the same set of trials", UserWarning)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=free)
    return pd.Series(shares, dtype=float).sort_values(ascending=False)


def _history(study: optuna.Study, trials: list[FrozenTrial], metric: str) -> Figure:
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    values = [trial.value for trial in trials]
    best = np.maximum.accumulate if study.direction == optuna.study.StudyDirection.MAXIMIZE else np.minimum.accumulate
    numbers = [trial.number for trial in trials]
    axes.step(numbers, best(np.array(values, dtype=float)), where="post", color=MAIN_COLOUR, label="best so far")
    axes.scatter(numbers, values, color=MAIN_COLOUR, s=18, label="finished trial")
    pruned = [trial.number for trial in study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))]
    at_bottom = axes.get_xaxis_transform()
    axes.plot(pruned, np.zeros(len(pruned)), "x", color=FAINT_COLOUR, transform=at_bottom, label="pruned trial")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"{metric} in cross-validation")
    axes.set_title("History of the study")
    axes.legend(frameon=False)
    open_frame(axes)
    return figure


def _slices(trials: list[FrozenTrial], names: list[str], metric: str) -> Figure:
    columns = min(MAX_PANELS_A_ROW, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3 * columns, 2.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        seen = [trial for trial in trials if name in trial.params]
        drawn = [trial.params[name] for trial in seen]
        axes.scatter(drawn, [trial.value for trial in seen], c=[trial.number for trial in seen], cmap="viridis_r", s=16)
        distribution = _range(trials, name)
        if getattr(distribution, "log", False):
            low, high = distribution.low, distribution.high
            ticks = [low, (low * high) ** 0.5, high]
            axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(name)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    figure.supylabel(f"{metric} in cross-validation")
    figure.suptitle(f"Each parameter against {metric} (later trials are darker)")
    open_frame(*grid.flat)
    return figure


def _parallel(study: optuna.Study, trials: list[FrozenTrial], names: list[str], metric: str) -> Figure:
    """One line a trial, each axis scaled to its parameter's range; the best trial stands out."""
    figure = Figure(figsize=(1.3 * len(names) + 1, 4.5), layout="constrained")
    axes = figure.subplots()
    ranges = {name: _range(trials, name) for name in names}
    for trial in trials:
        best = trial.number == study.best_trial.number
        look: dict[str, Any] = {"color": MAIN_COLOUR, "alpha": 0.25}
        if best:
            look = {"color": BEST_COLOUR, "linewidth": 2, "zorder": 3}
        axes.plot([_height(trial, name, ranges[name]) for name in names], **look)
    for place, name in enumerate(names):
        low, high = _ends(ranges[name])
        axes.axvline(place, color=FAINT_COLOUR, linewidth=0.8, zorder=0)
        axes.annotate(low, (place, 0), (0, -12), textcoords="offset points", ha="center", fontsize=8)
        axes.annotate(high, (place, 1), (0, 4), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.tick_params(axis="x", pad=14, length=0)
    axes.set_yticks([])
    axes.set_title(f"Parameters of the finished trials; red has the best {metric}", pad=20)
    axes.set_ylim(0, 1)
    axes.spines[:].set_visible(False)
    return figure


def _range(trials: list[FrozenTrial], name: str) -> Any:
    """Give the widest range that a trial drew a parameter from: a learning rate that was held has one value only."""
    drawn: list[Any] = [trial.distributions[name] for trial in trials if name in trial.distributions]
    return max(drawn, key=lambda each: 0 if isinstance(each, CategoricalDistribution) else each.high - each.low)


def _height(trial: FrozenTrial, name: str, distribution: Any) -> float:
    """Give a parameter's place in its range, from 0 to 1; NaN where the trial did not draw it."""
    if name not in trial.params:
        return float("nan")
    value = trial.params[name]
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices.index(value) / max(1, len(distribution.choices) - 1)
    ends = np.array([distribution.low, value, distribution.high], dtype=float)
    low, middle, high = np.log(ends) if distribution.log else ends
    return float((middle - low) / (high - low)) if high > low else 0.5


def _ends(distribution: Any) -> tuple[str, str]:
    if isinstance(distribution, CategoricalDistribution):
        return str(distribution.choices[0]), str(distribution.choices[-1])
    return f"{distribution.low:g}", f"{distribution.high:g}"
