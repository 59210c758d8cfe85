"""The commands that are disturbed, the folders they run in, and what is wrong with a folder after them."""

import multiprocessing
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faults_entry
from faults_store import NAME, broken_store, champion_of, versions_of

LIMIT_SECONDS = 300  # of a command that is not disturbed
SMALL = ("--n-trials", "3", "--folds", "2")
TABLE = ("--data", "table.csv", "--target", "y")
OLD_OUTPUT = "an output of before\n"
KNOWN = {"mlflow.db", "mlruns", "studies", "table.csv", "rows.csv", "out.csv", "model.zip", "bundle.zip"}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["faults_entry"])


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; negative the signal that killed it, None where it did not end in time.
        said: what it wrote on both streams.
        seconds: that it took.
    """

    code: int | None
    said: str
    seconds: float

    def complaints(self, *codes: int) -> list[str]:
        """Say what is wrong with it, if it was to end with one of some codes."""
        found = []
        if self.code not in codes:
            last = self.said.strip().splitlines()[-1:] or [""]
            found.append(f"exit code {self.code}, last line {last[0][:300]!r}")
        if "Traceback (most recent call last)" in self.said:
            found.append(f"a traceback, ending in {self.said.strip().splitlines()[-1][:300]!r}")
        return found


class Command:
    """A command under way in a folder.

    Args:
        folder: to stand in.
        module: of the entry point.
        argv: its command line.
        said: tells the file of what it says from those of others in the folder.
    """

    def __init__(self, folder: Path, module: str, argv: Sequence[str], said: str = "") -> None:
        self.said = Path(f"{folder}.said{said}")
        self.begin = time.perf_counter()
        self.process = context.Process(target=faults_entry.run, args=(module, list(argv), str(folder), str(self.said)))
        self.process.start()

    def wait(self, seconds: float = LIMIT_SECONDS) -> Ended:
        """Wait for its end; one that does not come is a hang, and killed."""
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
        text = self.said.read_text(errors="replace") if self.said.exists() else ""
        return Ended(code, text, time.perf_counter() - self.begin)


@dataclass(frozen=True)
class Scene:
    """A command to disturb.

    Attributes:
        what: it is called.
        module, argv: of the command.
        before: which folder it runs in: `fresh` has a table and no store; `champions` two judged versions and one that
            is not; `bundle` no store and a packed version.
        champion: the version that is the champion when it is done; empty where that is not told here.
        again: exit codes of the same command run once more after it was disturbed.
    """

    what: str
    module: str
    argv: tuple[str, ...]
    before: str = "champions"
    champion: str = ""
    again: tuple[int, ...] = (0,)


MAIN = Scene("main", "main", (*TABLE, *SMALL, "--study-name", "s", "--promote", "always"))
SCENES = [
    MAIN,
    Scene("main, first start", "main", (*TABLE, *SMALL, "--study-name", "s"), "fresh"),
    Scene("data-preprocessing", "data_preprocessing", TABLE),
    Scene("hyperparameters-tuning", "hyperparameters_tuning", (*SMALL, "--study-name", "s")),
    Scene("model-training", "model_training", ("--model-name", NAME)),
    Scene("data-evaluation", "data_evaluation", ("--model-name", NAME, "--promote", "always"), champion="3"),
    Scene("rollback", "model_registry", ("rollback", "--model-name", NAME), champion="1"),
    Scene("batch-inference", "batch_inference", ("--input", "rows.csv", "--output", "out.csv")),
    Scene(
        "export-model",
        "model_registry",
        ("export-model", "--model", f"{NAME}/2", "--output", "model.zip"),
        again=(0, 1),
    ),
    Scene("import-model", "model_registry", ("import-model", "--input", "bundle.zip"), "bundle", again=(0, 1)),
    Scene("reproduce", "reproduction", ("--model", f"{NAME}/1")),
    Scene("lineage", "model_registry", ("lineage", "--model", f"{NAME}/1")),
    Scene("sweep", "sweep", ("--hydra_options", "data=table.csv target=y n_trials=2 folds=2 seed=0,1")),
]


def write_table(folder: Path) -> None:
    """Write a seeded table of two classes, and rows to score."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 4)).round(3), columns=[f"x{i}" for i in range(4)])
    frame["city"] = rng.choice(["Berlin", "Paris", "Rome"], 400)
    y = np.where(frame.x0 + frame.x1 + (frame.city == "Rome") + rng.normal(size=400) > 0, "yes", "no")
    frame.assign(y=y).to_csv(folder / "table.csv", index=False)
    frame.to_csv(folder / "rows.csv", index=False)


@dataclass
class Place:
    """A folder for commands that is put back as it was before each of them.

    MLflow writes absolute paths of artifacts into its store, so each folder has copies of its own.

    Attributes:
        folder: where the commands stand.
        copies: the folders as they are before each kind of scene.
        seconds: that each scene takes undisturbed.
    """

    folder: Path
    copies: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the folders of all kinds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_table(self.folder)
        (self.folder / "out.csv").write_text(OLD_OUTPUT)
        self._keep("fresh")
        chain = (*TABLE, *SMALL, "--promote", "always")
        for seed in ("0", "1"):
            self.must("main", (*chain, "--seed", seed))
        self.must("main", (*chain[:-1], "never", "--seed", "2"))
        self._keep("champions")
        self.must("model_registry", ("export-model", "--model", f"{NAME}/1", "--output", "bundle.zip"))
        bundle = (self.folder / "bundle.zip").read_bytes()
        self.put_back("fresh")
        (self.folder / "bundle.zip").write_bytes(bundle)
        self._keep("bundle")

    def must(self, module: str, argv: Sequence[str]) -> Ended:
        """Run a command that has to succeed.

        Raises:
            RuntimeError: it does not.
        """
        ended = Command(self.folder, module, argv).wait()
        if ended.code != 0:
            raise RuntimeError(f"{module} {' '.join(argv)} ended with {ended.code}: {ended.said[-2000:]}")
        return ended

    def time(self, scene: Scene) -> float:
        """Give the seconds that a scene takes undisturbed, measured once."""
        if scene.what not in self.seconds:
            self.put_back(scene.before)
            self.seconds[scene.what] = self.must(scene.module, scene.argv).seconds
        return self.seconds[scene.what]

    def put_back(self, before: str) -> None:
        """Make the folder what it was before a kind of scene."""
        for each in self.folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        shutil.copytree(self.copies / before, self.folder, dirs_exist_ok=True)

    def _keep(self, before: str) -> None:
        shutil.copytree(self.folder, self.copies / before)

    def complaints(self, scene: Scene, again: Ended) -> list[str]:
        """Say what is wrong after a scene that was disturbed was run once more.

        Args:
            scene: it was.
            again: how that ended.
        """
        found = again.complaints(*scene.again)
        found += broken_store(self.folder / "mlflow.db")
        strays = sorted({each.name for each in self.folder.iterdir()} - KNOWN)
        passing = ("mlflow.db-",) if again.code == 0 else ("mlflow.db-", ".export-")  # which the next export removes
        strays = [name for name in strays if not name.startswith(passing)]
        if strays:
            found.append(f"left behind: {', '.join(strays)}")
        if scene.champion and (now := champion_of(self.folder / "mlflow.db")) != scene.champion:
            found.append(f"version {now} is the champion instead of {scene.champion}")
        if scene.what == "batch-inference" and len(pd.read_csv(self.folder / "out.csv")) != 400:
            found.append("the output lacks rows")
        if scene.what == "export-model":
            found += broken_zip(self.folder / "model.zip")
        if scene.what == "import-model" and len(versions_of(self.folder / "mlflow.db", NAME)) != 1:
            found.append(f"{len(versions_of(self.folder / 'mlflow.db', NAME))} versions instead of one")
        return found


def intact_output(folder: Path) -> list[str]:
    """Say what is wrong with the output of a batch that was disturbed: it is the old one or the whole new one."""
    text = (folder / "out.csv").read_text()
    if text == OLD_OUTPUT or text.count("\n") == 401:
        return []
    return [f"the output is neither the old one nor whole: {text.count(chr(10))} lines"]


def broken_zip(path: Path) -> list[str]:
    """Say what is wrong with a packed version; nothing where there is none."""
    if not path.exists():
        return []
    try:
        with ZipFile(path) as packed:
            return [f"{path.name}: {packed.testzip()} is damaged"] if packed.testzip() else []
    except BadZipFile as error:
        return [f"{path.name}: {error}"]
