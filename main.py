"""Stages 1 to 4 in one process, under one parent run: a table in; a tuned, registered, evaluated model out.

Reads: a CSV or Parquet file, or a built-in table.
Writes: a parent run with one child a stage, and a summary on standard output.
Parameters: all those of the four stages; `python main.py --help`. The run id of a stage skips it and those before it.
Run: mlflow run . -P data=table.csv -P target=column
"""

import math
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
from tracking.evaluation_log import EVALUATION_SECONDS
from tracking.findings import load_intervals, told_of_few
from tracking.model_card import labels_of_search
from tracking.models import SERVICE, form_names
from tracking.runs import Lineage, find_run, stage_run
from treeline.cpus import cpu_budget
from treeline.data.sentences import figure
from treeline.evaluation.importance import REPEATS
from treeline.metrics import metrics_of
from treeline.reporting.html import shorten
from treeline.tuning.objective import make_objective
from treeline.tuning.search_space import PARAMETERS
from utils import command

TYPICAL_ROUNDS = 200  # of a trial, before it stops; for a rough guess of the time
MAX_ROWS_TIMED = 5_000  # of each fold, for the same
LEAST_EVALUATION_SECONDS = 10.0  # of loading, MLflow's evaluator, pictures and card; for the same
SECONDS_A_PERMUTATION = 0.01  # of a column, for the same


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
        f"Evaluation roughly {_evaluation_seconds(len(prepared.problem.kinds)):.0f} seconds; what it has not measured "
        f"after {EVALUATION_SECONDS:.0f} is left out and named",
        "Nothing was trained or written: this was a dry run.",
    ]
    return "\n".join(lines)


def _evaluation_seconds(columns: int) -> float:
    return min(LEAST_EVALUATION_SECONDS + columns * REPEATS * SECONDS_A_PERMUTATION, EVALUATION_SECONDS)


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
                settings.check_for(load_problem(find_run("data-preprocessing", data_id)))
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
    tags = evaluation.data.tags
    runs = Lineage.from_tags(tags).runs()
    problem, sizes, search = load_problem(runs["data"]), runs["data"].data.metrics, runs["tuning"].data
    name, version, metric = tags["model_name"], tags["model_version"], tags["metric"]
    best = ", ".join(f"{key} {shorten(search.params[key])}" for key in [*PARAMETERS, "rounds"] if key in search.params)
    counted = f", rows counted by {problem.weight!r}" if problem.weight else ""
    lines = [
        "",
        f"Table      {problem.table}: {sizes['full_data_size']:.0f} rows, {len(problem.kinds)} columns and "
        f"{len(problem.derived)} derived; "
        f"{problem.task}, target {problem.target!r}{counted}",
        f"Split      {sizes['train_size']:.0f} rows to train on, {sizes['test_size']:.0f} held out",
        *_wrapped("Search", _searched(metric, search.metrics)),
        *_wrapped("", labels_of_search(metric, runs["training"].data.tags)),
        *_wrapped("", best),
        *_metrics(problem.task, evaluation),
        *_answers(evaluation, runs["training"]),
        *_versions(form_names(name), version),
    ]
    if tags["decision"] == "hold":
        lines += _wrapped("", f"not promoted: {tags['reasons']}")
    for warning in filter(None, tags.get("warnings", "").splitlines()):
        lines += _wrapped("Warning", warning)
    promoted = tags["decision"] == "promote"
    served = name + SERVICE.suffix + ("@champion" if promoted else f"/{version}")
    return "\n".join([*lines, "", *_next_commands(served), ""])


def _wrapped(label: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, 100)
    return [f"{label if not i else '': <10} {line}" for i, line in enumerate(lines)]


def _searched(metric: str, values: dict[str, float]) -> str:
    """Say what the search came to, and how far that can be believed."""
    cv, found, trials = values[f"cv_{metric}"], values[f"search_{metric}"], values["trials"]
    if repeated := values.get("trials_repeated"):
        return (
            f"{trials:.0f} cross-validations; best {metric} {figure(cv)}, on other cuts of the rows than the search's, "
            f"where it was {figure(found)}: the best of {trials - repeated:.0f} trials is partly luck"
        )
    told = "" if trials == 1 else ", a little flattered, for it is the best of them on the same folds"
    return f"{trials:.0f} trials; best {metric} {figure(cv)} in cross-validation{told}"


def _metrics(task: str, evaluation: Run) -> list[str]:
    """One line a metric, the optimised one first: its value, its interval, the champion's, the dummy baseline's."""
    values, metric, sure = evaluation.data.metrics, evaluation.data.tags["metric"], load_intervals(evaluation)
    known = [name for name in metrics_of(task) if TEST + name in values and (name != "error" or metric == "error")]
    width = max(map(len, known), default=0)
    few = told_of_few(values)
    lines: list[str] = []
    for name in sorted(known, key=lambda each: each != metric):
        label = "Held out" if not lines else ""
        interval = sure[name]
        told = f"no interval: {interval.why}" if interval.why else f"[{interval.low:.4f}, {interval.high:.4f}]"
        beside = {f"champion{few}": f"champion_{name}", "dummy": f"dummy_{name}"}
        others = "".join(f"   {who} {_figure(values[key])}" for who, key in beside.items() if key in values)
        lines.append(f"{label: <10} {name: <{width}}  {_figure(values[TEST + name]): <8} {told: <18}{others}")
    return [*lines, f"           (in brackets the 95 % interval{units_behind([each.note for each in sure.values()])})"]


def units_behind(notes: Sequence[str]) -> str:
    """Say how many groups, or blocks of time, stand behind intervals whose notes tell them; nothing where rows do."""
    units = [note.partition(";")[0].split(" ", 2)[1:] for note in notes if note.startswith("by ")]
    if not units:
        return ""
    counts = sorted(int(count) for count, _ in units)
    return f", by {' to '.join(map(str, dict.fromkeys([counts[0], counts[-1]])))} {units[0][1]}"


def _answers(evaluation: Run, training: Run) -> list[str]:
    """Say by which threshold labels are given, or how much intervals hold; and what the judgement could show."""
    values, lines = evaluation.data.metrics, []
    if told := training.data.tags.get("answers"):
        lines += _wrapped("Answers", told)
    if "interval_coverage" in values:
        lines += _wrapped("", f"On the held-out rows they held {values['interval_coverage']:.1%}.")
    if (smallest := values.get("smallest_gain", math.nan)) >= 0:  # 0 where both say the same of every row
        lines += _wrapped(
            "Judged",
            f"against the champion, {evaluation.data.tags['champion']}, for the gain of {figure(values['gain'])}"
            + f"; the smallest that these rows could surely show is {figure(smallest)}" * (smallest > 0)
            + (f"; they have judged {values['judgements']:.0f} models" if values["judgements"] > 1 else ""),
        )
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
