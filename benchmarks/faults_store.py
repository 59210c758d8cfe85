"""What must be true of a store between two commands, whatever happened to it; asked in SQL, not of what is judged."""

import contextlib
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tracking.models import form_names

NAME = "TableModel"  # of the registered models


def last_run_of(database: Path, stage: str) -> str:
    """Give the id of the last run of a stage."""
    query = (
        "select r.run_uuid from runs r join tags t on t.run_uuid = r.run_uuid and t.key = 'stage' and t.value = ? "
        "order by r.start_time desc limit 1"
    )
    return str(_ask(database, query, stage)[0][0])


def history_of(database: Path) -> list[dict[str, str]]:
    """Give every move of the champion so far, the oldest first."""
    tags: dict[str, str] = dict(_ask(database, "select key, value from registered_model_tags where name = ?", NAME))
    return [json.loads(tags[key]) for key in sorted(tags) if key.startswith("champion_history.")]


def _ask(database: Path, question: str, *values: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(question, values).fetchall()


def champion_of(database: Path) -> str:
    """Give the champion's version; empty where there is none."""
    found = _ask(database, "select version from registered_model_aliases where alias = 'champion' and name = ?", NAME)
    return str(found[0][0]) if found else ""


def versions_of(database: Path, name: str) -> dict[str, str]:
    """Give the places of the files of every version of a registered model."""
    query = (
        "select version, storage_location from model_versions where name = ? and current_stage != 'Deleted_Internal'"
    )
    return {str(version): place or "" for version, place in _ask(database, query, name)}


def broken_store(database: Path) -> list[str]:
    """Say what is wrong with a store between two commands."""
    if not database.exists():
        return ["there is no store"]
    found = [f"SQLite says: {text}" for (text,) in _ask(database, "pragma integrity_check") if text != "ok"]
    running = _ask(
        database,
        "select t.value from runs r left join tags t on t.run_uuid = r.run_uuid and t.key = 'stage' "
        "where r.status = 'RUNNING' and r.lifecycle_stage = 'active'",
    )
    found += [f"a run of {stage} is RUNNING" for (stage,) in running]
    return [*found, *broken_trials(database), *broken_registry(database)]


def broken_trials(database: Path) -> list[str]:
    """Say which trials have no run of their own, or one without a score."""
    rows = _ask(
        database,
        "select s.value, t.value, e.value, "
        "(select count(*) from latest_metrics m where m.run_uuid = r.run_uuid and m.key like 'cv@_%' escape '@') "
        "from runs r join tags k on k.run_uuid = r.run_uuid and k.key = 'stage' and k.value = 'trial' "
        "join tags s on s.run_uuid = r.run_uuid and s.key = 'study' "
        "join tags t on t.run_uuid = r.run_uuid and t.key = 'trial' "
        "join tags e on e.run_uuid = r.run_uuid and e.key = 'state' "
        "where r.lifecycle_stage = 'active' and r.status = 'FINISHED'",
    )
    found = [
        f"trial {number} of {study} is {state} without a score" for study, number, state, scores in rows if not scores
    ]
    known: list[tuple[str, str]] = [(study, number) for study, number, *_ in rows]
    return found + [
        f"trial {number} of {study} has two runs" for study, number in {each for each in known if known.count(each) > 1}
    ]


def broken_registry(database: Path) -> list[str]:
    """Say where the three forms of a model are not in step, or their history does not lead to the champion."""
    forms = form_names(NAME)
    versions = {form: versions_of(database, form) for form in forms}
    found = []
    if len({tuple(sorted(each)) for each in versions.values()}) > 1:
        found.append(f"versions are not in step: { {form: sorted(each) for form, each in versions.items()} }")
    found += [
        f"the files of {form} version {version} are gone"
        for form, each in versions.items()
        for version, place in each.items()
        if not (Path(place.removeprefix("file://")) / "MLmodel").is_file()
    ]
    query = "select alias, version from registered_model_aliases where name = ?"
    aliases = {form: sorted(_ask(database, query, form)) for form in forms}
    if len(set(map(str, aliases.values()))) > 1:
        found.append(f"aliases are not in step: {aliases}")
    tags: dict[str, str] = dict(_ask(database, "select key, value from registered_model_tags where name = ?", NAME))
    if "moving" in tags:
        found.append("a move of aliases is half done")
    history = history_of(database)
    last = str(history[-1]["champion"]) if history else ""
    if last != champion_of(database):
        found.append(
            f"the history ends with version {last or 'none'}, the champion is {champion_of(database) or 'none'}"
        )
    return found
