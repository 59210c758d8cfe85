"""What can be done with registered versions: restore an earlier champion, print a version's lineage, pack it for
another machine and register it there; and find the artifacts of a project folder that was moved.

Reads: the registry and the runs behind it.
Writes: rollback moves the aliases and the history; lineage nothing; export-model a folder or zip; import-model three
registered versions and copies of their runs; relocate the store.
Parameters: `python model_registry.py rollback --help`, and so on for each entry point.
Run: mlflow run . -e rollback -P to-version=3
"""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlflow
from loguru import logger
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from config import ExportSettings, ImportSettings, LineageSettings, RelocateSettings, RollbackSettings
from tracking.bundle import pack, register, unpacked
from tracking.datasets import load_problem
from tracking.models import form_names
from tracking.promotion import finish_earlier
from tracking.registry import aliased, champion_history, find_version, only_champion, promote
from tracking.relocation import relocate as move_places
from tracking.runs import Lineage, stage_run
from tracking.store import choose_experiment, store_folder
from treeline import StoreError, UserError
from treeline.data.files import exists
from treeline.secrets import without_secrets
from utils import COMMAND_LINE, command, ended


def rollback(settings: RollbackSettings) -> str:
    """Make an earlier version the champion again, under all three names; return the run id.

    Raises:
        UserError: there is no champion, nothing before it, or no such version under all names.
    """
    with stage_run("rollback", settings) as active:
        name = settings.model_name or only_champion()
        finish_earlier(name)
        champion, previous = aliased(name, "champion"), aliased(name, "previous")
        if champion is None:
            raise UserError(f"{name} has no champion to roll back from: train and evaluate one first.")
        version = str(int(settings.to_version or (previous.version if previous else 0)))
        if version == "0":
            raise UserError(
                f"{name} has had no champion before version {champion.version}: name one with --to-version."
            )
        for form in form_names(name):
            find_version_of_form(form, version)
        if version == str(champion.version):
            raise UserError(f"Version {version} of {name} is the champion already.")
        promote(name, version, {"run_id": active.info.run_id, "why": "rollback"})
        mlflow.set_tags({"model_name": name, "model_version": version, "previous_version": str(champion.version)})
        logger.info(f"{name} version {version} is the champion again; it was version {champion.version}")
        return str(active.info.run_id)


def find_version_of_form(form: str, version: str) -> None:
    """Make sure that a registered model has a version.

    Raises:
        UserError: it has not.
    """
    try:
        mlflow.MlflowClient().get_model_version(form, version)
    except MlflowException:
        raise UserError(f"{form} has no version {version}: choose one that all three forms have.") from None


def lineage(settings: LineageSettings) -> str:
    """Print the chain that made a version and the history of its name; return the text."""
    choose_experiment()
    version = find_version(settings.model)
    chain = Lineage.from_tags(version.tags)
    runs = chain.runs()
    data, tuning, training = (runs[key] for key in ("data", "tuning", "training"))
    problem = load_problem(data)
    tags, metric = training.data.tags, tuning.data.tags["metric"]
    aliases = ", ".join(sorted(version.aliases)) or "no alias"
    evaluated = " ".join([chain.evaluation_run_id or "not yet", version.tags.get("decision", "")]).rstrip()
    lines = [
        f"{version.name} version {version.version} ({aliases})",
        f"  table        {problem.table} from {problem.source}, digest {problem.digest}",
        f"  data run     {data.info.run_id}  {_settings_line(data)}",
        f"  tuning run   {tuning.info.run_id}  {_settings_line(tuning)}; best {metric} "
        f"{tuning.data.metrics.get(f'cv_{metric}', math.nan):.6g}",
        f"  training run {training.info.run_id}  rounds {training.data.params.get('rounds', '')}",
        f"  git commit   {tags.get('mlflow.source.git.commit', 'unknown')}",
        f"  made with    {tags.get('packages', 'unknown')}",
        f"  evaluated    {evaluated}",
        "Champions of this name",
        *(f"  {each['at']}  version {each['champion']}  {each['why']}" for each in champion_history(version.name)),
    ]
    text = without_secrets("\n".join(lines))  # of a version that knew none of it yet
    print(text)
    return text


def _settings_line(run: Run) -> str:
    wanted = ("data", "target", "split", "seed", "n-trials", "folds")
    return ", ".join(f"{name} {run.data.params[name]}" for name in wanted if run.data.params.get(name))


def export_model(settings: ExportSettings) -> str:
    """Pack a version with its runs; return the bundle's path.

    Raises:
        UserError: the version is unknown, or the output exists or cannot be made.
    """
    choose_experiment()
    version = find_version(settings.model)
    output = Path(settings.output)
    if not settings.output:
        raise UserError("Name the bundle to make with --output, such as model.zip.")
    if exists(settings.output):
        raise UserError(f"{output} exists: name another --output or remove it.")
    if not exists(str(output.absolute().parent)):
        raise UserError(f"No folder {str(output.absolute().parent)!r} to write {output.name} in: make it first.")
    try:
        pack(version, output, settings.rows)
    except OSError as error:
        raise StoreError(f"Cannot write {settings.output!r}: {error.strerror or error}; name another.") from error
    logger.info(
        f"{version.name} version {version.version} lies in {output}, "
        + ("its training and test rows too (--rows false leaves them out)" if settings.rows else "without its rows")
    )
    return str(output)


def import_model(settings: ImportSettings) -> str:
    """Register what a bundle holds as `challenger`; return the run id.

    Raises:
        UserError: it is no bundle, a damaged one, registered already, or does not answer as it did where it was made.
    """
    with stage_run("import-model", settings) as active:
        source = Path(settings.input)
        if not exists(settings.input):
            raise UserError(f"No bundle {settings.input!r}: name with --input what export-model made.")
        with unpacked(source) as (folder, manifest):
            version = register(folder, manifest, active.info.run_id)
        name = manifest["name"]
        mlflow.set_tags({"model_name": name, "model_version": version})
        names = ", ".join(form_names(name))
        logger.info(f"registered {names} version {version} as challenger; data-evaluation promotes it")
        return str(active.info.run_id)


def relocate(settings: RelocateSettings) -> str:
    """Point the SQLite store of this folder at the artifacts beside it; return the folder that it pointed at before."""
    database = store_folder() / "mlflow.db"
    if not database.is_file():
        raise UserError(f"No store {str(database)!r}: run this in the folder that holds mlflow.db and mlruns.")
    before, changed = move_places(database)
    logger.info(
        f"{changed} places of artifacts moved from {before}" if before else "every artifact is where it should be"
    )
    return before


ENTRY_POINTS: dict[str, tuple[type[Any], Callable[[Any], str]]] = {
    "rollback": (RollbackSettings, rollback),
    "lineage": (LineageSettings, lineage),
    "export-model": (ExportSettings, export_model),
    "import-model": (ImportSettings, import_model),
    "relocate": (RelocateSettings, relocate),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the entry points, the first word of the command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in ENTRY_POINTS:
        known = ", ".join(ENTRY_POINTS)
        return ended(UserError(f"Say what to do: {known}; got {words[0] if words else 'nothing'!r}."), COMMAND_LINE)
    settings, work = ENTRY_POINTS[words[0]]
    return command(settings, f"{__file__} {words[0]}", work, words[1:])


if __name__ == "__main__":
    sys.exit(main())
