"""What a study costs as the work grows: rows from 1,000 to 1,000,000, trials from 10 to 500; drawn as growth.png.

Run: make bench-growth
"""

import argparse
import time
from pathlib import Path

import mlflow
from common import drawn, fresh_store, our_loop, quiet, table
from matplotlib.figure import Figure

ROUNDS = 20  # of every trial: the cost is linear in them


def cost(rows: int, trials: int) -> list[float]:
    """Measure a study, tracked and not: seconds a trial, seconds of overhead a trial, the store's MiB."""
    made = table(rows)
    points = drawn(trials)
    fresh_store()
    store = Path(mlflow.get_tracking_uri().removeprefix("sqlite:///"))
    empty = store.stat().st_size
    start = time.perf_counter()
    our_loop(made, points, tracked=False, rounds=ROUNDS)
    bare = time.perf_counter() - start
    start = time.perf_counter()
    our_loop(made, points, tracked=True, rounds=ROUNDS)
    tracked = time.perf_counter() - start
    return [tracked / trials, (tracked - bare) / trials, (store.stat().st_size - empty) / 2**20]


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 50, 200, 500])
    options = parser.parse_args()
    quiet()
    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, 3)
    titles = ["seconds a trial", "seconds of tracking a trial", "store, MiB"]
    series = {
        f"rows ({options.trials[0]} trials)": [(rows, options.trials[0]) for rows in options.rows],
        f"trials ({options.rows[0]:,} rows)": [(options.rows[0], trials) for trials in options.trials],
    }
    for i, (label, works) in enumerate(series.items()):
        costs = {}
        for rows, trials in works:
            values = cost(rows, trials)
            costs[rows if i == 0 else trials] = values
            told = "   ".join(f"{value:.3f} {title}" for value, title in zip(values, titles, strict=True))
            print(f"  {rows:>9,} rows {trials:>3} trials   {told}", flush=True)
        for j, title in enumerate(titles):
            heights = [values[j] for values in costs.values()]
            axes[i, j].plot(list(costs), heights, marker="o", color="#4c72b0")
            axes[i, j].set(xscale="log", xlabel=label, title=title)
            axes[i, j].set_ylim(min(0, *heights), 1.1 * max(heights))
            axes[i, j].spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"A study of 30 columns, 5 folds, {ROUNDS} rounds a trial")
    figure.savefig(Path(__file__).with_name("growth.png"), dpi=100)


if __name__ == "__main__":
    main()
