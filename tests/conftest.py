"""A real SQLite store in a temporary folder for every test that wants one, and three chains run once for all readers.

MLflow takes seconds to import and tests of pure functions do not need it, so every import of it here stands inside a
function.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("patient")

REPOSITORY = Path(__file__).resolve().parents[1]
# Of the environment that runs the tests, as make wants it; the Makefile's own is another one under `make test-oldest`.
BIN = f"BIN={os.path.relpath(Path(sys.executable).parent, REPOSITORY)}"
STAGES = ["data-preprocessing", "hyperparameters-tuning", "model-training", "data-evaluation"]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups after it
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Keep tests that share what a fixture of their module made on one worker; all others go where there is time."""
    for item in items:
        definitions = item._fixtureinfo.name2fixturedefs.values()
        if any(each.scope == "module" for same_name in definitions for each in same_name):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@dataclass(frozen=True)
class Store:
    """A SQLite store that lies in `folder` with its artifacts, and what tests ask of it.

    `parent` is the run of `main` that filled it and `printed` what that run wrote to standard output, where there was
    one.
    """

    folder: Path
    parent: str = ""
    printed: str = ""

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def client(self) -> Any:
        import mlflow

        return mlflow.MlflowClient(self.uri)

    def runs(self, stage: str = "") -> list[Any]:
        """All runs of a stage, or all there are, the newest first."""
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        query = f"tags.stage = '{stage}'" if stage else ""
        return list(self.client.search_runs(experiments, query, order_by=["start_time DESC"]))

    def last(self, stage: str) -> Any:
        return self.runs(stage)[0]

    def run(self, run_id: str) -> Any:
        return self.client.get_run(run_id)

    def children(self, run_id: str) -> list[Any]:
        """The runs under another one, by name."""
        below = [run for run in self.runs() if run.data.tags.get("mlflow.parentRunId") == run_id]
        return sorted(below, key=lambda run: run.info.run_name)

    def folder_of(self, run_id: str) -> Path:
        return Path(self.run(run_id).info.artifact_uri)

    def artifacts(self, run_id: str) -> list[str]:
        return sorted(each.path for each in self.client.list_artifacts(run_id))

    def table(self, run_id: str, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder_of(run_id) / f"{name}.parquet")

    def document(self, run_id: str, name: str) -> Any:
        return json.loads((self.folder_of(run_id) / name).read_text(encoding="utf-8"))

    def inputs(self, run_id: str) -> list[tuple[str, str, str]]:
        """Name, digest and context of every dataset that a run logged."""
        return [
            (each.dataset.name, each.dataset.digest, next((tag.value for tag in each.tags), ""))
            for each in self.run(run_id).inputs.dataset_inputs
        ]

    def versions(self) -> dict[str, list[str]]:
        """The version numbers under each registered name."""
        found: dict[str, list[str]] = {model.name: [] for model in self.client.search_registered_models()}
        for each in self.client.search_model_versions():
            found[each.name].append(str(each.version))
        return {name: sorted(numbers, key=int) for name, numbers in found.items()}

    def aliases(self, name: str) -> dict[str, str]:
        return {alias: str(number) for alias, number in self.client.get_registered_model(name).aliases.items()}

    def model_folder(self, name: str, version: str) -> Path:
        """Where the files of a registered version lie."""
        source = self.client.get_model_version(name, version).source
        return Path(self.client.get_logged_model(source.removeprefix("models:/")).artifact_location)

    def fake_run(self, stage: str, status: str = "FINISHED", experiment: str = "treeline", **tags: str) -> str:
        """Make a run of a stage that holds nothing but its tags."""
        found = self.client.get_experiment_by_name(experiment)
        home = found.experiment_id if found else self.client.create_experiment(experiment)
        run_id = self.client.create_run(home, run_name=stage, tags={"stage": stage, **tags}).info.run_id
        if status != "RUNNING":
            self.client.set_terminated(run_id, status)
        return str(run_id)


@contextlib.contextmanager
def mlflow_at(store: Store) -> Iterator[None]:
    """Work in a store's folder with MLflow pointing at it and knowing nothing else, neither before nor after."""
    from loguru import logger

    from treeline import interruption

    before, folder = os.environ.copy(), Path.cwd()
    stops = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _forget()
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    os.environ["MLFLOW_TRACKING_URI"] = store.uri
    os.chdir(store.folder)
    try:
        yield
    finally:
        _forget()
        logger.remove()  # a command has pointed it at a stderr that this test alone had
        for number, handler in stops.items():
            signal.signal(number, handler)
        interruption.withdraw()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)


def _forget() -> None:
    """Reset what MLflow remembers from one call to the next."""
    import mlflow
    from mlflow.tracking import fluent
    from mlflow.tracking._tracking_service import utils

    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    fluent._active_experiment_id = None
    mlflow.clear_active_model()
    utils._artifact_repos_cache.clear()  # by the ids of runs and models, which the copy of a store has too


def _copy(source: Path, folder: Path) -> Store:
    """Copy a store and its artifacts: an evaluation writes its card beside the model."""
    from tracking.relocation import PLACES

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "mlflow.db", folder / "mlflow.db")
    if (source / "mlruns").is_dir():
        shutil.copytree(source / "mlruns", folder / "mlruns")
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for table, column in PLACES.items():
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (f"{source}/", f"{folder}/"))
    return Store(folder)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store after its migrations, which take seconds, to copy from."""
    store = Store(tmp_path_factory.mktemp("empty"))
    with mlflow_at(store):
        store.client.search_experiments()
    return store.folder


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Iterator[Store]:
    """An empty store in `tmp_path`, which is also the working directory."""
    store = _copy(empty_store, tmp_path)
    with mlflow_at(store):
        yield store


def houses(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    """A table with every kind of column: fractions, whole numbers with and without gaps, booleans with and without
    gaps, text with gaps and non-ASCII levels; its target `kind of house` is text with blanks and slashes, with gaps.
    """
    rng = np.random.default_rng(seed)
    area, floor = rng.uniform(30, 200, rows).round(1), rng.integers(0, 9, rows)
    city = rng.choice(np.array(["Köln", "Málaga", "東京", "Łódź"], dtype=object), rows)
    sign = area / 25 - floor + 4 * (city == "東京") + rng.normal(0, 1, rows)
    kind = np.select([sign < -1, sign < 3], ["tower block", "flat / loft"], "semi detached").astype(object)

    def gaps(values: np.ndarray, share: float) -> np.ndarray:
        return np.where(rng.random(rows) < share, None, values.astype(object))

    kind[[5, rows // 4, rows // 2]] = None
    return pd.DataFrame(
        {
            "area [m²]": area,
            "rooms": pd.array(gaps(rng.integers(1, 7, rows), 0.1), dtype="Int64"),
            "floor": floor,
            "garden": rng.random(rows) < 0.5,
            "heated": gaps(rng.random(rows) < 0.8, 0.1),
            "city": gaps(city, 0.1),
            "kind of house": kind,
        }
    )


CHAINS = {
    "cancer": ["--n-trials", "2", "--folds", "2"],
    "mixed": ["--data", "houses.csv", "--target", "kind of house", "--n-trials", "2", "--folds", "3"],
    "diabetes": ["--data", "diabetes", "--n-trials", "2", "--folds", "2", "--test-size", "0.25"],
}


@contextlib.contextmanager
def once_for_all(folder: Path) -> Iterator[bool]:
    """Say whether this process is the first of those that share a folder; the others wait until it is done."""
    with contextlib.closing(sqlite3.connect(folder.with_suffix(".lock"), timeout=600, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield not (folder / "done.json").exists()


@pytest.fixture(scope="session")
def run_chain(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Callable[[str], Store]:
    """Give the store of one of `CHAINS` after `main`, which runs when a test of any worker first asks for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def run(name: str) -> Store:
        folder = shared / f"chain-{name}"
        with once_for_all(folder) as first:
            if first:
                _make_chain(name, _copy(empty_store, folder))
        return Store(folder, **json.loads((folder / "done.json").read_text(encoding="utf-8")))

    return run


def _make_chain(name: str, store: Store) -> None:
    import main

    houses().to_csv(store.folder / "houses.csv", index=False)
    with mlflow_at(store), contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main.main(CHAINS[name]) == 0
    done = {"parent": store.last("main").info.run_id, "printed": printed.getvalue()}
    (store.folder / "done.json").write_text(json.dumps(done), encoding="utf-8")


@pytest.fixture
def chain(request: pytest.FixtureRequest, run_chain: Callable[[str], Store]) -> Iterator[Store]:
    """The store of the chain that the parameter names, for tests that only read."""
    store = run_chain(request.param)
    with mlflow_at(store):
        yield store


@pytest.fixture
def cancer(run_chain: Callable[[str], Store]) -> Iterator[Store]:
    """The chain of the default table (two classes), for tests that only read."""
    store = run_chain("cancer")
    with mlflow_at(store):
        yield store


@pytest.fixture
def mixed(run_chain: Callable[[str], Store]) -> Iterator[Store]:
    """The chain of `houses()` (three classes, every kind of column), for tests that only read."""
    store = run_chain("mixed")
    with mlflow_at(store):
        yield store


@pytest.fixture
def diabetes(run_chain: Callable[[str], Store]) -> Iterator[Store]:
    """The chain of a regression, for tests that only read."""
    store = run_chain("diabetes")
    with mlflow_at(store):
        yield store


@contextlib.contextmanager
def copy_of(chain: Store, folder: Path) -> Iterator[Store]:
    """A copy of a chain's store to write in."""
    store = Store(_copy(chain.folder, folder).folder, chain.parent)
    with mlflow_at(store):
        yield store


@pytest.fixture
def cancer_copy(tmp_path: Path, run_chain: Callable[[str], Store]) -> Iterator[Store]:
    """The default table's chain, for tests that write."""
    with copy_of(run_chain("cancer"), tmp_path) as store:
        yield store


@pytest.fixture
def mixed_copy(tmp_path: Path, run_chain: Callable[[str], Store]) -> Iterator[Store]:
    """The chain of `houses()`, for tests that write."""
    with copy_of(run_chain("mixed"), tmp_path) as store:
        yield store


@pytest.fixture
def diabetes_copy(tmp_path: Path, run_chain: Callable[[str], Store]) -> Iterator[Store]:
    """The regression's chain, for tests that write."""
    with copy_of(run_chain("diabetes"), tmp_path) as store:
        yield store


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail, with an exit code if one is named; give the one sentence that it says last."""

    def run(main: Callable[[Sequence[str]], int], *argv: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(argv) in ([code] if code else [1, 2, 3, 4])
        stderr = capsys.readouterr().err
        last = stderr.splitlines()[-1]
        assert last.startswith("error: ")
        assert "Traceback" not in stderr
        return last.removeprefix("error: ")

    return run


def python(*argv: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in a process of its own, with no MLFLOW_ variable but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTEST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])
    return subprocess.run(
        [sys.executable, *argv],
        cwd=cwd,
        env={**clean, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
