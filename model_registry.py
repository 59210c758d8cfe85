"""What can be done with registered versions: restore an earlier champion, print a version's lineage, pack it for
another machine and register it there; and find the artifacts of a project folder that was moved.

Reads: the registry and the runs behind it.
Writes: rollback moves the aliases and the history; lineage nothing; export-model a folder or zip; import-model three
registered versions and copies of their runs; relocate the store.
Parameters: `python model_registry.py rollback --help`, and so on for each entry point.
Run: mlflow run . -e rollback -P to-version=3
"""

import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlflow
from loguru import logger
from mlflow.entities import Run

from config import ExportSettings, ImportSettings, LineageSettings, RelocateSettings, RollbackSettings
from tracking.bundle import pack, register
from tracking.champions import champion_history, champion_version, finish_earlier, promote
from tracking.datasets import load_problem
from tracking.models import form_names
from tracking.registry import aliased, find_version, only_champion
from tracking.relocation import relocate as move_places
from tracking.restoration import ROLLBACK, find_restorable, note_answer, unanswered_rollback
from tracking.runs import Lineage, stage_run
from tracking.store import choose_experiment, store_folder
from tracking.unpacking import unpacked
from treeline import UserError
from treeline.secrets import without_secrets
from utils import COMMAND_LINE, command, ended


def rollback(settings: RollbackSettings) -> str:
    """Make an earlier version the champion again, under all three names; return the run id.

    A rollback that was cut short is finished, and not followed by one more.

    Raises:
        UserError: there is nothing to roll back to, or the version is not to be had whole.
    """
    with stage_run("rollback", settings) as active:
        name, run_id = settings.model_name or only_champion(), str(active.info.run_id)
        finished = finish_earlier(name)
        cut_short = finished if finished and finished["why"] == ROLLBACK else unanswered_rollback(name)
        if cut_short and settings.to_version in ("", cut_short["champion"]):
            version, before = cut_short["champion"], cut_short["previous"]
            note_answer(cut_short, run_id)
            logger.info(f"the rollback that was cut short is finished: {name} version {version} is the champion again")
        else:
            before = champion_version(name)
            version = restore(name, settings.to_version, before, run_id)
            logger.info(f"{name} version {version} is the champion again; it was version {before or 'none'}")
        mlflow.set_tags({"model_name": name, "model_version": version, "previous_version": before})
        return run_id


def restore(name: str, asked: str, champion: str, run_id: str) -> str:
    """Make a version the champion, having tried all of it; return it, or what it is registered as again.

    Args:
        name: of the pipeline's registered model.
        asked: the version; empty for the champion before this one.
        champion: the version that is it now; empty where none is.
        run_id: of the rollback.

    Raises:
        UserError: there is no such version, it is the champion, does not work, or the champion changed meanwhile.
    """
    previous = aliased(name, "previous")
    version = asked or (str(previous.version) if previous else "")
    if not version:
        now = f"before version {champion}" if champion else "yet"
        raise UserError(
            f"{name} has had no champion {now}: name a version with --to-version, or train and evaluate one."
        )
    found = find_restorable(name, version)
    if version == champion and not found.lacking:
        raise UserError(f"Version {version} of {name} is the champion already.")
    found.check()
    registered = found.registered()
    if not promote(name, registered, {"run_id": run_id, "why": ROLLBACK}, champion):
        raise UserError(
            f"The champion of {name} changed meanwhile, from version {champion or 'none'} to "
            f"{champion_version(name) or 'none'}: roll back again if that is still wanted."
        )
    return registered


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
    if not settings.output:
        raise UserError("Name the bundle to make with --output, such as model.zip.")
    output = _path(settings.output)
    if output.exists():
        raise UserError(f"{output} exists: name another --output or remove it.")
    if not output.absolute().parent.is_dir():
        raise UserError(f"No folder {str(output.absolute().parent)!r} to write {output.name} in: make it first.")
    pack(version, output, settings.rows)
    logger.info(
        f"{version.name} version {version.version} lies in {output}, "
        + ("its training and test rows too (--rows false leaves them out)" if settings.rows else "without its rows")
    )
    return str(output)


def _path(name: str) -> Path:
    """Give a path that a file system takes.

    Raises:
        UserError: it does not.
    """
    try:
        os.lstat(name)
    except (FileNotFoundError, NotADirectoryError):
        return Path(name)
    except (OSError, ValueError) as error:  # too long, a byte 0, a folder that may not be looked into
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{name[:80]!r} is no name of a file that can be used here: {why}.") from error
    return Path(name)


def import_model(settings: ImportSettings) -> str:
    """Register what a bundle holds as `challenger`; return the run id.

    Raises:
        UserError: it is no bundle, a damaged one, registered already, or does not answer as it did where it was made.
    """
    with stage_run("import-model", settings) as active:
        source = _path(settings.input)
        if not settings.input or not source.exists():
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
