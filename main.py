"""Stages 1 to 4 in one process, under one parent run: a table in; a tuned, registered, evaluated model out.

Reads: a CSV or Parquet file, or a built-in table.
Writes: a parent run with one child a stage, and a summary on standard output.
Parameters: all those of the four stages; `python main.py --help`. The run id of a stage skips it and those before it.
Run: mlflow run . -P data=table.csv -P target=column
"""

import os
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities import Run

import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import model_training
from config import DataSettings, EvaluationSettings, MainSettings, TrainingSettings, TuningSettings
from tracking.registry import forms
from tracking.runs import load_problem, stage_run
from treeline import UserError
from treeline.cpus import cpu_budget
from treeline.evaluation.comparison import parse_thresholds
from treeline.metrics import metrics_of
from treeline.model.boosting import Fold, boost, quantile_matrix, task_params
from treeline.tuning.search_space import SPACE, read_space
from utils import command

TYPICAL_ROUNDS = 200  # of a trial, before it stops; for a rough guess of the time


def plan(settings: MainSettings) -> str:
    """Say what the chain would do: the table as it would be read, what would be optimised, and roughly how long.

    Raises:
        UserError: whatever the chain would refuse before training.
    """
    prepared = data_preprocessing.prepare(settings.of(DataSettings))
    problem = prepared.problem
    metric = hyperparameters_tuning.choose_metric(settings.metric, problem.task)
    y = problem.truth(prepared.train)
    hyperparameters_tuning.check_folds(problem, y, settings.folds)
    parts = problem.folds(prepared.train, settings.folds, settings.seed)
    read_space(settings.search_space)
    seconds = _round_seconds(prepared, y) * len(parts) * TYPICAL_ROUNDS * settings.n_trials / cpu_budget()
    if settings.timeout:
        seconds = min(seconds, settings.timeout)
    lines = [
        data_preprocessing.describe(prepared),
        f"Search     {settings.n_trials} trials, {len(parts)} folds, best {metric}; roughly "
        + (f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{max(seconds, 1):.0f} seconds"),
        "Nothing was trained or written: this was a dry run.",
    ]
    return "\n".join(lines)


def _round_seconds(prepared: data_preprocessing.Prepared, y: np.ndarray) -> float:
    """Measure what a boosting round of a fold costs, on a part of the training rows."""
    problem, n = prepared.problem, min(len(y), 5_000)
    rows = np.random.default_rng(0).choice(len(y), n, replace=False)
    features = problem.features()
    matrix = features.fit_transform(problem.rows(prepared.train.iloc[rows]), y[rows])
    data = quantile_matrix(features, matrix, y[rows])
    start = time.perf_counter()
    boost(task_params(problem.task, len(problem.classes), y), [Fold(data)], rounds=20, cpus=1)
    return (time.perf_counter() - start) / 20 * max(1.0, len(y) / n)


def run(settings: MainSettings) -> str:
    """Run the chain, print its summary; return the parent's run id, or nothing where it was a dry run."""
    if settings.dry_run:
        print(plan(settings))
        return ""
    with stage_run("main", settings) as active:
        parse_thresholds(settings.min_score)  # what evaluation would refuse is refused before hours of tuning
        if settings.eval_dataset and not Path(settings.eval_dataset).is_file():
            raise UserError(f"No file {str(Path(settings.eval_dataset).absolute())!r} for --eval-dataset.")
        training_id, tuning_id, data_id = settings.training_run_id, settings.tuning_run_id, settings.data_run_id
        if not training_id:
            if not tuning_id:
                data_id = data_id or data_preprocessing.run(settings.of(DataSettings))
                tuning_id = hyperparameters_tuning.run(settings.of(TuningSettings, data_run_id=data_id))
            training_id = model_training.run(
                settings.of(TrainingSettings, data_run_id=data_id, tuning_run_id=tuning_id)
            )
        evaluation_id = data_evaluation.run(settings.of(EvaluationSettings, training_run_id=training_id))
        tags = mlflow.get_run(evaluation_id).data.tags
        mlflow.set_tags({key: tags[key] for key in ("data_run_id", "tuning_run_id", "training_run_id", "data_digest")})
        print(summary(mlflow.get_run(evaluation_id)))
        return str(active.info.run_id)


def summary(evaluation: Run) -> str:
    """Say what a person wants to read at the end: the data, the search, the score, the versions, what comes next."""
    tags, scores = evaluation.data.tags, evaluation.data.metrics
    data, tuning = mlflow.get_run(tags["data_run_id"]), mlflow.get_run(tags["tuning_run_id"])
    problem, sizes, search = load_problem(data), data.data.metrics, tuning.data
    name, version, metric = tags["model_name"], tags["model_version"], tags["metric"]
    best = ", ".join(f"{key} {_short(search.params[key])}" for key in [*SPACE, "rounds"] if key in search.params)
    lines = [
        "",
        f"Table      {problem.table}: {sizes['full_data_size']:.0f} rows, {len(problem.kinds)} columns and "
        f"{len(problem.derived)} derived; "
        f"{problem.task}, target {problem.target!r}",
        f"Split      {sizes['train_size']:.0f} rows to train on, {sizes['test_size']:.0f} held out",
        f"Search     {search.metrics['trials']:.0f} trials; best {metric} {search.metrics['best_score']:.4g} in "
        "cross-validation",
        *(f"           {line}" for line in textwrap.wrap(best, 100)),
        *_scores(problem.task, metric, scores),
        *_versions(forms(name), version),
    ]
    if tags["decision"] == "hold":
        lines.append(f"           not promoted: {tags['reasons']}")
    served = f"{name}Service@champion" if tags["decision"] == "promote" else f"{name}Service/{version}"
    return "\n".join([*lines, "", *_next_commands(served), ""])


def _scores(task: str, metric: str, scores: dict[str, float]) -> list[str]:
    """One line a metric, the optimised one first: the score, its interval, the dummy baseline's."""
    lines: list[str] = []
    for name in sorted(metrics_of(task), key=lambda each: each != metric):
        if name == "error" != metric:
            continue  # accuracy says the same
        if f"{name}_low" not in scores:
            continue  # not defined on these rows, such as the AUC where a class is absent
        label = "Held out" if not lines else ""
        interval = f"[{scores[f'{name}_low']:.4f}, {scores[f'{name}_high']:.4f}]"
        dummy = f"   dummy baseline {scores[f'dummy_{name}']:.4f}" if f"dummy_{name}" in scores else ""
        lines.append(f"{label: <10} {name: <9} {_figure(scores[name])}   95 % interval {interval}{dummy}")
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


def _short(value: str) -> str:
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chain from the command line."""
    return command(MainSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
