"""The served form: what it makes of the pipeline that it answers with."""

import io
import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Store, python
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, PythonModelContext, scoring_server
from mlflow.types import ColSpec, DataType, Schema

from tracking.models import PACKAGE, TRUSTED, leave_check_to_pipeline
from tracking.service import Service

pytestmark = pytest.mark.store


def threads_of(booster: Any) -> str:
    return str(json.loads(booster.save_config())["learner"]["generic_param"]["nthread"])


def test_it_answers_on_one_thread_whatever_the_booster_was_trained_with(cancer: Store, tmp_path: Path) -> None:
    pipeline = mlflow.sklearn.load_model("models:/CancerModel@champion")
    pipeline.booster_.set_param({"nthread": 7})
    saved = str(tmp_path / "pipeline")
    formats = {"serialization_format": "skops", "skops_trusted_types": TRUSTED, "code_paths": [str(PACKAGE)]}
    mlflow.sklearn.save_model(pipeline, saved, pip_requirements=[], **formats)
    assert threads_of(mlflow.sklearn.load_model(saved).booster_) == "7"

    service = Service()
    service.load_context(PythonModelContext({"pipeline": saved}, {}))
    assert threads_of(service.estimator.booster_) == "1"


# --- Requests: MLflow's server hands them over as they were written, its check of the columns made or left to us


@pytest.fixture(params=["checked", "unchecked"])
def houses_service(mixed: Store, request: pytest.FixtureRequest) -> PyFuncModel:
    loaded = mlflow.pyfunc.load_model("models:/HousesModelService@champion")
    if request.param == "unchecked":
        leave_check_to_pipeline(loaded)
        assert loaded.metadata.get_input_schema() is None
    return loaded


def ask(service: PyFuncModel, body: Any, content_type: str = "application/json") -> list[dict[str, Any]]:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = scoring_server.invocations(content, content_type, service, service.metadata.get_input_schema())
    assert answer.status == 200
    return list(json.loads(answer.response)["predictions"])


A_HOUSE = {"area [m²]": 80.5, "rooms": 3, "floor": 2, "garden": True, "heated": None, "city": "Köln"}
SHAPES = {
    "dataframe_split": lambda rows: {
        "dataframe_split": {"columns": [*rows[0]], "data": [[*row.values()] for row in rows]}
    },
    "dataframe_records": lambda rows: {"dataframe_records": rows},
    "instances": lambda rows: {"instances": rows},
    "instances of columns": lambda rows: {"instances": {name: [row[name] for row in rows] for name in rows[0]}},
    "inputs": lambda rows: {"inputs": rows},
    "inputs of columns": lambda rows: {"inputs": {name: [row[name] for row in rows] for name in rows[0]}},
}
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES)
AS_TEXT = {name: None if value is None else str(value) for name, value in A_HOUSE.items() if name != "garden"}


@EVERY_SHAPE
@pytest.mark.parametrize(
    "rows",
    [
        [A_HOUSE],
        [A_HOUSE, A_HOUSE | {"city": None, "rooms": None, "area [m²]": 80}],
        [A_HOUSE, A_HOUSE | {"rooms": "3", "city": 12}],
        [{**AS_TEXT, "garden": True}],
        [A_HOUSE | {"rooms": 2**60}, A_HOUSE | {"rooms": None}],
    ],
    ids=["one", "gaps", "text beside numbers", "text", "large beside a gap"],
)
def test_the_same_rows_have_the_same_answer_in_every_shape(
    houses_service: PyFuncModel, shape: str, rows: list[dict[str, Any]]
) -> None:
    expected = houses_service.predict(pd.DataFrame(rows, dtype=object)).to_dict(orient="records")
    assert ask(houses_service, SHAPES[shape](rows)) == json.loads(json.dumps(expected))


@EVERY_SHAPE
@pytest.mark.parametrize("value", ["three", "1.2.3", [1]], ids=str)
def test_a_cell_that_is_no_number_is_refused_with_the_sentence_of_the_pipeline(
    houses_service: PyFuncModel, shape: str, value: Any
) -> None:
    row = A_HOUSE | {"rooms": value}
    with pytest.raises(MlflowException) as by_frame:
        houses_service.predict(pd.DataFrame([row]))
    with pytest.raises(MlflowException) as by_request:
        ask(houses_service, SHAPES[shape]([row]))
    assert by_frame.value.message.startswith("The column 'rooms' holds ")
    assert by_request.value.message.endswith(by_frame.value.message)
    assert by_request.value.get_http_status_code() == 400


class Spy:
    """Stands for an estimator and keeps what it is asked."""

    asked = pd.DataFrame()

    def answer(self, rows: pd.DataFrame) -> pd.DataFrame:
        self.asked = rows
        return pd.DataFrame({"prediction": np.zeros(len(rows))})


@pytest.fixture
def spy(houses_service: PyFuncModel, monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy()
    monkeypatch.setattr(houses_service.unwrap_python_model(), "estimator", spy)
    return spy


def test_the_cells_of_a_csv_reach_the_pipeline_as_they_stand(houses_service: PyFuncModel, spy: Spy) -> None:
    columns = ["city", "rooms", "floor", "garden", "heated", "area [m²]"]
    rows = pd.DataFrame([["00501", "None", "NA", "null", "TRUE", "1,5"], ["x\ny", "-", " 1", None, "0", "1e5"]])
    ask(houses_service, rows.set_axis(columns, axis=1).to_csv(index=False), "text/csv")
    assert spy.asked[columns].astype(object).where(rows.notna().to_numpy(), None).to_numpy().tolist() == (
        rows.astype(object).where(rows.notna(), None).to_numpy().tolist()
    )


@EVERY_SHAPE
def test_a_large_whole_number_beside_a_gap_keeps_its_digits(houses_service: PyFuncModel, spy: Spy, shape: str) -> None:
    ask(houses_service, SHAPES[shape]([A_HOUSE | {"city": 2**53 + 1}, A_HOUSE | {"city": None}]))
    assert spy.asked["city"].tolist()[0] == str(2**53 + 1)


def test_columns_of_text_are_as_many_rows_in_python_too(houses_service: PyFuncModel, spy: Spy) -> None:
    houses_service.predict({name: ["1", "2", "3"] for name in A_HOUSE})
    assert spy.asked[[*A_HOUSE]].to_numpy().tolist() == [[each] * len(A_HOUSE) for each in ("1", "2", "3")]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [("", "The CSV is empty"), ("a,b\n1,2,3\n", "Line 2 of the CSV has 3 cells"), ('a\n"1\n', "cannot be read")],
)
def test_a_csv_that_is_no_table_is_refused(houses_service: PyFuncModel, body: str, sentence: str) -> None:
    with pytest.raises(MlflowException, match=sentence) as refused:
        ask(houses_service, body, "text/csv")
    assert refused.value.get_http_status_code() == 400


def test_a_column_named_twice_is_refused(houses_service: PyFuncModel) -> None:
    twice = {"dataframe_split": {"columns": [*A_HOUSE, "city"], "data": [[*A_HOUSE.values(), "Köln"]]}}
    with pytest.raises(MlflowException, match="name the column 'city' twice"):
        ask(houses_service, twice)


@pytest.mark.parametrize("columns", [["a"], ["rooms", "a"], ["rooms"]])
def test_models_of_others_are_asked_as_before(houses_service: PyFuncModel, columns: list[str]) -> None:
    schema = Schema([ColSpec(DataType.double, name) for name in columns])
    table = scoring_server.parse_csv_input(
        csv_input=io.StringIO(f"{','.join(columns)}\n{','.join(['1.5'] * len(columns))}"), schema=schema
    )
    assert [each.kind for each in table.dtypes] == ["f"] * len(columns)
    asked = scoring_server.infer_and_parse_data({"inputs": {name: [1.5] for name in columns}}, schema)
    assert {name: type(each) for name, each in asked.items()} == dict.fromkeys(columns, np.ndarray)


def test_a_model_is_loaded_where_nothing_of_a_server_is_installed(cancer: Store) -> None:
    code = (
        "import sys; sys.modules['mlflow.pyfunc.scoring_server'] = None; import mlflow; "
        "print(mlflow.pyfunc.load_model('models:/CancerModelService@champion').unwrap_python_model().estimator.classes_)"
    )
    done = python("-c", code, cwd=cancer.folder, MLFLOW_TRACKING_URI=cancer.uri)
    assert "benign" in done.stdout, done.stderr
