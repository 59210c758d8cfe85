"""A sweep: the chain of `main` for each combination of parameters, as a Hydra multirun, compared by cross-validation.

Reads: whatever `main` reads.
Writes: a run with one run of `main` a combination below it, and the table of results, printed and as sweep.csv.
Parameters: `python sweep.py --help`.
Run: mlflow run . -e sweep -P hydra_options="-m n_trials=5,10 test_size=0.2,0.3"

Every combination registers its model and none is promoted on the way: of many models judged on test rows one passes by
luck. When all are done the best in cross-validation becomes the challenger and is judged, once, as `promote` says.
"""

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from operator import itemgetter
from typing import Any

import mlflow
import pandas as pd
from loguru import logger

import data_evaluation
import main as chain
from config import EvaluationSettings, MainSettings, SweepSettings
from launch.hydra import combinations, describe, multirun, overrides_of
from tracking.datasets import load_problem
from tracking.models import form_names
from tracking.registry import move_alias
from tracking.runs import Lineage, stage_run
from treeline import UserError
from treeline.metrics import metrics_of
from utils import command, log_to_stderr, parse

UNJUDGED = {"promote": "never", "min_score": ""}
HIDDEN = ["run_id", "training_run_id", "error"]  # columns of sweep.csv that are too wide to print
COLUMNS = ["metric", "cv_value", "best", "model", "version", *HIDDEN]


def read(parameters: Mapping[str, Any]) -> MainSettings:
    """Check the parameters of a combination as if they stood on the command line of `main`.

    Raises:
        UserError: a value is outside its range or cannot be read.
    """
    values = {MainSettings.option(name): "" if value is None else value for name, value in parameters.items()}
    settings = parse(MainSettings, "main.py", [f"--{name}={value}" for name, value in values.items()])
    settings.check()
    return settings


def run_combination(place: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, str]:
    """Run the chain of one combination; whatever goes wrong with it, the others go on.

    Args:
        place: environment variables that lead a process of its own to the sweep's store, experiment and run.
        parameters: of `main`.

    Returns:
        The run's id, and the error, each empty where there is the other.
    """
    if mlflow.active_run() is None:
        os.environ.update(place)
        log_to_stderr()
    settings = read(parameters)
    logger.info(f"combination {describe(settings)}")
    try:
        with redirect_stdout(io.StringIO()):  # the summary of each would bury the table
            return {"run_id": chain.run(settings.model_copy(update=UNJUDGED)), "error": ""}
    except UserError as error:
        reason = str(error)
    except Exception as error:  # a defect, a full disk: it belongs in the table too
        reason = f"{type(error).__name__}: {error}"
    logger.warning(f"combination {describe(settings)} failed: {reason}")
    return {"run_id": "", "error": reason}


def outcome(run_id: str) -> dict[str, Any]:
    """Read what a chain came to; metrics of one `kind`, a metric on the same rows cut the same way, can be compared."""
    tags = mlflow.get_run(run_id).data.tags
    data, tuning, training = itemgetter("data", "tuning", "training")(Lineage.from_tags(tags).runs())
    problem, metric = load_problem(data), tuning.data.tags["metric"]
    return {
        "kind": (problem.digest, problem.target, problem.task, problem.split, problem.split_column, metric),
        "greater_is_better": metrics_of(problem.task)[metric].greater_is_better,
        "metric": metric,
        "cv_value": tuning.data.metrics[f"cv_{metric}"],
        "model": training.data.tags["model_name"],
        "version": training.data.tags["model_version"],
        "training_run_id": training.info.run_id,
    }


def mark_best(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark the best of each kind; give those rows."""
    kinds: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        row["best"] = False
        if not row["error"]:
            kinds.setdefault(row["kind"], []).append(row)
    best = []
    for kind in kinds.values():
        choose = max if kind[0]["greater_is_better"] else min
        best.append(choose(kind, key=lambda row: row["cv_value"]))
        best[-1]["best"] = True
    return best


def log_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Log and print a line a combination: the parameters that vary, and what came of it."""
    names, planned = MainSettings.model_fields, [row["settings"] for row in rows]
    varied = [name for name in names if len({getattr(settings, name) for settings in planned}) > 1]
    lines = [{name: getattr(row["settings"], name) for name in varied} | dict(row) for row in rows]
    table = pd.DataFrame(lines, columns=list(dict.fromkeys([*varied, *COLUMNS])))
    mlflow.log_text(table.to_csv(index=False), "sweep.csv")
    printed = table.drop(columns=HIDDEN).assign(best=table["best"].map({True: "*", False: ""}))
    print(f"\n{printed.to_string(index=False, na_rep='failed')}\n")
    for row in rows:
        if row["best"]:
            print(f"Best       {describe(row['settings'])}: {row['metric']} {row['cv_value']:.5g} in cross-validation")


def judge(best: Mapping[str, Any]) -> str:
    """Make the best model the challenger and have it judged as its settings say; tell what came of it.

    Raises:
        UserError: it is refused.
    """
    settings = best["settings"]
    move_alias(form_names(best["model"]), "challenger", best["version"])
    if settings.promote == "never":
        return "not promoted: promote=never"
    evaluation = data_evaluation.run(settings.of(EvaluationSettings, training_run_id=best["training_run_id"]))
    tags = mlflow.get_run(evaluation).data.tags
    return "it is the champion" if tags["decision"] == "promote" else f"not promoted: {tags['reasons']}"


def close_below(run_id: str) -> None:
    """Close the runs that a killed process left open below another."""
    query = f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'RUNNING'"
    for run in mlflow.search_runs([mlflow.get_run(run_id).info.experiment_id], query, output_format="list"):
        close_below(run.info.run_id)
        mlflow.MlflowClient().set_terminated(run.info.run_id, "KILLED")


def run(settings: SweepSettings) -> str:
    """Run the sweep and print its table; return its run id.

    Raises:
        UserError: a combination cannot run (then none does), failed, or is the best and refused.
    """
    with stage_run("sweep", settings) as active:
        words = overrides_of(settings.hydra_options)
        planned = combinations(words, read)
        place = {
            "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
            "MLFLOW_EXPERIMENT_ID": active.info.experiment_id,
            "MLFLOW_RUN_CONTEXT": json.dumps({"mlflow.parentRunId": active.info.run_id}),
        }
        try:
            ran = multirun(words, partial(run_combination, place))
        finally:
            close_below(active.info.run_id)
        rows = [
            {"settings": each} | found | (outcome(found["run_id"]) if found["run_id"] else {})
            for each, found in zip(planned, ran, strict=True)
        ]
        best, errors = mark_best(rows), [row["error"] for row in rows if row["error"]]
        log_table(rows)
        mlflow.log_metrics({"combinations": len(rows), "combinations_failed": len(errors)})
        if errors:
            count = f"{len(errors)} of {len(rows)} combinations failed, so none is judged"
            raise UserError(f"{count}; the first failed with: {errors[0]}")
        if len(best) == 1:
            mlflow.log_metric(f"cv_{best[0]['metric']}", best[0]["cv_value"])
            print(f"Judged     {judge(best[0])}")
        else:
            print("Judged     none: the metrics do not all measure the same, so there is a best one of each kind")
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep from the command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) == 2 and words[0] == "--hydra_options":
        words = ["=".join(words)]  # a value that begins with a dash would pass for an option
    return command(SweepSettings, __file__, run, words)


if __name__ == "__main__":
    import sweep  # a process of its own imports what belongs to a module, not what belongs to a script

    sys.exit(sweep.main())
