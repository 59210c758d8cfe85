"""What importing the core brings: nothing heavy by itself, and nothing that a served model does not require."""

import pytest
from conftest import REPOSITORY, python

import treeline

SEARCH_AND_PICTURES = ["optuna", "mlflow", "matplotlib", "sqlalchemy", "yaml", "tqdm", "loguru", "pydantic"]


def brought(statement: str, names: list[str]) -> list[str]:
    """Name those of some packages that a statement imports in a fresh Python."""
    code = f"import sys; {statement}; print(*[name for name in {names!r} if name in sys.modules])"
    done = python("-W", "error", "-c", code, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_check_sees_what_an_import_brings() -> None:
    assert brought("import yaml", ["yaml", "optuna"]) == ["yaml"]


def test_importing_treeline_brings_nothing() -> None:
    heavy = [*SEARCH_AND_PICTURES, "pandas", "numpy", "sklearn", "xgboost", "pyarrow", "fsspec"]
    assert brought("import treeline", heavy) == []
    assert callable(treeline.fit)


@pytest.mark.parametrize("module", ["treeline.model.estimator", "treeline.model.features", "treeline.model.encoders"])
def test_what_a_served_model_loads_brings_only_what_it_requires(module: str) -> None:
    # fsspec, by which tables are read, is not among the requirements that are logged with a model.
    assert brought(f"import {module}", [*SEARCH_AND_PICTURES, "fsspec", "treeline.data.tables"]) == []


def test_scoring_brings_no_search() -> None:
    assert brought("import treeline.serving.scoring", SEARCH_AND_PICTURES) == []
