"""Stage 1: a table in; checked, split and logged datasets out.

Reads: a table file (CSV, Parquet, Excel, JSON, Feather), a folder of Parquet parts, or a built-in table.
Writes: a run with train.parquet, test.parquet (raw columns, the target among them), problem.json, profile.html and the
sizes; where the split is by time, the drift between its sides too.
Parameters: `python data_preprocessing.py --help`.
Run: mlflow run . -e data-preprocessing -P data=table.csv -P target=column
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mlflow
import pandas as pd
from loguru import logger

from config import DataSettings
from tracking.datasets import download_artifact, log_problem, log_split
from tracking.runs import Lineage, stage_run
from treeline import UserError
from treeline.data.names import one_line
from treeline.data.oddities import inspect_cells
from treeline.data.problem import Problem, settle_problem
from treeline.data.quality import Inspection, inspect_table
from treeline.data.sentences import spell
from treeline.data.splits import Split
from treeline.data.tables import read_table
from treeline.model.expressions import add_derived
from treeline.reporting.drift_plots import drift_panels
from treeline.reporting.fonts import legible
from treeline.reporting.profile import profile_page
from utils import command

MAX_COLUMNS_IN_LOG = 12  # columns named in the log; the rest stand in the profile


@dataclass(frozen=True)
class Prepared:
    """A table made ready: the problem it poses, its two sides, and what was seen on the way.

    Attributes:
        problem: settled.
        train, test: raw columns that the model reads, the target, and the column of groups or times.
        seen: what each column tells of the target, judged on training rows, and how the sides differ.
        sizes: counts, by the names of the metrics.
    """

    problem: Problem
    train: pd.DataFrame
    test: pd.DataFrame
    seen: Inspection
    sizes: dict[str, int]


def split(problem: Problem, rows: pd.DataFrame, settings: DataSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows into a training and a test side, disjoint and complete.

    Raises:
        UserError: a side would be empty, or the training side without a class.
    """
    y = problem.truth(rows) if problem.classes else None
    apart = Split(problem.split, problem.split_column)
    train, test = apart.train_test(rows, y, settings.test_size, settings.seed)
    met = set(rows[problem.target].iloc[train])
    absent = [each for each in problem.classes if each not in met]
    if absent:
        raise UserError(
            f"The class {spell(absent[0])} is too rare: no row of it fell on the training side. Leave it "
            "out, or use split=stratified."
        )
    return rows.iloc[train].reset_index(drop=True), rows.iloc[test].reset_index(drop=True)


def prepare(settings: DataSettings) -> Prepared:
    """Read, check and split a table; nothing is written.

    Raises:
        UserError: whatever is wrong with the table or the settings.
    """
    tables = [read_table(settings.data, settings.target, download_artifact, settings.file())]
    n_read = len(tables[0].frame)
    problem, rows = settle_problem(tables.pop(), settings.table())  # the table as it was read need not stay
    problem = add_derived(problem, settings.derive)
    odd = inspect_cells(problem, rows)
    train, test = split(problem, rows, settings)
    unlabelled = n_read - len(rows)
    del rows
    seen = inspect_table(problem, train, test, settings.seed)
    warnings = odd + seen.warnings
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
    return Prepared(replace(problem, warnings=warnings), train, test, seen, sizes)


def describe(prepared: Prepared) -> str:
    """Say what the table is and how it will be read, a line a column: what `--dry-run` prints."""
    problem, sizes = prepared.problem, prepared.sizes
    how = problem.split + (f" by {problem.split_column!r}" if problem.split_column else "")
    lines = [
        f"Table      {problem.table}: {sizes['full_data_size']} rows; {sizes['train_size']} to train on, "
        f"{sizes['test_size']} to test on ({how})",
        f"Task       {problem.task}, target {problem.target!r} ({problem.reason})",
        *(f"Read       {note}" for note in problem.notes),
        *([f"Left out   {told_unlabelled(sizes)}"] if sizes["rows_without_target"] else []),
        "Columns",
        *(f"  {one_line(name): <32} {kind: <16} {problem.reasons[name]}" for name, kind in problem.kinds.items()),
        *(f"  {one_line(name): <32} {'derived': <16} {one_line(text)}" for name, text in problem.derived.items()),
        *(f"  {one_line(name): <32} {'left out': <16} {why}" for name, why in problem.left_out.items()),
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
    for note in problem.notes:
        logger.info(note)
    plain = ("numbers", "true or false")
    _report_columns("read as", {name: why for name, why in problem.reasons.items() if why not in plain})
    _report_columns("left out", problem.left_out)
    if sizes["rows_without_target"]:
        logger.warning(told_unlabelled(sizes))
    for warning in problem.warnings:
        logger.warning(warning)


def told_unlabelled(sizes: Mapping[str, int]) -> str:
    """Say how many rows have no target."""
    count = sizes["rows_without_target"]
    return f"{count} of {sizes['full_data_size'] + count} rows have no target and are left out"


def _report_columns(what: str, reasons: Mapping[str, str]) -> None:
    if reasons:
        shown = [f"{name!r} ({why})" for name, why in list(reasons.items())[:MAX_COLUMNS_IN_LOG]]
        logger.info(f"{what}: {', '.join(shown)}{' and more' if len(reasons) > MAX_COLUMNS_IN_LOG else ''}")


def run(settings: DataSettings) -> str:
    """Run the stage; return its run id, or nothing where it was a dry run."""
    if settings.dry_run:
        print(describe(prepare(settings)))
        return ""
    with stage_run("data-preprocessing", settings) as active:
        prepared = prepare(settings)
        problem, sizes = prepared.problem, prepared.sizes
        mlflow.set_tags({**Lineage(data_digest=problem.digest).tags(), "task": problem.task, "target": problem.target})
        if problem.warnings:
            mlflow.set_tag("warnings", "\n".join(problem.warnings)[:5000])
        log_problem(problem)
        log_split(problem, prepared.train, "train", "training")
        log_split(problem, prepared.test, "test", "testing")
        mlflow.log_metrics({name: float(size) for name, size in sizes.items()})
        mlflow.log_text(page(prepared), "profile.html")
        if problem.split == "time":
            log_drift(prepared)
        report(prepared)
        return str(active.info.run_id)


def log_drift(prepared: Prepared) -> None:
    """Log how the later rows differ from the earlier ones, as a table and a picture."""
    found = prepared.seen.drift
    mlflow.log_text(found.to_csv(index=False), "drift.csv")
    with legible([*found["column"], *found["what"]]):
        mlflow.log_figure(drift_panels(found, prepared.train, prepared.test), "drift.png")


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
    return profile_page(problem, prepared.train, prepared.seen.power, facts)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(DataSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
