"""A sweep: the chain of `main` for each combination of parameters, as a Hydra multirun, compared by cross-validation.

Reads: whatever `main` reads.
Writes: a run with one run of `main` a combination below it, and the table of results, printed and as sweep.csv.
Parameters: `python sweep.py --help`.
Run: mlflow run . -e sweep -P hydra_options="-m n_trials=5,10 seed=0,1,2"

Every combination registers its model and none is promoted on the way: of many models judged on test rows one passes by
luck. When all are done the best in cross-validation becomes the challenger and is judged, once, as `promote` says.

Only what is measured alike is compared: the same training rows, cut into the same folds. A seed cuts other rows and
folds, and the luckiest cut is no better model, so none is chosen by it: combinations that differ in the seed alone are
one, worth the mean over its seeds, and the model of its first seed stands for it.
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
from launch.groups import Group, Ran, best_of, groups_of
from launch.hydra import combinations, describe, multirun, overrides_of
from launch.stops import listen_to_parent, stops_passed_on
from tracking.champions import make_challenger
from tracking.closing import close
from tracking.datasets import load_problem
from tracking.runs import Lineage, logged_settings, stage_run
from tracking.store import open_store
from tracking.store_errors import store_error
from treeline import UserError
from treeline.interruption import stop_if_wished
from treeline.metrics import metrics_of
from treeline.secrets import without_secrets
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


class CheckedSweep(SweepSettings):
    """A sweep whose combinations have all been read, so that a command line that cannot be is refused as one."""

    def check(self) -> None:
        """Refuse options that cannot be read, and combinations of which one cannot run.

        Raises:
            UserError: as `launch.hydra.combinations`.
        """
        super().check()
        combinations(overrides_of(self.hydra_options), read)


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
        listen_to_parent()
        open_store()
    settings = read(parameters)
    logger.info(f"combination {describe(settings)}")
    try:
        with redirect_stdout(io.StringIO()):  # the summary of each would bury the table
            return {"run_id": chain.run(settings.model_copy(update=UNJUDGED)), "error": ""}
    except UserError as error:
        reason = str(error)
    except KeyboardInterrupt:  # raised on, it would end the others' processes where they stand
        reason = "stopped"
    except Exception as error:  # a defect, a full disk: it belongs in the table too
        reason = str(store_error(error) or f"{type(error).__name__}: {error}")
    logger.warning(f"combination {describe(settings)} failed: {reason}")
    return {"run_id": "", "error": without_secrets(reason)}


def outcome(settings: MainSettings, run_id: str) -> Ran:
    """Read what a chain came to."""
    tags = mlflow.get_run(run_id).data.tags
    data, tuning, training = itemgetter("data", "tuning", "training")(Lineage.from_tags(tags).runs())
    problem, metric = load_problem(data), tuning.data.tags["metric"]
    split, search = logged_settings(data), logged_settings(tuning)
    table = [problem.digest, problem.target, problem.task, problem.weight]
    rows = [problem.split, problem.split_column, split["test_size"], search["folds"]]
    values = {
        "run_id": run_id,
        "metric": metric,
        "cv_value": tuning.data.metrics[f"cv_{metric}"],
        "model": training.data.tags["model_name"],
        "version": training.data.tags["model_version"],
        "training_run_id": training.info.run_id,
    }
    better = metrics_of(problem.task)[metric].greater_is_better
    return Ran(settings, (*table, *rows, metric), (split["seed"], search["seed"]), better, values)


def log_table(settings: Sequence[MainSettings], rows: Sequence[Mapping[str, Any]]) -> None:
    """Log and print a line a combination: the parameters that vary, and what came of it."""
    varied = [name for name in MainSettings.model_fields if len({getattr(each, name) for each in settings}) > 1]
    lines = [
        {name: plain(getattr(each, name)) for name in varied} | dict(row)
        for each, row in zip(settings, rows, strict=True)
    ]
    table = pd.DataFrame(lines, columns=list(dict.fromkeys([*varied, *COLUMNS])))
    mlflow.log_text(table.to_csv(index=False), "sweep.csv")
    printed = table.drop(columns=HIDDEN).assign(best=table["best"].map({True: "*", False: ""}))
    print(f"\n{printed.to_string(index=False, na_rep='failed')}\n")


def plain(value: Any) -> Any:
    """Give a setting's value without the secrets that it may hold."""
    return without_secrets(value) if isinstance(value, str) else value


def report(kinds: Sequence[Sequence[Group]]) -> None:
    """Print what each group of several seeds is worth, and the best of each kind that has two to choose from."""
    for groups in kinds:
        for group in groups:
            if len(group.members) > 1:
                print(f"Seeds      {group}")
        if len(groups) > 1:
            print(f"Best       {best_of(groups)}")


def judge(best: Ran) -> str:
    """Make the best model the challenger and have it judged as its settings say; tell what came of it.

    Raises:
        UserError: it is refused.
    """
    settings, values = best.settings, best.values
    make_challenger(values["model"], values["version"])
    if settings.promote == "never":
        return "not promoted: promote=never"
    evaluation = data_evaluation.run(settings.of(EvaluationSettings, training_run_id=values["training_run_id"]))
    tags = mlflow.get_run(evaluation).data.tags
    return "it is the champion" if tags["decision"] == "promote" else f"not promoted: {tags['reasons']}"


def judge_best(kinds: Sequence[Sequence[Group]]) -> None:
    """Have the best model judged where all are measured alike; print what came of it.

    Raises:
        UserError: it is refused.
    """
    if len(kinds) > 1:
        print(
            "Judged     none: the values do not all measure the same (another table, target, split, test_size, folds, "
            "metric or set of seeds), so they are not compared across"
        )
        return
    best = best_of(kinds[0])
    first, metric = best.members[0], best.members[0].values["metric"]
    mlflow.log_metric(f"cv_{metric}", best.mean)
    if len(best.members) > 1:
        mlflow.log_metric(f"cv_{metric}_std", best.spread)
        seed = first.settings.seed
        print(f"Judged     the model of seed={seed}, the first of {len(best.members)}: none is chosen by its seed")
    print(f"Judged     {judge(first)}")


def close_below(run_id: str) -> None:
    """Close the runs that a killed process left open below another."""
    query = f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'RUNNING'"
    for run in mlflow.search_runs([mlflow.get_run(run_id).info.experiment_id], query, output_format="list"):
        close_below(run.info.run_id)
        close(run, "The process that ran this combination ended without closing it.")


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
            with stops_passed_on():
                ran = multirun(words, partial(run_combination, place))
        finally:
            close_below(active.info.run_id)
        done = [outcome(each, got["run_id"]) if got["run_id"] else None for each, got in zip(planned, ran, strict=True)]
        kinds = groups_of([each for each in done if each])
        best = [member for groups in kinds if len(groups) > 1 for member in best_of(groups).members]
        found = [{"best": each in best, **(each.values if each else {})} for each in done]
        log_table(planned, [{**got, **row} for got, row in zip(ran, found, strict=True)])
        stop_if_wished()
        report(kinds)
        errors = [got["error"] for got in ran if got["error"]]
        mlflow.log_metrics({"combinations": len(ran), "combinations_failed": len(errors)})
        if errors:
            count = f"{len(errors)} of {len(ran)} combinations failed, so none is judged"
            raise UserError(f"{count}; the first failed with: {errors[0]}")
        judge_best(kinds)
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep from the command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) == 2 and words[0] == "--hydra_options":
        words = ["=".join(words)]  # a value that begins with a dash would pass for an option
    return command(CheckedSweep, __file__, run, words)


if __name__ == "__main__":
    import sweep  # a process of its own imports what belongs to a module, not what belongs to a script

    sys.exit(sweep.main())
