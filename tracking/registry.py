"""The three registered models that stand for one: registered in step, and found by version or alias."""

import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr

import mlflow
from loguru import logger
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from tracking.models import form_names
from tracking.registry_lock import REGISTERING, is_absent, model_lock
from treeline import UserError, nearest

CHATTER = ("Registered model ", "Successfully registered model ", "Created version ")
VERSION = re.compile(r"[1-9][0-9]{0,8}")  # as it is spelled; databases know no more than nine digits of it


def register_in_step(
    uris: Mapping[str, str], descriptions: Mapping[str, str], tags: Mapping[str, str], challenger: bool = True
) -> str:
    """Register the forms of one model under the same version number, then name them all `challenger`.

    A name may be a version ahead; the others then skip that number. What is registered is noted first: where it fails
    it is undone at once, and after a crash by the next command that writes under the name.

    Args:
        uris: the logged model of each registered name, the pipeline's first.
        descriptions: of each name.
        tags: set on every version.
        challenger: name them so.

    Returns:
        The version.
    """
    client = mlflow.MlflowClient()
    name = next(iter(uris))
    with model_lock(name, make=True):
        undo_registering(name, keep=True)
        try:
            _note_registering(name, uris)
            version = _register(uris, tags)
            for form in uris:
                client.update_registered_model(form, descriptions[form])
                client.update_model_version(form, version, descriptions[form])
            if challenger:
                move_alias(list(uris), "challenger", version)
            client.delete_registered_model_tag(name, REGISTERING)
        except BaseException:
            undo_registering(name)
            raise
    return version


def _register(uris: Mapping[str, str], tags: Mapping[str, str]) -> str:
    client = mlflow.MlflowClient()
    made: dict[str, str] = {}

    def create(form: str) -> None:
        with _without_chatter():
            made[form] = str(mlflow.register_model(uris[form], form, tags=dict(tags)).version)

    for form in uris:
        create(form)
    version = max(made.values(), key=int)
    for form in uris:
        while made[form] != version:
            client.delete_model_version(form, made.pop(form))
            create(form)
    return version


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep MLflow from printing that a name exists already, which is so from the first version on, and the like."""
    with redirect_stderr(io.StringIO()) as said:
        yield
    for line in said.getvalue().splitlines(keepends=True):
        if not line.startswith(CHATTER):
            sys.stderr.write(line)


def _note_registering(name: str, uris: Mapping[str, str]) -> None:
    """Note on the name what is about to be registered: the last version of each form before, null of a new one."""
    challenger = aliased(name, "challenger")
    before: dict[str, int | None] = {form: max(versions_of(form), default=0) for form in uris}
    for form in uris:
        is_new = REGISTERING in tags_of(name) and not before[form] if form == name else not is_registered(form)
        before[form] = None if is_new else before[form]
    told = {"before": before, "uris": dict(uris), "challenger": str(challenger.version) if challenger else ""}
    mlflow.MlflowClient().set_registered_model_tag(name, REGISTERING, json.dumps(told))


def undo_registering(name: str, keep: bool = False) -> None:
    """Undo what a crash left half registered under a name, or an error: its versions, and the names that were new.

    Args:
        name: of the pipeline's registered model.
        keep: leave that name, which holds the queue of those who want it, though it was new.
    """
    client = mlflow.MlflowClient()
    value = tags_of(name).get(REGISTERING)
    if value is None:
        return
    if value == "{}":  # the name was made, and nothing under it yet
        if versions_of(name):
            client.delete_registered_model_tag(name, REGISTERING)  # another's, which stay
        elif not keep:
            client.delete_registered_model(name)
        return
    try:
        told = json.loads(value)
        before, uris, challenger = told["before"], told["uris"], told["challenger"]
        before.items(), uris.items()  # what a garbled tag lacks
    except (ValueError, TypeError, KeyError, AttributeError):
        logger.warning(f"the tag {REGISTERING} of {name} cannot be read: what it stood for is not known")
        client.delete_registered_model_tag(name, REGISTERING)
        return
    for form in reversed(before):  # the name that holds the note comes first, and goes last
        made = {number: each for number, each in versions_of(form).items() if number > (before[form] or 0)}
        for number, each in made.items():
            if each.source == uris[form]:
                client.delete_model_version(form, str(number))
        if before[form] is None and is_registered(form) and not versions_of(form):
            if keep and form == name:
                client.set_registered_model_tag(name, REGISTERING, "{}")
                return
            client.delete_registered_model(form)
    if not is_registered(name):
        return
    if challenger and not forms_without(name, challenger):
        move_alias(form_names(name), "challenger", challenger)
    client.delete_registered_model_tag(name, REGISTERING)


def versions_of(form: str) -> dict[int, ModelVersion]:
    """Give the versions of a registered model by number; none where it is not registered."""
    found = mlflow.MlflowClient().search_model_versions(f"name = '{form}'")
    return {int(each.version): each for each in found}


def forms_without(name: str, version: str) -> list[str]:
    """Name the forms of a model that lack a version."""
    return [form for form in form_names(name) if not _has(form, version)]


def _has(form: str, version: str) -> bool:
    try:
        mlflow.MlflowClient().get_model_version(form, version)
    except MlflowException as error:
        if is_absent(error):
            return False
        raise
    return True


def move_alias(names: Sequence[str], alias: str, version: str) -> None:
    """Point an alias of every name at one version."""
    client = mlflow.MlflowClient()
    for name in names:
        client.set_registered_model_alias(name, alias, version)


def tag_versions(name: str, version: str, tags: Mapping[str, str]) -> None:
    """Set tags on a version of all three forms.

    Raises:
        UserError: a form lacks the version.
    """
    client = mlflow.MlflowClient()
    if lacking := forms_without(name, version):
        raise UserError(
            f"{', '.join(lacking)} has no version {version}, for it was deleted: train another, or roll back to "
            f"version {version} of {name}, which registers it again."
        )
    for form in form_names(name):
        for key, value in tags.items():
            client.set_model_version_tag(form, version, key, value)


def aliased(name: str, alias: str) -> ModelVersion | None:
    """Give the version that an alias of a registered model points at; None where there is no such alias."""
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if is_absent(error):
            return None
        raise


def find_version(model: str) -> ModelVersion:
    """Find a version by `NAME/3` or `NAME@champion`; any of the three forms' names stands for all.

    Raises:
        UserError: there is no such model, version or alias.
    """
    client = mlflow.MlflowClient()
    known = sorted(each.name for each in mlflow.search_registered_models())
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
    if not at and not VERSION.fullmatch(version):
        raise UserError(
            f"{version!r} is no version of {base}: write a whole number in plain digits, such as {base}/3, or "
            f"{base}@champion."
        )
    try:
        return client.get_model_version_by_alias(base, alias) if at else client.get_model_version(base, version)
    except MlflowException as error:
        if not is_absent(error):
            raise
        versions = ", ".join(map(str, sorted(versions_of(base)))) or "none"
        aliases = ", ".join(sorted(aliases_of(base))) or "none"
        raise UserError(
            f"{base} has no {'alias ' + alias if at else 'version ' + version}: its versions are {versions}; its "
            f"aliases {aliases}."
        ) from None


def only_champion(how: str = "--model-name") -> str:
    """Find the one pipeline that has a champion, under whichever of its forms' names.

    Args:
        how: what names a model where this cannot.

    Raises:
        UserError: there is none, or there are several.
    """
    known = {each.name: each.aliases for each in mlflow.search_registered_models()}
    pipelines = [name for name in sorted(known) if set(form_names(name)) <= known.keys()]
    found = [name for name in pipelines if any("champion" in known[form] for form in form_names(name))]
    if len(found) != 1:
        raise UserError(
            f"Name the model with {how}: {len(found)} have a champion{': ' if found else ''}{', '.join(found)}."
        )
    return found[0]


def is_registered(form: str) -> bool:
    """Tell whether there is a registered model of a name."""
    return _registered(form) is not None


def tags_of(name: str) -> dict[str, str]:
    """Read the tags of a registered model; none where it is not registered."""
    found = _registered(name)
    return dict(found.tags) if found else {}


def aliases_of(name: str) -> dict[str, str]:
    """Read the aliases of a registered model; none where it is not registered."""
    found = _registered(name)
    return {alias: str(version) for alias, version in found.aliases.items()} if found else {}


def _registered(name: str) -> RegisteredModel | None:
    try:
        return mlflow.MlflowClient().get_registered_model(name)
    except MlflowException as error:
        if is_absent(error):
            return None
        raise
