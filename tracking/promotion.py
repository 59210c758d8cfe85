"""The champion loaded and met on rows new to both, and the alias moved where a challenger earned it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from loguru import logger
from mlflow.exceptions import MlflowException

from tracking.champions import best_champion, champion_version, promote
from tracking.datasets import load_problem, load_split
from tracking.golden_requests import GOLDEN_REQUESTS, replay_golden_requests
from tracking.models import BOOSTER, PIPELINE, SERVICE, Form
from tracking.runs import Lineage, find_run
from tracking.store_errors import raise_if_of_store
from treeline import UserError
from treeline.data.problem import Problem
from treeline.evaluation.comparison import Comparison, Contest, Decision, compare
from treeline.evaluation.criteria import Criteria
from treeline.evaluation.intervals import ROWS
from treeline.evaluation.new_rows import Seen, new_rows
from treeline.evaluation.predictions import Predictions, predict
from treeline.evaluation.sampling import MIN_UNITS, Sampling
from treeline.model.estimator import TreelineClassifier, TreelineRegressor


@dataclass(frozen=True)
class Challenger:
    """A registered version that is judged.

    Attributes:
        name: of the pipeline's registered model.
        version: of all three forms.
        problem: that it solves.
        estimator: the pipeline, as it was registered.
        train: the rows that it was trained on.
        frame: the rows that judge it, as they were read.
        predictions: its, for those rows.
        golden: requests recorded at training, with its answers.
        lineage: the runs that made it.
        sampling: how the rows that judge it hang together.
        data: what they are called in the history of champions.
        given: they are a file's; else they are the test rows of its own split.
        new: which of them it was not trained on, shape (n_rows,); None where that is all of them.
    """

    name: str
    version: str
    problem: Problem
    estimator: TreelineClassifier | TreelineRegressor
    train: pd.DataFrame
    frame: pd.DataFrame
    predictions: Predictions
    golden: Mapping[str, Any]
    lineage: Lineage
    sampling: Sampling = ROWS
    data: str = ""
    given: bool = False
    new: np.ndarray | None = None

    def meet_dummy(self, dummy: Predictions, metric: str, alpha: float) -> Comparison:
        """Compare with a dummy, on rows that it was not trained on."""
        if self.new is None:
            return compare(self.predictions, dummy, metric, self.sampling, alpha)
        rows, nan = np.flatnonzero(self.new), float("nan")
        if len(rows) < MIN_UNITS:
            why = f"only {len(rows)} of {len(self.new)} rows are new to this model"
            return Comparison(len(rows), nan, nan, nan, dummy.metric(metric), alpha=alpha, why=why)
        return compare(self.predictions.take(rows), dummy.take(rows), metric, self.sampling.take(rows), alpha)

    def seen_too(self) -> str:
        """Say how many of the rows that judge it it was trained on; empty where it was on none."""
        if self.new is None:
            return ""
        return (
            f"{np.sum(~self.new)} of {len(self.new)} rows of {self.data} look like rows that the model was trained on: "
            "every figure on it is too good. The comparisons with the dummy and the champion leave them out."
        )


def meet_champions(challenger: Challenger, champion: str, metric: str, alpha: float) -> list[Contest]:
    """Compare a challenger with the champion and, where that is another, with the best champion so far.

    Args:
        challenger: on rows that neither was trained on.
        champion: its version; empty where there is none.
        metric: that decides.
        alpha: how often a gain may lie outside its interval.

    Returns:
        Empty where there is no champion but the challenger itself.
    """
    if champion in ("", challenger.version):
        return []
    met = dict.fromkeys([champion, best_champion(challenger.name, champion)])
    return [_meet(challenger, each, metric, alpha) for each in met if each != challenger.version]


def best_after(challenger: Challenger, criteria: Criteria, contests: Sequence[Contest]) -> str:
    """Give the version that is the best champion so far once a challenger is promoted.

    It is the challenger, unless it was measured and the best one before it did better on the same rows.
    """
    last = contests[-1] if contests and criteria.compares else None
    behind = last is not None and last.comparison is not None and last.comparison.gain < 0
    return last.version if last is not None and behind else challenger.version


def load_pipeline(name: str, version: str) -> TreelineClassifier | TreelineRegressor:
    """Load a registered pipeline.

    Raises:
        UserError: this version of Treeline, or of a library, cannot load it.
    """
    uri = f"models:/{name}/{version}"
    try:
        return mlflow.sklearn.load_model(uri)
    # Whatever MLflow, skops and the classes it names raise where a class has moved or a file is gone.
    except Exception as error:
        raise_if_of_store(error)
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        raise UserError(
            f"{uri} cannot be loaded here ({reason}): it was made by another version of Treeline or of a library, or "
            "its files are gone. Train and evaluate another"
        ) from error


def faults_of_forms(uris: Mapping[str, str], golden: Mapping[str, Any] | None) -> list[str]:
    """Load all three forms of a version and let the served one answer what was recorded; say what is wrong with them.

    Args:
        uris: of the forms, by their endings.
        golden: requests recorded at training; None where they are gone, and the served form is only loaded.
    """
    found = []
    loaders: dict[Form, Callable[[str], object]] = {
        PIPELINE: mlflow.sklearn.load_model,
        BOOSTER: mlflow.xgboost.load_model,
    }
    if golden is None:
        loaders[SERVICE] = mlflow.pyfunc.load_model
    for form, load in loaders.items():
        try:
            load(uris[form.suffix])
        except Exception as error:  # whatever MLflow, skops and XGBoost raise for what they cannot load
            raise_if_of_store(error)
            reason = str(error).splitlines()[0] if str(error) else "no reason given"
            found.append(f"the form {uris[form.suffix]} cannot be loaded: {type(error).__name__}: {reason}"[:500])
    return found if golden is None else [*found, *replay_golden_requests(uris[SERVICE.suffix], golden)]


def golden_requests_of(training_run_id: str) -> Mapping[str, Any] | None:
    """Read the requests that a training run recorded; None where they are gone."""
    try:
        run = mlflow.get_run(training_run_id)
        return dict(mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/{GOLDEN_REQUESTS}"))
    except (MlflowException, OSError, ValueError) as error:
        raise_if_of_store(error)
        return None


def apply_decision(decision: Decision, challenger: Challenger, facts: dict[str, object], met: str) -> bool:
    """Move the aliases where a challenger is promoted, and tell what was decided.

    Args:
        decision: taken.
        challenger: it is about.
        facts: for the history of champions; JSON values.
        met: the version that was champion when it was taken, empty where there was none.

    Returns:
        Whether the decision holds; where the champion changed meanwhile, the challenger is to be judged again.
    """
    known = f"{challenger.name} version {challenger.version}"
    if decision.outcome != "promote":
        outcome = "refused" if decision.outcome == "refuse" else "not promoted"
        logger.warning(f"{known} is {outcome}: {'; '.join(decision.reasons)}")
        return True
    if promote(challenger.name, challenger.version, facts, met):
        logger.info(f"{known} is the champion")
        return True
    now = champion_version(challenger.name)
    logger.warning(f"the champion changed while {known} was judged: it was {met or 'none'} and is {now or 'none'}")
    return False


def _meet(challenger: Challenger, version: str, metric: str, alpha: float) -> Contest:
    known = f"{challenger.name} version {version}"
    try:
        return replace(_compare(challenger, version, metric, alpha), champion=known, version=version)
    except UserError as error:
        return Contest(
            known, version, obstacle=f"the champion {known} cannot be compared: {error}; promote=always replaces it"
        )


def _compare(challenger: Challenger, version: str, metric: str, alpha: float) -> Contest:
    """Compare with a champion, or say what stands in the way.

    Raises:
        UserError: the champion, its problem or its rows are not to be had.
    """
    problem, known = challenger.problem, f"{challenger.name} version {version}"
    data_run = find_run("data-preprocessing", Lineage.from_tags(_tags_of(challenger.name, version)).data_run_id)
    theirs = load_problem(data_run)
    if (theirs.task, theirs.classes, theirs.target) != (problem.task, problem.classes, problem.target):
        return Contest(known, obstacle=f"the champion {known} predicts something else and cannot be compared")
    frame = theirs.read(challenger.frame, "the evaluated table")
    champion_seen = Seen(theirs, load_split(data_run.info.run_id, "train"), frame)
    fresh, why = new_rows(Seen(problem, challenger.train, challenger.frame), champion_seen, challenger.given)
    about = f"{fresh.sum()} of {len(frame)} rows are new to the champion {known} and to this model{why}"
    if fresh.sum() < MIN_UNITS:
        return Contest(known, obstacle=f"too few to tell: only {about}", about=about)
    unweighted = replace(theirs, weight="")  # the challenger's weights count for both
    ours, champion = challenger.predictions, predict(unweighted, load_pipeline(challenger.name, version), frame)
    rows = np.flatnonzero(fresh)
    met = champion.take(rows)
    found = compare(ours.take(rows), met, metric, challenger.sampling.take(rows), alpha)
    overall = None if fresh.all() else compare(ours, champion, metric, challenger.sampling, alpha)
    scores = replace(met, weight=ours.take(rows).weight).metrics()
    return Contest(known, comparison=found, about=about, overall=overall, scores=scores)


def _tags_of(name: str, version: str) -> dict[str, str]:
    """Read the tags of a version.

    Raises:
        UserError: it was deleted.
    """
    try:
        return dict(mlflow.MlflowClient().get_model_version(name, version).tags)
    except MlflowException as error:
        raise_if_of_store(error)
        raise UserError("this version is no longer registered") from None
