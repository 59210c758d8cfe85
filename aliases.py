"""The aliases of the three registered models: moved together, healed after a crash, and the record of every move."""

import json
import time
from collections.abc import Mapping
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from utils import forms, move_alias

MOVING = "moving"  # tag of NAME while aliases move: what is to be true when they have
RECORD = "record."  # tags of NAME, numbered: one a move


def aliased(name: str, alias: str) -> ModelVersion | None:
    """Give the version that an alias of a registered model points at; None where there is no such alias."""
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException:
        return None


def crown(name: str, version: str, facts: Mapping[str, Any]) -> None:
    """Make a version the champion under all three names, the champion before it `previous`, and record it.

    What is to be done is written down first, so that `heal` can finish what a crash left half done.

    Args:
        name: of the pipeline's registered model.
        version: of all three forms.
        facts: for the record; JSON values.
    """
    champion = aliased(name, "champion")
    if champion is not None and str(champion.version) == version:
        return  # judged again; it has been recorded when it won
    aliases = {"champion": version}
    if champion is not None:
        aliases["previous"] = str(champion.version)
    entry = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "champion": version, **facts}
    entry["previous"] = aliases.get("previous", "")
    move = {"aliases": aliases, "number": len(record(name)), "entry": entry}
    mlflow.MlflowClient().set_registered_model_tag(name, MOVING, json.dumps(move))
    _finish(name, move)


def heal(name: str) -> bool:
    """Finish a move of aliases that a crash left half done; tell whether there was one."""
    tags = _tags(name)
    if MOVING not in tags:
        return False
    _finish(name, json.loads(tags[MOVING]))
    return True


def record(name: str) -> list[dict[str, Any]]:
    """Give every move of the champion so far, the oldest first."""
    tags = _tags(name)
    return [json.loads(tags[key]) for key in sorted(key for key in tags if key.startswith(RECORD))]


def _finish(name: str, move: Mapping[str, Any]) -> None:
    client = mlflow.MlflowClient()
    for alias, version in move["aliases"].items():
        move_alias(forms(name), alias, version)
    client.set_registered_model_tag(name, f"{RECORD}{move['number']:04d}", json.dumps(move["entry"]))
    client.delete_registered_model_tag(name, MOVING)


def _tags(name: str) -> dict[str, str]:
    try:
        return dict(mlflow.MlflowClient().get_registered_model(name).tags)
    except MlflowException:
        return {}
