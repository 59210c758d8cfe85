"""The documented Spark script on a local Spark: its answers are pyfunc's, its refusals one sentence."""

import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY, Store, python

pytest.importorskip("pyspark", reason="pyspark is not installed: make spark-test installs it")
if not (shutil.which("java") or "JAVA_HOME" in os.environ):
    pytest.skip("Java is not installed: Spark needs version 17 or newer", allow_module_level=True)

pytestmark = pytest.mark.project


def service_of(store: Store) -> str:
    return next(f"models:/{name}@champion" for name in store.versions() if name.endswith("Service"))


def rows_of(store: Store) -> pd.DataFrame:
    """Rows that training never saw, the target among them, numbered."""
    rows = store.table(store.last("data-preprocessing").info.run_id, "test")
    return rows.assign(number=range(len(rows)))


def write(rows: pd.DataFrame, folder: Path) -> Path:
    """Write rows as a folder of three Parquet files."""
    folder.mkdir()
    for part in range(3):
        rows.iloc[part::3].to_parquet(folder / f"part-{part}.parquet", index=False)
    return folder


def spark_scores(store: Store, source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    script = str(REPOSITORY / "examples" / "spark_scores.py")
    arguments = [str(source), str(target), "--model-uri", service_of(store)]
    return python(script, *arguments, cwd=source.parent, MLFLOW_TRACKING_URI=store.uri)


def sentence_of(process: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a refused command says last."""
    assert process.returncode == 1
    return process.stderr.strip().rpartition("\nerror: ")[2]


@pytest.mark.parametrize("chain", ["cancer", "mixed", "diabetes"], indirect=True)
def test_the_answers_are_those_of_pyfunc_beside_the_rows(chain: Store, tmp_path: Path) -> None:
    import mlflow

    rows = rows_of(chain)
    done = spark_scores(chain, write(rows, tmp_path / "new rows"), tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    told = pd.read_parquet(tmp_path / "scores").sort_values("number", ignore_index=True)
    expected = mlflow.pyfunc.load_model(service_of(chain)).predict(rows)
    assert list(told.columns) == [*rows.columns, *expected.columns]
    assert told["prediction"].map(type).eq(type(expected["prediction"].tolist()[0])).all()
    for name in expected.columns:
        assert told[name].tolist() == expected[name].tolist()
    pd.testing.assert_frame_equal(told[rows.columns], rows, check_dtype=False)


def test_whole_numbers_will_do_where_the_model_saw_fractions(cancer: Store, tmp_path: Path) -> None:
    import mlflow

    rows = rows_of(cancer)
    whole = rows.assign(**{"mean area": rows["mean area"].round().astype("int64")})
    done = spark_scores(cancer, write(whole, tmp_path / "rows"), tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    told = pd.read_parquet(tmp_path / "scores").sort_values("number")
    expected = mlflow.pyfunc.load_model(service_of(cancer)).predict(whole.astype({"mean area": float}))
    assert told["prediction"].tolist() == expected["prediction"].tolist()


def test_a_missing_column_is_named(mixed: Store, tmp_path: Path) -> None:
    refused = spark_scores(mixed, write(rows_of(mixed).drop(columns="city"), tmp_path / "rows"), tmp_path / "scores")
    assert "`city`" in sentence_of(refused)
    assert not (tmp_path / "scores").exists()


def test_a_word_among_numbers_is_named_with_its_column(mixed: Store, tmp_path: Path) -> None:
    rows = rows_of(mixed).astype({"rooms": "str"}).assign(rooms="three")
    refused = spark_scores(mixed, write(rows, tmp_path / "rows"), tmp_path / "scores")
    assert "The column 'rooms' holds 'three', not a number." in sentence_of(refused)


def test_a_folder_that_is_not_there_is_named(cancer: Store, tmp_path: Path) -> None:
    assert "nowhere" in sentence_of(spark_scores(cancer, tmp_path / "nowhere", tmp_path / "scores"))
