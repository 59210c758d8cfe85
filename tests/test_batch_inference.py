"""Batches on a real store: every row of the input stands in the output, or apart with its reason; no half files."""

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY, Store, houses

import batch_inference
from treeline.data.chunks import chunks

pytestmark = pytest.mark.store


def score(source: str, output: str, *argv: str) -> None:
    assert batch_inference.main(["--input", source, "--output", output, *argv]) == 0


def service(store: Store, name: str) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(f"models:/{name}Service@champion")


def cancer_rows(store: Store) -> pd.DataFrame:
    return store.table(store.last("data-preprocessing").info.run_id, "test").drop(columns="target")


def last(store: Store) -> tuple[dict[str, str], dict[str, float]]:
    run = store.last("batch-inference")
    assert run.info.status == "FINISHED"
    return run.data.tags, run.data.metrics


def test_parquet_goes_through_with_its_own_columns_and_types(cancer_copy: Store) -> None:
    rows = cancer_rows(cancer_copy).assign(
        patient=[f"p{i:03d}" for i in range(188)], visits=np.arange(188, dtype="int8")
    )
    rows.sample(frac=1, axis=1, random_state=0).to_parquet("new.parquet")
    score("new.parquet", "scores.parquet")
    written = pd.read_parquet("scores.parquet")
    assert written["patient"].tolist() == rows["patient"].tolist()
    assert written["visits"].dtype == "int8"
    expected = service(cancer_copy, "CancerModel").predict(rows)
    pd.testing.assert_frame_equal(written[expected.columns], expected.reset_index(drop=True))
    tags, metrics = last(cancer_copy)
    assert (metrics["rows"], metrics["rows_scored"], metrics["rows_rejected"]) == (188, 188, 0)
    assert metrics["ms_per_1000_rows_p50"] > 0
    assert (tags["model_name"], tags["model_version"], len(tags["input_digest"])) == ("CancerModel", "1", 16)
    assert tags["data_run_id"] == cancer_copy.last("data-preprocessing").info.run_id
    assert [each[2] for each in cancer_copy.inputs(cancer_copy.last("batch-inference").info.run_id)] == ["scoring"]
    assert sorted(path.name for path in Path().glob("*scores*")) == ["scores.parquet"]


@pytest.mark.parametrize("name", ["new.csv", "new.csv.gz"])
def test_a_csv_goes_through_word_for_word(mixed_copy: Store, name: str) -> None:
    rows = houses(300, seed=7).drop(columns="kind of house").assign(code=[f"{i:05d}" for i in range(300)])
    rows.to_csv(name, index=False)
    score(name, f"scores.{name.partition('.')[2]}")
    opened = gzip.open if name.endswith("gz") else open
    with (
        opened(name, "rt", encoding="utf-8") as before,
        opened(f"scores.{name.partition('.')[2]}", "rt", encoding="utf-8") as after,
    ):
        for line, scored in zip(before.read().splitlines(), after.read().splitlines(), strict=True):
            assert scored.startswith(line + ",")
    written = pd.read_csv(f"scores.{name.partition('.')[2]}")
    expected = service(mixed_copy, "HousesModel").predict(pd.read_csv(name))
    assert written["prediction"].tolist() == expected["prediction"].tolist()
    np.testing.assert_allclose(written[expected.columns[1:]], expected.iloc[:, 1:], rtol=1e-6)


def test_rows_that_cannot_be_scored_are_kept_apart_with_their_reason(mixed_copy: Store) -> None:
    rows = houses(60, seed=7).drop(columns="kind of house").astype({"floor": object, "garden": object})
    rows.loc[3, "floor"], rows.loc[9, "garden"], rows.loc[20, "floor"] = "third", "perhaps", ""
    lines = rows.to_csv(index=False).splitlines()
    lines.insert(31, "one,two,3,4,5,6,7")
    Path("new.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    score("new.csv", "scores.csv")
    apart = pd.read_csv("scores.rejected.csv")
    assert apart["reason"].tolist() == [
        "The column 'floor' holds 'third', not a number.",
        "The column 'garden' holds 'perhaps', not true or false.",
        "line 32 has 7 fields, the header 6: one,two,3,4,5,6,7",
    ]
    assert apart["floor"][0] == "third"
    written = pd.read_csv("scores.csv")
    assert len(written) == 58
    fine = (
        rows.drop(index=[3, 9])
        .reset_index(drop=True)
        .assign(floor=lambda frame: pd.to_numeric(frame["floor"], errors="coerce"))
    )
    expected = service(mixed_copy, "HousesModel").predict(fine.assign(garden=fine["garden"].astype(bool)))
    assert written["prediction"].tolist() == expected["prediction"].tolist()
    _, metrics = last(mixed_copy)
    assert (metrics["rows"], metrics["rows_scored"], metrics["rows_rejected"]) == (61, 58, 3)

    rows.drop(index=[3, 9]).to_csv("new.csv", index=False)
    score("new.csv", "scores.csv")
    assert not Path("scores.rejected.csv").exists()


def test_parquet_rows_that_cannot_be_scored_are_kept_apart(cancer_copy: Store) -> None:
    rows = cancer_rows(cancer_copy).astype({"mean area": str})
    rows.loc[5, "mean area"] = "large"
    rows.to_parquet("new.parquet")
    score("new.parquet", "scores.parquet")
    assert len(pd.read_parquet("scores.parquet")) == 187
    apart = pd.read_parquet("scores.rejected.parquet")
    assert apart["reason"].tolist() == ["The column 'mean area' holds 'large', not a number."]
    assert apart["mean texture"].tolist() == [rows["mean texture"][5]]


def test_pieces_change_nothing(mixed_copy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = houses(500, seed=3).drop(columns="kind of house")
    rows.loc[:200, "city"] = "12"  # a chunk of this column alone would be read as numbers
    rows.to_csv("new.csv", index=False)
    rows.to_parquet("new.parquet")
    score("new.csv", "whole.csv")
    score("new.parquet", "whole.parquet")
    monkeypatch.setattr("treeline.data.chunks.BYTES_PER_CHUNK", 4000)
    monkeypatch.setattr("treeline.data.chunks.ROWS_PER_CHUNK", 37)
    assert len(list(chunks(Path("new.csv")))) > 3
    score("new.csv", "parts.csv")
    score("new.parquet", "parts.parquet")
    assert Path("parts.csv").read_text() == Path("whole.csv").read_text()
    pd.testing.assert_frame_equal(pd.read_parquet("parts.parquet"), pd.read_parquet("whole.parquet"))


def test_an_empty_batch_gives_an_empty_file_with_every_column(cancer_copy: Store) -> None:
    cancer_rows(cancer_copy).head(0).to_parquet("new.parquet")
    score("new.parquet", "scores.parquet")
    written = pd.read_parquet("scores.parquet")
    assert len(written) == 0
    assert "prediction" in written.columns


def test_drift_is_told_where_it_matters(mixed_copy: Store, capsys: pytest.CaptureFixture[str]) -> None:
    rows = houses(400, seed=5).drop(columns="kind of house")
    rows.to_parquet("same.parquet")
    rows.assign(**{"area [m²]": rows["area [m²]"] * 3}, city="東京").to_parquet("other.parquet")
    score("same.parquet", "scores.parquet")
    assert "drifts" not in capsys.readouterr().err
    score("other.parquet", "scores.parquet")
    told = capsys.readouterr().err
    assert "The column 'area [m²]' drifts" in told
    assert "The column 'city' drifts" in told
    assert "'floor' drifts" not in told
    run = mixed_copy.last("batch-inference")
    table = pd.read_csv(mixed_copy.folder_of(run.info.run_id) / "drift.csv").set_index("column")
    assert table.loc["city", "distance"] > 0.5
    assert {"prediction", "probability_flat / loft"} <= set(table.index)
    assert run.data.metrics["columns_drifting"] == table["drifts"].sum()
    assert "drift.png" in mixed_copy.artifacts(run.info.run_id)


def test_a_few_rows_do_not_drift_by_chance(mixed_copy: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(5):
        houses(40, seed=seed).drop(columns="kind of house").head(4).to_parquet("few.parquet")
        score("few.parquet", "scores.parquet")
    assert "drifts" not in capsys.readouterr().err


def test_any_model_can_be_named(cancer_copy: Store) -> None:
    rows = cancer_rows(cancer_copy)
    rows.to_parquet("new.parquet")
    score("new.parquet", "labels.parquet", "--model-uri", "models:/CancerModel/1")
    expected = service(cancer_copy, "CancerModel").predict(rows)["prediction"].tolist()
    assert pd.read_parquet("labels.parquet")["prediction"].tolist() == expected
    uri = cancer_copy.client.get_model_version("CancerModelService", "1").source
    score("new.parquet", "plain.parquet", "--model-uri", uri)
    assert pd.read_parquet("plain.parquet")["prediction"].tolist() == expected


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "Name the file to score with --input"),
        (["--input", "no.parquet", "--output", "scores.parquet"], "No file"),
        (["--input", "new.parquet", "--output", "scores.csv"], "must be of one kind"),
        (["--input", "new.parquet", "--output", "scores.xlsx"], "must be a local path that ends in .csv"),
        (["--input", "new.parquet", "--output", "no/scores.parquet"], "make it first"),
        (["--input", "new.parquet", "--output", "new.parquet"], "is the input itself"),
        (["--input", "broken.parquet", "--output", "scores.parquet"], "Cannot read broken.parquet"),
        (["--input", "short.parquet", "--output", "scores.parquet"], "lacks 1 of the model's columns: 'mean area'"),
        (["--input", "wrong.parquet", "--output", "scores.parquet"], "None of the 188 rows can be scored"),
        (
            ["--input", "new.parquet", "--output", "scores.parquet", "--model-uri", "models:/Cancermodel/1"],
            "Did you mean 'CancerModel'?",
        ),
        (
            ["--input", "new.parquet", "--output", "scores.parquet", "--model-uri", "models:/m-none"],
            "Cannot load the model",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_file(
    cancer_copy: Store, refused: Callable[..., str], argv: list[str], sentence: str
) -> None:
    rows = cancer_rows(cancer_copy)
    rows.to_parquet("new.parquet")
    rows.drop(columns="mean area").to_parquet("short.parquet")
    rows.assign(**{"mean area": "large"}).to_parquet("wrong.parquet")
    Path("broken.parquet").write_bytes(b"PAR1 and nothing more")
    Path("mlruns").mkdir(exist_ok=True)  # where the failed run keeps its settings
    before = sorted(Path().iterdir())
    assert sentence in refused(batch_inference.main, *argv)
    assert sorted(Path().iterdir()) == before
    assert cancer_copy.last("batch-inference").info.status == "FAILED"


def test_without_a_champion_a_sentence_says_what_to_do(store: Store, refused: Callable[..., str]) -> None:
    Path("new.csv").write_text("a\n1\n")
    assert "0 have a champion" in refused(batch_inference.main, "--input", "new.csv", "--output", "scores.csv")


def test_a_kill_leaves_no_half_file(cancer_copy: Store) -> None:
    rows = cancer_rows(cancer_copy)
    pd.concat([rows] * 2000, ignore_index=True).to_parquet("new.parquet")
    Path("scores.parquet").write_text("of yesterday")
    script = str(REPOSITORY / "batch_inference.py")
    process = subprocess.Popen([sys.executable, script, "--input", "new.parquet", "--output", "scores.parquet"])
    while not any(left.stat().st_size > 100_000 for left in Path().glob(".scores.parquet.*.partial")):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert Path("scores.parquet").read_text() == "of yesterday"
    assert list(Path().glob(".*.partial"))
    score("new.parquet", "scores.parquet")
    assert pq.ParquetFile("scores.parquet").metadata.num_rows == 2000 * 188
    assert not list(Path().glob(".*.partial"))


@pytest.mark.parametrize("name", ["new.csv", "new.parquet"])
def test_a_header_alone_gives_a_header_with_the_answers_columns(mixed_copy: Store, name: str) -> None:
    rows = houses(60, seed=7).drop(columns="kind of house").head(0)
    rows.to_csv(name, index=False) if name.endswith("csv") else rows.to_parquet(name)
    score(name, f"scores.{name[4:]}")
    written = pd.read_csv("scores.csv") if name.endswith("csv") else pd.read_parquet("scores.parquet")
    assert list(written.columns[: len(rows.columns)]) == list(rows.columns)
    assert "prediction" in written.columns
    assert len(written) == 0
    _, metrics = last(mixed_copy)
    assert (metrics["rows"], metrics["rows_scored"], metrics["rows_rejected"]) == (0, 0, 0)


@pytest.mark.parametrize("name", ["new.csv", "new.parquet"])
def test_a_file_whose_every_row_is_rejected_is_a_sentence(
    mixed_copy: Store, refused: Callable[..., str], name: str
) -> None:
    rows = houses(60, seed=7).drop(columns="kind of house").head(5).assign(floor="third")
    rows.to_csv(name, index=False) if name.endswith("csv") else rows.to_parquet(name)
    said = refused(batch_inference.main, "--input", name, "--output", f"scores.{name[4:]}")
    assert said.startswith("None of the 5 rows can be scored: The column 'floor': not a number")


def test_drift_that_cannot_be_measured_is_told_and_the_scores_stay(
    cancer_copy: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("no values\nat all")

    cancer_rows(cancer_copy).to_parquet("new.parquet")
    monkeypatch.setattr(batch_inference, "drift", fails)
    score("new.parquet", "scores.parquet")
    assert len(pd.read_parquet("scores.parquet")) == 188
    assert last(cancer_copy)[0]["drift_failed"] == "ZeroDivisionError: no values"
    assert "drift could not be measured (ZeroDivisionError: no values)" in capsys.readouterr().err


def test_an_alias_is_looked_up_once(cancer_copy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cancer_rows(cancer_copy).to_parquet("new.parquet")
    asked: list[str] = []
    load = mlflow.pyfunc.load_model
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda uri: asked.append(uri) or load(uri))
    score("new.parquet", "scores.parquet")
    score("new.parquet", "scores.parquet", "--model-uri", "models:/CancerModel@champion")
    assert asked == ["models:/CancerModelService/1", "models:/CancerModel/1"]
    assert last(cancer_copy)[0]["model_uri"] == "models:/CancerModel/1"


def test_a_stop_between_pieces_leaves_the_file_of_before(cancer_copy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cancer_rows(cancer_copy).to_parquet("new.parquet")
    Path("scores.parquet").write_text("of yesterday")
    monkeypatch.setattr("treeline.data.chunks.ROWS_PER_CHUNK", 37)
    told: list[int] = []

    def stop(*_: object) -> str:
        told.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        return ""

    monkeypatch.setattr("treeline.serving.scoring.answers_beside", stop_after(stop))
    assert batch_inference.main(["--input", "new.parquet", "--output", "scores.parquet"]) == 130
    assert Path("scores.parquet").read_text() == "of yesterday"
    assert len(told) == 1
    assert not list(Path().glob(".*.partial"))
    assert cancer_copy.last("batch-inference").info.status in ("FAILED", "KILLED")


def stop_after(stop: Callable[..., object]) -> Callable[..., pd.DataFrame]:
    """Answer as ever, and let the process be told to stop at the first answer."""
    from treeline.serving.scoring import answers_beside

    waiting = [stop]
    return lambda *given: (waiting.pop()() if waiting else None, answers_beside(*given))[1]


def test_the_rejected_rows_are_never_written_over_as_the_input(mixed_copy: Store, refused: Callable[..., str]) -> None:
    houses(60).drop(columns="kind of house").to_csv("scores.rejected.csv", index=False)
    before = Path("scores.rejected.csv").read_bytes()
    said = refused(batch_inference.main, "--input", "scores.rejected.csv", "--output", "scores.csv")
    assert "is the input itself, 'scores.rejected.csv'" in said
    assert Path("scores.rejected.csv").read_bytes() == before
