"""A model that goes to another machine: packed, checked, registered with its runs; and a project folder that moved."""

import contextlib
import dataclasses
import errno
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from conftest import REPOSITORY, STAGES, Store, _copy, copy_of, mlflow_at, python
from mlflow.exceptions import MlflowException

import batch_inference
import data_evaluation
import main
import model_registry
from tracking import bundle, registry
from tracking.owners import this_process
from tracking.relocation import PLACES

pytestmark = pytest.mark.store


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, run_chain: Callable[[str], Store]) -> Path:
    """A folder with the champion as a zip, as a folder, and as a folder without its rows, for tests that only read."""
    folder = tmp_path_factory.mktemp("bundles")
    with copy_of(run_chain("cancer"), tmp_path_factory.mktemp("exported")):
        for name, argv in {"model.zip": [], "model": [], "bare": ["--rows", "false"]}.items():
            command = ["export-model", "--model", "CancerModel@champion", "--output", str(folder / name), *argv]
            assert model_registry.main(command) == 0
    return folder


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Store:
    """Another machine's store, empty."""
    return _copy(empty_store, tmp_path_factory.mktemp("elsewhere"))


def take(bundle: Path) -> int:
    return model_registry.main(["import-model", "--input", str(bundle)])


@pytest.mark.parametrize("name", ["model.zip", "model"])
def test_a_bundle_registers_elsewhere_with_its_runs_and_answers_as_before(
    bundles: Path, cancer: Store, elsewhere: Store, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = cancer.table(cancer.last("data-preprocessing").info.run_id, "test")
    expected = mlflow.pyfunc.load_model("models:/CancerModelService@champion").predict(rows)
    before = cancer.client.get_model_version("CancerModel", "1")
    with mlflow_at(elsewhere):
        assert take(bundles / name) == 0
        assert elsewhere.versions() == {
            form: ["1"] for form in ("CancerModel", "CancerModelBooster", "CancerModelService")
        }
        assert elsewhere.aliases("CancerModelService") == {"challenger": "1"}
        answers = mlflow.pyfunc.load_model("models:/CancerModelService@challenger").predict(rows)
        pd.testing.assert_frame_equal(answers, expected)
        version = elsewhere.client.get_model_version("CancerModel", "1")
        for key in ("data", "tuning", "training"):
            was, now = (
                store.run(each.tags[f"{key}_run_id"]) for store, each in ((cancer, before), (elsewhere, version))
            )
            assert now.data.params == was.data.params
            assert now.data.metrics == was.data.metrics
            assert now.data.tags["imported_run_id"] == was.info.run_id
            assert now.info.status == "FINISHED"
            assert elsewhere.artifacts(now.info.run_id) == cancer.artifacts(was.info.run_id)
        assert version.tags["treeline_version"] == before.tags["treeline_version"] != ""
        training = elsewhere.run(version.tags["training_run_id"])
        assert training.data.tags["tuning_run_id"] == version.tags["tuning_run_id"]
        capsys.readouterr()
        assert model_registry.main(["lineage", "--model", "CancerModel/1"]) == 0
        assert version.tags["data_run_id"] in capsys.readouterr().out


def test_an_imported_model_is_judged_promoted_and_scores_batches(
    bundles: Path, cancer: Store, elsewhere: Store
) -> None:
    rows = cancer.table(cancer.last("data-preprocessing").info.run_id, "test")
    with mlflow_at(elsewhere):
        assert take(bundles / "model.zip") == 0
        training = elsewhere.client.get_model_version("CancerModel", "1").tags["training_run_id"]
        assert data_evaluation.main(["--training-run-id", training]) == 0
        assert elsewhere.aliases("CancerModel") == {"challenger": "1", "champion": "1"}
        rows.to_parquet("new.parquet")
        assert batch_inference.main(["--input", "new.parquet", "--output", "scores.parquet"]) == 0
        assert "columns_drifting" in elsewhere.last("batch-inference").data.metrics


def test_no_stage_takes_an_imported_run_for_its_own(
    bundles: Path, elsewhere: Store, refused: Callable[..., str]
) -> None:
    import hyperparameters_tuning

    with mlflow_at(elsewhere):
        assert take(bundles / "model.zip") == 0
        assert "No finished run of data-preprocessing" in refused(hyperparameters_tuning.main)


def test_rows_can_stay_at_home(bundles: Path, cancer: Store, elsewhere: Store, refused: Callable[..., str]) -> None:
    assert {"train.parquet", "test.parquet"} <= {path.name for path in (bundles / "model").rglob("*.parquet")}
    assert {path.name for path in (bundles / "bare").rglob("*.parquet")} == {
        "answers.parquet",
        "out_of_fold.parquet",
    }
    rows = cancer.table(cancer.last("data-preprocessing").info.run_id, "test")
    with mlflow_at(elsewhere):
        assert take(bundles / "bare") == 0
        training = elsewhere.client.get_model_version("CancerModel", "1").tags["training_run_id"]
        rows.to_parquet("new.parquet")
        told = refused(data_evaluation.main, "--training-run-id", training, "--eval-dataset", "new.parquet")
        assert "left out when the model was exported" in told
        argv = ["--input", "new.parquet", "--output", "scores.parquet", "--model-uri", "models:/CancerModelService/1"]
        assert batch_inference.main(argv) == 0
        assert len(pd.read_parquet("scores.parquet")) == len(rows)


def test_a_bundles_models_load_from_where_they_lie(bundles: Path, cancer: Store, tmp_path: Path) -> None:
    rows = cancer.table(cancer.last("data-preprocessing").info.run_id, "test").drop(columns="target")
    rows.to_parquet(tmp_path / "rows.parquet")
    script = (
        "import mlflow, pandas as pd\n"
        f"model = mlflow.pyfunc.load_model({str(bundles / 'model/models/CancerModelService')!r})\n"
        "model.predict(pd.read_parquet('rows.parquet')).to_parquet('answers.parquet')\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    expected = mlflow.pyfunc.load_model("models:/CancerModelService@champion").predict(rows)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "answers.parquet"), expected)


def test_a_bundle_is_registered_once(bundles: Path, elsewhere: Store, refused: Callable[..., str]) -> None:
    with mlflow_at(elsewhere):
        assert take(bundles / "model.zip") == 0
        told = refused(model_registry.main, "import-model", "--input", str(bundles / "model.zip"))
        assert told == "This bundle is CancerModel version 1 already."
        assert elsewhere.versions()["CancerModel"] == ["1"]


def spoil(bundles: Path, folder: Path, fault: str) -> Path:
    """Make a faulty copy of the bundle in a folder."""
    faulty = Path(shutil.copytree(bundles / "model", folder / "faulty"))
    some = faulty / "runs" / "data" / "artifacts" / "problem.json"
    manifest = json.loads((faulty / "manifest.json").read_text())
    if fault == "changed":
        some.write_text(some.read_text().replace("binary", "BINARY"))
    elif fault == "missing":
        some.unlink()
    elif fault == "added":
        (faulty / "models" / "more.py").write_text("")
    elif fault == "no manifest":
        (faulty / "manifest.json").unlink()
    elif fault == "later format":
        (faulty / "manifest.json").write_text(json.dumps({**manifest, "format_version": 2}))
    elif fault == "answers otherwise":
        golden = faulty / "runs" / "training" / "artifacts" / "golden.json"
        told = json.loads(golden.read_text())
        told["answer"][0]["prediction"] = "neither"
        golden.write_text(json.dumps(told))
        manifest["files"]["runs/training/artifacts/golden.json"] = bundle.file_digest(golden)
        manifest["sizes"]["runs/training/artifacts/golden.json"] = golden.stat().st_size
        (faulty / "manifest.json").write_text(json.dumps(manifest))
    elif fault == "cut short":
        content = (bundles / "model.zip").read_bytes()
        (folder / "cut.zip").write_bytes(content[: len(content) // 2])
        return folder / "cut.zip"
    elif fault == "flipped":
        content = bytearray((bundles / "model.zip").read_bytes())
        content[len(content) // 2] ^= 0xFF
        (folder / "flipped.zip").write_bytes(content)
        return folder / "flipped.zip"
    elif fault == "another zip":
        with zipfile.ZipFile(folder / "other.zip", "w") as packed:
            packed.writestr("readme.txt", "hello")
        return folder / "other.zip"
    return faulty


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("changed", "it has changed in runs/data/artifacts/problem.json"),
        ("missing", "it lacks runs/data/artifacts/problem.json"),
        ("added", "beyond what was exported, models/more.py"),
        ("no manifest", "is no bundle"),
        ("later format", "is a bundle of format treeline-bundle 2"),
        ("answers otherwise", "answers 1 of 8 recorded requests differently"),
        ("cut short", "is no bundle, or a damaged one"),
        ("flipped", "damaged"),
        ("another zip", "is no bundle"),
    ],
)
def test_a_damaged_or_unknown_bundle_is_refused_and_nothing_is_registered(
    bundles: Path, tmp_path: Path, elsewhere: Store, refused: Callable[..., str], fault: str, sentence: str
) -> None:
    faulty = spoil(bundles, tmp_path, fault)
    with mlflow_at(elsewhere):
        assert sentence in refused(model_registry.main, "import-model", "--input", str(faulty))
        assert elsewhere.versions() == {}
        assert elsewhere.client.get_experiment_by_name("imported") is None
        assert elsewhere.last("import-model").info.status == "FAILED"


def test_an_import_that_breaks_off_leaves_nothing_registered(
    bundles: Path, elsewhere: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("disk full")

    monkeypatch.setattr(bundle, "register_in_step", fail)
    with mlflow_at(elsewhere):
        with pytest.raises(RuntimeError, match="disk full"):
            take(bundles / "model.zip")
        assert elsewhere.versions() == {}
        home = elsewhere.client.get_experiment_by_name("imported").experiment_id
        assert elsewhere.client.search_runs([home]) == []


WRITES = ["create_run", "log_batch", "log_artifacts", "set_terminated", "create_logged_model", "log_model_artifacts"]
WRITES += ["finalize_logged_model", "set_registered_model_alias", "update_model_version"]
ONCE = ["set_registered_model_tag", "delete_registered_model_tag", "the last of it"]


@pytest.mark.parametrize("write", [*WRITES, *ONCE, "register_model"])
@pytest.mark.parametrize("undone", [False, True], ids=["killed", "failed"])
def test_an_import_that_breaks_off_is_made_again(
    bundles: Path, elsewhere: Store, monkeypatch: pytest.MonkeyPatch, write: str, undone: bool
) -> None:
    """At each of its writes, the second of its kind where there are two. A kill undoes nothing, an error all of it."""
    left = [int(write not in ONCE)]

    def stopping(client: Any, *args: Any, **given: Any) -> Any:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(client, *args, **given)

    with mlflow_at(elsewhere):
        with monkeypatch.context() as patch:
            if not undone:
                patch.setattr(bundle, "_remove_run", lambda *_: None)
                patch.setattr(registry, "undo_registering", lambda *_, **__: None)
            if write == "the last of it":
                real = mlflow.MlflowClient.set_tag
                patch.setattr(mlflow.MlflowClient, "set_tag", stopping)
            else:
                home = mlflow if write == "register_model" else mlflow.MlflowClient
                real = getattr(home, write)
                patch.setattr(home, write, stopping)
            assert take(bundles / "model.zip") == 130
        before = elsewhere.versions()
        if undone and write != "the last of it":
            assert before == {}
        assert take(bundles / "model.zip") == 0
        versions = elsewhere.versions()
        assert {form: len(numbers) for form, numbers in versions.items()} == dict.fromkeys(versions, 1)
        assert len(versions) == 3
        assert len({numbers[0] for numbers in versions.values()}) == 1
        home = elsewhere.client.get_experiment_by_name("imported").experiment_id
        copies = elsewhere.client.search_runs([home])
        assert {run.info.status for run in copies} == {"FINISHED"}
        assert sorted(run.data.tags["stage"] for run in copies) == sorted(STAGES)
        assert len(elsewhere.client.search_logged_models([home])) == 3
        training = elsewhere.client.get_model_version("CancerModel", versions["CancerModel"][0]).tags["training_run_id"]
        assert elsewhere.run(training).data.tags["model_version"] == versions["CancerModel"][0]
        assert {elsewhere.aliases(form)["challenger"] for form in versions} == {versions["CancerModel"][0]}


def test_a_bundle_that_another_process_imports_is_left_to_it(
    bundles: Path, elsewhere: Store, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_at(elsewhere):
        with monkeypatch.context() as patch:
            patch.setattr(bundle, "_remove_run", lambda *_: None)
            patch.setattr(bundle, "this_process", lambda: dataclasses.replace(this_process(), host="other/1"))
            patch.setattr(bundle, "_log_model", None)
            patch.setattr(mlflow.MlflowClient, "set_terminated", lambda *_: None)
            with pytest.raises(TypeError):
                take(bundles / "model")
        told = refused(model_registry.main, "import-model", "--input", str(bundles / "model"))
        assert told.startswith("This bundle is being imported by process ")


def test_of_two_imports_of_one_bundle_at_once_one_is_done(bundles: Path, elsewhere: Store) -> None:
    """Both look for an earlier import before either has begun; neither finds the experiment `imported`."""
    command = [sys.executable, str(REPOSITORY / "model_registry.py"), "import-model", "--input", str(bundles / "model")]
    with mlflow_at(elsewhere):
        started = [subprocess.Popen(command, cwd=elsewhere.folder, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        ended = {process.communicate()[1].splitlines()[-1]: process.returncode for process in started}
        assert sorted(ended.values()) == [0, 1], ended
        told = next(line for line, code in ended.items() if code)
        assert told.startswith(("error: This bundle is being imported by", "error: This bundle is CancerModel version"))
        assert {form: len(numbers) for form, numbers in elsewhere.versions().items()} == dict.fromkeys(
            ("CancerModel", "CancerModelBooster", "CancerModelService"), 1
        )


@pytest.mark.parametrize("key", ["bad\nkey", "k" * 300])
def test_what_mlflow_refuses_of_a_bundle_is_said_and_nothing_registered(
    bundles: Path, tmp_path: Path, elsewhere: Store, refused: Callable[..., str], key: str
) -> None:
    faulty = Path(shutil.copytree(bundles / "model", tmp_path / "faulty"))
    path = faulty / "runs/tuning/run.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"params": facts["params"] | {key: "1"}}))
    manifest = json.loads((faulty / "manifest.json").read_text())
    manifest["files"]["runs/tuning/run.json"] = bundle.file_digest(path)
    manifest["sizes"]["runs/tuning/run.json"] = path.stat().st_size
    (faulty / "manifest.json").write_text(json.dumps(manifest))
    with mlflow_at(elsewhere):
        told = refused(model_registry.main, "import-model", "--input", str(faulty))
        assert "MLflow refuses what the bundle holds" in told
        assert elsewhere.versions() == {}


@pytest.mark.parametrize(
    "lost", ["model.skops", "model.ubj", "service.py", "MLmodel", "", "problem.json", "golden.json"]
)
def test_a_version_whose_files_are_gone_is_not_exported(
    run_chain: Callable[[str], Store], tmp_path: Path, refused: Callable[..., str], lost: str
) -> None:
    chain = run_chain("cancer")
    store = Store(Path(shutil.copytree(chain.folder, tmp_path / "own")))
    with contextlib.closing(sqlite3.connect(store.folder / "mlflow.db")) as database, database:
        for table, column in PLACES.items():  # its own artifacts, not those that all tests share
            places = (str(chain.folder), str(store.folder))
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", places)
    with mlflow_at(store):
        assert store.folder_of(store.last("main").info.run_id).is_relative_to(store.folder)
        assert store.model_folder("CancerModel", "1").is_relative_to(store.folder)
        form = {"model.skops": "CancerModel", "service.py": "CancerModelService"}.get(lost, "CancerModelBooster")
        if lost.endswith(".json"):
            stage = "data-preprocessing" if lost == "problem.json" else "model-training"
            (store.folder_of(store.last(stage).info.run_id) / lost).unlink()
        elif lost:
            (store.model_folder(form, "1") / lost).unlink()
        else:
            shutil.rmtree(store.model_folder(form, "1"))
        before = sorted(Path().iterdir())
        argv = ["export-model", "--model", "CancerModel/1", "--output", "model.zip"]
        assert "CancerModel version 1 is not exported" in refused(model_registry.main, *argv)
        assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("output", ["model.zip", "model"])
def test_an_export_that_is_killed_leaves_nothing_that_looks_whole_and_is_made_again(
    cancer_copy: Store, tmp_path: Path, output: str
) -> None:
    script = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "import model_registry\n"
        "from tracking import bundle\n"
        "bundle._write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"model_registry.main(['export-model', '--model', 'CancerModel/1', '--output', {output!r}])\n"
    )
    ended = python("-c", script, cwd=tmp_path, MLFLOW_TRACKING_URI=cancer_copy.uri)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (tmp_path / output).exists()
    assert model_registry.main(["export-model", "--model", "CancerModel/1", "--output", output]) == 0
    assert not list(Path().glob(".export-*"))  # what the killed one had begun


def test_an_output_that_cannot_be_written_is_said(
    cancer_copy: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "make_archive", full)
    argv = ["export-model", "--model", "CancerModel/1", "--output", "model.zip"]
    assert model_registry.main(argv) == 4
    assert "model.zip cannot be written: No space left on device" in capsys.readouterr().err
    assert not any("export" in path.name or path.suffix == ".zip" for path in Path().iterdir())


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["export-model"], "Name a version with --model"),
        (["export-model", "--model", "CancerModel/1"], "Name the bundle to make"),
        (["export-model", "--model", "CancerModel/9", "--output", "x.zip"], "no version 9"),
        (["export-model", "--model", "CancerModel/1", "--output", "mlflow.db"], "mlflow.db exists"),
        (["export-model", "--model", "CancerModel/1", "--output", "no/x.zip"], "make it first"),
        (["export-model", "--model", "CancerModel/1", "--output", "x" * 300], "is no name of a file"),
        (["export-model", "--model", "CancerModel/1", "--output", "a\0b"], "without NUL"),
        (["import-model", "--input", "x" * 300], "is no name of a file"),
        (["import-model"], "No bundle ''"),
        (["import-model", "--input", "no.zip"], "No bundle 'no.zip'"),
    ],
)
def test_a_mistake_is_one_sentence(
    cancer_copy: Store, refused: Callable[..., str], argv: list[str], sentence: str
) -> None:
    Path("mlruns").mkdir(exist_ok=True)  # where the failed run keeps its settings
    before = sorted(Path().iterdir())
    assert sentence in refused(model_registry.main, *argv)
    assert sorted(Path().iterdir()) == before


def test_a_moved_project_folder_finds_its_artifacts_again(
    tmp_path: Path, empty_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick, champion = ["--n-trials", "1", "--folds", "2"], "models:/CancerModelService@champion"
    old, new = tmp_path / "old place", tmp_path / "new place"
    with mlflow_at(_copy(empty_store, old)):
        assert main.main(quick) == 0
    old.rename(new)
    with mlflow_at(Store(new)):
        with pytest.raises((OSError, MlflowException)):
            mlflow.pyfunc.load_model(champion)
        assert model_registry.main(["rollback", "--to-version", "1"]) == 1  # makes folders at the old place
        assert (old / "mlruns").is_dir()
        capsys.readouterr()
        assert model_registry.main(["relocate"]) == 0
        assert str(old) in capsys.readouterr().err
        mlflow.pyfunc.load_model(champion)
        assert (new / "mlflow.db.before-relocate").is_file()
        assert main.main(quick) == 0  # the champion of before is loaded and compared with
        printed = capsys.readouterr()
        assert "new to the champion" in printed.out + printed.err or "CancerModel version 2" in printed.out
        assert model_registry.main(["relocate"]) == 0
        assert "every artifact is where it should be" in capsys.readouterr().err


def test_without_a_store_relocate_says_where_to_stand(
    tmp_path: Path, store: Store, refused: Callable[..., str]
) -> None:
    Path("mlflow.db").unlink()
    assert "run this in the folder that holds mlflow.db" in refused(model_registry.main, "relocate")
