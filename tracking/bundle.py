"""A model version with the runs that made it, packed into one folder or zip, and registered from it on another machine.

A bundle holds `manifest.json` (what it is, and the SHA-256 of every file), `models/` (the three forms as MLflow saved
them, which load from there too) and `runs/` (parameters, metrics, tags and artifacts of the runs of data, tuning,
training and evaluation; the trials are in the tuning run's table). Its models are code: import from those you trust.
"""

import json
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import LoggedModelStatus, Metric, Param, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model

from tracking.golden_requests import replay_golden_requests
from tracking.models import SERVICE, form_names
from tracking.owners import PREFIX, this_process
from tracking.registry import register_in_step
from tracking.runs import Lineage
from treeline import UserError
from treeline.data.chunks import file_digest
from treeline.secrets import without_secrets

FORMAT, VERSION = "treeline-bundle", 1
EXPERIMENT = "imported"  # of its own, so that no stage takes an imported run for the last one here
ROWS = ("train.parquet", "test.parquet")
MANIFEST = "manifest.json"


def pack(version: ModelVersion, output: Path, rows: bool) -> None:
    """Write a version of all three forms and its runs to a folder, or a zip where the name ends so.

    Args:
        version: of the pipeline's registered model.
        output: does not exist yet; it appears whole or not at all.
        rows: whether training and test rows go along.

    Raises:
        UserError: the runs or a form are not in this store.
    """
    runs = Lineage.from_tags(version.tags).runs()
    with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=f".{output.name}.") as made:
        folder = Path(made) / "bundle"
        folder.mkdir()
        for form in form_names(version.name):
            _fetch(f"models:/{form}/{version.version}", folder / "models" / form)
        for key, run in runs.items():
            _pack_run(run, folder / "runs" / key, () if rows else ROWS)
        manifest = {
            "format": FORMAT,
            "format_version": VERSION,
            "name": version.name,
            "version": str(version.version),
            "treeline_version": version.tags.get("treeline_version", ""),
            "exported": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "files": _digests(folder),
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        if output.name.endswith(".zip"):
            folder = Path(shutil.make_archive(f"{made}/packed", "zip", folder))
        folder.rename(output)


@contextmanager
def unpacked(source: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Open a bundle, having held every file against the manifest; give its folder and the manifest.

    Raises:
        UserError: it is no bundle, one of a later format, or damaged.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = source
        if not source.is_dir():
            folder = Path(made)
            try:
                with zipfile.ZipFile(source) as packed:
                    packed.extractall(folder)
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
                raise UserError(f"{source} is no bundle, or a damaged one: {error}. Export it again.") from error
        yield folder, _checked_manifest(folder, source)


def register(folder: Path, manifest: Mapping[str, Any], run_id: str) -> str:
    """Register the models of an open bundle, with copies of their runs in the experiment `imported`.

    Args:
        folder: of the bundle.
        manifest: of the bundle.
        run_id: of the import, noted on what it makes.

    Returns:
        The version, one for all three names.

    Raises:
        UserError: it is registered here already, or its served form does not answer here as it did there.
    """
    name, digest = manifest["name"], file_digest(folder / MANIFEST)
    client = mlflow.MlflowClient()
    for known in client.search_model_versions(f"name = '{name}'"):
        if known.tags.get("bundle") == digest:
            raise UserError(f"This bundle is {name} version {known.version} already.")
    golden = json.loads((folder / "runs/training/artifacts/golden.json").read_text(encoding="utf-8"))
    wrong = replay_golden_requests(str(folder / "models" / f"{name}{SERVICE.suffix}"), golden)
    if wrong:
        raise UserError(
            f"{name} is not registered: {wrong[0]}. Were other package versions installed where it was made?"
        )
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    copies: dict[str, str] = {}
    try:
        for key in _keys(folder):
            copies[key] = _copy_run(folder / "runs" / key, experiment, copies, run_id)
        uris = {
            form: _log_model(folder / "models" / form, form, experiment, copies["training"])
            for form in form_names(name)
        }
        about = f"Imported: version {manifest['version']} of another store, exported {manifest['exported']}."
        made = {f"{key}_run_id": copy for key, copy in copies.items()}
        lineage = Lineage(**made, data_digest=Lineage.from_tags(mlflow.get_run(copies["data"]).data.tags).data_digest)
        tags = {**lineage.tags(), "bundle": digest, "imported_version": manifest["version"]}
        tags["treeline_version"] = manifest["treeline_version"]
        version = register_in_step(uris, dict.fromkeys(uris, about), tags)
    except BaseException:
        for each in copies.values():
            client.delete_run(each)
        raise
    client.set_tag(copies["training"], "model_version", version)
    return version


def _keys(folder: Path) -> list[str]:
    return [key for key in ("data", "tuning", "training", "evaluation") if (folder / "runs" / key).is_dir()]


def _fetch(uri: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))


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


def _copy_run(folder: Path, experiment: str, copies: Mapping[str, str], run_id: str) -> str:
    """Make a finished run of what a bundle kept of one; run ids of the chain become those of the copies."""
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    client = mlflow.MlflowClient()
    kept = {key: value for key, value in facts["tags"].items() if not key.startswith(("mlflow.", PREFIX))}
    commit = "mlflow.source.git.commit"
    kept |= {commit: facts["tags"][commit]} if commit in facts["tags"] else {}
    kept |= {f"{key}_run_id": copy for key, copy in copies.items() if f"{key}_run_id" in kept}
    kept |= {"imported_run_id": facts["run_id"], "import_run_id": run_id}
    copy = str(client.create_run(experiment, tags=this_process().tags(), run_name=facts["name"]).info.run_id)
    now = int(time.time() * 1000)
    params = [Param(key, value) for key, value in facts["params"].items()]
    metrics = [Metric(key, value, now, 0) for key, value in facts["metrics"].items()]
    client.log_batch(
        copy, params=params, metrics=metrics[:900], tags=[RunTag(key, value) for key, value in kept.items()]
    )
    client.log_artifacts(copy, str(folder / "artifacts"))
    client.set_terminated(copy)
    return copy


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


def _checked_manifest(folder: Path, source: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        format_, version, files = manifest["format"], manifest["format_version"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{source} is no bundle: it has no readable {MANIFEST}. Make one with export-model.") from None
    if format_ != FORMAT or version != VERSION:
        raise UserError(f"{source} is a bundle of format {format_} {version}; this Treeline reads {FORMAT} {VERSION}.")
    there = _digests(folder)
    there.pop(MANIFEST)
    for name in sorted({*files, *there}):
        if files.get(name) != there.get(name):
            what = (
                "lacks"
                if name not in there
                else "has, beyond what was exported,"
                if name not in files
                else "has changed in"
            )
            raise UserError(f"The bundle {source} is damaged: it {what} {name}. Export it again.")
    return dict(manifest)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
