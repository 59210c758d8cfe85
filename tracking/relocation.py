"""A project folder that was moved: the artifacts, which MLflow's SQLite store knows by whole paths, found again."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from treeline import UserError

# Where MLflow 3's schema keeps the places of artifacts.
PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def relocate(database: Path) -> tuple[str, int]:
    """Point a store at the artifacts that were moved along with it; a copy of it is kept as `<name>.before-relocate`.

    Args:
        database: the SQLite file, in the folder that also holds `mlruns`.

    Returns:
        The folder that the store pointed at before, and how many places were changed; "" and 0 where none had to be.

    Raises:
        UserError: the artifacts are not here, or they lie in several folders that are gone.
    """
    here = str(database.absolute().parent)
    with closing(sqlite3.connect(database)) as store:
        known = [place for (place,) in store.execute("SELECT artifact_location FROM experiments")]
        moved = {place.rpartition("/mlruns/")[0] for place in known if "/mlruns/" in place} - {here}
        runs = [place for (place,) in store.execute("SELECT artifact_uri FROM runs")]
        gone = sorted(folder for folder in moved if _is_gone(folder, here, runs))
        if not gone:
            return "", 0
        if len(gone) > 1:
            raise UserError(
                f"The store points at several folders that are gone: {', '.join(gone)}. It was moved in parts."
            )
        if not (database.parent / "mlruns").is_dir():
            raise UserError(f"No folder mlruns beside {database}: move it here first, the artifacts lie in it.")
        shutil.copy(database, database.with_name(f"{database.name}.before-relocate"))
        old, changed = gone[0], 0
        with store:
            for table, column in PLACES.items():
                query = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                changed += store.execute(query, (here, len(old) + 1, len(old) + 1, f"{old}/")).rowcount
        return old, changed


def _is_gone(folder: str, here: str, places: Sequence[str]) -> bool:
    """Tell whether artifacts were moved from a folder; a command may have made folders there since."""
    there = Path(folder.removeprefix("file://"))
    if not (there / "mlruns").is_dir():
        return True
    within = [place.removeprefix(f"{folder}/") for place in places if place.startswith(f"{folder}/")]
    return any(Path(here, each).is_dir() and not (there / each).is_dir() for each in within)
