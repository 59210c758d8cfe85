"""Stage 4: the registered model judged on rows that training never saw; the alias moved if it earned it.

Reads: the registered model; test.parquet of its data run, or a labelled file.
Writes: a run with MLflow's metrics and plots, our metrics with 95 % intervals, tables, pictures and explanations, the
model card and the decision; the alias `champion` where the model is promoted.
Parameters: `python data_evaluation.py --help`.
Run: mlflow run . -e data-evaluation -P eval-dataset=file.csv
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mlflow
import numpy as np
import pandas as pd
from loguru import logger
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from config import EvaluationSettings
from tracking.champions import champion_version, count_judgement, finish_earlier
from tracking.datasets import download_artifact, load_problem, load_split, log_input
from tracking.default_evaluator import TEST, evaluate_by_mlflow
from tracking.evaluation_log import EVALUATION_SECONDS, Evaluated, log_diagnostics
from tracking.findings import Findings, log_intervals
from tracking.golden_requests import GOLDEN_REQUESTS
from tracking.kept_files import load_document
from tracking.model_card import log_card
from tracking.models import FORMS
from tracking.out_of_fold import load_held_out_predictions
from tracking.promotion import (
    Challenger,
    apply_decision,
    best_after,
    faults_of_forms,
    load_pipeline,
    meet_champions,
)
from tracking.reference import log_answers
from tracking.registry import tag_versions
from tracking.runs import Lineage, find_run, stage_run
from treeline import RefusedError, UserError, nearest
from treeline.cpus import cpu_budget
from treeline.data.drift import sample_rows
from treeline.data.leaks import near_perfect
from treeline.data.problem import Problem
from treeline.data.tables import digest, read_file
from treeline.evaluation.comparison import Comparison, Contest, Decision, decide, spent_alpha
from treeline.evaluation.criteria import Criteria, parse_costs
from treeline.evaluation.diagnostics import gaps_of_classes
from treeline.evaluation.intervals import ALPHA, ROWS, intervals
from treeline.evaluation.new_rows import Seen
from treeline.evaluation.predictions import Predictions, dummy_predictions, predict
from treeline.evaluation.sampling import Sampling
from treeline.interruption import stop_if_wished
from treeline.metrics import metrics_of
from treeline.model.estimator import make_estimator
from treeline.secrets import without_secrets
from treeline.tuning.search_space import DEFAULTS
from utils import command

MAX_MEETINGS = 5  # with champions that change while they are met
DEFAULTS_ROUNDS = 100  # of XGBoost's defaults, which are reported beside the model


def find_training(settings: EvaluationSettings) -> Run:
    """Find the training run whose model is judged: the one named, the one behind the challenger, or the last.

    Raises:
        UserError: the registered model has no challenger, or no such run finished.
    """
    if settings.training_run_id or not settings.model_name:
        return find_run("model-training", settings.training_run_id)
    try:
        version = mlflow.MlflowClient().get_model_version_by_alias(settings.model_name, "challenger")
    except MlflowException:
        known = [model.name for model in mlflow.search_registered_models() if "challenger" in model.aliases]
        hint = nearest(settings.model_name, known)
        raise UserError(
            f"No registered model {settings.model_name!r} with a challenger.{hint} Train one first: mlflow run . "
            f"-e model-training -P model-name={settings.model_name}"
        ) from None
    return find_run("model-training", Lineage.from_tags(version.tags).training_run_id)


def read_rows(settings: EvaluationSettings, problem: Problem, data_run: Run) -> pd.DataFrame:
    """Read the rows that judge the model: a labelled file, of which rows without a target are left out, or the test
    rows of the data run.

    Raises:
        UserError: they are not to be had, lack a column or the target, or hold a label that the model does not know.
    """
    if not settings.eval_dataset:
        frame = load_split(data_run.info.run_id, "test")
    else:
        found = read_file(settings.eval_dataset, download_artifact, settings.file())
        for note in found.notes:
            logger.info(note)
        table = found.frame
        frame = problem.labelled(problem.read(table, settings.eval_dataset), settings.eval_dataset)
        if len(frame) < len(table):
            logger.warning(f"{len(table) - len(frame)} of {len(table)} rows have no target and are left out")
    problem.truth(frame)
    return frame


def log_metrics(
    challenger: Challenger, metric: str, dummies: Mapping[str, Predictions], known: Mapping[str, float]
) -> None:
    """Log the metrics with their intervals, and those of a dummy and of XGBoost's defaults on the same rows; warn of
    what is too good to be true.

    Args:
        challenger: the model.
        metric: that decides.
        dummies: a dummy's predictions, as it does best by each metric.
        known: metrics that MLflow has logged already; where they differ, for it counts all rows alike, ours stand.
    """
    problem, train, values = challenger.problem, challenger.train, challenger.predictions.metrics()
    plain = make_estimator(problem, {**DEFAULTS, "seed": 0}, DEFAULTS_ROUNDS, cpu_budget())
    plain.fit(problem.rows(train), train[problem.target], problem.weights(train))
    logged = {TEST + key: value for key, value in values.items() if known.get(TEST + key) != value}
    found = intervals(challenger.predictions, challenger.sampling)
    log_intervals(found)
    for key, each in found.items():
        logged |= {f"{TEST}{key}_low": each.low, f"{TEST}{key}_high": each.high}
    logged |= {f"dummy_{key}": dummy.metric(key) for key, dummy in dummies.items()}
    defaults = predict(problem, plain, challenger.frame)
    logged |= {f"defaults_{key}": value for key, value in defaults.metrics().items()}
    mlflow.log_metrics({key: value for key, value in logged.items() if np.isfinite(value)})
    perfect = near_perfect(metric, values[metric], dummies[metric].metric(metric))
    if warnings := list(filter(None, [challenger.seen_too(), perfect])):
        for warning in warnings:
            logger.warning(warning)
        mlflow.set_tag("warnings", "\n".join(warnings))


def hang_together(problem: Problem, rows: pd.DataFrame) -> Sampling:
    """Tell how the evaluated rows hang together, as far as they say."""
    try:
        return Sampling.of(problem, rows)
    except UserError as error:
        logger.warning(
            f"Every interval is too narrow where the evaluated rows hang together, for it is not known: {error}"
        )
        return ROWS


def rows_digest(challenger: Challenger, data_run: Run) -> str:
    """Tell rows by their targets and the seed that drew them, so that they are the same whatever columns are read.

    A split by time draws nothing: whatever the seed, its rows are the same.
    """
    drawn = not challenger.given and challenger.problem.split != "time"
    seed = data_run.data.params.get("seed", "") if drawn else ""
    return f"{digest(challenger.frame[[challenger.problem.target]])}.{seed}"


def log_contests(contests: Sequence[Contest], dummy: Comparison) -> None:
    """Log how the model met the dummy and the champion."""
    contest = contests[0] if contests else Contest("")
    mlflow.set_tags({"compared": contest.about, "champion": f"version {contest.version}" if contests else ""})
    logged = {"dummy_gain": dummy.gain, "dummy_gain_low": dummy.low, "dummy_gain_high": dummy.high}
    logged |= {f"champion_{key}": value for key, value in contest.scores.items()}
    if found := contest.comparison:
        logged |= {"gain": found.gain, "gain_low": found.low, "gain_high": found.high, "smallest_gain": found.smallest}
        logged |= {"rows_new_to_champion": found.rows}
        logger.info(f"against the champion {contest.champion} ({contest.about}): {found.told()}")
    if contest.overall:
        logged["gain_on_all_rows"] = contest.overall.gain
    mlflow.log_metrics({key: value for key, value in logged.items() if np.isfinite(value)})


@dataclass(frozen=True)
class Terms:
    """What a challenger is judged by, whoever is champion.

    Attributes:
        criteria: what is asked of it.
        dummy: a dummy's predictions for the same rows, as it does best by the metric that decides.
        judgement: which of those rows' judgements this is, from 1.
        wrong: where a form does not load or answer as it did.
    """

    criteria: Criteria
    dummy: Predictions
    judgement: int
    wrong: Sequence[str]


def judge(challenger: Challenger, criteria: Criteria, dummy: Predictions, rows: str) -> Decision:
    """Meet the dummy and the champion, replay the recorded requests, decide, and move the alias if it was earned; tag
    all of it.

    A champion that another evaluation has made meanwhile is met in its turn.

    Args:
        challenger: the registered version.
        criteria: what is asked of it.
        dummy: a dummy's predictions for the same rows, as it does best by the metric that decides.
        rows: the digest of those that judge it.
    """
    name, version = challenger.name, challenger.version
    judgement = count_judgement(name, version, rows)
    if judgement > 1:
        logger.info(
            f"these rows have judged {judgement - 1} other versions of {name} before: a gain counts only outside its "
            f"{100 * (1 - spent_alpha(judgement)):.4g} % interval, so that not one of many wins by luck"
        )
    uris = {form.suffix: f"models:/{name}{form.suffix}/{version}" for form in FORMS}
    terms = Terms(criteria, dummy, judgement, faults_of_forms(uris, challenger.golden))
    for _ in range(MAX_MEETINGS):
        stop_if_wished()
        met = champion_version(name)
        decision, facts = meet(challenger, met, terms)
        if apply_decision(decision, challenger, facts, met):
            return decision
    decision = Decision("hold", [f"the champion changed {MAX_MEETINGS} times while it was judged: evaluate it again"])
    tag_decision(challenger, decision)
    return decision


def meet(challenger: Challenger, champion: str, terms: Terms) -> tuple[Decision, dict[str, object]]:
    """Compare a challenger with the dummy and a champion, decide, and log it.

    Args:
        challenger: the registered version.
        champion: the version that is it now; empty where none is.
        terms: that it is judged by.

    Returns:
        The decision, and what the history of champions is to hold.
    """
    criteria, alpha = terms.criteria, spent_alpha(terms.judgement)
    contests = meet_champions(challenger, champion, criteria.metric, alpha)
    first = ALPHA if contests else alpha  # a champion has beaten it already
    guessed = challenger.meet_dummy(terms.dummy, criteria.metric, first)
    log_contests(contests, guessed)
    mlflow.log_metrics({"judgements": terms.judgement, "gain_alpha": alpha, "rows_evaluated": len(challenger.frame)})
    decision = decide(criteria, challenger.predictions, guessed, contests, terms.wrong)
    mlflow.set_tag("metric", criteria.metric)
    tag_decision(challenger, decision)
    found = contests[0].comparison if contests else None
    facts = {
        "run_id": mlflow.active_run().info.run_id,
        "metric": criteria.metric,
        "value": challenger.predictions.metric(criteria.metric),
        "gain": found.gain if found else "",
        "interval": [found.low, found.high] if found else "",
        "rows": found.rows if found else len(challenger.frame),
        "data": challenger.data,
        "why": f"promote={criteria.promote}",
        "best": best_after(challenger, criteria, contests),
    }
    return decision, facts


def tag_decision(challenger: Challenger, decision: Decision) -> None:
    """Note on the run and on the version what was decided."""
    mlflow.set_tags({"decision": decision.outcome, "reasons": "; ".join(decision.reasons)})
    lineage = Lineage(evaluation_run_id=mlflow.active_run().info.run_id)
    tag_versions(challenger.name, challenger.version, {**lineage.tags(), "decision": decision.outcome})


def bring(settings: EvaluationSettings, training_run: Run, data_run: Run) -> Challenger:
    """Bring a registered model and the rows that judge it together.

    Raises:
        UserError: either is not to be had, or they do not fit.
    """
    tags, problem = training_run.data.tags, load_problem(data_run)
    settings.check_for(problem)
    name, version = tags["model_name"], tags["model_version"]
    lineage = replace(Lineage.from_tags(tags), training_run_id=training_run.info.run_id)
    mlflow.set_tags({**lineage.tags(), "model_name": name, "model_version": version})
    rows, train = read_rows(settings, problem, data_run), load_split(data_run.info.run_id, "train")
    estimator = load_pipeline(name, version)
    predictions = predict(problem, estimator, problem.judged(rows))
    for warning in gaps_of_classes(predictions, problem.classes):
        logger.warning(warning)
    new = Seen(problem, train, rows).new() if settings.eval_dataset else np.ones(len(rows), dtype=bool)
    golden = load_document(training_run.info.run_id, GOLDEN_REQUESTS, {"request": dict, "answer": list})
    return Challenger(
        name=name,
        version=version,
        problem=problem,
        estimator=estimator,
        train=train,
        frame=rows,
        predictions=predictions,
        golden=golden,
        lineage=lineage,
        sampling=hang_together(problem, rows),
        data=without_secrets(settings.eval_dataset) or f"test rows of {data_run.info.run_id}",
        given=bool(settings.eval_dataset),
        new=None if new.all() else new,
    )


def examine(challenger: Challenger, metric: str, costs: dict[str, float], deadline: float) -> Findings:
    """Log everything beyond the headline metrics, as far as there is time; give what was found."""
    problem, found = challenger.problem, Findings()
    evaluated = Evaluated(
        problem=problem,
        estimator=challenger.estimator,
        frame=problem.judged(challenger.frame),
        predictions=challenger.predictions,
        metric=metric,
        costs=costs,
        sampling=challenger.sampling,
        out_of_fold=load_held_out_predictions(problem, challenger.train, challenger.lineage.tuning_run_id),
        deadline=deadline,
    )
    log_diagnostics(found, evaluated)
    return found


def run(settings: EvaluationSettings) -> str:
    """Run the stage; return its run id.

    Raises:
        RefusedError: it misses a threshold, or its served form does not answer as it did.
    """
    deadline = time.monotonic() + EVALUATION_SECONDS
    with stage_run("data-evaluation", settings) as active:
        training_run = find_training(settings)
        name, criteria = training_run.data.tags["model_name"], settings.criteria(training_run.data.tags["metric"])
        finish_earlier(name)
        data_run = find_run("data-preprocessing", Lineage.from_tags(training_run.data.tags).data_run_id)
        challenger = bring(settings, training_run, data_run)
        problem, frame = challenger.problem, challenger.problem.judged(challenger.frame)

        side = "evaluation" if challenger.given else "test"
        dataset = log_input(problem, frame, side, "evaluation", settings.eval_dataset)
        known = evaluate_by_mlflow(f"models:/{name}/{challenger.version}", problem, dataset)
        dummies = {key: dummy_predictions(problem, challenger.train, frame, key) for key in metrics_of(problem.task)}
        log_answers(challenger.estimator.answer(sample_rows([problem.rows(frame)])))  # batches are compared with them
        log_metrics(challenger, criteria.metric, dummies, known)
        found = examine(challenger, criteria.metric, parse_costs(settings.costs), deadline)

        stop_if_wished()
        decision = judge(challenger, criteria, dummies[criteria.metric], rows_digest(challenger, data_run))
        found.attempt("model card", lambda: log_card(active.info.run_id, problem, frame, found))
        if decision.outcome == "refuse":
            raise RefusedError(f"{name} version {challenger.version} is refused: {'; '.join(decision.reasons)}.")
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(EvaluationSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
