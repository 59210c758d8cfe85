"""The three forms: their signatures say what each takes and gives, and they load without pickle."""

import importlib
import re
import warnings
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow.models import ModelSignature
from mlflow.models.utils import _enforce_schema
from mlflow.types.schema import AnyType, DataType
from tables_maker import CLASSES, KINDS, TARGET, TASKS, make_problem, make_table, make_zoo

import serve
from tracking.models import (
    BOOSTER,
    FORMS,
    PACKAGE,
    PIPELINE,
    REQUIRED,
    SERVICE,
    SERVICE_CODE,
    TRUSTED,
    Form,
    describe_forms,
    form_names,
    raw_schema,
    requirements,
    signatures,
)
from treeline.data import tables
from treeline.data.names import FORM_ENDINGS
from treeline.data.problem import Problem, TableSettings, settle_problem
from treeline.model.estimator import TreelineClassifier, TreelineRegressor, make_estimator

Estimator = TreelineClassifier | TreelineRegressor
Fitted = dict[str, tuple[Estimator, pd.DataFrame, Mapping[Form, ModelSignature]]]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """A fitted estimator, its rows and its signatures, by target."""
    made: Fitted = {}
    for target in TASKS:
        problem, frame = make_problem(target), make_table(target)
        rows = problem.rows(frame)
        estimator = make_estimator(problem, {"max_depth": 2}, 3, 1).fit(rows, frame[TARGET])
        made[target] = estimator, rows, signatures(estimator, rows, problem)
    return made


def test_every_requirement_is_pinned_at_the_version_installed() -> None:
    pins = requirements()
    assert len(pins) == len(REQUIRED)
    for name, pin in zip(REQUIRED, pins, strict=True):
        assert re.fullmatch(rf"{name}(-cpu)?==\d[\w.]*", pin)


def test_the_package_and_the_service_travel_with_the_model() -> None:
    assert (PACKAGE / "__init__.py").is_file()
    assert SERVICE_CODE.is_file()


def test_every_raw_column_is_anything_for_the_pipeline_checks_what_stands_in_it() -> None:
    schema = raw_schema(make_problem())
    assert schema.input_names() == list(KINDS)
    assert schema.input_types() == [AnyType()] * len(KINDS)


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
        {"length": 3},
        {"length": "3.5"},
        {"length": Decimal("3.5")},
        {"width [mm]": np.inf},
    ],
    ids=str,
)
def test_every_row_that_the_features_take_passes_the_signature(
    fitted: Fitted, target: str, change: dict[str, Any]
) -> None:
    estimator, rows, signature = fitted[target]
    one = rows.head(1).astype(object).assign(**change)
    for form in (PIPELINE, SERVICE):
        passed = _enforce_schema(one, signature[form].inputs)
        pd.testing.assert_frame_equal(estimator.answer(passed), estimator.answer(one))


def test_whole_numbers_in_a_column_of_fractions_pass_the_signature(fitted: Fitted) -> None:
    estimator, rows, signature = fitted["binary"]
    whole = rows.assign(length=rows["length"].round().astype("int64"))
    passed = _enforce_schema(whole, signature[PIPELINE].inputs)
    pd.testing.assert_frame_equal(estimator.answer(passed), estimator.answer(whole.astype({"length": float})))


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
    assert signature[PIPELINE].outputs.input_types() == [label]
    assert signature[SERVICE].outputs.input_types() == [label, *[DataType.float] * len(CLASSES[target])]


@pytest.mark.parametrize("target", TASKS)
def test_the_service_gives_the_columns_of_an_answer(fitted: Fitted, target: str) -> None:
    estimator, rows, signature = fitted[target]
    answer = estimator.answer(rows)
    assert signature[SERVICE].outputs.input_names() == list(answer.columns)
    assert [answer[name].dtype.kind for name in answer.columns[1:]] == ["f"] * len(CLASSES[target])


@pytest.mark.parametrize("target", TASKS)
def test_the_booster_takes_the_feature_frame_and_gives_what_its_shape_says(fitted: Fitted, target: str) -> None:
    estimator, rows, signature = fitted[target]
    frame = estimator.feature_frame(rows)
    assert signature[BOOSTER].inputs.input_names() == list(frame.columns) == estimator.booster_.feature_names
    pd.testing.assert_frame_equal(_enforce_schema(frame, signature[BOOSTER].inputs), frame)
    answers = estimator.booster_.inplace_predict(frame.to_numpy())
    (output,) = signature[BOOSTER].outputs.inputs
    assert output.shape == (-1, *answers.shape[1:])
    assert output.type == answers.dtype


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


# What skops writes into a model, and what a model that was registered before names: these paths never change.
CLASS_PATHS = [
    "treeline.model.encoders.CategoryEncoder",
    "treeline.model.encoders.TargetMeanEncoder",
    "treeline.model.encoders.DatetimeEncoder",
    "treeline.model.encoders.PairEncoder",
    "treeline.model.encoders.TfidfEncoder",
    "treeline.model.features.Features",
    "treeline.model.estimator.TreelineClassifier",
    "treeline.model.estimator.TreelineRegressor",
]


def test_the_classes_that_a_model_names_are_trusted_under_the_paths_of_the_contract() -> None:
    assert [each for each in TRUSTED if each.startswith("treeline.")] == CLASS_PATHS
    assert {each for each in TRUSTED if not each.startswith("treeline.")} == {"numpy.dtype", "xgboost.core.Booster"}


@pytest.mark.parametrize("path", [*CLASS_PATHS, "xgboost.core.Booster"])
def test_the_classes_that_a_model_names_are_where_their_paths_say(path: str) -> None:
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert (found.__module__, found.__qualname__) == (module, name)


def posed_by_the_zoo(target: str) -> Problem:
    return settle_problem(tables.make_table("zoo", make_zoo(target), TARGET), TableSettings())[0]


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_a_model_with_every_kind_of_column_names_every_class_of_the_contract_and_no_other(target: str) -> None:
    problem, frame = posed_by_the_zoo(target), make_zoo(target)
    rows = problem.rows(frame)
    estimator = make_estimator(problem, {}, 3, 1).fit(rows, frame[TARGET])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = skops.io.dumps(estimator)
        named = {each for each in skops.io.get_untrusted_types(data=content) if each.startswith("treeline.")}
        again = skops.io.loads(content, trusted=TRUSTED)
    kind = "Regressor" if target == "regression" else "Classifier"
    other = "Classifier" if target == "regression" else "Regressor"
    assert type(estimator).__name__ == f"Treeline{kind}"
    assert named == {*CLASS_PATHS} - {f"treeline.model.estimator.Treeline{other}"}
    pd.testing.assert_frame_equal(again.answer(rows), estimator.answer(rows))


def test_the_three_forms_have_their_names_flavors_and_a_description_each() -> None:
    assert form_names("CancerModel") == ["CancerModel", "CancerModelBooster", "CancerModelService"]
    assert [form.flavor for form in FORMS] == ["sklearn", "xgboost", "python_function"]
    told = describe_forms(make_problem(), "CancerModel")
    assert list(told) == form_names("CancerModel")
    assert len({*told.values()}) == 3
    assert all(text.startswith(f"Predicts {TARGET} (binary) of the table made. The ") for text in told.values())
    assert list(signatures(*_fitted_binary())) == [PIPELINE, BOOSTER, SERVICE]


def _fitted_binary() -> tuple[Estimator, pd.DataFrame, Problem]:
    problem, frame = make_problem(), make_table()
    return make_estimator(problem, {}, 1, 1).fit(problem.rows(frame), frame[TARGET]), problem.rows(frame), problem


def test_the_server_script_knows_the_served_form_by_its_suffix() -> None:
    assert SERVICE.suffix == serve.SERVICE


def test_the_endings_of_the_other_forms_are_no_endings_of_a_models_name() -> None:
    assert tuple(form.suffix for form in FORMS if form.suffix) == FORM_ENDINGS
