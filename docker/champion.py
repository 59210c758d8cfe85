#!/usr/bin/env python
"""Take the champion out of the store, then become its server; or say in one sentence why there is none to serve.

Reads: NAMEService@champion, NAME being the environment variable TREELINE_MODEL, from the store of this folder, or from
the one that MLFLOW_TRACKING_URI names.
Writes: the model to /tmp/champion.
Run: champion mlflow models serve -m /tmp/champion
"""

import os
import shutil
import sys
from pathlib import Path

# A wrong address is to be told in seconds; MLflow's own patience is some minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.exceptions import MlflowException

FOLDER = Path("/tmp/champion")


def fetch(name: str) -> str:
    """Copy the champion of a registered model to FOLDER; return its version.

    Raises:
        SystemExit: with a sentence, where there is no store, no champion, or its files are gone.
    """
    if "MLFLOW_TRACKING_URI" not in os.environ and not Path("mlflow.db").is_file():
        sys.exit(
            f"error: No experiment store mlflow.db in {Path.cwd()}: stand in the folder that the main job wrote to, or "
            "set MLFLOW_TRACKING_URI."
        )
    try:
        version = str(mlflow.MlflowClient().get_model_version_by_alias(name, "champion").version)
        shutil.rmtree(FOLDER, ignore_errors=True)
        mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=str(FOLDER))
    except (MlflowException, OSError) as error:
        sys.exit(
            f"error: Cannot take the champion of {name} out of the store {mlflow.get_tracking_uri()}: "
            f"{str(error).rstrip('.')}. TREELINE_MODEL names the model, MLFLOW_TRACKING_URI the store."
        )
    return version


if __name__ == "__main__":
    model = os.environ.get("TREELINE_MODEL", "CancerModel") + "Service"
    sys.stderr.write(f"Serving {model} version {fetch(model)}\n")
    os.execvp(sys.argv[1], sys.argv[1:])
