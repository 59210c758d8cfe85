"""Stage 1: a table in; checked, split and logged datasets out.

Reads: a CSV or Parquet file, or a built-in table.
Writes: a run with train.parquet, test.parquet (raw columns, the target among them), problem.json and the sizes.
Parameters: `python data_preprocessing.py --help`.
Run: mlflow run . -e data-preprocessing -P data=table.csv -P target=column
"""

import sys
from collections.abc import Sequence

import mlflow
import numpy as np
import pandas as pd
from loguru import logger
from sklearn.model_selection import train_test_split

from config import DataSettings
from treeline import UserError
from treeline.checks import check_target, column_kinds
from treeline.expressions import derived_by_default, parse_derived
from treeline.problem import Problem
from treeline.tables import Table, digest, nearest, read_table
from utils import command, log_problem, log_split, stage_run


def pose(table: Table, settings: DataSettings) -> tuple[Problem, pd.DataFrame]:
    """Settle the task and the columns of a table; give the problem and the rows that have a target.

    Raises:
        UserError: whatever is wrong with the target, a column, `drop` or `derive`.
    """
    rows, task, reason = check_target(table.frame, table.target, settings.task)
    dropped = [name.strip() for name in settings.drop.split(",") if name.strip()]
    for name in dropped:
        if name not in rows.columns or name == table.target:
            raise UserError(
                f"Cannot drop {name!r}: it is not among the columns beside the target.{nearest(name, rows.columns)}"
            )
    rows = rows.drop(columns=dropped)
    kinds = column_kinds(rows.drop(columns=table.target))
    if not kinds:
        raise UserError("No column is left beside the target: drop fewer.")
    derived = parse_derived(settings.derive, kinds) or derived_by_default(table.name, kinds)
    classes = [] if task == "regression" else sorted(rows[table.target].unique().tolist())
    problem = Problem(table.name, table.source, table.target, task, reason, classes, kinds, derived, digest(rows))
    return problem, rows


def split(problem: Problem, rows: pd.DataFrame, settings: DataSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows into a training and a test side, disjoint and complete, by the seed.

    Raises:
        UserError: a side would be empty, or without a class.
    """
    n, n_test = len(rows), int(np.ceil(len(rows) * settings.test_size))
    if not 0 < n_test < n:
        raise UserError(
            f"--test-size {settings.test_size} of {n} rows leaves {n - n_test} to train on and {n_test} to test "
            "on: both sides need one at least."
        )
    stratify = rows[problem.target] if settings.split == "stratified" and problem.classes else None
    if stratify is not None and min(n_test, n - n_test) < len(problem.classes):
        raise UserError(
            f"--test-size {settings.test_size} leaves {min(n_test, n - n_test)} rows on one side, fewer than the "
            f"{len(problem.classes)} classes: choose a size nearer to the middle."
        )
    train, test = train_test_split(np.arange(n), test_size=n_test, random_state=settings.seed, stratify=stratify)
    train, test = np.sort(train), np.sort(test)
    absent = set(problem.classes) - set(rows[problem.target].iloc[train])
    if absent:
        raise UserError(
            f"The class {min(map(str, absent))!r} is too rare: no row of it fell on the training side. Leave it "
            "out, or use --split stratified."
        )
    return rows.iloc[train].reset_index(drop=True), rows.iloc[test].reset_index(drop=True)


def run(settings: DataSettings) -> str:
    """Run the stage; return its run id."""
    with stage_run("data-preprocessing", settings) as active:
        table = read_table(settings.data, settings.target)
        problem, rows = pose(table, settings)
        train, test = split(problem, rows, settings)
        left_out = len(table.frame) - len(rows)
        if left_out:
            logger.warning(f"{left_out} of {len(table.frame)} rows have no target and are left out")
        mlflow.set_tags({"data_digest": problem.digest, "task": problem.task, "target": problem.target})
        log_problem(problem)
        log_split(problem, train, "train", "training")
        log_split(problem, test, "test", "testing")
        sizes = {
            "full_data_size": len(rows),
            "features_count": len(problem.kinds) + len(problem.derived),
            "train_size": len(train),
            "test_size": len(test),
            "rows_without_target": left_out,
        }
        mlflow.log_metrics({name: float(size) for name, size in sizes.items()})
        logger.info(
            f"{problem.table}: {len(rows)} rows, {sizes['features_count']} features, {problem.task} "
            f"({problem.reason}); "
            f"{len(train)} rows to train on, {len(test)} to test on"
        )
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(DataSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
