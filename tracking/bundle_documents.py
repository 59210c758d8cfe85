"""What is read of a bundle: its runs, its problem, its recorded requests, and how MLflow would load its models.

What would be loaded as a pickle, or by code other than MLflow's own flavors and the served form's, is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tracking.models import TRUSTED, form_names
from treeline import UserError
from treeline.data.problem import Problem

KEYS = ("data", "tuning", "training", "evaluation")  # of the runs, the last of which may be missing
REQUIRED = {"data": ("problem.json",), "tuning": ("best.json", "trials.csv"), "training": ("golden.json",)}
LOADERS = ("mlflow.sklearn", "mlflow.xgboost", "mlflow.pyfunc.loaders.code_model")


def damaged(source: Path, what: str) -> UserError:
    """Make the error that tells what is wrong with a bundle."""
    return UserError(f"The bundle {source} is damaged: {what}. Export it again.")


def check_documents(folder: Path, manifest: Mapping[str, Any], source: Path) -> None:
    """Check what is read of an open bundle: its runs, its problem, and how MLflow would load its models.

    Raises:
        UserError: one is not as export-model writes it.
    """
    for key in KEYS:
        path = folder / "runs" / key / "run.json"
        if path.is_file():
            _check_run(_document(path, source), f"runs/{key}/run.json", source)
    try:
        Problem(**_document(folder / "runs/data/artifacts/problem.json", source))
    except (TypeError, ValueError, UserError) as error:
        raise damaged(source, f"runs/data/artifacts/problem.json is no problem of this Treeline: {error}") from error
    golden = _document(folder / "runs/training/artifacts/golden.json", source)
    if not {"request", "answer"} <= golden.keys():
        raise damaged(source, "runs/training/artifacts/golden.json holds no recorded requests")
    for form in form_names(manifest["name"]):
        for path in sorted((folder / "models" / form).rglob("MLmodel")):
            _check_flavors(path, path.relative_to(folder).as_posix(), source)


def _document(path: Path, source: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        document = None
    if not isinstance(document, dict):
        raise damaged(source, f"{path.name} of {path.parent.name} is no JSON object")
    return document


def _check_run(facts: Mapping[str, Any], name: str, source: Path) -> None:
    texts = [facts.get("params"), facts.get("tags")]
    numbers = facts.get("metrics")
    if (
        not all(isinstance(facts.get(key), str) for key in ("run_id", "name"))
        or not all(isinstance(each, dict) and all(isinstance(it, str) for it in each.values()) for each in texts)
        or not isinstance(numbers, dict)
        or not all(isinstance(it, int | float) and not isinstance(it, bool) for it in numbers.values())
        or any(isinstance(it, int) and abs(it) > 2**63 for it in numbers.values())  # no float holds it
    ):
        raise damaged(source, f"{name} is no run's")


def _check_flavors(path: Path, name: str, source: Path) -> None:
    """Refuse a model that MLflow would load by other means than ours are."""
    try:
        flavors = yaml.safe_load(path.read_text(encoding="utf-8"))["flavors"]
        loader, served = flavors["python_function"]["loader_module"], flavors["python_function"]
        others = {key: flavors[key] for key in flavors if key != "python_function"}
        trusted = others.get("sklearn", {}).get("skops_trusted_types") or []
        is_safe = (
            loader in LOADERS
            and "python_model" not in served
            and set(others) <= {"sklearn", "xgboost"}
            and others.get("sklearn", {}).get("serialization_format", "skops") == "skops"
            and others.get("xgboost", {}).get("model_class", "xgboost.core.Booster") == "xgboost.core.Booster"
            and all(each in TRUSTED or str(each).startswith("treeline.") for each in trusted)
        )
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(source, f"{name} describes no model: {type(error).__name__}") from error
    if not is_safe:
        raise damaged(source, f"{name} would be loaded by code that is not Treeline's or MLflow's own flavors")
