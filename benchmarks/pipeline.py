"""The whole job, `mlflow run` to `mlflow run`: main against the four stages of the tutorial way, one by one.

Each has a store of its own that exists before the clock starts, and as many trials to make.

Run: make bench-pipeline
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow
from common import interleave, ratio

HERE = Path(__file__).resolve().parent


def mlflow_run(project: Path, store: str, *arguments: str) -> None:
    """Run an entry point of a project in this environment, as a person would."""
    tool = Path(sys.executable).with_name("mlflow")
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db"}
    command = [str(tool), "run", str(project), "--env-manager", "local", *arguments]
    done = subprocess.run(command, env=environment, cwd=store, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


def new_store() -> str:
    """Make a folder with a fresh SQLite store."""
    folder = tempfile.mkdtemp()
    mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder


def main() -> None:
    """Measure and print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=10)
    options = parser.parse_args()
    stores = {name: [new_store() for _ in range(options.repeats)] for name in ("ours", "tutorial")}

    def ours() -> None:
        mlflow_run(HERE.parent, stores["ours"].pop(), "-P", f"n-trials={options.trials}")

    def tutorial() -> None:
        store = stores["tutorial"].pop()
        for stage in ("preprocess", "tune", "train", "evaluate"):
            trials = ["-P", f"n_trials={options.trials}"] if stage == "tune" else []
            mlflow_run(HERE / "tutorial", store, "-e", stage, *trials)

    seconds = interleave({"main": ours, "the tutorial way": tutorial}, options.repeats)
    print(f"  main / the tutorial way: {ratio(seconds['main'], seconds['the tutorial way'])}")


if __name__ == "__main__":
    main()
