"""The house: who may import whom, and what the core never does. docs/architecture.md tells the same rules."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest
from architecture import PACKAGES, PICTURE, ROOMS, drawn, graph, imports, modules, room_of
from conftest import REPOSITORY

TREELINE = {"serving", "evaluation", "tuning", "model", "reporting", "data", "ground"}
UNDER_A_VERB = {"launch", "utils", "config", "tracking", *TREELINE}
MAY_IMPORT = {
    "compositions": {"compositions", "stages", "entry points", *UNDER_A_VERB},  # main is an entry point too
    "stages": UNDER_A_VERB,
    "entry points": UNDER_A_VERB,
    "launch": {"launch", "config", *TREELINE},
    "utils": {"config", "tracking", *TREELINE},
    "config": TREELINE,
    "tracking": {"tracking", *TREELINE},
    "serving": {"serving", "evaluation", "model", "data", "ground"},
    "evaluation": {"evaluation", "model", "data", "ground"},
    "tuning": {"tuning", "model", "data", "ground"},
    "model": {"model", "data", "ground"},
    "reporting": {"reporting", "data", "ground"},
    "data": {"data", "ground"},
    "ground": {"ground"},
}
NOT_IN_THE_CORE = {"mlflow", "tqdm", "loguru"}
UNSEEN = {"importlib", "importlib.util", "runpy"}  # what imports by a name that only a run knows
OPTION = re.compile(r"(?<![\w!-])--[a-z][\w-]*")
BESIDE = {"tests", "benchmarks", "docker", "notebooks", "examples", "docs", "mlruns", "build", "dist"}


def files_of(root: Path) -> set[Path]:
    """Every Python file of the house, told by where it does not lie: a folder of a new name is in."""
    folders = [each for each in root.iterdir() if each.is_dir() and each.name not in BESIDE and each.name[0] != "."]
    return {*root.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))}


def broken_imports(root: Path) -> Iterator[str]:
    """A sentence for every import that no rule allows."""
    files = modules(root)
    rooms = {name: room_of(path, root) for name, path in files.items()}
    for each in imports(root):
        room, target = rooms[each.importer], rooms.get(each.imported, "")
        place = f"{files[each.importer].relative_to(root).as_posix()}:{each.line} imports {each.imported}"
        if each.imported.startswith("."):
            yield f"{place}: write the module's full name"
        elif each.imported in UNSEEN:
            yield f"{place}: an import is written as one, or no test sees it"
        elif room in TREELINE and each.imported.partition(".")[0] in NOT_IN_THE_CORE:
            yield f"{place}: treeline/ is pure"
        elif each.importer == "treeline" and each.deferred and target in TREELINE:
            pass  # `treeline.fit`, which must not load every room with the package
        elif target and each.importer != each.imported and target not in MAY_IMPORT.get(room, set()):
            allowed = ", ".join(name for name in ROOMS if name in MAY_IMPORT.get(room, set()))
            yield f"{place}: {room} may not import {target}; it may import {allowed}"


def circles(root: Path) -> Iterator[str]:
    """A sentence if modules import each other in a circle."""
    files = modules(root)
    needs: dict[str, set[str]] = {name: set() for name in files}
    for each in imports(root):
        if each.imported in files and each.imported != each.importer and not each.deferred:
            needs[each.importer].add(each.imported)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        yield "a circle of imports: " + " <- ".join(error.args[1])


def option_in(node: ast.AST) -> str:
    """The option of a command line that a string names: `--x`, also `f"--{name}"`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return "".join(OPTION.findall(node.value)[:1])
    if isinstance(node, ast.JoinedStr):
        before = [
            part.value
            for part, after in pairwise(node.values)
            if isinstance(after, ast.FormattedValue) and isinstance(part, ast.Constant)
        ]
        return "--{}" if any(re.search(r"(?<![\w-])--$", part) for part in before) else ""
    return ""


def impure(root: Path) -> Iterator[str]:
    """A sentence for everything in treeline/ that speaks to a person at a terminal."""
    for path in sorted((root / "treeline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(root).as_posix()}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Name) and node.id == "print":
                yield f"{place} prints: give the words back"
            if option := option_in(node):
                yield f"{place} names {option}, an option of a command line: name the parameter in words"


def unchecked(root: Path) -> Iterator[str]:
    """A sentence for every file and every room that the rules above would pass over."""
    files = modules(root)
    for path in sorted(files_of(root) - set(files.values())):
        yield f"{path.relative_to(root).as_posix()} is in no folder that the rules are held in: {', '.join(PACKAGES)}"
    rooms = {room_of(path, root) for path in files.values() if path.name != "__init__.py"}
    for room in ROOMS:
        if room not in rooms:
            yield f"{room} holds no module: there is nothing to check"
    for path in files.values():
        if room_of(path, root) not in MAY_IMPORT:
            yield f"{path.relative_to(root).as_posix()} is in no room that has rules"


def broken_rules(root: Path) -> list[str]:
    return [*unchecked(root), *broken_imports(root), *circles(root), *impure(root)]


# --- this house


def test_the_house_keeps_its_rules() -> None:
    broken = broken_rules(REPOSITORY)
    assert not broken, "\n".join(["", *broken])


def test_every_file_of_the_house_is_checked() -> None:
    assert len(modules(REPOSITORY)) == len(files_of(REPOSITORY)) >= 40
    assert {each.importer for each in imports(REPOSITORY)} <= set(modules(REPOSITORY))
    assert set(MAY_IMPORT) == set(ROOMS)


def test_the_picture_is_of_this_code() -> None:
    drawn_now = drawn(*graph(REPOSITORY))
    assert PICTURE.read_text(encoding="utf-8") == drawn_now, "run python docs/architecture.py"


# --- a small house with one broken rule


HOUSE = {
    "main.py": "import data_evaluation\nfrom launch.hydra import read\n",
    "sweep.py": "import main\nif __name__ == '__main__':\n    import sweep\n",
    "data_evaluation.py": "import mlflow\nfrom config import Settings\nfrom utils import command\n",
    "batch_inference.py": "from treeline.serving import scoring\nfrom tracking import runs\n",
    "config.py": "from treeline.data.tables import BUILT_IN\n",
    "utils.py": "from tracking.runs import check_store\nprint('--help')\n",
    "launch/__init__.py": "",
    "launch/hydra.py": "import config\nfrom treeline.evaluation.criteria import parse\n",
    "tracking/__init__.py": "",
    "tracking/runs.py": "import mlflow\nfrom treeline.model.estimator import Estimator\n",
    "treeline/__init__.py": "def fit():\n    from treeline.model.estimator import Estimator\n",
    "treeline/metrics.py": "from treeline import UserError\n",
    "treeline/serving/__init__.py": "",
    "treeline/serving/scoring.py": "from treeline.evaluation.criteria import parse\n",
    "treeline/evaluation/__init__.py": "",
    "treeline/evaluation/criteria.py": "import treeline.model.estimator\n",
    "treeline/tuning/__init__.py": "",
    "treeline/tuning/trial.py": "from treeline.model.estimator import Estimator\n",
    "treeline/model/__init__.py": "",
    "treeline/model/estimator.py": "from treeline.data.tables import read\nfrom treeline.metrics import metrics_of\n",
    "treeline/reporting/__init__.py": "",
    "treeline/reporting/plots.py": "from treeline.data.tables import read\nSTYLE = dict(linestyle='--')  # --x\n",
    "treeline/data/__init__.py": "",
    "treeline/data/tables.py": "from treeline import UserError\n",
}
PLANTED = [
    ("data_evaluation.py", "import data_preprocessing", "stages may not import stages"),
    ("data_evaluation.py", "import main", "stages may not import compositions"),
    ("batch_inference.py", "from data_evaluation import run", "entry points may not import stages"),
    ("batch_inference.py", "import model_registry", "entry points may not import entry points"),
    ("batch_inference.py", "def f():\n    from sweep import run", "entry points may not import compositions"),
    ("config.py", "import utils", "config may not import utils"),
    ("config.py", "from tracking import runs", "config may not import tracking"),
    ("utils.py", "import main", "utils may not import compositions"),
    ("utils.py", "import launch.hydra", "utils may not import launch"),
    ("launch/hydra.py", "from main import run", "launch may not import compositions"),
    ("launch/hydra.py", "from data_evaluation import run", "launch may not import stages"),
    ("launch/hydra.py", "from tracking.runs import find_run", "launch may not import tracking"),
    ("launch/hydra.py", "import utils", "launch may not import utils"),
    ("tracking/runs.py", "from config import Settings", "tracking may not import config"),
    ("tracking/runs.py", "import data_evaluation", "tracking may not import stages"),
    ("tracking/runs.py", "import batch_inference", "tracking may not import entry points"),
    ("tracking/runs.py", "import utils", "tracking may not import utils"),
    ("tracking/runs.py", "import launch", "tracking may not import launch"),
    ("treeline/serving/scoring.py", "import treeline.tuning.trial", "serving may not import tuning"),
    ("treeline/serving/scoring.py", "from treeline.reporting import plots", "serving may not import reporting"),
    ("treeline/evaluation/criteria.py", "from treeline.serving import scoring", "evaluation may not import serving"),
    ("treeline/evaluation/criteria.py", "from treeline import tuning", "evaluation may not import tuning"),
    ("treeline/tuning/trial.py", "import treeline.evaluation", "tuning may not import evaluation"),
    ("treeline/model/estimator.py", "import treeline.tuning.trial as t", "model may not import tuning"),
    ("treeline/model/estimator.py", "import treeline.evaluation.criteria", "model may not import evaluation"),
    ("treeline/reporting/plots.py", "from treeline.model import estimator", "reporting may not import model"),
    ("treeline/data/tables.py", "def f():\n    import treeline.model.estimator", "data may not import model"),
    ("treeline/data/tables.py", "from treeline.reporting import plots", "data may not import reporting"),
    ("treeline/data/tables.py", "import config", "data may not import config"),
    ("treeline/data/tables.py", "import tracking.runs", "data may not import tracking"),
    ("treeline/data/tables.py", "from main import run", "data may not import compositions"),
    ("treeline/metrics.py", "from treeline.data.tables import read", "ground may not import data"),
    ("treeline/metrics.py", "def f():\n    import treeline.data.tables", "ground may not import data"),
    ("treeline/__init__.py", "from treeline.model.estimator import Estimator", "ground may not import model"),
    ("treeline/__init__.py", "def f():\n    import config", "ground may not import config"),
    ("treeline/data/tables.py", "from . import values", "write the module's full name"),
    ("main.py", "from .launch import hydra", "write the module's full name"),
    ("treeline/data/tables.py", "from importlib import import_module", "an import is written as one"),
    ("treeline/data/tables.py", "import mlflow", "treeline/ is pure"),
    ("treeline/serving/scoring.py", "from mlflow.exceptions import MlflowException", "treeline/ is pure"),
    ("treeline/tuning/trial.py", "def f():\n    from tqdm import tqdm", "treeline/ is pure"),
    ("treeline/cpus.py", "import loguru", "treeline/ is pure"),
    ("treeline/data/tables.py", "print('rows')", "prints: give the words back"),
    ("treeline/data/tables.py", "DROP = 'leave it out with --drop.'", "names --drop, an option"),
    ("treeline/data/tables.py", '"""Read by `--data`."""', "names --data, an option"),
    ("treeline/data/tables.py", "SIZE = f'--test-size {1}'", "names --test-size, an option"),
    ("treeline/data/tables.py", "SIZE = f'asked for by --{1}'", "names --{}, an option"),
    ("tracking/registry.py", "import tracking.champions", "a circle of imports: "),
    ("treeline/explaining/shap.py", "", "is in no room that has rules"),
    ("core/tables.py", "", "is in no folder that the rules are held in"),
]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for name, source in HOUSE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source, encoding="utf-8")
    return tmp_path


def plant(root: Path, name: str, source: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text(encoding="utf-8") if path.exists() else "") + source + "\n", encoding="utf-8")


def test_a_house_that_keeps_the_rules_breaks_none(house: Path) -> None:
    assert broken_rules(house) == []
    assert {each.imported for each in imports(house) if each.deferred} == {"treeline.model.estimator"}


@pytest.mark.parametrize(("name", "source", "sentence"), PLANTED)
def test_a_broken_rule_is_named(house: Path, name: str, source: str, sentence: str) -> None:
    for beside in ("data_preprocessing.py", "model_registry.py", "treeline/data/values.py"):
        plant(house, beside, "")
    plant(house, "tracking/champions.py", "import tracking.registry")
    plant(house, name, source)
    broken = [each for each in broken_rules(house) if sentence == "a circle of imports: " or "circle" not in each]
    assert len(broken) == 1, broken
    assert sentence in broken[0]
    assert name in broken[0] or name[:-3].replace("/", ".") in broken[0]


@pytest.mark.parametrize("room", ["launch", "tracking", "treeline/data", "treeline/serving"])
def test_a_folder_of_another_name_is_named(house: Path, room: str) -> None:
    (house / room).rename(house / f"{room}s")
    broken = broken_rules(house)
    assert f"{room.rpartition('/')[2]} holds no module: there is nothing to check" in broken
    assert any(each.startswith(f"{room}s/") for each in broken)


def test_the_picture_is_compared_with_the_code(house: Path) -> None:
    """As a command, on a copy of the script whose picture is of another house."""
    plant(house, "docs/architecture.py", (REPOSITORY / "docs/architecture.py").read_text(encoding="utf-8"))
    (house / "docs/pictures").mkdir()

    def script(*argv: str) -> tuple[int, str]:
        command = [sys.executable, str(house / "docs/architecture.py"), *argv]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stderr

    assert script("--check")[0] == 1
    assert script() == (0, "")
    assert script("--check") == (0, "")
    plant(house, "treeline/tuning/schedule.py", "")
    code, said = script("--check")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("error: architecture.svg shows other imports")
    assert script() == (0, "")
    assert "\ntuning: schedule, trial\n" in (house / "docs/pictures/architecture.svg").read_text(encoding="utf-8")
    plant(house, "treeline/explaining/shap.py", "")
    assert "'explaining' is no room of the house" in script("--check")[1]
