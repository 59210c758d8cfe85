"""A model version with the runs that made it, packed into one folder or zip, and registered from it on another machine.

A bundle holds `manifest.json` (what it is, and the SHA-256 of every file), `models/` (the three forms as MLflow saved
them, which load from there too) and `runs/` (parameters, metrics, tags and artifacts of the runs of data, tuning,
training and evaluation; the trials are in the tuning run's table). Its models are code: import from those you trust.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
from loguru import logger
from mlflow.entities import LoggedModelStatus, Metric, Param, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from tracking.bundle_documents import KEYS, REQUIRED
from tracking.models import FORMS, form_names
from tracking.owners import PREFIX, Owner, this_process
from tracking.promotion import faults_of_forms
from tracking.registry import register_in_step, versions_of
from tracking.registry_lock import is_absent
from tracking.runs import Lineage
from tracking.sqlite_files import folder_lock
from tracking.store import make_experiment, registry_lock
from tracking.store_errors import raise_if_of_store
from tracking.unpacking import FORMAT, MANIFEST, VERSION
from treeline import StoreError, UserError
from treeline.data.chunks import file_digest
from treeline.interruption import stop_if_wished
from treeline.secrets import without_secrets

EXPERIMENT = "imported"  # of its own, so that no stage takes an imported run for the last one here
ROWS = ("train.parquet", "test.parquet")
HIDDEN = ".export-"  # before the name of a folder in which a bundle is made
BUNDLE = "bundle"  # tag of versions and runs that were imported: the digest of the manifest


def pack(version: ModelVersion, output: Path, rows: bool) -> None:
    """Write a version of all three forms and its runs to a folder, or a zip where the name ends so.

    Args:
        version: of the pipeline's registered model.
        output: does not exist yet; it appears whole or not at all.
        rows: whether training and test rows go along.

    Raises:
        UserError: the runs or a form are not in this store, or not whole.
        StoreError: it cannot be written.
    """
    runs = Lineage.from_tags(version.tags).runs()
    known = f"{version.name} version {version.version}"
    try:
        with _hidden_folder(output.absolute().parent) as made:
            folder = made / "bundle"
            folder.mkdir()
            for form in form_names(version.name):
                stop_if_wished()
                _fetch(f"models:/{form}/{version.version}", folder / "models" / form, known)
            for key, run in runs.items():
                stop_if_wished()
                _pack_run(run, folder / "runs" / key, () if rows else ROWS)
            _check_packed(folder, version.name, known, rows)
            _write_manifest(folder, version)
            stop_if_wished()
            if output.name.endswith(".zip"):
                folder = Path(shutil.make_archive(f"{made}/packed", "zip", folder))
            folder.rename(output)
    except OSError as error:
        raise StoreError(f"{output} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _hidden_folder(parent: Path) -> Iterator[Path]:
    """Give a hidden folder to make a bundle in; those of exports that were killed are removed."""
    with ExitStack() as stack:
        with folder_lock(parent):
            for left in parent.glob(f"{HIDDEN}*"):
                with suppress(StoreError), folder_lock(left, seconds=0):  # one that is held is of an export under way
                    shutil.rmtree(left)
            made = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=parent, prefix=HIDDEN)))
            stack.enter_context(folder_lock(made))
        yield made


def _write_manifest(folder: Path, version: ModelVersion) -> None:
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    manifest = {
        "format": FORMAT,
        "format_version": VERSION,
        "name": version.name,
        "version": str(version.version),
        "treeline_version": version.tags.get("treeline_version", ""),
        "exported": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": {name: file_digest(path) for name, path in files.items()},
        "sizes": {name: path.stat().st_size for name, path in files.items()},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _check_packed(folder: Path, name: str, known: str, rows: bool) -> None:
    """Make sure that what was packed is whole: files that are gone from a store are missed by nobody but us.

    Raises:
        UserError: it is not.
    """
    wanted = {key: (*names, *(ROWS if key == "data" and rows else ())) for key, names in REQUIRED.items()}
    for key, names in wanted.items():
        for each in names:
            if not (folder / "runs" / key / "artifacts" / each).is_file():
                hint = " --rows false leaves the rows out." if each in ROWS else ""
                raise UserError(f"{known} is not exported: its {key} run has lost the file {each}.{hint}")
    golden = json.loads((folder / "runs/training/artifacts/golden.json").read_text(encoding="utf-8"))
    if faults := faults_of_forms(_forms_in(folder, name), golden):
        raise UserError(f"{known} is not exported, for it would not load elsewhere: {'; '.join(faults)}.")


def _forms_in(folder: Path, name: str) -> dict[str, str]:
    return {form.suffix: str(folder / "models" / f"{name}{form.suffix}") for form in FORMS}


def register(folder: Path, manifest: Mapping[str, Any], run_id: str) -> str:
    """Register the models of an open bundle, with copies of their runs in the experiment `imported`.

    What an import of the same bundle left that was killed is removed first.

    Args:
        folder: of the bundle.
        manifest: of the bundle.
        run_id: of the import, noted on what it makes.

    Returns:
        The version, one for all three names.

    Raises:
        UserError: it is registered here already, or a form does not load or answer here as it did there.
    """
    name, digest = manifest["name"], file_digest(folder / MANIFEST)
    client = mlflow.MlflowClient()
    _refuse_deleted_experiment()
    golden = json.loads((folder / "runs/training/artifacts/golden.json").read_text(encoding="utf-8"))
    if faults := faults_of_forms(_forms_in(folder, name), golden):
        raise UserError(
            f"{name} is not registered: {faults[0]}. Were other package versions installed where it was made?"
        )
    keys = _keys(folder)
    facts = {key: json.loads((folder / "runs" / key / "run.json").read_text(encoding="utf-8")) for key in keys}
    copies: dict[str, str] = {}
    marks = {BUNDLE: digest, "import_run_id": run_id, **this_process().tags()}
    try:
        with registry_lock():  # of two imports of one bundle at once, the second finds the runs of the first
            experiment = make_experiment(EXPERIMENT)
            _remove_earlier(name, digest, experiment)
            for key in keys:
                copies[key] = str(client.create_run(experiment, run_name=facts[key]["name"], tags=marks).info.run_id)
        for key in keys:
            stop_if_wished()
            _copy_run(folder / "runs" / key, facts[key], copies, key)
            if key != "training":  # which stays open as long as the import is at work
                client.set_terminated(copies[key])
        stop_if_wished()
        uris = {
            form: _log_model(folder / "models" / form, form, experiment, copies["training"])
            for form in form_names(name)
        }
        about = f"Imported: version {manifest['version']} of another store, exported {manifest['exported']}."
        made = {f"{key}_run_id": copy for key, copy in copies.items()}
        lineage = Lineage(**made, data_digest=Lineage.from_tags(mlflow.get_run(copies["data"]).data.tags).data_digest)
        tags = {**lineage.tags(), BUNDLE: digest, "imported_version": manifest["version"]}
        tags["treeline_version"] = manifest["treeline_version"]
        version = register_in_step(uris, dict.fromkeys(uris, about), tags)
    except BaseException as error:
        for each in copies.values():
            _remove_run(each, experiment)
        if isinstance(error, MlflowException) and error.error_code == "INVALID_PARAMETER_VALUE":
            raise UserError(
                f"{name} is not registered, for MLflow refuses what the bundle holds: {error.message}"
            ) from error
        raise
    client.set_terminated(copies["training"])
    client.set_tag(copies["training"], "model_version", version)  # the last of it: now the import is whole
    return version


def _refuse_deleted_experiment() -> None:
    """Refuse to import where the experiment of imported runs lies in the trash.

    Raises:
        UserError: it does.
    """
    found = mlflow.MlflowClient().get_experiment_by_name(EXPERIMENT)
    if found and found.lifecycle_stage == "deleted":
        raise UserError(
            f"The experiment {EXPERIMENT!r} was deleted: restore it with `mlflow experiments restore --experiment-id "
            f"{found.experiment_id}`."
        )


def _remove_earlier(name: str, digest: str, experiment: str) -> None:
    """Remove what an import of the same bundle left that did not come to its end.

    Raises:
        UserError: one did, or is at work.
    """
    client = mlflow.MlflowClient()
    for number, version in versions_of(name).items():
        if version.tags.get(BUNDLE) == digest and _is_whole(version, str(number)):
            raise UserError(f"This bundle is {name} version {number} already.")
    left = client.search_runs([experiment], f"tags.{BUNDLE} = '{digest}'")
    for run in left:
        owner = Owner.of_tags(run.data.tags)
        age = time.time() - run.info.start_time / 1000
        if owner and owner != this_process() and run.info.status == "RUNNING" and not owner.is_gone(age):
            raise UserError(f"This bundle is being imported by {owner.told()}: wait for it.")
    for form in form_names(name):
        for number, version in versions_of(form).items():
            if version.tags.get(BUNDLE) == digest:
                client.delete_model_version(form, str(number))
    for run in left:
        _remove_run(run.info.run_id, experiment)
    if left:
        logger.warning(f"an earlier import of this bundle of {name} was cut short; what it left is removed")


def _is_whole(version: ModelVersion, number: str) -> bool:
    try:
        training = mlflow.get_run(Lineage.from_tags(version.tags).training_run_id)
    except MlflowException as error:
        if is_absent(error):
            return True  # its runs were deleted since, which is not what a kill does
        raise
    return training.data.tags.get("model_version") == number


def _remove_run(run_id: str, experiment: str) -> None:
    client = mlflow.MlflowClient()
    for model in client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'"):
        client.delete_logged_model(model.model_id)
    client.delete_run(run_id)


def _keys(folder: Path) -> list[str]:
    return [key for key in KEYS if (folder / "runs" / key).is_dir()]


def _fetch(uri: str, folder: Path, known: str) -> None:
    folder.mkdir(parents=True)
    try:
        mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))
    except (MlflowException, OSError) as error:
        raise_if_of_store(error)
        why = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{known} is not exported: the files of {uri} are not to be had: {why}.") from error


def _pack_run(run: Run, folder: Path, left_out: tuple[str, ...]) -> None:
    kept = folder / "artifacts"
    kept.mkdir(parents=True)
    for each in mlflow.MlflowClient().list_artifacts(run.info.run_id):
        if each.path not in left_out:
            mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=each.path, dst_path=str(kept))
    facts = {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "params": {key: without_secrets(value) for key, value in run.data.params.items()},
        "metrics": run.data.metrics,
        "tags": {key: without_secrets(value) for key, value in run.data.tags.items()},
    }
    (folder / "run.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _copy_run(folder: Path, facts: Mapping[str, Any], copies: Mapping[str, str], key: str) -> None:
    """Fill a new run with what a bundle kept of one; run ids of the chain become those of the copies."""
    client, copy = mlflow.MlflowClient(), copies[key]
    kept = {name: value for name, value in facts["tags"].items() if not name.startswith(("mlflow.", PREFIX))}
    kept = {name: value for name, value in kept.items() if name not in (BUNDLE, "import_run_id", "model_version")}
    commit = "mlflow.source.git.commit"
    kept |= {commit: facts["tags"][commit]} if commit in facts["tags"] else {}
    kept |= {f"{each}_run_id": copies[each] for each in copies if f"{each}_run_id" in kept}
    kept["imported_run_id"] = facts["run_id"]
    now = int(time.time() * 1000)
    params = [Param(name, value) for name, value in facts["params"].items()]
    metrics = [Metric(name, value, now, 0) for name, value in facts["metrics"].items()]
    tags = [RunTag(name, value) for name, value in kept.items()]
    for start in range(0, max(map(len, (params, metrics, tags))), 90):  # MLflow takes so many of each at once
        some = slice(start, start + 90)
        client.log_batch(copy, params=params[some], metrics=metrics[some], tags=tags[some])
    client.log_artifacts(copy, str(folder / "artifacts"))


def _log_model(folder: Path, form: str, experiment: str, run_id: str) -> str:
    """Log a saved model under a run; give its URI."""
    client = mlflow.MlflowClient()
    logged = client.create_logged_model(experiment, form, source_run_id=run_id)
    with tempfile.TemporaryDirectory() as made:
        copy = Path(shutil.copytree(folder, Path(made) / "model"))
        model = Model.load(copy)
        model.model_id, model.run_id = logged.model_id, run_id
        model.save(copy / "MLmodel")
        client.log_model_artifacts(logged.model_id, str(copy))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return f"models:/{logged.model_id}"
