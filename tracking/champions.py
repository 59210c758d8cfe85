"""The aliases of the three registered models that stand for one, moved together and to the end after a crash; and the
history of champions.

Every function that writes holds the lock of the name, and first mends what a crash or a hand has left behind.
"""

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

import mlflow
from loguru import logger
from mlflow.exceptions import MlflowException

from tracking.models import form_names
from tracking.registry import aliased, aliases_of, forms_without, is_registered, move_alias, tags_of, undo_registering
from tracking.registry_lock import is_absent, model_lock
from treeline import UserError

MOVING = "moving"  # tag of NAME while aliases move: what is to be true when they have
JUDGED = "judged."  # tags of NAME, by the digest of rows: the versions that these rows have judged
HISTORY = "champion_history."  # tags of NAME, numbered: one a move
ALIASES = ("champion", "previous", "challenger")
UNREADABLE = {"at": "unknown", "champion": "unknown"}  # stands for an entry that was garbled


def promote(name: str, version: str, facts: Mapping[str, Any], met: str | None = None) -> bool:
    """Make a version the champion under all three names, the champion before it `previous`, and note it in the history.

    What is to be done is written down first, so that the next command can finish what a crash left half done.

    Args:
        name: of the pipeline's registered model.
        version: of all three forms.
        facts: for the history; JSON values.
        met: the champion that it was compared with, empty where there was none; None asks nothing.

    Returns:
        Whether it is the champion now; else another than the one that it met is.

    Raises:
        UserError: a form lacks the version.
    """
    with model_lock(name):
        _mend(name)
        champion = aliased(name, "champion")
        current = str(champion.version) if champion else ""
        if current == version:
            return True  # judged again; the history has it since it won
        if met is not None and met != current:
            return False
        if lacking := forms_without(name, version):
            raise UserError(
                f"{name} version {version} cannot be the champion: {', '.join(lacking)} has no version {version}, for "
                "it was deleted. Choose a version that all three forms have."
            )
        _move(name, version, current, facts)
        return True


def finish_earlier(name: str) -> dict[str, Any] | None:
    """Finish what a crash left half done, and mend aliases that differ between the forms; tell of it.

    Returns:
        The entry of the history whose move was cut short and is finished now; None where there was none.
    """
    if not is_registered(name):
        return None
    with model_lock(name):
        return _mend(name)


def make_challenger(name: str, version: str) -> None:
    """Name a version of all three forms `challenger`."""
    with model_lock(name):
        _mend(name)
        move_alias(form_names(name), "challenger", version)


def count_judgement(name: str, version: str, rows: str) -> int:
    """Note that rows judge a version; tell which of their judgements it is, from 1.

    A version that they have judged before keeps its number.

    Args:
        name: of the pipeline's registered model.
        version: of all three forms.
        rows: their digest.
    """
    with model_lock(name):
        judged = list(filter(None, tags_of(name).get(JUDGED + rows, "").split(",")))
        if version not in judged:
            judged.append(version)
            mlflow.MlflowClient().set_registered_model_tag(name, JUDGED + rows, ",".join(judged))
    return judged.index(version) + 1


def champion_version(name: str) -> str:
    """Give the version that is the champion; empty where none is."""
    champion = aliased(name, "champion")
    return str(champion.version) if champion else ""


def best_champion(name: str, champion: str) -> str:
    """Give the version that did best of the champions so far: what the last promotion noted, or else the champion."""
    history = champion_history(name)
    noted = history[-1] if history else {}
    return str(noted.get("best", champion)) if noted.get("champion") == champion else champion


def champion_history(name: str) -> list[dict[str, Any]]:
    """Give every move of the champion so far, the oldest first; an entry that was garbled says so."""
    tags = tags_of(name)
    return [_entry(key, tags[key]) for key in sorted(tags, key=_number_of) if key.startswith(HISTORY)]


def _entry(key: str, value: str) -> dict[str, Any]:
    try:
        entry = json.loads(value)
        return {"at": entry["at"], "champion": entry["champion"], "why": entry["why"], **entry}
    except (ValueError, TypeError, KeyError):
        return {**UNREADABLE, "why": f"the tag {key} cannot be read"}


def _number_of(key: str) -> int:
    number = key.removeprefix(HISTORY).partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _move(name: str, version: str, current: str, facts: Mapping[str, Any]) -> None:
    last = max((_number_of(key) for key in tags_of(name) if key.startswith(HISTORY)), default=-1)
    entry = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "champion": version, **facts}
    entry["previous"] = current
    # Of its own, so that not even a process that lost its lock by standing still overwrites another's.
    number = f"{last + 1:04d}.{uuid.uuid4().hex[:6]}"
    aliases = {"champion": version, **({"previous": current} if current else {})}
    move = {"aliases": aliases, "number": number, "entry": entry}
    mlflow.MlflowClient().set_registered_model_tag(name, MOVING, json.dumps(move))
    _finish(name, move)


def _finish(name: str, move: Mapping[str, Any]) -> None:
    client = mlflow.MlflowClient()
    _point(name, move["aliases"])
    number = move["number"]  # a whole number in what an earlier Treeline noted
    client.set_registered_model_tag(
        name, HISTORY + (f"{number:04d}" if isinstance(number, int) else number), json.dumps(move["entry"])
    )
    client.delete_registered_model_tag(name, MOVING)


def _point(name: str, aliases: Mapping[str, str]) -> None:
    """Point aliases of all forms at versions; a form that lacks one loses the alias, and so do all where it is none."""
    for alias, version in aliases.items():
        lacking = forms_without(name, version) if version else form_names(name)
        move_alias([form for form in form_names(name) if form not in lacking], alias, version)
        for form in lacking:
            if version:
                logger.warning(f"{form} has no version {version}, for it was deleted: it is without {alias}")
            _delete_alias(form, alias)


def _delete_alias(form: str, alias: str) -> None:
    try:
        mlflow.MlflowClient().delete_registered_model_alias(form, alias)
    except MlflowException as error:
        if not is_absent(error):  # the form is gone
            raise


def _mend(name: str) -> dict[str, Any] | None:
    """Mend what a crash or a hand has left behind; give the entry of a move that is finished now."""
    undo_registering(name)
    finished = _finish_move(name)
    _bring_in_step(name)
    return finished


def _finish_move(name: str) -> dict[str, Any] | None:
    told = tags_of(name).get(MOVING)
    if told is None:
        return None
    try:
        move = json.loads(told)
        version, entry = str(move["aliases"]["champion"]), move["entry"]
        move["aliases"].keys(), entry["why"], move["number"]  # what a garbled tag lacks
    except (ValueError, TypeError, KeyError, AttributeError):
        logger.warning(f"the tag {MOVING} of {name} cannot be read: what move of its aliases it stood for is not known")
        mlflow.MlflowClient().delete_registered_model_tag(name, MOVING)
        return None
    if lacking := forms_without(name, version):
        logger.warning(
            f"an earlier move of the aliases of {name} to version {version} was cut short and is undone: "
            f"{', '.join(lacking)} has no such version any more"
        )
        history = champion_history(name)
        earlier = str(history[-1].get("previous", "")) if history else ""
        _point(name, {"champion": str(entry.get("previous", "")), "previous": earlier})
        mlflow.MlflowClient().delete_registered_model_tag(name, MOVING)
        return None
    _finish(name, move)
    logger.warning(f"an earlier move of the aliases of {name} was cut short; it is finished now")
    return dict(entry)


def _bring_in_step(name: str) -> None:
    """Point the aliases of the other two forms where the pipeline's point, and the pipeline's where both others do."""
    pointing = {form: aliases_of(form) for form in form_names(name)}
    for alias in ALIASES:
        versions = {form: found.get(alias, "") for form, found in pointing.items()}
        if len(set(versions.values())) == 1:
            continue
        others = {version for form, version in versions.items() if form != name}
        wanted = versions[name] or (others.pop() if len(others) == 1 else "")
        lacking = forms_without(name, wanted) if wanted else []
        told = ", ".join(f"{form} {version or 'none'}" for form, version in versions.items())
        if not wanted or name in lacking:
            logger.warning(
                f"the alias {alias} differs between the forms of {name}: {told}; promote a version or roll back"
            )
            continue
        moved = [form for form in versions if form not in lacking and versions[form] != wanted]
        move_alias(moved, alias, wanted)
        if moved:
            logger.warning(
                f"the alias {alias} differed between the forms of {name}: {told}; it is version {wanted} now"
            )
        for form in lacking:
            logger.warning(
                f"{form} has no version {wanted}, which is {alias} of {name}: a rollback to it registers it again"
            )
