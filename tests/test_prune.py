"""prune: what nothing needs is listed and, after a yes, gone; what a version, a living run or a process needs stays."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import mlflow
import psutil
import pytest
from conftest import Store

import prune
from tracking import environments, trash
from tracking.study_owner import own_study
from tracking.trash import Unused, unused_in_store
from treeline.tuning.storage import journal_path, open_storage
from treeline.tuning.study import load_study

pytestmark = pytest.mark.store

OLD = time.time() - 90 * 86400
FAR = 4e9  # a moment far off: as if everything were older than asked for


@pytest.fixture(autouse=True)
def no_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of environments, for those of whoever tests are not ours to list."""
    monkeypatch.setenv("MLFLOW_ENV_ROOT", str(tmp_path / "envs"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "envs").mkdir()
    return tmp_path / "envs"


def listed(store: Store, before: float = FAR) -> set[tuple[str, str]]:
    return {(each.kind, each.name) for each in unused_in_store(store.folder / "mlflow.db", before)}


def deleted_run(store: Store, **tags: str) -> str:
    """A run with an artifact, in the trash."""
    run = store.fake_run("data-preprocessing", **tags)
    store.client.log_text(run, "x" * 2000, "notes.txt")
    store.client.delete_run(run)
    return run


def test_a_run_in_the_trash_goes_with_its_artifacts(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run, living = deleted_run(store), store.fake_run("main")
    folder = Path(store.client.get_run(run).info.artifact_uri)
    assert prune.main(["--days", "0"]) == 0
    said = capsys.readouterr().out
    assert "1 x run in the trash" in said
    assert run in said
    assert "Nothing was deleted" in said
    assert folder.is_dir()
    assert prune.main(["--days", "0", "--yes"]) == 0
    assert "Deleted: 2 kB are free." in capsys.readouterr().out
    assert not folder.exists()
    assert [each.info.run_id for each in store.client.search_runs(["1"], run_view_type=3)] == [living]
    assert prune.main(["--days", "0", "--yes"]) == 0
    assert capsys.readouterr().out == "Nothing is unused.\n"


def test_what_was_deleted_lately_stays(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run = deleted_run(store)
    assert prune.main(["--yes"]) == 0
    assert capsys.readouterr().out == "Nothing is unused.\n"
    assert store.client.get_run(run).info.lifecycle_stage == "deleted"


def test_what_a_living_run_comes_from_stays(store: Store) -> None:
    data = deleted_run(store)
    tuning = deleted_run(store, data_run_id=data)
    assert listed(store) == {("run in the trash", data), ("run in the trash", tuning)}
    store.fake_run("model-training", tuning_run_id=tuning)
    assert listed(store) == set()


def test_what_a_registered_version_needs_stays_and_goes_with_it(cancer_copy: Store) -> None:
    runs = cancer_copy.client.search_runs(["1"])
    for run in runs:
        cancer_copy.client.delete_run(run.info.run_id)
    extra = deleted_run(cancer_copy)
    stages = {run.info.run_id: run.data.tags["stage"] for run in runs}
    gone = {name for kind, name in listed(cancer_copy) if kind == "run in the trash"}
    assert {stages.get(run, "extra") for run in gone} == {"trial", "extra"}
    assert extra in gone
    with_models = {kind for kind, _ in listed(cancer_copy)}
    assert "model without a run" not in with_models
    assert prune.main(["--days", "0", "--yes"]) == 0
    for form in cancer_copy.versions():
        assert cancer_copy.model_folder(form, "1").is_dir()
    assert mlflow.pyfunc.load_model("models:/CancerModelService@champion")

    for form in cancer_copy.versions():
        cancer_copy.client.delete_registered_model(form)
    kinds = [kind for kind, _ in listed(cancer_copy)]
    assert kinds.count("model without a run") == 3
    assert kinds.count("run in the trash") == len([stage for stage in stages.values() if stage != "trial"])


def test_an_experiment_in_the_trash_goes_unless_it_holds_what_is_needed(store: Store) -> None:
    data = store.fake_run("data-preprocessing", experiment="old")
    old = store.client.get_experiment_by_name("old").experiment_id
    store.client.delete_experiment(old)
    training = store.fake_run("model-training", data_run_id=data)
    assert listed(store) == set()
    store.client.delete_run(training)
    assert ("experiment in the trash", "old") in listed(store)
    assert prune.main(["--days", "0", "--yes"]) == 0
    assert store.client.get_experiment_by_name("old") is None


def test_artifacts_that_no_row_names_and_studies_of_no_run_are_unused(store: Store) -> None:
    study = store.folder / "studies" / "mine.log"
    study.parent.mkdir()
    study.write_text("journal")
    run = store.fake_run("hyperparameters-tuning", study="mine")
    store.client.log_text(run, "x", "x.txt")
    for name in ("0" * 32, "models/m-" + "1" * 32, "notes"):
        (store.folder / "mlruns/1" / name).mkdir(parents=True)
    orphans = {str(store.folder / "mlruns/1" / ("0" * 32)), str(store.folder / "mlruns/1/models" / ("m-" + "1" * 32))}
    assert listed(store) == {("artifacts without a row", each) for each in orphans}
    assert listed(store, OLD) == set()
    (store.folder / "other.db").write_bytes(b"")
    assert listed(store) == set()  # they may be another store's
    store.client.delete_run(run)
    assert ("study without a run", str(study)) in listed(store)


def test_a_study_whose_runs_are_on_a_server_is_not_unused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies in the folder where it was begun, beside the store of other work."""
    path = journal_path(store.folder, "night")
    study = load_study(open_storage("", path), "night", maximize=False)
    with own_study(study, locked=True):
        pass
    assert listed(store) == {("study without a run", str(path))}
    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "get_tracking_uri", lambda: "http://me:secret@host:5000")
        with own_study(study, locked=True):
            pass
    assert listed(store) == set()
    assert "secret" not in path.read_text()


def test_what_was_restored_while_a_person_was_asked_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = deleted_run(store)

    def agreed() -> bool:
        store.client.restore_run(run)
        return True

    monkeypatch.setattr(prune, "_agreed", agreed)
    assert prune.main(["--days", "0"]) == 0
    assert store.client.get_run(run).info.lifecycle_stage == "active"
    assert store.client.list_artifacts(run)


def test_what_cannot_be_deleted_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def delete() -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(prune, "_unused", lambda before: [Unused("study without a run", "x.log", 7, delete)])
    assert prune.main(["--yes"]) == 4
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: Cannot delete x.log: Permission denied.")


def environment(folder: Path, letter: str, packages: tuple[str, ...], used: float) -> Path:
    """An environment as `mlflow run` leaves it."""
    made = folder / f"mlflow-{letter * 40}"
    for name in packages:
        (made / "lib/python3.11/site-packages" / f"{name}-1.0.dist-info").mkdir(parents=True)
    (made / "bin").mkdir()
    (made / "pyvenv.cfg").write_text("home = /usr/bin")
    os.utime(made / "pyvenv.cfg", (used, OLD))
    return made


def test_environments_of_ours_that_nobody_opens_are_unused(no_environments: Path) -> None:
    old = environment(no_environments, "a", environments.OURS, OLD)
    environment(no_environments, "b", environments.OURS, time.time())
    environment(no_environments, "c", ("mlflow", "xgboost"), OLD)
    running = environment(no_environments, "d", environments.OURS, OLD)
    conda = environment(no_environments.parent, "e", environments.OURS, OLD)
    (Path.home() / ".conda").mkdir(parents=True)
    (Path.home() / ".conda/environments.txt").write_text(f"{conda}\n{conda.parent}\n")
    (running / "bin/python").symlink_to(sys.executable)
    with subprocess.Popen([running / "bin/python", "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert psutil.pid_exists(process.pid)
        found = environments.unused_environments(time.time() - 86400)
        process.communicate(b"\n")
    assert {each.name for each in found} == {str(old), str(conda)}
    for each in found:
        each.delete()
    assert not old.exists()
    assert not conda.exists()
    assert running.exists()


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (2000, "2 kB"), (1_234_567, "1.23 MB"), (5e15, "5e+03 TB")]
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert prune.readable(size) == text


def test_a_table_shows_the_largest_and_counts_the_rest() -> None:
    things = [Unused("run in the trash", f"r{i}", i, int) for i in range(12)]
    lines = prune.table(things).splitlines()
    assert lines[0].split("  ")[-1] == "12 x run in the trash"
    assert [line.split()[-1] for line in lines[1:4]] == ["r11", "r10", "r9"]
    assert lines[-2].strip() == "and 2 more"
    assert lines[-1].strip() == "66 B  in all, unused"


def test_nothing_below_a_link_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "big").write_bytes(b"x" * 5000)
    (tmp_path / "a/link").symlink_to(tmp_path / "big")
    assert trash.size_of(tmp_path / "a") < 1000
