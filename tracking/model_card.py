"""The model card of an evaluated version: gathered from the runs that made it, logged on the run and on the model."""

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Run

from tracking.champions import champion_history
from tracking.default_evaluator import TEST
from tracking.findings import Findings, load_intervals, told_of_few
from tracking.kept_files import load_best
from tracking.models import SERVICE
from tracking.registry import tag_versions
from tracking.runs import Lineage
from treeline.data.problem import Problem
from treeline.data.sentences import figure
from treeline.evaluation.comparison import OF_LABELS
from treeline.metrics import metrics_of
from treeline.reporting.html import Section, card, shorten, spell
from treeline.serving.requests import split_of

MAX_COLUMNS_SHOWN = 12  # columns of a table of rows
MIN_CALIBRATION_ERROR = 0.02  # below which a person need not hear of it, however sure it is
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
        _search(runs["tuning"], runs["training"]),
        _metrics(problem, evaluation),
        _champion(evaluation),
        _answers(problem, evaluation, runs["training"], found),
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
            "weights": f"each row counts as {problem.weight!r} says" if problem.weight else "",
            "derived": "; ".join(f"{name} = {text}" for name, text in problem.derived.items()),
        }
    )
    for warning in problem.warnings:
        section.text(warning, style="warn")
    columns = [
        {"column": name, "kind": kind, "why": problem.reasons.get(name, "")} for name, kind in problem.kinds.items()
    ]
    return section.table(pd.DataFrame(columns), most=60)


def labels_of_search(metric: str, training: Mapping[str, str]) -> str:
    """Say that the search labelled rows in another way than the model does; nothing where it did not.

    Args:
        metric: that the search optimised.
        training: the tags of the training run.
    """
    if metric not in OF_LABELS or "threshold" not in training:
        return ""
    return (
        f"In cross-validation each row had the more probable label, on held-out rows one by the threshold "
        f"{training['threshold']}: the two figures of {metric} do not compare."
    )


def _search(run: Run, training: Run) -> Section:
    best = load_best(run.info.run_id)
    metrics, got = run.data.metrics, run.data.params  # what the boosters got, in the target's unit
    found = best.get("search_value", best["value"])
    again = found != best["value"]
    section = Section("Search").facts(
        {
            "cross-validations": f"{metrics['trials']:.0f}, of which {metrics.get('trials_pruned', 0):.0f} were pruned",
            "optimised": f"{best['metric']}, in {run.data.params.get('folds', '')} folds of the training rows",
            "best": f"trial {best['trial']}: {figure(best['value'], 5)} after {best['rounds']} rounds",
            "in the search": figure(found, 5) if again else "",
            "rounds on all rows": "" if best["final_rounds"] == best["rounds"] else str(best["final_rounds"]),
            "loss": got.get("objective", ""),
            "seconds": f"{metrics['study_seconds']:.0f}",
            "parameters": ", ".join(f"{key} {shorten(got.get(key, value))}" for key, value in best["params"].items()),
        }
    )
    if again:
        section.text(
            "The best of many trials is partly luck. So the best few were measured again on other cuts of the rows, "
            "and chosen by that: it is what to expect of new rows, and what the search itself found is not."
        )
    else:
        told = "It is the best of these trials on the same folds, and so a little better than new rows will show."
        section.text(told, style="dim")
    if otherwise := labels_of_search(best["metric"], training.data.tags):
        section.text(otherwise)
    path = mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/optimization_history.png")
    return section.picture(
        Path(path).read_bytes(), "The metric of every trial in cross-validation, and the best so far"
    )


def _metrics(problem: Problem, evaluation: Run) -> Section:
    values, tags = evaluation.data.metrics, evaluation.data.tags
    sure = load_intervals(evaluation)
    champion = tags.get("champion", "")
    rows = [
        {
            "metric": metric + (" (optimised)" if metric == tags["metric"] else ""),
            "this model": values.get(TEST + metric),
            "95 % interval": sure[metric].told(spell) if metric in sure else "",
            **({f"champion, {champion}{told_of_few(values)}": values.get(f"champion_{metric}")} if champion else {}),
            "XGBoost's defaults": values.get(f"defaults_{metric}"),
            "dummy baseline": values.get(f"dummy_{metric}"),
        }
        for metric in sorted(metrics_of(problem.task), key=lambda each: each != tags["metric"])
    ]
    section = Section("How well it does, on rows that training never saw").table(pd.DataFrame(rows))
    section.text(
        "Other rows of the same kind would give another figure: the interval is drawn so that for 95 tables of 100 the "
        "true one lies inside. A difference that is smaller than that may be chance.",
        style="dim",
    )
    for metric, each in sure.items():
        if each.note and not each.note.startswith("by "):
            section.text(f"{metric}: {each.note}.", style="warn")
    return section


def _champion(evaluation: Run) -> Section:
    """Say how it met the champion, and how often these rows have judged."""
    values, tags = evaluation.data.metrics, evaluation.data.tags
    section = Section("Against the champion")
    if "gain" in values:
        section.text(
            f"On the same rows the metric that decides, {tags['metric']}, is better by {figure(values['gain'])} than "
            f"that of the champion, {tags['champion']} (minus is worse); {100 * (1 - values['gain_alpha']):.4g} % "
            f"interval {figure(values.get('gain_low', math.nan))} to {figure(values.get('gain_high', math.nan))}; "
            f"{tags['compared']}."
        )
    if values.get("smallest_gain", 0.0) > 0:
        section.text(f"The smallest gain that these rows could surely show is {figure(values['smallest_gain'])}.")
    if values.get("judgements", 1) > 1:
        section.text(
            f"These rows have judged {values['judgements']:.0f} models of this name. Of many, one passes by luck, so "
            "each judgement asks for more than the one before; fresh rows (eval-dataset) begin anew."
        )
    return section


def _answers(problem: Problem, evaluation: Run, training: Run, found: Findings) -> Section:
    """Say by which threshold labels are given, or how much intervals hold."""
    values, section = evaluation.data.metrics, Section("What it answers")
    if told := training.data.tags.get("answers"):
        section.text(told)
    if "interval_coverage" in values:
        low, high = (values.get(f"interval_coverage_{end}", math.nan) for end in ("low", "high"))
        section.text(
            f"On the evaluated rows the intervals held {values['interval_coverage']:.1%} of the true values"
            + (f" (95 % interval {low:.1%} to {high:.1%})" if math.isfinite(low) else "")
            + f"; they are {figure(values['interval_width'])} wide on average."
        )
    chosen = found.tables.get("chosen_thresholds")
    if chosen is not None and len(chosen) > 1:
        section.text(
            f"Thresholds for the label {problem.classes[1]}, chosen on training rows that were predicted out of fold, "
            "and what each is worth on the evaluated rows."
        ).table(chosen)
    return section


def _history(name: str) -> Section:
    entries = champion_history(name)
    if not entries:
        return Section("Champions so far")
    shown = ["at", "champion", "previous", "metric", "value", "gain", "rows", "why"]
    table = pd.DataFrame(entries).reindex(columns=shown).astype(object).fillna("")
    return Section("Champions so far").table(table.iloc[::-1])


def _pictures(title: str, found: Findings, wanted: dict[str, str]) -> Section:
    section = Section(title)
    for name, what in wanted.items():
        if name in found.pictures:
            section.picture(found.pictures[name], what)
    return section


def _tables(problem: Problem, found: Findings) -> Section:
    section = Section("Where it errs")
    if (classes := found.tables.get("classes")) is not None:
        section.text("By class.").table(classes, most=30)
    if (slices := found.tables.get("slices")) is not None and len(slices):
        surely = slices["surely_worse"]
        shown = slices.drop(columns=["surely_worse", "p"])
        if surely.any():
            section.text("Slices that are surely worse than the rest, the worst first.").table(shown[surely], most=10)
        else:
            section.text("No slice of the rows is surely worse than the rest.")
        if "slices" in found.pictures:
            section.picture(found.pictures["slices"], "The metric of each slice with its interval")
        if not surely.all():
            section.text("The other slices: what differs here may be chance.").table(shown[~surely], most=5)
    if (worst := found.tables.get("worst_rows")) is not None and len(worst):
        count = worst.shape[1]
        most_wrong = "farthest from their prediction"
        if problem.task != "regression":
            most_wrong = "whose true label it gave the least probability, whatever it labelled them"
        wide = f" (the first {MAX_COLUMNS_SHOWN} of {count} columns)" if count > MAX_COLUMNS_SHOWN else ""
        section.text(f"The rows {most_wrong}{wide}.").table(worst.iloc[:, :MAX_COLUMNS_SHOWN], most=10)
    for sentence in found.left_out:
        section.text(sentence, style="dim")
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
    values = evaluation.data.metrics
    error, chance = values.get("calibration_error", 0.0), values.get("calibration_error_chance", math.inf)
    if error > max(chance, MIN_CALIBRATION_ERROR):
        bold = values.get("calibration_slope_high", 1.0) < 1
        timid = values.get("calibration_slope_low", 1.0) > 1
        how = f" They are too {'bold' if bold else 'timid'}." if bold or timid else ""
        section.text(
            f"Its probabilities are off by {error:.3f} on average; a perfect model's would be by less than "
            f"{chance:.3f} on as many rows: do not read them as frequencies.{how}",
            style="warn",
        )
    for warning in filter(None, evaluation.data.tags.get("warnings", "").splitlines()):
        section.text(warning, style="warn")
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
