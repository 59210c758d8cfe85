"""Bad inputs: drawn by kind from a seed, each with how it is given and what may come of it, and the judge of one.

The tests draw some hundreds; the campaign of `benchmarks/faults.py` draws a thousand. Each is a command line of an
entry point, with files beside it, a file of the store that is damaged, or environment variables, that must end in one
sentence and the exit code of a mistake.
"""

import contextlib
import importlib
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from bad_values import (
    EXPRESSIONS,
    LONG,
    NO_BUNDLES,
    NO_COLUMNS,
    NO_COSTS,
    NO_ENCODINGS,
    NO_FILES,
    NO_MODELS,
    NO_NAMES,
    NO_NUMBERS,
    NO_OUTPUTS,
    NO_ROWS,
    NO_RUNS,
    NO_SCORES,
    NO_SOURCES,
    NO_STORAGES,
    NO_STUDIES,
    NO_SWITCHES,
    NO_THRESHOLDS,
    NO_URIS,
    NO_VERSIONS,
    NUL,
    OPTIONS,
    SPACES,
    SURROGATES,
    WORDS,
)
from conftest import Store, mlflow_at

LIMIT_SECONDS = 30
MAX_SENTENCE = 1_000  # characters of the sentence at the end, whatever was given
COMMAND_LINE = 2

GARBAGE: dict[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "garbage": bytes(range(256)) * 4,
    "text": b"not what it was\n",
    "number": b"7",
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "nested": b"[" * 100_000,
    "other": b'{"metric": [], "params": 3, "rounds": "many", "final_rounds": null, "classes": 1, "requests": 2}',
    "NaN": b'{"value": NaN, "metric": NaN}',
    "zip": b"PK\x03\x04garbage",
    "parquet": b"PAR1garbagePAR1",
}
CUT = "cut"  # a half of the file

# What a command reads of each stage's run in the store, and the command that does.
READ = [
    ("data-preprocessing", "problem.json", "hyperparameters-tuning", ()),
    ("data-preprocessing", "problem.json", "model-training", ()),
    ("data-preprocessing", "problem.json", "data-evaluation", ()),
    ("data-preprocessing", "problem.json", "lineage", ("--model=CancerModel/1",)),
    ("data-preprocessing", "problem.json", "main", ("--data-run-id=<data-preprocessing>",)),
    ("data-preprocessing", "train.parquet", "hyperparameters-tuning", ()),
    ("data-preprocessing", "train.parquet", "model-training", ()),
    ("data-preprocessing", "train.parquet", "data-evaluation", ()),
    ("data-preprocessing", "test.parquet", "data-evaluation", ()),
    ("data-preprocessing", "settings.json", "reproduce", ("--model=CancerModel/1",)),
    ("hyperparameters-tuning", "best.json", "model-training", ()),
    ("hyperparameters-tuning", "best.json", "reproduce", ("--model=CancerModel/1",)),
    ("hyperparameters-tuning", "trials.csv", "reproduce", ("--model=CancerModel/1",)),
    ("hyperparameters-tuning", "out_of_fold.parquet", "model-training", ("--threshold=f1",)),
    ("hyperparameters-tuning", "settings.json", "reproduce", ("--model=CancerModel/1",)),
    ("model-training", "golden.json", "data-evaluation", ()),
]
# Damage that leaves the file as good as it was, or that the command may do without.
HARMLESS = {("settings.json", "missing"), ("trials.csv", "NaN")}

ENVIRONMENTS: list[tuple[str, str]] = [
    ("MLFLOW_TRACKING_URI", "garbage://x"),
    ("MLFLOW_TRACKING_URI", "http://127.0.0.1:1"),
    ("MLFLOW_TRACKING_URI", "sqlite:///absent/mlflow.db"),
    ("MLFLOW_TRACKING_URI", "sqlite:////proc/mlflow.db"),
    ("MLFLOW_TRACKING_URI", "postgresql://127.0.0.1:1/x"),
    ("MLFLOW_TRACKING_URI", "http://["),
    ("MLFLOW_TRACKING_URI", "databricks"),
    ("MLFLOW_TRACKING_URI", "sqlite:///empty.csv/x"),
    ("MLFLOW_RUN_ID", "unknown"),
    ("MLFLOW_RUN_ID", "0" * 32),
    ("MLFLOW_RUN_ID", "../.."),
    ("MLFLOW_EXPERIMENT_NAME", "x" * 1_000),
    ("MLFLOW_EXPERIMENT_NAME", "   "),
    ("MLFLOW_EXPERIMENT_ID", "99"),
    ("MLFLOW_EXPERIMENT_ID", "unknown"),
    ("MLFLOW_EXPERIMENT_ID", ""),
]

# How each entry point is called: its module, and the words before its parameters.
ENTRY_POINTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "main": ("main", (), "MainSettings"),
    "data-preprocessing": ("data_preprocessing", (), "DataSettings"),
    "hyperparameters-tuning": ("hyperparameters_tuning", (), "TuningSettings"),
    "model-training": ("model_training", (), "TrainingSettings"),
    "data-evaluation": ("data_evaluation", (), "EvaluationSettings"),
    "sweep": ("sweep", (), "SweepSettings"),
    "batch-inference": ("batch_inference", (), "BatchSettings"),
    "reproduce": ("reproduction", (), "ReproduceSettings"),
    "rollback": ("model_registry", ("rollback",), "RollbackSettings"),
    "lineage": ("model_registry", ("lineage",), "LineageSettings"),
    "export-model": ("model_registry", ("export-model",), "ExportSettings"),
    "import-model": ("model_registry", ("import-model",), "ImportSettings"),
}
# What else an entry point needs so that the bad value is all that is wrong.
REST: dict[str, dict[str, str]] = {
    "main": {"dry-run": "true"},
    "data-preprocessing": {"dry-run": "true"},
    "hyperparameters-tuning": {"n-trials": "1", "folds": "2"},
    "batch-inference": {"input": "rows.csv", "output": "out.csv"},
    "export-model": {"model": "CancerModel/1", "output": "out.zip"},
}
# What a dry run of main does not look up; the stages do, and have the same setting.
LOOKED_UP = ("data_run_id", "tuning_run_id", "training_run_id", "eval_dataset", "storage")
# What cannot be, of settings that are text.
BAD_TEXT: dict[str, list[str]] = {
    "data": ["", *NO_FILES],
    "target": [word for word in NO_COLUMNS if word != "target"],
    "encoding": NO_ENCODINGS,
    "skip_rows": NO_ROWS,
    "drop": NO_COLUMNS,
    "derive": EXPRESSIONS,
    "numeric": NO_COLUMNS,
    "categorical": NO_COLUMNS,
    "datetime": NO_COLUMNS,
    "text": NO_COLUMNS,
    "sample_weight": NO_COLUMNS,
    "search_space": ["missing.yaml", "folder", NUL, LONG, SURROGATES, "/dev/null/x", "x" * 300, "/proc/self/mem"],
    "study_name": NO_STUDIES,
    "storage": NO_STORAGES,
    "data_run_id": NO_RUNS,
    "tuning_run_id": NO_RUNS,
    "training_run_id": NO_RUNS,
    "model_name": NO_NAMES,
    "threshold": NO_THRESHOLDS,
    "costs": NO_COSTS,
    "min_score": NO_SCORES,
    "eval_dataset": [word for word in NO_FILES if word.strip()],
    "hydra_options": OPTIONS,
    "input": ["", *NO_FILES],
    "output": NO_OUTPUTS,
    "model_uri": NO_URIS,
    "to_version": NO_VERSIONS,
    "model": NO_MODELS,
}
BAD_NUMBERS: dict[str, list[str]] = {
    "test_size": ["0", "1", "-0.1", "2", "1e-300", "0.9999999999"],
    "seed": ["-1", "1.5", "2147483648", "1e300", "1e-1"],
    "n_trials": ["0", "-1", "1.5", "1e300", "1e12"],
    "timeout": ["-1", "1e300", "-1e-9"],
    "folds": ["1", "0", "-2", "2.5", "1e9", "1e300"],
    "margin": ["-1", "-1e-9"],
    "interval": ["1", "-0.1", "2", "0.9999999"],
}


@dataclass(frozen=True)
class Case:
    """A bad input.

    Attributes:
        kind: what is bad about it.
        entry: the entry point.
        argv: its words; `<stage>` stands for the id of that stage's run.
        codes: the exit codes that may come of it.
        files: what lies beside it, by name.
        damaged: a stage, a file of its run, and what that is damaged by, one of `GARBAGE` or `CUT`.
        environment: variables.
    """

    kind: str
    entry: str
    argv: tuple[str, ...] = ()
    codes: tuple[int, ...] = (1, 2)
    files: tuple[tuple[str, bytes], ...] = ()
    damaged: tuple[str, str, str] | None = None
    environment: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Tell it on one line."""
        words = [repr(word) if len(word) < 120 else f"{word[:60]!r}... {len(word)} characters" for word in self.argv]
        beside = [f"{name}: {content[:80]!r}" for name, content in self.files if name == "space.yaml"]
        damage = [f"{self.damaged[2]} {self.damaged[1]}"] if self.damaged else []
        names = [f"{name}={value[:60]!r}" for name, value in self.environment]
        return " ".join([self.kind, self.entry, *words, *beside, *damage, *names])


def draw(count: int, seed: int = 0) -> list[Case]:
    """Draw different cases, as many of each kind as there are, and of the largest the rest."""
    rng = random.Random(seed)
    decks = [deck() for deck in (settings_cases, space_cases, store_cases, environment_cases, word_cases)]
    for deck in decks:
        rng.shuffle(deck)
    found: list[Case] = []
    while len(found) < count and any(decks):
        found += [deck.pop() for deck in decks if deck]
    return found[:count]


def settings_cases() -> list[Case]:
    """Every parameter of every entry point with what it cannot be."""
    import config

    found = []
    for entry, (_, _, name) in ENTRY_POINTS.items():
        settings = getattr(config, name)
        for setting, field in settings.model_fields.items():
            if entry == "main" and setting in LOOKED_UP:
                continue
            for value in _bad_values(entry, setting, field.annotation):
                rest = {key: each for key, each in REST.get(entry, {}).items() if key != settings.option(setting)}
                if setting in ("threshold", "interval", "costs") and entry == "model-training":
                    rest |= {"data-run-id": "<data-preprocessing>", "tuning-run-id": "<hyperparameters-tuning>"}
                words = [f"--{key}={each}" for key, each in rest.items()]
                codes = (1, 2, 4) if setting == "storage" else (1, 2)
                found.append(Case(setting, entry, (f"--{settings.option(setting)}={value}", *words), codes))
    return found


def _bad_values(entry: str, setting: str, annotation: Any) -> list[str]:
    if annotation is bool:
        return NO_SWITCHES
    if get_origin(annotation) is not None and all(isinstance(each, str) for each in get_args(annotation)):
        return ["", *WORDS]
    if annotation in (int, float):
        return [*NO_NUMBERS, *BAD_NUMBERS[setting]]
    if entry == "export-model" and setting == "output":
        return NO_BUNDLES
    if entry == "import-model" and setting == "input":
        return NO_SOURCES
    return BAD_TEXT.get(setting, [NUL, SURROGATES])


def space_cases() -> list[Case]:
    """Search spaces that cannot be read or settled."""
    words = ("--n-trials=1", "--folds=2", "--search-space=space.yaml")
    entries = [("hyperparameters-tuning", words), ("main", ("--dry-run=true", *words))]
    return [
        Case("search space", entry, argv, files=(("space.yaml", content),))
        for content in SPACES
        for entry, argv in entries
    ]


def store_cases() -> list[Case]:
    """Files of the store that are cut, empty, of another shape, garbage or gone."""
    return [
        Case("store", entry, argv, codes=(1, 4), damaged=(stage, file, damage))
        for stage, file, entry, argv in READ
        for damage in [CUT, *GARBAGE]
        if (file, damage) not in HARMLESS
    ]


def environment_cases() -> list[Case]:
    """Variables that lead nowhere."""
    return [
        Case("environment", entry, REST_OF_CHAIN.get(entry, ()), codes=(1, 2, 4), environment=(variable,))
        for variable in ENVIRONMENTS
        for entry in ("data-preprocessing", "model-training", "lineage", "rollback", "batch-inference", "sweep")
    ]


REST_OF_CHAIN = {
    "lineage": ("--model=CancerModel/99",),
    "rollback": ("--to-version=99",),
    "batch-inference": ("--input=missing.csv", "--output=out.csv"),
    "sweep": ("--hydra_options=n_trials=0",),
    "data-preprocessing": ("--target=no such column",),
    "model-training": ("--threshold=2",),
}


def word_cases() -> list[Case]:
    """Words that are no parameter, a value that is missing, a parameter given twice."""
    bad: list[tuple[str, ...]] = [("stray",), ("--",), ("-x",), ("--no-such", "1"), ("--no-such=1",), ("",), ("   ",)]
    bad += [(NUL,), (SURROGATES,), (LONG,), (f"--{LONG}",), ("--=1",), ("-",), ("@file",), ("--help=1",), ("--😀",)]
    found = [Case("words", entry, argv, codes=(2,)) for entry in ENTRY_POINTS for argv in bad]
    found += [Case("words", entry, ("--seed=1", "--seed=2"), codes=(2,)) for entry in ("main", "data-preprocessing")]
    combined = [
        ("--split=group",),
        ("--split=time",),
        ("--target=target", "--drop=target"),
        ("--numeric=mean radius", "--categorical=mean radius"),
    ]
    combined += [
        ("--target=target", "--sample-weight=target"),
        ("--split=group", "--split-column=no such"),
        ("--metric=rmse",),
        ("--drop=mean radius", "--numeric=mean radius"),
    ]
    combined += [
        ("--task=regression", "--metric=roc_auc"),
        ("--interval=0.9",),
        ("--data=diabetes", "--threshold=f1"),
        ("--data=iris", "--costs=fp=1"),
    ]
    combined += [
        ("--data=diabetes", "--min-score=accuracy=0.9"),
        ("--data=iris", "--threshold=0.5"),
        ("--data=rows.csv",),
        ("--task=multiclass", "--data=diabetes"),
    ]
    found += [Case("combined", "main", ("--dry-run=true", *argv)) for argv in combined]
    return found


# --- the judge


class TimeIsUpError(BaseException):
    """A case took too long; no command takes it for a failure of its own."""


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TimeIsUpError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def prepare(source: Store, folder: Path) -> Store:
    """Copy a chain's whole store, files and all, to a folder in which cases may do damage."""
    from tracking.relocation import PLACES

    shutil.copytree(source.folder, folder, dirs_exist_ok=True)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for table, column in PLACES.items():  # the source is still there, so `relocate` would leave them
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (f"{source.folder}/", f"{folder}/")
            )
    (folder / "folder").mkdir()
    (folder / "folder.csv").mkdir()
    (folder / "empty.csv").touch()
    (folder / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    return Store(folder, source.parent)


def verdict(case: Case, store: Store) -> str:
    """Run a case in this process; say what is wrong with how it ended, nothing where all is as it should be."""
    module, words, _ = ENTRY_POINTS[case.entry]
    argv = [*words, *(_named(word, store) for word in case.argv)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_in_place(case, store))
        stack.enter_context(mlflow_at(store))
        os.environ.update(case.environment)
        before = _kept(store.folder)
        out, err = io.StringIO(), io.StringIO()
        try:
            main: Callable[[Sequence[str]], int] = importlib.import_module(module).main
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _limited(LIMIT_SECONDS):
                code = main(argv)
        except BaseException as error:  # whatever it is, it is the verdict
            where = traceback.extract_tb(error.__traceback__)
            ours = [
                f"{Path(each.filename).name}:{each.lineno}" for each in where if "site-packages" not in each.filename
            ]
            return f"{type(error).__name__} at {ours[-1] if ours else '?'}: {str(error)[:200]}"
        return _complaint(case, code, err.getvalue(), before, _kept(store.folder))


def _complaint(case: Case, code: int, stderr: str, before: object, after: object) -> str:
    last = (stderr.splitlines() or [""])[-1]
    if code not in case.codes:
        return f"exit code {code}, expected {' or '.join(map(str, case.codes))}: {last[:200]}"
    if not last.startswith("error: ") or "Traceback" in stderr:
        return f"no sentence at the end: {last[:200]!r}"
    if len(last) > MAX_SENTENCE:
        return f"a sentence of {len(last)} characters: {last[:200]!r}"
    if not all(sign.isprintable() for sign in last):
        return f"signs that do not print: {last[:200]!r}"
    if code == COMMAND_LINE and before != after:
        return "exit code 2, and something was written"
    return ""


def _named(word: str, store: Store) -> str:
    for stage in ("data-preprocessing", "hyperparameters-tuning", "model-training", "data-evaluation"):
        if f"<{stage}>" in word:
            word = word.replace(f"<{stage}>", _run_of(store, stage))
    return word


def _run_of(store: Store, stage: str) -> str:
    """The id of the stage's run in the chain."""
    query = (
        "SELECT r.run_uuid FROM runs r JOIN tags t ON r.run_uuid = t.run_uuid JOIN tags p ON r.run_uuid = p.run_uuid "
        "WHERE t.key = 'stage' AND t.value = ? AND p.key = 'mlflow.parentRunId' AND p.value = ?"
    )
    with contextlib.closing(sqlite3.connect(store.folder / "mlflow.db")) as database:
        return str(database.execute(query, (stage, store.parent)).fetchone()[0])


@contextlib.contextmanager
def _in_place(case: Case, store: Store) -> Iterator[None]:
    """Put the files of a case where it looks for them, and all back as it was."""
    for name, content in case.files:
        (store.folder / name).write_bytes(content)
    path, kept = Path(), b""
    if case.damaged:
        stage, file, damage = case.damaged
        path = next(store.folder.glob(f"mlruns/*/{_run_of(store, stage)}/artifacts/{file}"))
        kept = path.read_bytes()
        content = kept[: len(kept) // 2] if damage == CUT else GARBAGE[damage]
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
    try:
        yield
    finally:
        if case.damaged:
            path.write_bytes(kept)
        for name, _ in case.files:
            (store.folder / name).unlink()


def _kept(folder: Path) -> object:
    """What a command could have added: files, and runs."""
    files = sorted(str(each) for each in folder.rglob("*") if not each.name.startswith("mlflow.db"))
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return files, database.execute("SELECT count(*) FROM runs").fetchone()


def told(results: Sequence[tuple[Case, str]]) -> str:
    """Tell the cases that did not hold, one a line."""
    return json.dumps([f"{case}: {wrong}" for case, wrong in results if wrong], indent=1, ensure_ascii=True)
