"""The three forms in which a model is handed over: what each takes and gives, and what it needs to load."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, ColSpec, DataType, Schema, TensorSpec

import treeline
from treeline.data.problem import Problem
from treeline.model.estimator import TreelineClassifier, TreelineRegressor

PACKAGE = Path(treeline.__file__).parent  # travels with the model, so that it loads where Treeline is not installed
SERVICE = Path(__file__).parent / "service.py"
# What skops may load beside plain scikit-learn: our own classes and XGBoost's booster.
TRUSTED = [
    "numpy.dtype",
    "treeline.model.encoders.CategoryEncoder",
    "treeline.model.encoders.TargetMeanEncoder",
    "treeline.model.encoders.DatetimeEncoder",
    "treeline.model.encoders.TfidfEncoder",
    "treeline.model.features.Features",
    "treeline.model.estimator.TreelineClassifier",
    "treeline.model.estimator.TreelineRegressor",
    "xgboost.core.Booster",
]
REQUIRED = ["mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops", "xgboost"]


def requirements() -> list[str]:
    """Pin the packages that a model needs to load, at the versions it was made with."""
    pins = []
    for name in REQUIRED:
        try:
            pins.append(f"{name}=={version(name)}")
        except PackageNotFoundError:  # XGBoost's build without GPU code, which is not made for every platform
            pins.append(f"{name}=={version(f'{name}-cpu')}")
    return pins


def raw_schema(rows: pd.DataFrame, problem: Problem) -> Schema:
    """Describe the raw columns that a caller sends.

    Columns of fractions are doubles. The rest is `Any`, for MLflow turns down an integer column once a value is
    missing, an int64 column where a double is declared, and an all-missing column where text is; the features check
    the values.
    """
    fractions = {name for name in problem.kinds if _has_fractions(rows[name])}
    return Schema([ColSpec(DataType.double if name in fractions else AnyType(), name) for name in problem.kinds])


def signatures(
    estimator: TreelineClassifier | TreelineRegressor, rows: pd.DataFrame, problem: Problem
) -> dict[str, ModelSignature]:
    """Make the signature of each form: "" (the pipeline), "Booster" and "Service", the endings of their names.

    Args:
        estimator: fitted.
        rows: raw training rows, for their types.
        problem: that the estimator solves.
    """
    raw = raw_schema(rows, problem)
    names = estimator.features_.get_feature_names_out()
    label = _label_type(estimator.predict(rows.head(1)))
    probabilities = [ColSpec(DataType.float, f"probability_{each}") for each in problem.classes]
    shape = (-1, len(problem.classes)) if problem.task == "multiclass" else (-1,)
    return {
        "": ModelSignature(raw, Schema([ColSpec(label)])),
        "Booster": ModelSignature(
            Schema([ColSpec(DataType.double, name) for name in names]),
            Schema([TensorSpec(np.dtype(np.float32), shape)]),
        ),
        "Service": ModelSignature(raw, Schema([ColSpec(label, "prediction"), *probabilities])),
    }


def _label_type(labels: np.ndarray) -> DataType:
    return {"b": DataType.boolean, "i": DataType.long, "f": DataType.double}.get(labels.dtype.kind, DataType.string)


def _has_fractions(column: pd.Series) -> bool:
    return pd.api.types.is_float_dtype(column) and bool((column.dropna() % 1 != 0).any())
