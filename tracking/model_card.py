"""The model card of an evaluated version: gathered from the runs that made it, logged on the run and on the model."""

import json
import math
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Run

from tracking.default_evaluator import TEST
from tracking.findings import Findings
from tracking.models import SERVICE
from tracking.registry import champion_history, tag_versions
from tracking.runs import Lineage
from treeline.data.problem import Problem
from treeline.metrics import metrics_of
from treeline.reporting.html import Section, card, shorten, spell
from treeline.serving.requests import split_of

MAX_COLUMNS_SHOWN = 12  # columns of a table of rows
PICTURES = {
    "confusion": "Rows of each class by what was predicted",
    "calibration": "How often probabilities came true",
    "thresholds": "Precision, recall and F1 by threshold",
    "residuals": "Predictions and residuals",
}
EXPLANATIONS = {
    "permutation_importance": "How much the metric suffers when a raw column is permuted",
    "shap_importance": "Mean size of the SHAP values",
    "shap_summary": "What moved each prediction",
}


def log_card(run_id: str, problem: Problem, frame: pd.DataFrame, found: Findings) -> None:
    """Make the card, log it on the evaluation's run and beside the model, and point the version at it.

    Args:
        run_id: of the evaluation, its metrics and tags logged.
        problem: that the model solves.
        frame: the evaluated rows.
        found: by the evaluation.
    """
    evaluation = mlflow.get_run(run_id)
    tags = evaluation.data.tags
    name, version, decision = tags["model_name"], tags["model_version"], tags["decision"]
    runs = Lineage.from_tags(tags).runs()
    sections = [
        _purpose(problem, runs),
        _data(problem, runs["data"], frame),
        _search(runs["tuning"]),
        _metrics(problem, evaluation),
        _history(name),
        _pictures("How it errs", found, PICTURES),
        _tables(problem, found),
        _pictures("Why it says so", found, EXPLANATIONS),
        _limits(problem, evaluation),
        _use(problem, name, frame),
        _lineage(evaluation, runs),
    ]
    verdicts = {
        "promote": "Promoted: it is the champion.",
        "hold": f"Not promoted: {tags['reasons']}.",
        "refuse": f"Refused: {tags['reasons']}.",
    }
    page = card(f"{name} version {version}", decision, verdicts[decision], sections)
    mlflow.log_text(page, "model_card.html")
    client = mlflow.MlflowClient()
    model = client.get_model_version(name, version)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model_card.html"
        path.write_text(page, encoding="utf-8")
        client.log_model_artifact(model.source.rpartition("/")[2], str(path))
    tag_versions(name, version, {"model_card": f"runs:/{run_id}/model_card.html"})


def _purpose(problem: Problem, runs: dict[str, Run]) -> Section:
    what = {
        "binary": f"which of two labels, {' or '.join(map(str, problem.classes))}, a row has",
        "multiclass": f"which of {len(problem.classes)} labels a row has",
        "regression": "a number",
    }[problem.task]
    return Section("What it is for").text(
        f"From {len(problem.kinds)} raw columns of a row of the table {problem.table!r} it predicts "
        f"{problem.target!r}: {what}. It is meant for rows that come about as those of this table did."
    )


def _data(problem: Problem, run: Run, frame: pd.DataFrame) -> Section:
    sizes = run.data.metrics
    period = ""
    if problem.split == "time" and problem.split_column in frame:
        times = frame[problem.split_column]
        period = f"evaluated from {times.iloc[0]} to {times.iloc[-1]}"
    section = Section("Data").facts(
        {
            "table": problem.table,
            "source": problem.source,
            "rows": f"{sizes['full_data_size']:,.0f}, of which {sizes['train_size']:,.0f} train and "
            f"{sizes['test_size']:,.0f} test",
            "evaluated on": f"{len(frame):,} rows",
            "split": problem.split + (f" by {problem.split_column}" if problem.split_column else ""),
            "period": period,
            "digest": problem.digest,
            "task": f"{problem.task} ({problem.reason})",
            "left out": "; ".join(f"{name} ({why})" for name, why in problem.left_out.items()),
            "derived": "; ".join(f"{name} = {text}" for name, text in problem.derived.items()),
        }
    )
    for warning in problem.warnings:
        section.text(warning, style="warn")
    columns = [
        {"column": name, "kind": kind, "why": problem.reasons.get(name, "")} for name, kind in problem.kinds.items()
    ]
    return section.table(pd.DataFrame(columns), most=60)


def _search(run: Run) -> Section:
    best = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/best.json")
    metrics, got = run.data.metrics, run.data.params  # what the boosters got, in the target's unit
    section = Section("Search").facts(
        {
            "trials": f"{metrics['trials']:.0f}, of which {metrics.get('trials_pruned', 0):.0f} were pruned",
            "optimised": f"{best['metric']}, in {run.data.params.get('folds', '')} folds of the training rows",
            "best": f"trial {best['trial']}: {best['value']:.5g} after {best['rounds']} rounds",
            "seconds": f"{metrics['study_seconds']:.0f}",
            "parameters": ", ".join(f"{key} {shorten(got.get(key, value))}" for key, value in best["params"].items()),
        }
    )
    path = mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/optimization_history.png")
    return section.picture(
        Path(path).read_bytes(), "The metric of every trial in cross-validation, and the best so far"
    )


def _metrics(problem: Problem, evaluation: Run) -> Section:
    values, tags = evaluation.data.metrics, evaluation.data.tags
    rows = [
        {
            "metric": metric + (" (optimised)" if metric == tags["metric"] else ""),
            "this model": values.get(TEST + metric),
            "95 % interval": " to ".join(
                spell(values.get(f"{TEST}{metric}_{end}", math.nan)) for end in ("low", "high")
            ),
            "XGBoost's defaults": values.get(f"defaults_{metric}"),
            "dummy baseline": values.get(f"dummy_{metric}"),
        }
        for metric in sorted(metrics_of(problem.task), key=lambda each: each != tags["metric"])
    ]
    section = Section("How well it does, on rows that training never saw").table(pd.DataFrame(rows))
    if "gain" in values:
        section.text(
            f"Against the champion before it, on the same rows: {tags['metric']} better by {values['gain']:.4g}, 95 % "
            f"interval {values['gain_low']:.4g} to {values['gain_high']:.4g} ({tags['compared']})."
        )
    if "best_f1_threshold" in values:
        section.text(
            f"F1 is largest, {values['best_f1']:.3f}, at a threshold of {values['best_f1_threshold']:.2f}; labels are "
            "given at 0.5."
        )
    if "best_cost_threshold" in values:
        section.text(f"The cost a row is lowest, {values['best_cost']:.4g}, at {values['best_cost_threshold']:.2f}.")
    return section


def _history(name: str) -> Section:
    entries = champion_history(name)
    if not entries:
        return Section("Champions so far")
    shown = ["at", "champion", "previous", "metric", "value", "gain", "rows", "why"]
    table = pd.DataFrame(entries).reindex(columns=shown).fillna("")
    return Section("Champions so far").table(table.iloc[::-1])


def _pictures(title: str, found: Findings, wanted: dict[str, str]) -> Section:
    section = Section(title)
    for name, what in wanted.items():
        if name in found.pictures:
            section.picture(found.pictures[name], what)
    return section


def _tables(problem: Problem, found: Findings) -> Section:
    section = Section("Where it errs")
    titles = {"classes": "By class", "slices": "By slice, the worst first", "worst_rows": "The rows it got most wrong"}
    for name, title in titles.items():
        table = found.tables.get(name)
        if table is not None and len(table):
            wide = (
                f" (the first {MAX_COLUMNS_SHOWN} of {table.shape[1]} columns)"
                if table.shape[1] > MAX_COLUMNS_SHOWN
                else ""
            )
            section.text(title + wide + ".").table(
                table.iloc[:, :MAX_COLUMNS_SHOWN], most=10 if name != "classes" else 30
            )
    for failure in found.failed:
        section.text(f"Missing here: {failure}", style="warn")
    return section


def _limits(problem: Problem, evaluation: Run) -> Section:
    section = Section("Limits")
    section.text(
        "The metrics hold for rows like those evaluated. What the table does not show, such as another time, place or "
        "way of measuring, is not known to it; a category never seen counts as missing. Importance is not cause."
    )
    if problem.split in ("stratified", "random"):
        section.text(
            "Rows were split at random: if rows of one customer, patient or day belong together, or if the future "
            "differs from the past, the metrics flatter it. split=group and split=time measure that."
        )
    error = evaluation.data.metrics.get("calibration_error")
    if error is not None and error > 0.1:
        section.text(
            f"Its probabilities are off by {error:.2f} on average: do not read them as frequencies.", style="warn"
        )
    return section


def _use(problem: Problem, name: str, frame: pd.DataFrame) -> Section:
    request = json.dumps({"dataframe_split": split_of(problem.rows(frame).head(1))})
    python = (
        "import mlflow\nimport pandas as pd\n\n"
        f'model = mlflow.pyfunc.load_model("models:/{name}{SERVICE.suffix}@champion")\n'
        'print(model.predict(pd.read_csv("new_rows.csv")))'
    )
    quoted = request.replace("'", "'\\''")
    curl = (
        f"mlflow models serve -m models:/{name}{SERVICE.suffix}@champion --env-manager local -p 5001\n\n"
        f"curl -s localhost:5001/invocations -H 'Content-Type: application/json' -d '{quoted}'"
    )
    return (
        Section("How to call it").text("From Python:").code(python).text("Served, with a row of the table:").code(curl)
    )


def _lineage(evaluation: Run, runs: dict[str, Run]) -> Section:
    tags = runs["training"].data.tags
    section = Section("Lineage").facts(
        {
            **{f"{key} run": run.info.run_id for key, run in runs.items()},
            "evaluation run": evaluation.info.run_id,
            "git commit": tags.get("mlflow.source.git.commit", ""),
            "made with": tags.get("packages", "").replace(" ", ", "),
        }
    )
    return section.text(
        f"mlflow run . -e reproduce -P model={evaluation.data.tags['model_name']}/"
        f"{evaluation.data.tags['model_version']} makes it again and compares."
    )
