"""The files that runs keep, read back: what one lacks or how it is damaged is told with its name and its run's id."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

from tracking.store_errors import raise_if_of_store
from treeline import StoreError

BEST = {"params": dict, "rounds": int, "metric": str, "value": (int, float), "final_rounds": int}
BEST_FILE = "best.json"  # of a tuning run: what the search chose


@contextmanager
def reading(run_id: str, name: str) -> Iterator[None]:
    """Say which file of which run is at fault where the block cannot make of it what it should hold.

    Raises:
        StoreError: the block met a file that is not there, cannot be parsed, or holds something else.
    """
    try:
        yield
    except (MlflowException, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise_if_of_store(error)  # the file may be whole, and its server gone
        reason = (str(error).splitlines() or [""])[0][:200].rstrip(".") or type(error).__name__
        raise StoreError(
            f"{name} of the run {run_id} cannot be read: {reason}. It was damaged or deleted: restore it, or run that "
            "stage again."
        ) from error


def load_text(run_id: str, name: str) -> str:
    """Read a text file of a run.

    Raises:
        StoreError: it is not there or no text.
    """
    with reading(run_id, name):
        path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name)
        return Path(path).read_text(encoding="utf-8")


def load_document(run_id: str, name: str, needed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a JSON object of a run.

    Args:
        run_id: of the run.
        name: of the file.
        needed: types of the values that it must have, by name.

    Raises:
        StoreError: it is not there, no JSON object, or lacks such a value.
    """
    text = load_text(run_id, name)
    with reading(run_id, name):
        found = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError(f"it holds a {type(found).__name__}, not an object")
        for key, kind in (needed or {}).items():
            if not isinstance(found.get(key), kind) or isinstance(found[key], bool):
                raise TypeError(f"its {key} is {str(found.get(key, 'missing'))[:60]}")
        return found


def load_best(tuning_run_id: str) -> dict[str, Any]:
    """Read what the search of a tuning run chose.

    Raises:
        StoreError: it cannot be read.
    """
    return load_document(tuning_run_id, BEST_FILE, BEST)


def load_rows(run_id: str, path: Path) -> pd.DataFrame:
    """Read the rows of a run from its file, which was fetched.

    Raises:
        StoreError: it is damaged.
    """
    with reading(run_id, path.name):
        return pd.read_parquet(path)
