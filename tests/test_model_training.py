"""Stage 3 on a real store, read back: three models in step, each through its flavors, and nothing pickled."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
import yaml
from conftest import Store, houses, python
from mlflow.exceptions import MlflowException

import data_preprocessing
import main
import model_training
import treeline
from config import DataSettings, MainSettings, TrainingSettings
from tracking.registry import register_in_step
from treeline import UserError
from treeline.data.problem import Problem
from treeline.model.estimator import make_estimator
from treeline.tuning.search_space import SPACE

pytestmark = pytest.mark.store

STAGE = "model-training"
EVERY_TABLE = pytest.mark.parametrize("chain", ["cancer", "mixed", "diabetes"], indirect=True)
NAMES = {"breast_cancer": "CancerModel", "houses.csv": "HousesModel", "diabetes": "DiabetesModel"}


def forms_of(store: Store) -> list[str]:
    name = NAMES[store.last("data-preprocessing").data.params["data"]]
    return [name, f"{name}Booster", f"{name}Service"]


def uris_of(store: Store) -> list[str]:
    return [f"models:/{name}@challenger" for name in forms_of(store)]


def raw_rows(store: Store, side: str = "test") -> pd.DataFrame:
    """Rows as a user has them: the raw columns and the target among them."""
    return store.table(store.last("data-preprocessing").info.run_id, side)


def problem_of(store: Store) -> Problem:
    return Problem(**store.document(store.last("data-preprocessing").info.run_id, "problem.json"))


def predict(uri: str, rows: pd.DataFrame) -> Any:
    return mlflow.pyfunc.load_model(uri).predict(rows)


# --- what is registered


@EVERY_TABLE
def test_three_names_are_registered_in_step_as_challenger(chain: Store) -> None:
    assert chain.versions() == {name: ["1"] for name in forms_of(chain)}
    for name in forms_of(chain):
        assert chain.aliases(name)["challenger"] == "1"


@EVERY_TABLE
def test_every_version_leads_back_to_its_runs(chain: Store) -> None:
    expected = {
        "data_run_id": chain.last("data-preprocessing").info.run_id,
        "tuning_run_id": chain.last("hyperparameters-tuning").info.run_id,
        "training_run_id": chain.last(STAGE).info.run_id,
        "data_digest": chain.last("data-preprocessing").data.tags["data_digest"],
    }
    for name in forms_of(chain):
        version = chain.client.get_model_version(name, "1")
        assert expected.items() <= version.tags.items()
        assert version.run_id == expected["training_run_id"]


@EVERY_TABLE
def test_every_name_and_every_version_is_described(chain: Store) -> None:
    problem = problem_of(chain)
    texts = [chain.client.get_registered_model(name).description for name in forms_of(chain)]
    texts += [chain.client.get_model_version(name, "1").description for name in forms_of(chain)]
    assert len(set(texts)) == 3
    assert all(problem.target in text and problem.table in text for text in texts)


@EVERY_TABLE
def test_every_model_has_a_signature_an_input_example_and_pinned_requirements(chain: Store) -> None:
    for name, uri in zip(forms_of(chain), uris_of(chain), strict=True):
        folder, info = chain.model_folder(name, "1"), mlflow.models.get_model_info(uri)
        assert info.signature.inputs
        assert info.signature.outputs
        assert info.saved_input_example_info
        assert (folder / "input_example.json").is_file()
        requirements = (folder / "requirements.txt").read_text().splitlines()
        assert {"mlflow", "xgboost", "scikit-learn", "skops", "pandas", "numpy"} <= {
            line.partition("==")[0] for line in requirements
        }
        assert all("==" in line for line in requirements)


@EVERY_TABLE
def test_the_signature_names_the_raw_columns_and_not_the_target(chain: Store) -> None:
    pipeline, booster, service = (mlflow.models.get_model_info(uri).signature for uri in uris_of(chain))
    problem = problem_of(chain)
    assert pipeline.inputs.input_names() == service.inputs.input_names() == list(problem.kinds)
    assert len(booster.inputs.input_names()) == len(problem.kinds) + len(problem.derived)


@EVERY_TABLE
def test_nothing_is_pickled(chain: Store) -> None:
    for name in forms_of(chain):
        folder = chain.model_folder(name, "1")
        files = [path for path in folder.rglob("*") if path.is_file()]
        allowed = {".skops", ".ubj", ".json", ".yaml", ".txt", ".py", ".html", ""}
        assert {path.suffix for path in files if "__pycache__" not in path.parts} <= allowed
        assert not [path for path in files if path.read_bytes()[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05")]
        flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        assert flavors.get("sklearn", {}).get("serialization_format", "skops") == "skops"
        assert flavors.get("xgboost", {}).get("model_format", "ubj") == "ubj"


def test_the_flavors_are_those_of_the_contract(cancer: Store) -> None:
    flavors = [set(mlflow.models.get_model_info(uri).flavors) for uri in uris_of(cancer)]
    assert flavors == [{"sklearn", "python_function"}, {"xgboost", "python_function"}, {"python_function"}]


@EVERY_TABLE
def test_the_training_run_has_its_tags_its_input_and_the_importance_of_every_feature(chain: Store) -> None:
    training, data = chain.last(STAGE), chain.last("data-preprocessing")
    tags = training.data.tags
    assert training.info.run_name == tags["stage"] == STAGE
    assert tags["data_run_id"] == data.info.run_id
    assert tags["tuning_run_id"] == chain.last("hyperparameters-tuning").info.run_id
    assert (tags["model_name"], tags["model_version"]) == (forms_of(chain)[0], "1")
    table = chain.inputs(data.info.run_id)[0][0]
    assert chain.inputs(training.info.run_id) == [(table, data.data.tags["data_digest"], "training")]
    assert {"feature_importance.csv", "feature_importance.png"} <= set(chain.artifacts(training.info.run_id))
    shares = pd.read_csv(chain.folder_of(training.info.run_id) / "feature_importance.csv")
    assert len(shares) == data.data.metrics["features_count"]
    assert shares["importance"].sum() == pytest.approx(1)
    assert shares["importance"].is_monotonic_decreasing


# --- the final fit


@EVERY_TABLE
def test_the_booster_has_exactly_the_tuned_rounds_and_parameters(chain: Store) -> None:
    tuning = chain.last("hyperparameters-tuning")
    estimator = mlflow.sklearn.load_model(uris_of(chain)[0])
    booster, tuned = estimator.booster_, tuning.data.params
    learner = json.loads(booster.save_config())["learner"]
    trained = learner["gradient_booster"]["tree_train_param"] | learner["generic_param"]
    differ = [name for name in [*SPACE, "seed"] if not same(trained[name], tuned[name])]
    assert differ == []
    rounds = int(tuning.data.params["rounds"])
    assert booster.num_boosted_rounds() == rounds
    assert mlflow.xgboost.load_model(uris_of(chain)[1]).num_boosted_rounds() == rounds


def same(text: str, other: str) -> bool:
    """Tell whether two texts say the same word or the same float32."""
    try:
        return bool(np.float32(text) == np.float32(other))
    except ValueError:
        return text == other


@EVERY_TABLE
def test_what_was_registered_is_what_a_fit_in_memory_gives(chain: Store) -> None:
    fitted = fit_in_memory(chain)
    rows = raw_rows(chain)
    raw = rows[list(problem_of(chain).kinds)]
    pipeline, booster, service = uris_of(chain)
    expected = fitted.answer(raw)
    pd.testing.assert_frame_equal(predict(service, raw), expected)
    assert np.array_equal(predict(pipeline, raw), expected["prediction"])
    given = predict(booster, fitted.feature_frame(raw))
    if problem_of(chain).task == "regression":
        assert np.array_equal(given, expected["prediction"])
    else:
        probabilities = given if given.ndim == 2 else np.column_stack([1 - given, given])
        assert np.array_equal(probabilities, fitted.predict_proba(raw))


def fit_in_memory(store: Store) -> Any:
    """Fit the final model again from what the data run and the tuning run handed over."""
    problem = problem_of(store)
    best = store.document(store.last("hyperparameters-tuning").info.run_id, "best.json")
    train = raw_rows(store, "train")
    estimator = make_estimator(problem, best["params"], best["rounds"], 1)
    return estimator.fit(problem.rows(train), train[problem.target])


@EVERY_TABLE
def test_treeline_fit_gives_what_the_stages_register(chain: Store) -> None:
    problem, tuning = problem_of(chain), chain.last("hyperparameters-tuning")
    derive = "; ".join(f"{name} = {text}" for name, text in problem.derived.items())
    settings = {"n_trials": 2, "folds": int(tuning.data.params["folds"]), "derive": derive}
    fitted = treeline.fit(raw_rows(chain, "train"), problem.target, **settings)
    registered = mlflow.sklearn.load_model(uris_of(chain)[0])
    assert fitted.booster_.save_raw() == registered.booster_.save_raw()
    raw = problem.rows(raw_rows(chain))
    pd.testing.assert_frame_equal(fitted.answer(raw), registered.answer(raw))
    metric = tuning.data.tags["metric"]
    assert fitted.search_.metric == metric
    assert fitted.search_.value == tuning.data.metrics[f"cv_{metric}"]
    assert len(fitted.search_.trials) == 2


# --- NAME: the pipeline


@EVERY_TABLE
def test_the_pipeline_answers_as_the_table_spelled_its_target(chain: Store) -> None:
    rows, problem = raw_rows(chain), problem_of(chain)
    raw = problem.rows(rows)
    by_sklearn, by_pyfunc = mlflow.sklearn.load_model(uris_of(chain)[0]).predict(raw), predict(uris_of(chain)[0], raw)
    assert np.array_equal(by_sklearn, by_pyfunc)
    if problem.task == "regression":
        assert np.corrcoef(by_sklearn, rows[problem.target])[0, 1] > 0.4
    else:
        assert set(by_sklearn) <= set(problem.classes)
        assert (by_sklearn == rows[problem.target]).mean() > 0.6


@EVERY_TABLE
@pytest.mark.parametrize("form", [0, 2], ids=["pipeline", "service"])
def test_raw_columns_may_come_in_any_order_and_with_others(chain: Store, form: int) -> None:
    uri, rows = uris_of(chain)[form], raw_rows(chain)
    raw = problem_of(chain).rows(rows)
    expected = predict(uri, raw)
    shuffled = rows[rows.columns[::-1]].assign(remark="of no use", number=7)
    assert_same_answer(predict(uri, shuffled), expected)


def assert_same_answer(answer: Any, expected: Any) -> None:
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(answer, expected)
    else:
        assert np.array_equal(answer, expected)


def unusual_rows(raw: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of `houses()` that a careless caller might send."""
    nothing = {name: [None] for name in raw}
    return {
        "an unseen category": raw.assign(city="Zürich"),
        "every value missing": pd.DataFrame(nothing),
        "every value missing, as NaN": pd.DataFrame(nothing, dtype="float64"),
        "whole numbers as int64": raw.assign(rooms=raw["rooms"].fillna(3).astype("int64")),
        "whole numbers as fractions with gaps": raw.assign(floor=raw["floor"].astype("float64").where(raw.index > 2)),
        "nullable whole numbers": raw.astype({"rooms": "Int64", "floor": "Int64"}),
        "booleans as numbers": raw.assign(garden=raw["garden"].astype("int64")),
        "booleans with gaps": raw.assign(garden=raw["garden"].astype(object).where(raw.index > 2, None)),
        "nullable booleans": raw.astype({"garden": "boolean", "heated": "boolean"}),
        "text as categories": raw.astype({"city": "category"}),
        "columns of objects": raw.astype(object),
        "an infinite number": raw.assign(**{"area [m²]": np.inf}),
    }


UNUSUAL = list(unusual_rows(houses().drop(columns="kind of house")))


@pytest.mark.parametrize("case", UNUSUAL)
@pytest.mark.parametrize("form", [0, 2], ids=["pipeline", "service"])
def test_unusual_values_get_an_answer(mixed: Store, form: int, case: str) -> None:
    rows = unusual_rows(problem_of(mixed).rows(raw_rows(mixed)))[case]
    answer = predict(uris_of(mixed)[form], rows)
    labels = answer["prediction"] if form else answer
    assert len(labels) == len(rows)
    assert set(labels) <= set(problem_of(mixed).classes)
    by_sklearn = mlflow.sklearn.load_model(uris_of(mixed)[0]).predict(rows)
    assert np.array_equal(by_sklearn, labels)


@EVERY_TABLE
def test_a_row_without_any_value_gets_an_answer(chain: Store) -> None:
    nothing = pd.DataFrame({name: [np.nan] for name in problem_of(chain).kinds})
    for uri in (uris_of(chain)[0], uris_of(chain)[2]):
        assert len(predict(uri, nothing)) == 1


@EVERY_TABLE
def test_no_rows_get_no_answers(chain: Store) -> None:
    raw = problem_of(chain).rows(raw_rows(chain)).head(0)
    pipeline, _, service = uris_of(chain)
    assert len(predict(pipeline, raw)) == 0
    assert predict(service, raw).shape == (0, 1 + len(problem_of(chain).classes))


@pytest.mark.parametrize("form", [0, 2], ids=["pipeline", "service"])
def test_a_missing_column_is_named(mixed: Store, form: int) -> None:
    rows = problem_of(mixed).rows(raw_rows(mixed)).drop(columns="city")
    with pytest.raises(MlflowException, match="city"):
        predict(uris_of(mixed)[form], rows)
    with pytest.raises(UserError, match="city"):
        mlflow.sklearn.load_model(uris_of(mixed)[0]).predict(rows)


# --- NAMEBooster and NAMEService


@EVERY_TABLE
def test_the_booster_takes_a_matrix_or_the_feature_frame_and_gives_the_pipelines_scores(chain: Store) -> None:
    pipeline, booster, _ = uris_of(chain)
    estimator, native = mlflow.sklearn.load_model(pipeline), mlflow.xgboost.load_model(booster)
    frame = estimator.feature_frame(problem_of(chain).rows(raw_rows(chain)))
    matrix = xgb.DMatrix(frame, feature_types=native.feature_types, enable_categorical=True)
    scores = native.predict(matrix)
    assert np.array_equal(predict(booster, frame), scores)
    raw = problem_of(chain).rows(raw_rows(chain))
    match problem_of(chain).task:
        case "binary":
            assert np.array_equal(estimator.predict_proba(raw)[:, 1], scores)
        case "multiclass":
            assert np.array_equal(estimator.predict_proba(raw), scores)
        case "regression":
            assert np.array_equal(estimator.predict(raw), scores)


@EVERY_TABLE
def test_the_service_gives_a_prediction_and_a_probability_for_every_class(chain: Store) -> None:
    problem, service = problem_of(chain), uris_of(chain)[2]
    answer = predict(service, problem.rows(raw_rows(chain)))
    columns = [f"probability_{label}" for label in problem.classes]
    assert list(answer.columns) == ["prediction", *columns]
    assert mlflow.models.get_model_info(service).signature.outputs.input_names() == list(answer.columns)
    if columns:
        assert np.allclose(answer[columns].sum(axis=1), 1)
        highest = answer[columns].idxmax(axis=1).str.removeprefix("probability_")
        assert (answer["prediction"] == highest).all()


LOAD_ELSEWHERE = """
import importlib.util, json, sys
import mlflow, pandas as pd

rows, path, answers = pd.read_parquet(sys.argv[1]), list(sys.path), []
for name in sys.argv[2:]:
    sys.path[:] = path  # what the model before this one brought along is not for this one
    for module in [each for each in sys.modules if each.partition(".")[0] == "treeline"]:
        del sys.modules[module]
    assert importlib.util.find_spec("treeline") is None
    answers.append(mlflow.pyfunc.load_model(f"models:/{name}@challenger").predict(rows))
print(json.dumps([list(answers[0]), answers[1].to_dict("list")]))
"""


def test_the_models_load_where_the_project_is_not(mixed: Store, tmp_path: Path) -> None:
    raw = problem_of(mixed).rows(raw_rows(mixed))
    raw.to_parquet(tmp_path / "rows.parquet")
    pipeline, _, service = forms_of(mixed)
    ran = python(
        "-I", "-c", LOAD_ELSEWHERE, "rows.parquet", pipeline, service, cwd=tmp_path, MLFLOW_TRACKING_URI=mixed.uri
    )
    assert ran.returncode == 0, ran.stderr
    labels, answers = json.loads(ran.stdout.splitlines()[-1])
    expected = predict(f"models:/{service}@challenger", raw)
    assert labels == expected["prediction"].tolist()
    pd.testing.assert_frame_equal(pd.DataFrame(answers, index=raw.index), expected, check_dtype=False)


# --- registering in step


def test_training_again_registers_the_next_version_and_leaves_the_champion_where_it_is(cancer_copy: Store) -> None:
    first = raw_rows(cancer_copy)
    model_training.run(TrainingSettings())
    for name in forms_of(cancer_copy):
        assert cancer_copy.versions()[name] == ["1", "2"]
        assert cancer_copy.aliases(name) == {"challenger": "2", "champion": "1"}
    service = forms_of(cancer_copy)[2]
    one, two = (predict(f"models:/{service}/{version}", first) for version in ("1", "2"))
    pd.testing.assert_frame_equal(one, two)


@pytest.fixture
def uris(cancer_copy: Store) -> dict[str, str]:
    """Three logged models to register under new names."""
    sources = [cancer_copy.client.get_model_version(name, "1").source for name in forms_of(cancer_copy)]
    return dict(zip(["New", "NewBooster", "NewService"], sources, strict=True))


def register(uris: Mapping[str, str]) -> str:
    return register_in_step(uris, {name: f"about {name}" for name in uris}, {"data_run_id": "1"})


def new_versions(store: Store) -> dict[str, list[str]]:
    return {name: numbers for name, numbers in store.versions().items() if name.startswith("New")}


def test_names_that_are_out_of_step_are_brought_in_step(cancer_copy: Store, uris: dict[str, str]) -> None:
    for _ in range(2):
        mlflow.register_model(uris["NewBooster"], "NewBooster")
    assert register(uris) == "3"
    assert new_versions(cancer_copy) == {"New": ["3"], "NewBooster": ["1", "2", "3"], "NewService": ["3"]}
    for name in uris:
        assert cancer_copy.aliases(name) == {"challenger": "3"}
        assert cancer_copy.client.get_model_version(name, "3").description == f"about {name}"
        assert cancer_copy.client.get_model_version(name, "3").tags == {"data_run_id": "1"}


class FullError(MlflowException):
    """What a registry raises in these tests."""


def refuse_to_register(
    monkeypatch: pytest.MonkeyPatch, refused: str, after: int = 0, error: type[BaseException] = FullError
) -> None:
    """Make the registry fail for one name, once it has been registered a number of times."""
    register_model, left = mlflow.register_model, [after]

    def fail(uri: str, name: str, **settings: Any) -> Any:
        if name == refused and not left[0]:
            raise error("the registry is full")
        left[0] -= name == refused
        return register_model(uri, name, **settings)

    monkeypatch.setattr(mlflow, "register_model", fail)


@pytest.mark.parametrize("error", [FullError, KeyboardInterrupt])
def test_what_was_registered_goes_again_when_a_later_name_fails(
    cancer_copy: Store, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    refuse_to_register(monkeypatch, "NewService", error=error)
    with pytest.raises(error):
        register(uris)
    assert new_versions(cancer_copy) == {}


def test_versions_that_stood_before_stay_when_registering_fails(
    cancer_copy: Store, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert register(uris) == "1"
    refuse_to_register(monkeypatch, "NewService")
    with pytest.raises(FullError):
        register(uris)
    for name in uris:
        assert new_versions(cancer_copy)[name] == ["1"]
        assert cancer_copy.aliases(name) == {"challenger": "1"}


def test_nothing_is_left_when_bringing_in_step_fails(
    cancer_copy: Store, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.register_model(uris["NewBooster"], "NewBooster")
    refuse_to_register(monkeypatch, "NewService", after=1)
    with pytest.raises(FullError):
        register(uris)
    assert new_versions(cancer_copy) == {"NewBooster": ["1"]}
    assert cancer_copy.aliases("NewBooster") == {}


def test_a_training_that_cannot_register_fails_and_moves_no_alias(
    cancer_copy: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_register(monkeypatch, "CancerModelService")
    with pytest.raises(FullError):
        model_training.run(TrainingSettings())
    assert cancer_copy.last(STAGE).info.status == "FAILED"
    for name in forms_of(cancer_copy):
        assert cancer_copy.versions()[name] == ["1"]
        assert cancer_copy.aliases(name) == {"challenger": "1", "champion": "1"}


# --- what bad input gets


def test_without_a_tuning_run_one_sentence_names_the_command(store: Store, refused: Callable[..., str]) -> None:
    data_preprocessing.run(DataSettings(data="iris"))
    sentence = refused(model_training.main)
    assert "mlflow run . -e hyperparameters-tuning" in sentence
    assert store.last(STAGE).info.status == "FAILED"
    assert store.last(STAGE).data.tags["error"] == sentence
    assert store.versions() == {}


def test_a_tuning_run_of_another_table_is_one_sentence(store: Store, refused: Callable[..., str]) -> None:
    iris, wine = (data_preprocessing.run(DataSettings(data=name)) for name in ("iris", "wine"))
    digest = store.run(wine).data.tags["data_digest"]
    tuning = store.fake_run("hyperparameters-tuning", data_run_id=wine, data_digest=digest)
    sentence = refused(model_training.main, "--data-run-id", iris)
    assert iris in sentence
    assert tuning in sentence
    assert store.last(STAGE).info.status == "FAILED"
    assert store.versions() == {}


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b"])
def test_a_name_that_the_registry_cannot_hold_is_one_sentence(
    store: Store, refused: Callable[..., str], name: str
) -> None:
    assert f"--model-name got {name!r}" in refused(model_training.main, "--model-name", name)
    assert store.runs() == []


def test_the_registered_forms_keep_what_a_search_space_says_of_columns(store: Store) -> None:
    Path("space.yaml").write_text("monotone: {bmi: 1, age: -1}\ninteraction: [[bmi, s5], [age]]\n", encoding="utf-8")
    run_id = main.run(MainSettings(data="diabetes", n_trials=1, folds=2, search_space="space.yaml", promote="never"))
    stages = {run.data.tags["stage"]: run for run in store.children(run_id)}
    tuning, training = stages["hyperparameters-tuning"], stages["model-training"]
    (trial,) = store.children(tuning.info.run_id)
    for run in (trial, tuning, training):
        assert run.data.params["monotone_constraints"] == "{'bmi': 1, 'age': -1}"
        assert run.data.params["interaction_constraints"] == "[['bmi', 's5'], ['age']]"
    rows = store.table(stages["data-preprocessing"].info.run_id, "test").drop(columns="target").head(20)
    model = mlflow.sklearn.load_model("models:/DiabetesModel/1")
    for name, sign in (("bmi", 1), ("age", -1)):
        grid = np.linspace(-0.15, 0.2, 30)
        along = np.array([model.predict(rows.assign(**{name: value})) for value in grid])
        assert (sign * np.diff(along, axis=0) >= 0).all()
        assert np.ptp(along) > 0


def test_what_a_search_space_says_of_unknown_columns_stops_the_dry_run_and_the_tuning(
    store: Store, refused: Callable[..., str]
) -> None:
    Path("space.yaml").write_text("monotone: {bmj: 1}\n", encoding="utf-8")
    argv = ["--data", "diabetes", "--n-trials", "1", "--folds", "2", "--search-space", "space.yaml"]
    told = "monotone names 'bmj', which is not among the columns of the model. Did you mean 'bmi'?"
    assert refused(main.main, *argv, "--dry-run") == told
    assert store.runs() == []
    assert refused(main.main, *argv) == told
    assert not (store.folder / "studies").exists()
    assert store.runs("trial") == []
