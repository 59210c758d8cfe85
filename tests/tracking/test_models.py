"""The three forms: their signatures say what each takes and gives, and they load without pickle."""

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow.models import ModelSignature
from mlflow.models.utils import _enforce_schema
from mlflow.types.schema import AnyType, DataType
from tables_maker import CLASSES, KINDS, TARGET, TASKS, make_problem, make_table

from tracking.models import PACKAGE, REQUIRED, SERVICE, TRUSTED, raw_schema, requirements, signatures
from treeline.model.estimator import TreelineClassifier, TreelineRegressor

Fitted = dict[str, tuple[TreelineClassifier | TreelineRegressor, pd.DataFrame, dict[str, ModelSignature]]]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """A fitted estimator, its rows and its signatures, by target."""
    made: Fitted = {}
    for target in TASKS:
        problem, frame = make_problem(target), make_table(target)
        rows = problem.rows(frame)
        estimator = problem.estimator({"max_depth": 2}, 3, 1).fit(rows, frame[TARGET])
        made[target] = estimator, rows, signatures(estimator, rows, problem)
    return made


def test_every_requirement_is_pinned_at_the_version_installed() -> None:
    pins = requirements()
    assert len(pins) == len(REQUIRED)
    for name, pin in zip(REQUIRED, pins, strict=True):
        assert re.fullmatch(rf"{name}(-cpu)?==\d[\w.]*", pin)


def test_the_package_and_the_service_travel_with_the_model() -> None:
    assert (PACKAGE / "__init__.py").is_file()
    assert SERVICE.is_file()
    assert SERVICE.is_file()


def test_fractions_are_doubles_and_the_rest_is_anything() -> None:
    schema = raw_schema(make_problem().rows(make_table()), make_problem())
    assert schema.input_names() == list(KINDS)
    assert schema.input_types() == [DataType.double, DataType.double, AnyType(), AnyType(), AnyType()]


@pytest.mark.parametrize("target", TASKS)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"count": None},
        {"count": 3},
        {"count": 2.5},
        {"checked": True},
        {"checked": None},
        {"town": None},
        {"town": "elsewhere"},
        {"length": np.nan},
        {"width [mm]": np.inf},
    ],
    ids=str,
)
def test_every_row_that_the_features_take_passes_the_signature(
    fitted: Fitted, target: str, change: dict[str, Any]
) -> None:
    estimator, rows, signature = fitted[target]
    one = rows.head(1).astype(object).assign(**change).astype({"length": float, "width [mm]": float})
    for form in ("", "Service"):
        passed = _enforce_schema(one, signature[form].inputs)
        pd.testing.assert_frame_equal(estimator.answer(passed), estimator.answer(one))


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("binary", DataType.string),
        ("multiclass", DataType.string),
        ("bool", DataType.boolean),
        ("integers", DataType.long),
        ("regression", DataType.double),
    ],
)
def test_the_pipeline_gives_labels_of_their_own_type(fitted: Fitted, target: str, label: DataType) -> None:
    _, _, signature = fitted[target]
    assert signature[""].outputs.input_types() == [label]
    assert signature["Service"].outputs.input_types() == [label, *[DataType.float] * len(CLASSES[target])]


@pytest.mark.parametrize("target", TASKS)
def test_the_service_gives_the_columns_of_an_answer(fitted: Fitted, target: str) -> None:
    estimator, rows, signature = fitted[target]
    answer = estimator.answer(rows)
    assert signature["Service"].outputs.input_names() == list(answer.columns)
    assert [answer[name].dtype.kind for name in answer.columns[1:]] == ["f"] * len(CLASSES[target])


@pytest.mark.parametrize("target", TASKS)
def test_the_booster_takes_the_feature_frame_and_gives_what_its_shape_says(fitted: Fitted, target: str) -> None:
    estimator, rows, signature = fitted[target]
    frame = estimator.feature_frame(rows)
    assert signature["Booster"].inputs.input_names() == list(frame.columns) == estimator.booster_.feature_names
    pd.testing.assert_frame_equal(_enforce_schema(frame, signature["Booster"].inputs), frame)
    scores = estimator.booster_.inplace_predict(frame.to_numpy())
    (output,) = signature["Booster"].outputs.inputs
    assert output.shape == (-1, *scores.shape[1:])
    assert output.type == scores.dtype


@pytest.mark.parametrize("target", TASKS)
def test_an_estimator_travels_without_pickle_and_answers_the_same(fitted: Fitted, target: str) -> None:
    estimator, rows, _ = fitted[target]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = skops.io.dumps(estimator)
        assert set(skops.io.get_untrusted_types(data=content)) <= set(TRUSTED)
        again = skops.io.loads(content, trusted=TRUSTED)
    pd.testing.assert_frame_equal(again.answer(rows), estimator.answer(rows))
    assert again.get_params(deep=False).keys() == estimator.get_params(deep=False).keys()
