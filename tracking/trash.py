"""What of a SQLite store nothing needs any more: found, told with its size, and deleted for good.

A run in the trash is needed as long as a registered version or a living run comes from it. What is younger than the
days that a person names stays too: it may be in use, or be missed.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import mlflow
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.file_utils import local_file_uri_to_path

from tracking.study_owner import is_of_server

VERSIONS = "model_versions WHERE current_stage <> 'Deleted_Internal'"
# Runs that live, those that versions come from, and whatever these come from in turn.
NEEDED = f"""
    WITH RECURSIVE needed(id) AS (
        SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active'
        UNION SELECT run_id FROM {VERSIONS} AND run_id IS NOT NULL
        UNION SELECT value FROM model_version_tags JOIN model_versions USING (name, version)
            WHERE current_stage <> 'Deleted_Internal' AND key LIKE '%run_id'
        UNION SELECT tags.value FROM tags JOIN needed ON tags.run_uuid = needed.id
            WHERE tags.key LIKE '%run_id' OR tags.key = 'mlflow.parentRunId'
    )
"""
RUNS = f"""{NEEDED} SELECT run_uuid, artifact_uri, experiment_id FROM runs
    WHERE lifecycle_stage = 'deleted' AND deleted_time < :before AND run_uuid NOT IN needed"""
MODELS = f"""SELECT model_id, artifact_location, CASE lifecycle_stage WHEN 'active' THEN source_run_id END
    FROM logged_models
    WHERE last_updated_timestamp_ms < :before
        AND (source_run_id IS NOT NULL OR lifecycle_stage = 'deleted') AND NOT EXISTS (SELECT 1 FROM {VERSIONS}
        AND (instr(source, model_id) OR instr(coalesce(storage_location, ''), model_id)))"""
EXPERIMENTS = """SELECT experiment_id, name FROM experiments
    WHERE lifecycle_stage = 'deleted' AND last_update_time < :before"""

WITHIN = """SELECT run_uuid FROM runs WHERE experiment_id = :experiment
    UNION SELECT model_id FROM logged_models WHERE experiment_id = :experiment"""


@dataclass(frozen=True)
class Unused:
    """Something that nothing needs.

    Attributes:
        kind: what it is, for a table.
        name: its id or path.
        size: in bytes; 0 where it lies on no disk of this machine.
        delete: does so, for good.
    """

    kind: str
    name: str
    size: int
    delete: Callable[[], object] = field(repr=False, compare=False)


def unused_in_store(database: Path, before: float) -> list[Unused]:
    """Find what nothing needs of a store: runs, models and experiments in the trash, artifacts and studies of none.

    Args:
        database: the SQLite file.
        before: Unix time; what was changed later stays.
    """
    store = SqlAlchemyStore(mlflow.get_tracking_uri(), str(database.parent / "mlruns"))
    when = {"before": int(before * 1000)}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as rows:
        runs = rows.execute(RUNS, when).fetchall()
        gone = {run for run, *_ in runs}
        living = {run for (run,) in rows.execute("SELECT run_uuid FROM runs")} - gone
        models = [row for row in rows.execute(MODELS, when) if row[2] not in living]
        listed = gone | {model for model, *_ in models}
        experiments = [
            row
            for row in rows.execute(EXPERIMENTS, when).fetchall()
            if {each for (each,) in rows.execute(WITHIN, {"experiment": row[0]})} <= listed
        ]
        studies = {
            name
            for run, name in rows.execute("SELECT run_uuid, value FROM tags WHERE key = 'study'")
            if run not in gone
        }
        known = living | gone | {model for (model,) in rows.execute("SELECT model_id FROM logged_models")}
    found = [
        Unused("model without a run", model, _size(place), _row(place, store._hard_delete_logged_model, model))
        for model, place, _ in models
    ]
    found += [
        Unused("run in the trash", run, _size(place), _row(place, store._hard_delete_run, run))
        for run, place, _ in runs
    ]
    # After what they hold, whose rows hang on them. Their folder may be another experiment's as well.
    found += [
        Unused("experiment in the trash", name, 0, partial(store._hard_delete_experiment, experiment))
        for experiment, name in experiments
    ]
    return found + list(_files(database.parent, known, studies, before))


def _files(folder: Path, known: set[str], studies: set[str], before: float) -> Iterator[Unused]:
    """Find folders of artifacts that no row of the store names, and studies of no run."""
    for path in (folder / "studies").glob("*.log"):
        if path.stem not in studies and path.stat().st_mtime < before and not is_of_server(path):
            yield Unused("study without a run", str(path), path.stat().st_size, path.unlink)
    if [each for each in folder.glob("*.db") if each.name != "mlflow.db"]:
        return  # another store's artifacts would be in the same folder
    for path in [*folder.glob("mlruns/*/[0-9a-f]*"), *folder.glob("mlruns/*/models/m-*")]:
        if len(path.name.removeprefix("m-")) == 32 and path.name not in known and path.stat().st_mtime < before:
            yield Unused("artifacts without a row", str(path), _size(str(path)), partial(shutil.rmtree, path))


def _row(place: str, forget: Callable[[str], object], key: str) -> Callable[[], None]:
    """Give what deletes artifacts and then the row that names them: after a kill between the two it is found again."""

    def delete() -> None:
        get_artifact_repository(place).delete_artifacts()
        folder = _local(place)
        if folder and folder.parent.name == key and folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()  # a run's, of which its artifacts are the only content
        forget(key)

    return delete


def _local(place: str) -> Path | None:
    """Give the folder of artifacts that lie on a disk of this machine."""
    return None if "://" in place and not place.startswith("file:") else Path(local_file_uri_to_path(place))


def _size(place: str) -> int:
    folder = _local(place)
    return size_of(folder) if folder else 0


def size_of(folder: Path) -> int:
    """Give the bytes that a folder takes, links not followed; 0 where there is none."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or path.is_file())
