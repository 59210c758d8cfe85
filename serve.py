#!/usr/bin/env python
"""Take a champion out of the store, then become its server; or say in one sentence why there is none to serve.

`make serve` and the containers `serving` and `mlserver` start with it.
Reads: NAMEService@champion, NAME being the environment variable TREELINE_MODEL, from the store of this folder, or from
the one that MLFLOW_TRACKING_URI names.
Writes: the model to FOLDER, in place of the one that an earlier start left there.
Run: serve.py --unchecked FOLDER mlflow models serve -m FOLDER
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature

SERVICE = "Service"  # tracking.models.SERVICE.suffix: an image of MLServer takes this file without the others


def fetch(name: str, folder: Path) -> str:
    """Copy the champion of `name` to a folder; return its version.

    Raises:
        SystemExit: with a sentence, where there is no store, no champion, or its files are gone.
    """
    if "MLFLOW_TRACKING_URI" not in os.environ and not Path("mlflow.db").is_file():
        sys.exit(
            f"error: No experiment store mlflow.db in {Path.cwd()}, and so no champion to serve: stand in the folder "
            "that the main job wrote to, or set MLFLOW_TRACKING_URI."
        )
    store = mlflow.get_tracking_uri()
    try:
        champions = {
            each.name.removesuffix(SERVICE): each.aliases["champion"]
            for each in mlflow.search_registered_models()
            if each.name.endswith(SERVICE) and "champion" in each.aliases
        }
        if name not in champions:
            known = ", ".join(champions) or "none yet; the main job makes one"
            sys.exit(f"error: {name} has no champion in the store {store}. There are: {known}.")
        if (folder / "MLmodel").is_file():
            shutil.rmtree(folder)
        mlflow.artifacts.download_artifacts(f"models:/{name}{SERVICE}/{champions[name]}", dst_path=str(folder))
    except (MlflowException, OSError) as error:
        sys.exit(
            f"error: Cannot take the champion of {name} out of the store {store}: {str(error).rstrip('.')}. "
            "MLFLOW_TRACKING_URI names the store."
        )
    return str(champions[name])


def uncheck(folder: Path) -> None:
    """Take the input columns out of the copy's signature, so that MLflow leaves the check of a request to the pipeline.

    MLflow casts and rebuilds a table column by column, which takes longer than the answer; the pipeline checks names
    and values itself.
    """
    model = Model.load(folder)
    if model.signature is not None:
        model.signature = ModelSignature(outputs=model.signature.outputs)
        model.save(folder / "MLmodel")


def main() -> None:
    """Fetch, and become the server."""
    parser = argparse.ArgumentParser(description="Take a champion out of the store, then become its server.")
    parser.add_argument("--unchecked", action="store_true", help="leave the check of requests to the pipeline")
    parser.add_argument("folder", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    # A wrong address is to be told in seconds; MLflow's own patience is some minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    name = os.environ.get("TREELINE_MODEL", "CancerModel")
    sys.stderr.write(f"Serving {name}{SERVICE} version {fetch(name, options.folder)}\n")
    if options.unchecked:
        uncheck(options.folder)
    os.execvp(options.command[0], options.command)


if __name__ == "__main__":
    main()
