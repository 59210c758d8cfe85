"""The three registered models that stand for one: registered in step, found by version or alias, their aliases moved
together and moved to the end after a crash, and the history of champions.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tracking.models import form_names
from tracking.store import registry_lock
from treeline import UserError, nearest

MOVING = "moving"  # tag of NAME while aliases move: what is to be true when they have
JUDGED = "judged."  # tags of NAME, by the digest of rows: the versions that these rows have judged
HISTORY = "champion_history."  # tags of NAME, numbered: one a move


@registry_lock()
def register_in_step(uris: Mapping[str, str], descriptions: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """Register the forms of one model under the same version number, then name them all `challenger`.

    A crash may once have left one name a version ahead; the others then skip that number. Where registering fails, what
    it had registered is deleted again.

    Args:
        uris: the logged model of each registered name.
        descriptions: of each name.
        tags: set on every version.

    Returns:
        The version.
    """
    client = mlflow.MlflowClient()
    new = {name for name in uris if not client.search_registered_models(f"name = '{name}'")}
    made: dict[str, str] = {}

    def create(name: str) -> None:
        made[name] = str(mlflow.register_model(uris[name], name, tags=dict(tags)).version)

    try:
        for name in uris:
            create(name)
        version = max(made.values(), key=int)
        for name in uris:
            while made[name] != version:
                client.delete_model_version(name, made.pop(name))
                create(name)
            client.update_registered_model(name, descriptions[name])
            client.update_model_version(name, version, descriptions[name])
    except BaseException:
        for name, number in made.items():
            client.delete_model_version(name, number)
        for name in new:
            if client.search_registered_models(f"name = '{name}'"):
                client.delete_registered_model(name)
        raise
    move_alias(list(uris), "challenger", version)
    return version


def move_alias(names: Sequence[str], alias: str, version: str) -> None:
    """Point an alias of every name at one version."""
    client = mlflow.MlflowClient()
    for name in names:
        client.set_registered_model_alias(name, alias, version)


def tag_versions(name: str, version: str, tags: Mapping[str, str]) -> None:
    """Set tags on a version of all three forms."""
    client = mlflow.MlflowClient()
    for form in form_names(name):
        for key, value in tags.items():
            client.set_model_version_tag(form, version, key, value)


def aliased(name: str, alias: str) -> ModelVersion | None:
    """Give the version that an alias of a registered model points at; None where there is no such alias."""
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException:
        return None


def find_version(model: str) -> ModelVersion:
    """Find a version by `NAME/3` or `NAME@champion`; any of the three forms' names stands for all.

    Raises:
        UserError: there is no such model, version or alias.
    """
    client = mlflow.MlflowClient()
    known = sorted(each.name for each in client.search_registered_models())
    listed = ", ".join(known) or "none yet"
    if not model:
        raise UserError(f"Name a version with --model, such as NAME/3 or NAME@champion; the models are {listed}.")
    name, at, alias = model.partition("@")
    if not at:
        name, _, version = model.rpartition("/")
    base = next((each for each in known if name in form_names(each)), name)
    if base not in known:
        raise UserError(
            f"No registered model {name!r}.{nearest(name, known)} Write NAME/3 or NAME@champion; got {model!r}. There "
            f"are: {listed}."
        )
    try:
        return client.get_model_version_by_alias(base, alias) if at else client.get_model_version(base, version)
    except MlflowException:
        found = client.search_model_versions(f"name = '{base}'")
        versions = ", ".join(sorted((str(each.version) for each in found), key=int))
        aliases = ", ".join(sorted(client.get_registered_model(base).aliases))
        raise UserError(
            f"{base} has no {'alias ' + alias if at else 'version ' + version}: its versions are {versions}; its "
            f"aliases {aliases}."
        ) from None


def only_champion() -> str:
    """Find the one pipeline that has a champion.

    Raises:
        UserError: there is none, or there are several.
    """
    with_champion = {each.name for each in mlflow.search_registered_models() if "champion" in each.aliases}
    found = sorted(name for name in with_champion if set(form_names(name)) <= with_champion)
    if len(found) != 1:
        raise UserError(
            f"Name the model with --model-name: {len(found)} have a champion{': ' if found else ''}{', '.join(found)}."
        )
    return found[0]


def promote(name: str, version: str, facts: Mapping[str, Any]) -> None:
    """Make a version the champion under all three names, the champion before it `previous`, and note it in the history.

    What is to be done is written down first, so that `finish_interrupted_promotion` can finish what a crash left half
    done.

    Args:
        name: of the pipeline's registered model.
        version: of all three forms.
        facts: for the history; JSON values.
    """
    champion = aliased(name, "champion")
    if champion is not None and str(champion.version) == version:
        return  # judged again; the history has it since it won
    aliases = {"champion": version}
    if champion is not None:
        aliases["previous"] = str(champion.version)
    entry = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "champion": version, **facts}
    entry["previous"] = aliases.get("previous", "")
    move = {"aliases": aliases, "number": len(champion_history(name)), "entry": entry}
    mlflow.MlflowClient().set_registered_model_tag(name, MOVING, json.dumps(move))
    _finish(name, move)


@registry_lock()
def count_judgement(name: str, version: str, rows: str) -> int:
    """Note that rows judge a version; tell which of their judgements it is, from 1.

    A version that they have judged before keeps its number.

    Args:
        name: of the pipeline's registered model.
        version: of all three forms.
        rows: their digest.
    """
    judged = list(filter(None, _tags(name).get(JUDGED + rows, "").split(",")))
    if version not in judged:
        judged.append(version)
        mlflow.MlflowClient().set_registered_model_tag(name, JUDGED + rows, ",".join(judged))
    return judged.index(version) + 1


def best_champion(name: str, champion: str) -> str:
    """Give the version that did best of the champions so far: what the last promotion noted, or else the champion."""
    history = champion_history(name)
    noted = history[-1] if history else {}
    return str(noted.get("best", champion)) if noted.get("champion") == champion else champion


def finish_interrupted_promotion(name: str) -> bool:
    """Finish a move of aliases that a crash left half done; tell whether there was one."""
    tags = _tags(name)
    if MOVING not in tags:
        return False
    _finish(name, json.loads(tags[MOVING]))
    return True


def champion_history(name: str) -> list[dict[str, Any]]:
    """Give every move of the champion so far, the oldest first."""
    tags = _tags(name)
    return [json.loads(tags[key]) for key in sorted(key for key in tags if key.startswith(HISTORY))]


def _finish(name: str, move: Mapping[str, Any]) -> None:
    client = mlflow.MlflowClient()
    for alias, version in move["aliases"].items():
        move_alias(form_names(name), alias, version)
    client.set_registered_model_tag(name, f"{HISTORY}{move['number']:04d}", json.dumps(move["entry"]))
    client.delete_registered_model_tag(name, MOVING)


def _tags(name: str) -> dict[str, str]:
    try:
        return dict(mlflow.MlflowClient().get_registered_model(name).tags)
    except MlflowException:
        return {}
