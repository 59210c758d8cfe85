"""Stages 1 to 4 in one process, under one parent run: a table in; a tuned, registered, evaluated model out.

Reads: a CSV or Parquet file, or a built-in table.
Writes: a parent run with one child a stage, and a summary on standard output.
Parameters: all those of the four stages; `python main.py --help`. The run id of a stage skips it and those before it.
Run: mlflow run . -P data=table.csv -P target=column
"""

import os
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mlflow
from mlflow.entities import Run

import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import model_training
from config import DataSettings, EvaluationSettings, MainSettings, TrainingSettings, TuningSettings
from tracking.datasets import load_problem
from tracking.default_evaluator import TEST
from tracking.models import SERVICE, form_names
from tracking.runs import Lineage, stage_run
from treeline.cpus import cpu_budget
from treeline.metrics import metrics_of
from treeline.reporting.html import shorten
from treeline.tuning.objective import make_objective
from treeline.tuning.search_space import PARAMETERS
from utils import command

TYPICAL_ROUNDS = 200  # of a trial, before it stops; for a rough guess of the time
MAX_ROWS_TIMED = 5_000  # of each fold, for the same


def plan(settings: MainSettings) -> str:
    """Say what the chain would do: the table as it would be read, what would be optimised, and roughly how long.

    Raises:
        UserError: whatever the chain would refuse before training.
    """
    settings.check()
    prepared = data_preprocessing.prepare(settings.of(DataSettings))
    settings.check_for(prepared.problem)
    search, train = settings.search(), prepared.train
    objective = make_objective(prepared.problem, train, search, cpus=1, max_rows=MAX_ROWS_TIMED)
    folds = len(objective.folds)
    rows_a_fold = len(train) * (1 - 1 / folds) / objective.folds[0].train.num_row()
    seconds = objective.round_seconds() * rows_a_fold * folds * TYPICAL_ROUNDS * search.n_trials / cpu_budget()
    if search.timeout:
        seconds = min(seconds, search.timeout)
    lines = [
        data_preprocessing.describe(prepared),
        f"Search     {search.n_trials} trials, {folds} folds, best {objective.metric}; roughly "
        + (f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{max(seconds, 1):.0f} seconds"),
        "Nothing was trained or written: this was a dry run.",
    ]
    return "\n".join(lines)


def run(settings: MainSettings) -> str:
    """Run the chain, print its summary; return the parent's run id, or nothing where it was a dry run."""
    if settings.dry_run:
        print(plan(settings))
        return ""
    with stage_run("main", settings) as active:
        training_id, tuning_id, data_id = settings.training_run_id, settings.tuning_run_id, settings.data_run_id
        if not training_id:
            if not tuning_id:
                data_id = data_id or data_preprocessing.run(settings.of(DataSettings))
                settings.check_for(load_problem(mlflow.get_run(data_id)))
                tuning_id = hyperparameters_tuning.run(settings.of(TuningSettings, data_run_id=data_id))
            training_id = model_training.run(
                settings.of(TrainingSettings, data_run_id=data_id, tuning_run_id=tuning_id)
            )
        evaluation_id = data_evaluation.run(settings.of(EvaluationSettings, training_run_id=training_id))
        tags = mlflow.get_run(evaluation_id).data.tags
        mlflow.set_tags(replace(Lineage.from_tags(tags), evaluation_run_id=evaluation_id).tags())
        print(summary(mlflow.get_run(evaluation_id)))
        return str(active.info.run_id)


def summary(evaluation: Run) -> str:
    """Say what a person wants to read at the end: the data, the search, the metrics, the versions, what comes next."""
    tags, values = evaluation.data.tags, evaluation.data.metrics
    runs = Lineage.from_tags(tags).runs()
    problem, sizes, search = load_problem(runs["data"]), runs["data"].data.metrics, runs["tuning"].data
    name, version, metric = tags["model_name"], tags["model_version"], tags["metric"]
    best = ", ".join(f"{key} {shorten(search.params[key])}" for key in [*PARAMETERS, "rounds"] if key in search.params)
    lines = [
        "",
        f"Table      {problem.table}: {sizes['full_data_size']:.0f} rows, {len(problem.kinds)} columns and "
        f"{len(problem.derived)} derived; "
        f"{problem.task}, target {problem.target!r}",
        f"Split      {sizes['train_size']:.0f} rows to train on, {sizes['test_size']:.0f} held out",
        f"Search     {search.metrics['trials']:.0f} trials; best {metric} {search.metrics[f'cv_{metric}']:.4g} in "
        "cross-validation",
        *(f"           {line}" for line in textwrap.wrap(best, 100)),
        *_metrics(problem.task, metric, values),
        *_versions(form_names(name), version),
    ]
    if tags["decision"] == "hold":
        lines.append(f"           not promoted: {tags['reasons']}")
    promoted = tags["decision"] == "promote"
    served = name + SERVICE.suffix + ("@champion" if promoted else f"/{version}")
    return "\n".join([*lines, "", *_next_commands(served), ""])


def _metrics(task: str, metric: str, values: dict[str, float]) -> list[str]:
    """One line a metric, the optimised one first: its value, its interval, the dummy baseline's."""
    lines: list[str] = []
    for name in sorted(metrics_of(task), key=lambda each: each != metric):
        if name == "error" != metric:
            continue  # accuracy says the same
        if f"{TEST}{name}_low" not in values:
            continue  # not defined on these rows, such as the AUC where a class is absent
        label = "Held out" if not lines else ""
        interval = f"[{values[f'{TEST}{name}_low']:.4f}, {values[f'{TEST}{name}_high']:.4f}]"
        dummy = f"   dummy baseline {values[f'dummy_{name}']:.4f}" if f"dummy_{name}" in values else ""
        lines.append(f"{label: <10} {name: <9} {_figure(values[TEST + name])}   95 % interval {interval}{dummy}")
    return lines


def _figure(value: float) -> str:
    """Give four decimals, or four digits where the first of them stands further behind."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.4g}"


def _versions(names: Sequence[str], version: str) -> list[str]:
    """One line a registered model: its version and the aliases that point at it."""
    client = mlflow.MlflowClient()
    lines: list[str] = []
    for name in names:
        aliases = client.get_model_version(name, version).aliases
        lines.append(f"{'' if lines else 'Registered': <10} {name} version {version} ({', '.join(sorted(aliases))})")
    return lines


def _next_commands(served: str) -> list[str]:
    """The commands that open the UI, score a file and serve the model, as they work from this folder."""
    tool, python, path = "mlflow", "python", ""
    if "VIRTUAL_ENV" not in os.environ:
        beside, python = Path(sys.executable).with_name("mlflow"), _from_here(Path(sys.executable))
        tool = _from_here(beside)
        path = f"PATH={_from_here(beside.parent)}:$PATH "  # on which `mlflow models serve` looks for uvicorn
    script = _from_here(Path(__file__).with_name("batch_inference.py"))
    model = f"models:/{served}"
    return [
        "Next       see every run:  " + f"{tool} ui",
        "           score a file:   "
        + f"{python} {script} --model-uri {model} --input new_rows.csv --output scores.csv",
        "           serve it:       " + f"{path}{tool} models serve -m {model} --env-manager local -p 5001",
    ]


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chain from the command line."""
    return command(MainSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
