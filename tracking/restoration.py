"""An earlier version made fit to be the champion again: what the registry has lost of it found, all of it tried."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
from loguru import logger
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tracking.champions import champion_history
from tracking.models import FORMS, form_names
from tracking.promotion import faults_of_forms, golden_requests_of
from tracking.registry import register_in_step, versions_of
from tracking.registry_lock import is_absent
from tracking.runs import Lineage
from treeline import UserError

ROLLBACK = "rollback"  # why the champion moved, in the history
ANSWERED_BY = "answered_by"  # tag of a rollback that was cut short: the run that finished it


@dataclass(frozen=True)
class Restored:
    """A version of which all three forms are to be had.

    Attributes:
        name: of the pipeline's registered model.
        version: that was asked for.
        uris: of the forms, by their registered names.
        lacking: the forms whose version was deleted; their logged models are still there.
        known: one of the versions that are still registered.
    """

    name: str
    version: str
    uris: Mapping[str, str]
    lacking: list[str]
    known: ModelVersion

    def check(self) -> None:
        """Load all three forms, and let the served one answer what was recorded at training.

        Raises:
            UserError: one does not load here, or answers otherwise.
        """
        golden = golden_requests_of(Lineage.from_tags(self.known.tags).training_run_id)
        if golden is None:
            logger.warning(
                f"the requests recorded when {self.name} version {self.version} was trained are gone: its answers are "
                "not compared with them"
            )
        uris = {form.suffix: self.uris[self.name + form.suffix] for form in FORMS}
        if faults := faults_of_forms(uris, golden):
            raise UserError(
                f"{self.name} version {self.version} cannot be restored: {'; '.join(faults)}. Choose another version."
            )

    def registered(self) -> str:
        """Give the version; where a form lacks it, register all three again in step and give the new one."""
        if not self.lacking:
            return self.version
        tags = {**self.known.tags, "restored_version": self.version}
        descriptions = dict.fromkeys(self.uris, self.known.description or "")
        version = register_in_step(self.uris, descriptions, tags, challenger=False)
        training = Lineage.from_tags(tags).training_run_id
        mlflow.MlflowClient().set_tag(training, "model_version", version)
        logger.warning(
            f"{', '.join(self.lacking)} had no version {self.version}, for it was deleted: the three forms are "
            f"registered again, as version {version}"
        )
        return version


def find_restorable(name: str, version: str) -> Restored:
    """Find the three forms of a version, whichever of them are registered still.

    Raises:
        UserError: none is, or the logged model of one is gone too.
    """
    registered = {form: versions_of(form) for form in form_names(name)}
    found = {form: versions[int(version)] for form, versions in registered.items() if int(version) in versions}
    lacking = [form for form in registered if form not in found]
    whole = sorted(set.intersection(*map(set, registered.values())))
    hint = f"Choose one that all three forms have: {', '.join(map(str, whole)) or 'there is none; train one'}."
    if not found:
        raise UserError(f"{name} has no version {version}. {hint}")
    known = next(iter(found.values()))
    training = Lineage.from_tags(known.tags).training_run_id
    uris = {form: each.source for form, each in found.items()}
    for form in lacking:
        logged = _logged_model(training, form)
        if not logged:
            raise UserError(
                f"{form} has no version {version}, for it was deleted, and the model that its training run logged is "
                f"gone too. {hint}"
            )
        uris[form] = logged
    ordered = {form: uris[form] for form in form_names(name)}
    return Restored(name, version, ordered, lacking, known)


def unanswered_rollback(name: str) -> dict[str, Any] | None:
    """Give the last move of the champion where it is a rollback that ended before it could say so; else None.

    Whoever repeats a rollback that was cut short wants it done, and not one more.
    """
    history = champion_history(name)
    entry = history[-1] if history else {}
    return entry if entry.get("why") == ROLLBACK and _unfinished(str(entry.get("run_id", ""))) else None


def note_answer(entry: Mapping[str, Any], run_id: str) -> None:
    """Note that a run has finished the rollback that an entry of the history tells of."""
    if unfinished := _unfinished(str(entry.get("run_id", ""))):
        mlflow.MlflowClient().set_tag(unfinished, ANSWERED_BY, run_id)


def _unfinished(run_id: str) -> str:
    """Give the run that did not finish, the given one or the last that was to finish it; empty where one did."""
    while run_id:
        try:
            run = mlflow.get_run(run_id)
        except MlflowException as error:
            if is_absent(error):
                return ""
            raise
        if run.info.status == "FINISHED":
            return ""
        if ANSWERED_BY not in run.data.tags:
            return run_id
        run_id = run.data.tags[ANSWERED_BY]
    return ""


def _logged_model(training_run_id: str, form: str) -> str:
    """Find the model that a training run logged as a form; empty where there is none."""
    try:
        run = mlflow.get_run(training_run_id)
    except MlflowException as error:
        if is_absent(error):
            return ""
        raise
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id],
        filter_string=f"source_run_id = '{training_run_id}'",
        output_format="list",
    )
    return next((f"models:/{each.model_id}" for each in found if each.name == form), "")
