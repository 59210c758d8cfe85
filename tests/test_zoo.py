"""Every kind of column and target through all four stages and back through the served model on raw rows."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Store
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from tables_maker import TARGET, TASKS, ZOO_KINDS, ZOO_LEFT_OUT, make_zoo

import main
from config import MainSettings

pytestmark = pytest.mark.store


@pytest.mark.parametrize(
    ("target", "ending"), [*((target, "parquet") for target in TASKS), ("binary", "csv"), ("regression", "csv")]
)
def test_every_kind_of_column_goes_all_the_way(store: Store, target: str, ending: str) -> None:
    zoo = make_zoo(target)
    path = Path(f"zoo.{ending}")
    if ending == "parquet":
        zoo.to_parquet(path)
    else:
        zoo.to_csv(path, index=False, sep=";", encoding="utf-8-sig")
    parent = store.run(main.run(MainSettings(data=str(path), target=TARGET, n_trials=1, folds=2)))
    data_run = parent.data.tags["data_run_id"]
    problem = store.document(data_run, "problem.json")
    assert problem["kinds"] == ZOO_KINDS
    assert sorted(problem["left_out"]) == sorted(ZOO_LEFT_OUT)
    assert problem["task"] == TASKS[target]

    service = mlflow.pyfunc.load_model("models:/ZooModelService/1")
    pipeline = mlflow.sklearn.load_model("models:/ZooModel/1")
    rows = store.table(data_run, "test")
    expected = pipeline.answer(rows[list(ZOO_KINDS)])
    pd.testing.assert_frame_equal(service.predict(rows), expected)
    pd.testing.assert_frame_equal(service.predict(zoo.iloc[:9]), pipeline.answer(zoo.iloc[:9]))
    mixed_up = rows[rows.columns[::-1]].assign(further=1)
    pd.testing.assert_frame_equal(service.predict(mixed_up), expected)
    with pytest.raises(MlflowException, match="review"):
        service.predict(rows.drop(columns="review"))

    for asked_for in (rows.head(5), dates_as_milliseconds(rows.head(5))):
        split = json.loads(asked_for.to_json(orient="split", date_format="iso"))
        asked = json.dumps({"dataframe_split": split})
        answer = scoring_server.invocations(asked, "application/json", service, service.metadata.get_input_schema())
        assert answer.status == 200, answer.response
        told = pd.DataFrame(json.loads(answer.response)["predictions"])
        assert list(told["prediction"]) == pytest.approx(list(expected["prediction"][:5]))
        numbers = [name for name in told if name != "prediction"]
        np.testing.assert_allclose(told[numbers], expected[numbers].head(5), rtol=1e-6)


def dates_as_milliseconds(rows: pd.DataFrame) -> pd.DataFrame:
    """Spell dates as pandas writes them into JSON where nothing is said; it warns that it will not for long."""
    dates = rows.select_dtypes("datetime")
    return rows.assign(**{name: dates[name].astype("datetime64[ms]").astype("int64") for name in dates})


def test_a_dry_run_prints_the_plan_and_writes_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    make_zoo().to_csv("zoo.csv", index=False)
    assert main.main(["--data", "zoo.csv", "--target", TARGET, "--dry-run", "--drop", "review"]) == 0
    printed = capsys.readouterr().out
    for kind in (
        "datetime",
        "high_cardinality",
        "left out",
        "Search     50 trials, 5 folds, best log_loss; roughly",
    ):
        assert kind in printed
    assert "review" not in printed
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_the_profile_and_the_warnings_are_on_the_data_run(store: Store) -> None:
    zoo = make_zoo()
    zoo.assign(leak=zoo[TARGET].map({"no": "n", "yes": "y"})).to_parquet("zoo.parquet")
    import data_preprocessing
    from config import DataSettings

    run_id = data_preprocessing.run(DataSettings(data="zoo.parquet", target=TARGET))
    page = mlflow.artifacts.load_text(f"{store.run(run_id).info.artifact_uri}/profile.html")
    assert "http" not in page.replace("http-equiv", "")
    for name in [*ZOO_KINDS, *ZOO_LEFT_OUT, "leak"]:
        assert name.replace('"', "&quot;") in page
    assert "'leak' alone predicts" in store.run(run_id).data.tags["warnings"]


@pytest.mark.parametrize(("split", "column"), [("group", "town"), ("time", "when"), ("time", 'said "when"')])
def test_groups_and_times_are_kept_apart_from_file_to_champion(store: Store, split: str, column: str) -> None:
    make_zoo("regression").dropna(subset="town").to_parquet("zoo.parquet")
    settings = MainSettings(
        data="zoo.parquet", target=TARGET, split=split, split_column=column, n_trials=1, folds=2, test_size=0.4
    )
    data_run = store.run(main.run(settings)).data.tags["data_run_id"]
    train, test = (store.table(data_run, side)[column] for side in ("train", "test"))
    kinds = store.document(data_run, "problem.json")["kinds"]
    if split == "group":
        assert not set(train) & set(test)
        assert column not in kinds
    else:
        assert pd.to_datetime(train).max() <= pd.to_datetime(test).min()
        assert kinds[column] == "datetime"
