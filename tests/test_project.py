"""The project as a whole: its files agree with each other, importing does nothing, and `mlflow run` runs it."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import typing
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from architecture import imports
from conftest import REPOSITORY, STAGES, _copy, mlflow_at, python
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import treeline
from config import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = yaml.safe_load((REPOSITORY / "MLproject").read_text(encoding="utf-8"))
ENTRY_POINTS = PROJECT["entry_points"]
TOP = sorted(path.stem for path in REPOSITORY.glob("*.py"))
ROOMS = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for room in ("launch", "tracking", "treeline")
    for path in (REPOSITORY / room).rglob("*.py")
)
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def script_of(entry_point: str) -> str:
    """The script that an entry point's command runs, without its ending."""
    return re.match(r"python (\w+)\.py\b", ENTRY_POINTS[entry_point]["command"])[1]


def settings_of(entry_point: str) -> type[Settings]:
    """The settings that the script of an entry point takes."""
    script = importlib.import_module(script_of(entry_point))
    return typing.get_type_hints(getattr(script, "run", None) or getattr(script, entry_point.replace("-", "_")))[
        "settings"
    ]


def option_of(entry_point: str, name: str) -> str:
    """A setting's name in MLproject and on the command line: kebab-case, but for `hydra_options`, which the contract
    spells as Hydra would.
    """
    return name if entry_point == "sweep" else name.replace("_", "-")


def path_of(module: str) -> Path:
    """The file of a module, or of a package."""
    path = REPOSITORY / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def sources() -> Iterator[Path]:
    """Every file of the project that a person wrote."""
    beside = ("docs/*", "benchmarks/*", ".github/workflows/*", ".ci/*")
    for pattern in ("*", "launch/*.py", "tracking/*.py", "treeline/**/*.py", "tests/**/*.py", *beside):
        yield from (path for path in REPOSITORY.glob(pattern) if path.is_file())


# --- MLproject


def test_the_project_has_the_entry_points_of_the_contract() -> None:
    assert {"main", *STAGES} <= set(ENTRY_POINTS)
    assert {name: script_of(name) for name in STAGES} == {name: name.replace("-", "_") for name in STAGES}


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_parameters_and_defaults_are_those_of_the_settings(entry_point: str) -> None:
    declared = ENTRY_POINTS[entry_point]["parameters"]
    fields = settings_of(entry_point).model_fields
    expected = {
        option_of(entry_point, name): str(field.default).lower() if field.annotation is bool else field.default
        for name, field in fields.items()
    }
    assert {name: parameter["default"] for name, parameter in declared.items()} == expected
    for name, parameter in declared.items():
        assert parameter["type"] == ("string" if isinstance(expected[name], str) else "float")


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_every_parameter_stands_in_its_command_once_and_nothing_else_does(entry_point: str) -> None:
    given = re.findall(r"--([\w-]+) \{([\w-]+)\}", ENTRY_POINTS[entry_point]["command"])
    assert all(option == parameter for option, parameter in given)
    assert sorted(option for option, _ in given) == sorted(ENTRY_POINTS[entry_point]["parameters"])
    assert ENTRY_POINTS[entry_point]["command"].count("--") == len(given)


def test_a_parameter_of_a_stage_means_the_same_in_main() -> None:
    in_main = settings_of("main").model_fields
    meanings: dict[str, str | None] = {}
    for stage in STAGES:
        for name, parameter in ENTRY_POINTS[stage]["parameters"].items():
            assert ENTRY_POINTS["main"]["parameters"][name] == parameter
        fields = settings_of(stage).model_fields
        meanings = {name: field.description for name, field in fields.items()} | meanings
    differ = [name for name, meaning in meanings.items() if in_main[name].description != meaning]
    assert [name for name in differ if not name.endswith("_run_id")] == []


# --- the environment


def pins(name: str) -> list[Requirement]:
    lines = (REPOSITORY / name).read_text(encoding="utf-8").splitlines()
    lines = [line.partition("#")[0].strip() for line in lines]
    return [Requirement(line) for line in lines if line and line != "-r requirements.txt"]


def test_conda_installs_the_pinned_requirements_on_a_python_that_the_project_allows() -> None:
    environment = yaml.safe_load((REPOSITORY / PROJECT["conda_env"]).read_text(encoding="utf-8"))
    (pip,) = [each["pip"] for each in environment["dependencies"] if isinstance(each, dict)]
    assert pip == ["-r requirements.txt"]
    (version,) = [each for each in environment["dependencies"] if str(each).startswith("python=")]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.fullmatch(r"python=\d+\.\d+", version)
    assert version.partition("=")[2] in SpecifierSet(project["requires-python"])


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-oldest.txt"])
def test_every_requirement_is_one_exact_version_and_names_no_host(name: str) -> None:
    for requirement in pins(name):
        assert requirement.url is None
        assert re.fullmatch(r"==\d[\w.]*", str(requirement.specifier)), str(requirement)
    assert "://" not in (REPOSITORY / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("python_version", PYTHONS)
def test_every_python_gets_each_package_once(python_version: str) -> None:
    environment = {"python_version": python_version, "python_full_version": f"{python_version}.1"}
    chosen = [
        each.name for each in pins("requirements.txt") if not each.marker or each.marker.evaluate(dict(environment))
    ]
    assert len(chosen) == len(set(chosen))
    assert set(chosen) == {each.name for each in pins("requirements.txt")}


def test_the_oldest_versions_are_of_every_package_and_none_is_newer_than_the_newest() -> None:
    """Python's own range is stated once more in the workflow."""
    oldest = {each.name: str(each.specifier)[2:] for each in pins("requirements-oldest.txt")}
    for requirement in [*pins("requirements.txt"), *pins("requirements-dev.txt")]:
        name, newest = requirement.name, str(requirement.specifier)[2:]
        if name in oldest:
            assert Version(oldest[name]) <= Version(newest), name
    assert {each.name for each in pins("requirements.txt")} <= set(oldest)
    jobs = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["check"]["strategy"]["matrix"]["python"] == PYTHONS
    assert {"run": "make test-oldest"} in jobs["oldest"]["steps"]
    assert f"--python {PYTHONS[0]} .venv-oldest" in (REPOSITORY / "Makefile").read_text(encoding="utf-8")


# --- the package

PACKAGE = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_package_asks_for_the_oldest_versions_that_are_proven_and_for_all_that_it_imports() -> None:
    asked = {each.name: each for each in map(Requirement, PACKAGE["dependencies"])}
    oldest = {each.name: each for each in pins("requirements-oldest.txt")}
    for name, requirement in asked.items():
        if name in oldest:
            assert str(requirement.specifier) == str(oldest[name].specifier).replace("==", ">="), name
    core = {name for name in ROOMS if name.startswith("treeline")}
    imported = {each.imported.partition(".")[0] for each in imports(REPOSITORY) if each.importer in core}
    distributions = {"yaml": "pyyaml", "sklearn": "scikit-learn", "charset_normalizer": "charset-normalizer"}
    theirs = imported - sys.stdlib_module_names - {"treeline"}
    assert {distributions.get(name, name) for name in theirs} == set(asked)


FIT = """
import sys, treeline
from sklearn.datasets import load_iris
model = treeline.fit(load_iris(as_frame=True).frame, "target", n_trials=2, folds=2)
assert "mlflow" not in sys.modules and "loguru" not in sys.modules
print(treeline.__version__, len(model.search_.trials), model.predict(load_iris(as_frame=True).data.head(2)).tolist())
"""


@pytest.mark.project
def test_pip_installs_the_core_alone_and_it_fits(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for name in ("treeline", "tracking", "launch"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in REPOSITORY.glob("*.py"):
        shutil.copy(path, source)
    built = python("-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), ".", cwd=source)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert {name.partition("/")[0] for name in packed.namelist()} == {
            "treeline",
            f"treeline_ml-{treeline.__version__}.dist-info",
        }
        packed.extractall(tmp_path / "site")
    ran = python("-c", FIT, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert (ran.returncode, ran.stdout) == (0, f"{treeline.__version__} 2 [0, 0]\n"), ran.stderr


# --- importing, and the files (who imports whom: test_house.py)


IMPORT_ALL = """
import importlib, json, logging, os, signal, sys, threading, warnings
ours, theirs = (json.loads(argument) for argument in sys.argv[1:])
for name in theirs:
    importlib.import_module(name)
import mlflow
from loguru import logger

def state():
    return {
        "files": sorted(os.listdir()),
        "filters": [str(each) for each in warnings.filters],
        "environment": dict(os.environ),
        "tracking": str(mlflow.tracking._tracking_service.utils._tracking_uri),
        "run": str(mlflow.active_run()),
        "handlers": [str(each) for each in logging.root.handlers] + sorted(map(str, logger._core.handlers)),
        "stop": str(signal.getsignal(signal.SIGTERM)),
        "threads": threading.active_count(),
    }

before = state()
for name in ours:
    importlib.import_module(name)
after = state()
print(json.dumps({key: [before[key], after[key]] for key in before if before[key] != after[key]}))
"""


@pytest.mark.store
def test_importing_any_module_does_nothing(tmp_path: Path) -> None:
    """What the libraries do when they are imported is theirs; so they are imported first."""
    ours = [*TOP, *(name for name in ROOMS if name != "tracking.service")]  # which MLflow runs as a script
    imported = {each.imported for each in imports(REPOSITORY) if each.importer in ours}
    rooms = {"launch", "tracking", "treeline", "__future__"}
    theirs = sorted(name for name in imported if name.partition(".")[0] not in {*TOP, *rooms})
    ran = python("-c", IMPORT_ALL, json.dumps(ours), json.dumps(theirs), cwd=tmp_path, PYTHONPATH=str(REPOSITORY))
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == {}


def test_no_file_names_a_folder_of_one_machine() -> None:
    local = re.compile(r"/(home|Users|root|work|mnt)/\w")
    found = {
        str(path.relative_to(REPOSITORY)): match[0]
        for path in sources()
        if path.suffix in {"", ".py", ".md", ".toml", ".yaml", ".yml", ".txt"}
        and (match := local.search(path.read_text(encoding="utf-8")))
    }
    assert found == {}


# --- help


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_help_explains_every_parameter_with_its_default_and_range(
    entry_point: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script = importlib.import_module(script_of(entry_point))
    first = [] if hasattr(script, "run") else [entry_point]
    with pytest.raises(SystemExit) as stopped:
        script.main([*first, "--help"])
    assert stopped.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    for name, field in settings_of(entry_point).model_fields.items():
        assert f"--{option_of(entry_point, name)}" in words
        assert f"{field.description} (default: {field.default}".replace("default: )", "default:") in words
        for limit in (getattr(each, "ge", getattr(each, "gt", None)) for each in field.metadata):
            assert limit is None or str(limit) in field.description


@pytest.mark.project
def test_a_script_runs_from_anywhere(tmp_path: Path) -> None:
    ran = python(str(REPOSITORY / "main.py"), "--help", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "--test-size" in ran.stdout


def documents() -> str:
    names = ["README.md", "CONTRIBUTING.md", ".ci/run"]
    if not (REPOSITORY / "README.md").exists():
        pytest.skip("there is no README yet")
    return "\n".join((REPOSITORY / name).read_text(encoding="utf-8") for name in names if (REPOSITORY / name).exists())


@pytest.mark.project
def test_make_help_lists_every_target_that_the_documents_name() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", documents(), re.MULTILINE))
    listed = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert {"run", "test"} <= named
    assert named <= set(re.findall(r"make ([a-z-]+)", listed))
    assert {"help", "run", "test", "test-fast", "lint", "types", "ui", "clean", "smoke"} <= set(
        re.findall(r"make ([a-z-]+)", listed)
    )


def test_the_commands_of_the_readme_name_entry_points_and_parameters_that_exist() -> None:
    commands = re.findall(r"^mlflow run \. (.*?)(?:  +#.*)?$", documents(), re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        entry_point = (re.findall(r"-e (\S+)", command) or ["main"])[0]
        assert set(re.findall(r"-P ([\w-]+)=", command)) <= set(ENTRY_POINTS[entry_point]["parameters"]), command


def test_the_file_tree_of_the_readme_names_every_module_and_nothing_else() -> None:
    named = set(re.findall(r"\w+\.py\b", documents()))
    files = {path_of(name).name for name in [*TOP, *ROOMS]} - {"__init__.py"}
    assert files - named == set()
    assert named - files - {path.name for path in REPOSITORY.rglob("tests/*.py")} == set()


# --- mlflow run


class Project:
    """A copy of the project, started by `mlflow run` from another folder, on a store of its own."""

    def __init__(self, folder: Path, empty: Path) -> None:
        self.source, self.store = folder / "project", _copy(empty, folder / "elsewhere")
        unwanted = shutil.ignore_patterns(".*", "mlruns", "mlflow.db*", "studies", "tests", "__pycache__")
        shutil.copytree(REPOSITORY, self.source, ignore=unwanted)

    def run(self, entry_point: str, *argv: str) -> int:
        """Call the command `mlflow run`, without a process that would first import all of MLflow; what the project
        prints goes where this process prints. Give the exit code.
        """
        from mlflow.cli import cli

        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        command = ["run", str(self.source), "-e", entry_point, "--env-manager", "local", *argv]
        with mlflow_at(self.store):
            os.environ["PATH"] = path
            try:
                cli(command)
            except SystemExit as ended:
                return int(ended.code or 0)
        raise AssertionError("a command of click ends with SystemExit")

    def last(self, stage: str, experiment: str) -> Any:
        home = self.store.client.get_experiment_by_name(experiment).experiment_id
        return self.store.client.search_runs([home], f"tags.stage = '{stage}'", order_by=["start_time DESC"])[0]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Project:
    return Project(tmp_path_factory.mktemp("mlflow-run"), empty_store)


ODD = {
    "data-preprocessing": {"data": "iris", "test-size": "0.10", "seed": "1e1"},
    "hyperparameters-tuning": {"n-trials": "2.0", "folds": "2e0", "seed": "1e1"},
    "model-training": {"model-name": "OurFlowers"},
    "data-evaluation": {"promote": "always", "min-score": "accuracy=9e-1"},
}


@pytest.mark.project
def test_mlflow_run_chains_the_stages_in_the_experiment_it_was_given(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    for stage, parameters in ODD.items():
        given = [word for name, value in parameters.items() for word in ("-P", f"{name}={value}")]
        assert project.run(stage, "--experiment-name", "ours", *given) == 0, capfd.readouterr().err
        run = project.last(stage, "ours")
        assert (run.info.status, run.info.run_name) == ("FINISHED", stage)
        assert parameters.items() <= run.data.params.items()
    with mlflow_at(project.store):
        data, tuning, training, evaluation = (project.last(stage, "ours") for stage in STAGES)
        assert data.data.metrics["test_size"] == 15
        assert len(project.store.children(tuning.info.run_id)) == 2
        assert evaluation.data.tags["data_run_id"] == data.info.run_id
        assert evaluation.data.tags["training_run_id"] == training.info.run_id
        assert project.store.aliases("OurFlowersService") == {"challenger": "1", "champion": "1"}
        assert project.store.client.get_experiment_by_name("treeline") is None
    assert not list(project.source.glob("ml*s*"))


@pytest.mark.project
def test_mlflow_run_chains_the_stages_without_an_experiment_name(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    for stage, given in {"data-preprocessing": "test-size=1e-1", "hyperparameters-tuning": "n-trials=1"}.items():
        assert project.run(stage, "-P", given) == 0, capfd.readouterr().err
    data, tuning = (project.last(stage, "Default") for stage in STAGES[:2])
    assert data.data.metrics["test_size"] == 57
    assert (tuning.info.status, tuning.data.tags["data_run_id"]) == ("FINISHED", data.info.run_id)


@pytest.mark.project
@pytest.mark.parametrize(
    ("given", "code", "status"),
    [
        (["main", "-P", "data=iris", "-P", "dry-run=true"], 0, "FINISHED"),
        (["main", "-P", "data=iris", "-P", "test-siz=0.2"], 1, "FAILED"),
        (["lineage", "-P", "model=NoModel/1"], 1, "FAILED"),
    ],
    ids=["a dry run", "an unknown parameter", "lineage"],
)
def test_mlflow_run_leaves_no_nameless_run_where_no_stage_ran(
    project: Project, capfd: pytest.CaptureFixture[str], given: list[str], code: int, status: str
) -> None:
    experiment = f"none {given}"
    assert project.run(*given, "--experiment-name", experiment) == code, capfd.readouterr().err
    home = project.store.client.get_experiment_by_name(experiment).experiment_id
    (run,) = project.store.client.search_runs([home])
    assert (run.info.run_name, run.info.status) == (given[0], status)
    assert ("error" in run.data.tags) == (code == 1)
    assert "stage" not in run.data.tags


@pytest.mark.project
def test_mlflow_run_sweeps_over_combinations(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    options = "-m data=iris n_trials=1,2 folds=2 drop='sepal length (cm),sepal width (cm)'"
    ended = project.run("sweep", "--experiment-name", "swept", "-P", f"hydra_options={options}")
    assert ended == 0, capfd.readouterr().err
    run = project.last("sweep", "swept")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "sweep")
    assert set(run.data.params) == {"hydra_options"}  # as MLflow logs it, quoted for the shell
    chains = [each for each in project.store.children(run.info.run_id) if each.data.tags["stage"] == "main"]
    assert sorted(each.data.params["n-trials"] for each in chains) == ["1", "2"]
    assert {each.data.params["drop"] for each in chains} == {"sepal length (cm),sepal width (cm)"}
    assert not {"outputs", "multirun"} & {path.name for path in project.source.iterdir()}


@pytest.mark.project
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("typo=3", "error: Unknown parameter --typo."),
        ("test-size=1.5", "error: --test-size got '1.5': input should be less than 1"),
        ("drop=no such column", "error: drop names 'no such column'"),
    ],
)
def test_mlflow_run_fails_on_a_bad_parameter(
    project: Project, capfd: pytest.CaptureFixture[str], given: str, sentence: str
) -> None:
    assert project.run("data-preprocessing", "--experiment-name", "bad", "-P", given) != 0
    assert sentence in capfd.readouterr().err
    home = project.store.client.get_experiment_by_name("bad").experiment_id
    assert {run.info.status for run in project.store.client.search_runs([home])} == {"FAILED"}
