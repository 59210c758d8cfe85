"""Stage 1: a table in; checked, split and logged datasets out.

Reads: a CSV or Parquet file, or a built-in table.
Writes: a run with train.parquet, test.parquet (raw columns, the target among them), problem.json, profile.html and the
sizes.
Parameters: `python data_preprocessing.py --help`.
Run: mlflow run . -e data-preprocessing -P data=table.csv -P target=column
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import mlflow
import pandas as pd
from loguru import logger

from config import DataSettings
from tracking.runs import log_problem, log_split, stage_run
from treeline import UserError, nearest
from treeline.data.columns import ASKED, read_names, settle_columns
from treeline.data.problem import Problem
from treeline.data.quality import (
    MAX_ROWS_JUDGED,
    inspect_drift,
    inspect_leaks,
    inspect_rows,
    inspect_split,
    predictive_power,
)
from treeline.data.splits import Split
from treeline.data.tables import Table, digest, read_table
from treeline.data.target import check_target
from treeline.data.values import as_categories
from treeline.model.expressions import derived_by_default, parse_derived
from treeline.reporting.profile import profile_page
from utils import command

MAX_COLUMNS_IN_LOG = 12  # columns named in the log; the rest stand in the profile
MAX_CELLS_JUDGED = 250_000  # by which columns are judged one by one, so that hundreds take seconds


@dataclass(frozen=True)
class Prepared:
    """A table made ready: the problem it poses, its two sides, and what was seen on the way.

    Attributes:
        problem: settled.
        train, test: raw columns that the model reads, the target, and the column of groups or times.
        knowledge: how much of the target each column tells by itself, from 0 to 1, judged on training rows.
        sizes: counts, by the names of the metrics.
    """

    problem: Problem
    train: pd.DataFrame
    test: pd.DataFrame
    knowledge: dict[str, float]
    sizes: dict[str, int]


def pose(table: Table, settings: DataSettings) -> tuple[Problem, pd.DataFrame]:
    """Settle the task and the columns of a table; give the problem and the rows that have a target.

    Raises:
        UserError: whatever is wrong with the target, a column, or a setting that names columns.
    """
    rows, task, reason = check_target(table.frame, table.target, settings.task)
    beside = [str(name) for name in rows.columns if name != table.target]
    dropped = read_names(settings.drop, beside, "--drop")
    asked = {
        name: kind
        for option, kind in ASKED.items()
        for name in read_names(
            getattr(settings, option), [name for name in beside if name not in dropped], f"--{option}"
        )
    }
    needed = settings.split in ("group", "time")
    if needed and settings.split_column not in beside:
        raise UserError(
            f"--split {settings.split} needs --split-column, one of the columns beside the target; got "
            f"{settings.split_column!r}.{nearest(settings.split_column, beside)}"
        )
    if settings.split_column and not needed:
        raise UserError(f"--split-column goes with --split group or time, got --split {settings.split}.")
    split_column = settings.split_column
    apart = [name for name in dropped if name != split_column]
    rows = rows.drop(columns=apart)
    unread = [table.target, *(name for name in dropped if name in rows.columns)]
    unread += [split_column] if settings.split == "group" else []
    columns = settle_columns(rows.drop(columns=unread), asked)
    left_out = columns.left_out | ({split_column: "it holds the groups"} if settings.split == "group" else {})
    if not columns.kinds:
        why = "; ".join(f"{name!r}: {reason}" for name, reason in left_out.items())
        raise UserError(f"No column is left beside the target: drop fewer. {why}".strip())
    derived = parse_derived(settings.derive, columns.kinds, left_out) or derived_by_default(table.name, columns.kinds)
    classes = [] if task == "regression" else sorted(rows[table.target].unique().tolist())
    problem = Problem(
        table=table.name,
        source=table.source,
        target=table.target,
        task=task,
        reason=reason,
        classes=classes,
        kinds=columns.kinds,
        derived=derived,
        digest=digest(rows),
        split=settings.split,
        split_column=split_column,
        reasons=columns.reasons,
        left_out=left_out,
    )
    kept = dict.fromkeys([*columns.kinds, table.target, *([split_column] if split_column else [])])
    return problem, storable(rows if list(kept) == list(rows.columns) else rows[list(kept)])


def storable(frame: pd.DataFrame) -> pd.DataFrame:
    """Spell out columns whose values are of mixed types, which Parquet does not hold."""
    mixed = [name for name in frame.columns if pd.api.types.infer_dtype(frame[name], skipna=True).startswith("mixed")]
    return (
        frame
        if not mixed
        else frame.assign(
            **{name: pd.Series(as_categories(frame[name]), index=frame.index, dtype="str") for name in mixed}
        )
    )


def split(problem: Problem, rows: pd.DataFrame, settings: DataSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows into a training and a test side, disjoint and complete.

    Raises:
        UserError: a side would be empty, or the training side without a class.
    """
    y = problem.truth(rows) if problem.classes else None
    train, test = Split(problem.split, problem.split_column).sides(rows, y, settings.test_size, settings.seed)
    absent = set(problem.classes) - set(rows[problem.target].iloc[train])
    if absent:
        raise UserError(
            f"The class {min(map(str, absent))!r} is too rare: no row of it fell on the training side. Leave it "
            "out, or use --split stratified."
        )
    return rows.iloc[train].reset_index(drop=True), rows.iloc[test].reset_index(drop=True)


def prepare(settings: DataSettings) -> Prepared:
    """Read, check and split a table; nothing is written.

    Raises:
        UserError: whatever is wrong with the table or the settings.
    """
    table = read_table(settings.data, settings.target)
    n_read = len(table.frame)
    problem, rows = pose(table, settings)
    del table
    train, test = split(problem, rows, settings)
    unlabelled = n_read - len(rows)
    del rows
    y = problem.truth(train)
    judged = train.sample(
        min(len(train), max(500, min(MAX_ROWS_JUDGED, MAX_CELLS_JUDGED // len(problem.kinds)))),
        random_state=settings.seed,
    )
    y_judged = problem.truth(judged)
    knowledge = {
        name: predictive_power(judged[name], kind, y_judged, bool(problem.classes))
        for name, kind in problem.kinds.items()
    }
    warnings = [
        *inspect_rows(train, problem.kinds, y, problem.classes),
        *inspect_leaks(knowledge, len(judged)),
        *inspect_split(train, test, problem.kinds, problem.target, problem.classes),
    ]
    if problem.split == "time":
        warnings += inspect_drift(train, test, problem.kinds, problem.target)
    if unlabelled > n_read / 2:
        warnings.append(
            f"The target {problem.target!r} is missing in {unlabelled} of {n_read} rows: ask whether the rows "
            "that have it are like those that do not."
        )
    sizes = {
        "full_data_size": len(train) + len(test),
        "features_count": len(problem.kinds) + len(problem.derived),
        "train_size": len(train),
        "test_size": len(test),
        "rows_without_target": unlabelled,
    }
    return Prepared(replace(problem, warnings=warnings), train, test, knowledge, sizes)


def describe(prepared: Prepared) -> str:
    """Say what the table is and how it will be read, a line a column: what `--dry-run` prints."""
    problem, sizes = prepared.problem, prepared.sizes
    how = problem.split + (f" by {problem.split_column!r}" if problem.split_column else "")
    lines = [
        f"Table      {problem.table}: {sizes['full_data_size']} rows; {sizes['train_size']} to train on, "
        f"{sizes['test_size']} to test on ({how})",
        f"Task       {problem.task}, target {problem.target!r} ({problem.reason})",
        "Columns",
        *(f"  {name: <32} {kind: <9} {problem.reasons[name]}" for name, kind in problem.kinds.items()),
        *(f"  {name: <32} derived   {text}" for name, text in problem.derived.items()),
        *(f"  {name: <32} left out  {why}" for name, why in problem.left_out.items()),
        *(f"Warning    {warning}" for warning in problem.warnings),
    ]
    return "\n".join(lines)


def report(prepared: Prepared) -> None:
    """Tell the user what was seen, shortly."""
    problem, sizes = prepared.problem, prepared.sizes
    kinds = Counter(problem.kinds.values())
    spelled = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    logger.info(
        f"{problem.table}: {sizes['full_data_size']} rows, {sizes['features_count']} features ({spelled}"
        f"{f', {len(problem.derived)} derived' if problem.derived else ''}), {problem.task} ({problem.reason}); "
        f"{sizes['train_size']} rows to train on, {sizes['test_size']} to test on"
    )
    plain = ("numbers", "true or false")
    noted = [f"{name!r} ({problem.reasons[name]})" for name in problem.kinds if problem.reasons[name] not in plain]
    if noted:
        logger.info(
            f"read as: {', '.join(noted[:MAX_COLUMNS_IN_LOG])}{' and more' if len(noted) > MAX_COLUMNS_IN_LOG else ''}"
        )
    out = [f"{name!r} ({why})" for name, why in problem.left_out.items()]
    if out:
        logger.info(
            f"left out: {', '.join(out[:MAX_COLUMNS_IN_LOG])}{' and more' if len(out) > MAX_COLUMNS_IN_LOG else ''}"
        )
    unlabelled = sizes["rows_without_target"]
    if unlabelled:
        logger.warning(f"{unlabelled} of {sizes['full_data_size'] + unlabelled} rows have no target and are left out")
    for warning in problem.warnings:
        logger.warning(warning)


def run(settings: DataSettings) -> str:
    """Run the stage; return its run id, or nothing where it was a dry run."""
    if settings.dry_run:
        print(describe(prepare(settings)))
        return ""
    with stage_run("data-preprocessing", settings) as active:
        prepared = prepare(settings)
        problem, sizes = prepared.problem, prepared.sizes
        mlflow.set_tags({"data_digest": problem.digest, "task": problem.task, "target": problem.target})
        if problem.warnings:
            mlflow.set_tag("warnings", "\n".join(problem.warnings)[:5000])
        log_problem(problem)
        log_split(problem, prepared.train, "train", "training")
        log_split(problem, prepared.test, "test", "testing")
        mlflow.log_metrics({name: float(size) for name, size in sizes.items()})
        mlflow.log_text(page(prepared), "profile.html")
        report(prepared)
        return str(active.info.run_id)


def page(prepared: Prepared) -> str:
    """Make the profile of the training rows."""
    problem, sizes = prepared.problem, prepared.sizes
    facts = {
        "rows to train on": f"{sizes['train_size']:,}",
        "rows to test on": f"{sizes['test_size']:,}",
        "columns": f"{len(problem.kinds):,}",
        "task": problem.task,
        "split": problem.split,
    }
    return profile_page(problem, prepared.train, prepared.knowledge, facts)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(DataSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
