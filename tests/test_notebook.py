"""The notebook, built and executed by the recipe of `make notebook`, in a copy of the project with few trials."""

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, Store, mlflow_at, python
from PIL import Image

pytestmark = pytest.mark.project
TRIALS = 2
UNWANTED = (".*", "mlruns", "mlflow.db*", "studies", "tests", "docs", "benchmarks", "__pycache__", "store", "*.ipynb")


@dataclass(frozen=True)
class Executed:
    """What `make notebook` made in a copy of the project: the notebook, and the store that it worked in."""

    project: Path
    store: Store
    notebook: Any

    @property
    def cells(self) -> list[Any]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    def printed(self, tag: str) -> str:
        """What a cell printed."""
        (cell,) = [cell for cell in self.cells if tag in cell.metadata.get("tags", [])]
        return "".join(each.text for each in cell.outputs if each.output_type == "stream")


def make(project: Path) -> Executed:
    """Run the recipe with this Python, from a shell whose MLflow points elsewhere."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTEST_"))}
    elsewhere = f"sqlite:///{project.parent}/elsewhere.db"
    ran = subprocess.run(
        ["make", "-o", "env-dev", "notebook"],
        cwd=project,
        env={
            **clean,
            "PATH": paths,
            "IPYTHONDIR": str(project.parent / "ipython"),
            "TREELINE_TRIALS": str(TRIALS),
            "MLFLOW_TRACKING_URI": elsewhere,
            "MLFLOW_REGISTRY_URI": elsewhere,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    notebook = nbformat.read(project / "notebooks" / "modeling.ipynb", as_version=4)
    return Executed(project, Store(project / "notebooks" / "store"), notebook)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    project = tmp_path_factory.mktemp("notebook") / "project"
    shutil.copytree(REPOSITORY, project, ignore=shutil.ignore_patterns(*UNWANTED))
    return make(project)


@pytest.fixture
def work(executed: Executed) -> Iterator[Executed]:
    """The executed notebook, with MLflow pointing at its store."""
    with mlflow_at(executed.store):
        yield executed


def test_every_cell_ran_without_an_error_or_a_warning(executed: Executed) -> None:
    outputs = [output for cell in executed.cells for output in cell.outputs]
    assert [cell.execution_count for cell in executed.cells] == list(range(1, len(executed.cells) + 1))
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if "Warning" in output.get("text", "")] == []


def test_the_pictures_are_there_and_show_something(executed: Executed) -> None:
    found = [output.get("data", {}).get("image/png") for cell in executed.cells for output in cell.outputs]
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(each))).convert("RGB")) for each in found if each]
    assert len(pictures) == 4  # learning curves, trials compared, importance of the features, held-out metrics
    for picture in pictures:
        assert min(picture.shape[:2]) > 150
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_the_best_trials_are_those_of_the_store(executed: Executed) -> None:
    (cell,) = [cell for cell in executed.cells if "best" in cell.metadata.get("tags", [])]
    (shown,) = [output.data["text/plain"] for output in cell.outputs if output.output_type == "display_data"]
    trials = executed.store.runs("trial")
    complete = [run for run in trials if run.data.tags["state"] == "COMPLETE"]
    order = sorted(complete, key=lambda run: run.data.metrics["cv_log_loss"])
    assert len(trials) == TRIALS
    assert re.findall(r"^(\d+) ", shown, re.MULTILINE) == [run.data.tags["trial"] for run in order]
    assert str(round(order[0].data.metrics["cv_log_loss"], 4)) in shown


def test_the_served_answer_is_pyfuncs(work: Executed) -> None:
    served = pd.DataFrame(json.loads(work.printed("served"))["predictions"])
    rows = work.store.table(work.store.last("data-preprocessing").info.run_id, "test").head(len(served))
    expected = mlflow.pyfunc.load_model("models:/CancerModelService@champion").predict(rows.drop(columns="target"))
    assert list(served) == ["prediction", "probability_benign", "probability_malignant"]
    assert len(served) == 3
    pd.testing.assert_frame_equal(served, expected, check_dtype=False, rtol=1e-6)
    assert work.printed("refused").startswith("400: ")
    assert "mean radius" in work.printed("refused")


def test_the_server_is_stopped(executed: Executed) -> None:
    (port,) = set(re.findall(r"http://127.0.0.1:(\d+)", (executed.store.folder / "serve.log").read_text()))
    for _ in range(50):  # it ends its requests first
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", int(port))) != 0:
                return
        time.sleep(0.2)
    pytest.fail(f"something still listens on {port}")


def test_the_form_of_ones_own_declines_what_it_is_not_sure_of(work: Executed) -> None:
    version = work.store.client.get_model_version_by_alias("CancerModelCautious", "trial")
    assert version.description == "Made in the notebook from CancerModel version 1."
    model = mlflow.pyfunc.load_model("models:/CancerModelCautious@trial")
    rows = work.store.table(work.store.last("data-preprocessing").info.run_id, "test").drop(columns="target")
    pipeline = mlflow.sklearn.load_model("models:/CancerModel/1")
    assert list(model.predict(rows, params={"confidence": 0.0})["decision"]) == list(pipeline.predict(rows))
    answer = model.predict(rows, params={"confidence": 0.99})
    assert 0 < (answer["decision"] == "ask a person").mean() < 1
    assert ((answer["decision"] == "ask a person") == (answer["confidence"] < 0.99)).all()
    pd.testing.assert_frame_equal(model.predict(rows), model.predict(rows, params={"confidence": 0.9}))
    assert list(work.store.model_folder("CancerModelCautious", "1").rglob("*.pkl")) == []


def test_it_keeps_to_its_own_store(executed: Executed) -> None:
    assert executed.store.aliases("CancerModelService") == {"challenger": "1", "champion": "1"}
    assert list(executed.project.glob("ml*s*")) == []
    assert list(executed.project.parent.glob("elsewhere*")) == []


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_it_finds_the_project_from_its_folders(executed: Executed, folder: str) -> None:
    text = (executed.project / "notebooks" / "modeling.py").read_text(encoding="utf-8")
    set_up = text.split("# %%")[2] + "print(Path.cwd(), mlflow.get_tracking_uri(), data_preprocessing.__file__)"
    ran = python("-c", set_up, cwd=executed.project / folder)
    assert ran.returncode == 0, ran.stderr
    store = executed.store
    assert ran.stdout.split() == [str(store.folder), store.uri, str(executed.project / "data_preprocessing.py")]
