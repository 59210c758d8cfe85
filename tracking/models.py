"""The three forms in which a model is handed over: what each takes and gives, how it is logged, what it needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types.schema import AnyType, ColSpec, DataType, Schema, TensorSpec

import treeline
from treeline.data.problem import Problem
from treeline.model.estimator import TreelineClassifier, TreelineRegressor
from treeline.serving.requests import split_of


@dataclass(frozen=True)
class Form:
    """One form: the ending of its registered name, its MLflow flavor, and what it takes and gives."""

    suffix: str
    flavor: str
    description: str


PIPELINE = Form("", "sklearn", "The whole inference pipeline: raw columns in, labels as the table spelled them out.")
BOOSTER = Form(
    "Booster",
    "xgboost",
    "The native XGBoost booster: a DMatrix (or, through pyfunc, the feature frame) in, predictions out.",
)
SERVICE = Form(
    "Service", "python_function", "The served form: raw columns in, a prediction and one probability a class out."
)
FORMS = (PIPELINE, BOOSTER, SERVICE)

PACKAGE = Path(treeline.__file__).parent  # travels with the model, so that it loads where Treeline is not installed
SERVICE_CODE = Path(__file__).parent / "service.py"
# What skops may load beside plain scikit-learn: our own classes and XGBoost's booster.
TRUSTED = [
    "numpy.dtype",
    "treeline.model.encoders.CategoryEncoder",
    "treeline.model.encoders.TargetMeanEncoder",
    "treeline.model.encoders.DatetimeEncoder",
    "treeline.model.encoders.PairEncoder",
    "treeline.model.encoders.TfidfEncoder",
    "treeline.model.features.Features",
    "treeline.model.estimator.TreelineClassifier",
    "treeline.model.estimator.TreelineRegressor",
    "xgboost.core.Booster",
]
REQUIRED = ["mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops", "xgboost"]


def form_names(name: str) -> list[str]:
    """Name the three registered models that stand for one."""
    return [name + form.suffix for form in FORMS]


def describe_forms(problem: Problem, name: str) -> dict[str, str]:
    """Describe each registered model of a pipeline."""
    about = f"Predicts {problem.target} ({problem.task}) of the table {problem.table}."
    return {name + form.suffix: f"{about} {form.description}" for form in FORMS}


def log_models(
    estimator: TreelineClassifier | TreelineRegressor, rows: pd.DataFrame, problem: Problem, name: str
) -> dict[str, str]:
    """Log the three forms on the active run; nothing is pickled, nothing is registered yet.

    Args:
        estimator: fitted.
        rows: raw training rows, for an example and the type of a label.
        problem: that the estimator solves.
        name: of the pipeline's registered model.

    Returns:
        The URI of the logged model of each registered name.
    """
    made = signatures(estimator, rows, problem)
    few, pins = rows.head(3), requirements()
    example = pd.DataFrame(**split_of(few))  # as JSON carries it: MLflow knows no decimals, and no durations
    pipeline = mlflow.sklearn.log_model(
        estimator,
        name=name + PIPELINE.suffix,
        signature=made[PIPELINE],
        input_example=example,
        pip_requirements=pins,
        code_paths=[str(PACKAGE)],
        serialization_format="skops",
        skops_trusted_types=TRUSTED,
    )
    booster = mlflow.xgboost.log_model(
        estimator.booster_,
        name=name + BOOSTER.suffix,
        signature=made[BOOSTER],
        input_example=estimator.feature_frame(few),
        pip_requirements=pins,
        model_format="ubj",
    )
    service = mlflow.pyfunc.log_model(
        name=name + SERVICE.suffix,
        python_model=str(SERVICE_CODE),
        artifacts={"pipeline": pipeline.model_uri},
        signature=made[SERVICE],
        input_example=example,
        pip_requirements=pins,
    )
    return dict(zip(form_names(name), (each.model_uri for each in (pipeline, booster, service)), strict=True))


def requirements() -> list[str]:
    """Pin the packages that a model needs to load, at the versions it was made with."""
    pins = []
    for name in REQUIRED:
        try:
            pins.append(f"{name}=={version(name)}")
        except PackageNotFoundError:  # XGBoost's build without GPU code, which is not made for every platform
            pins.append(f"{name}=={version(f'{name}-cpu')}")
    return pins


def raw_schema(problem: Problem) -> Schema:
    """Name the raw columns that a caller sends, each of `Any` type.

    What a value may be is the pipeline's to say, in a sentence and alike in every way that a row comes. MLflow turns
    down whole numbers where it was told of fractions, a whole number missing, and text that spells a number.
    """
    return Schema([ColSpec(AnyType(), name) for name in problem.kinds])


def leave_check_to_pipeline(model: PyFuncModel) -> None:
    """Keep MLflow from checking what a loaded model is asked, where its columns are all `Any`.

    It would rebuild each column value by value, which takes longer than the answers.
    """
    signature = model.metadata.signature
    if signature and signature.inputs and all(isinstance(each.type, AnyType) for each in signature.inputs):
        model.metadata.signature = ModelSignature(outputs=signature.outputs)


def signatures(
    estimator: TreelineClassifier | TreelineRegressor, rows: pd.DataFrame, problem: Problem
) -> Mapping[Form, ModelSignature]:
    """Make the signature of each form.

    Args:
        estimator: fitted.
        rows: raw training rows, for the type of a label.
        problem: that the estimator solves.
    """
    raw = raw_schema(problem)
    names = estimator.features_.get_feature_names_out()
    label = _label_type(estimator.predict(rows.head(1)))
    probabilities = [ColSpec(DataType.float, f"probability_{each}") for each in problem.classes]
    answered = [ColSpec(label, "prediction"), *probabilities]
    if isinstance(estimator, TreelineRegressor) and estimator.coverage_:
        answered += [ColSpec(DataType.double, f"prediction_{end}") for end in ("low", "high")]
    shape = (-1, len(problem.classes)) if problem.task == "multiclass" else (-1,)
    return {
        PIPELINE: ModelSignature(raw, Schema([ColSpec(label)])),
        BOOSTER: ModelSignature(
            Schema([ColSpec(DataType.double, name) for name in names]),
            Schema([TensorSpec(np.dtype(np.float32), shape)]),
        ),
        SERVICE: ModelSignature(raw, Schema(answered)),
    }


def _label_type(labels: np.ndarray) -> DataType:
    return {"b": DataType.boolean, "i": DataType.long, "f": DataType.double}.get(labels.dtype.kind, DataType.string)
