"""Stage 1 on a real store, read back: the split, what is logged, and what bad input gets."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Store, houses
from sklearn import datasets

import data_preprocessing
from config import DataSettings
from treeline.data.dtypes import is_text

pytestmark = pytest.mark.store

STAGE = "data-preprocessing"
TARGET = "kind of house"


def rows_of(frame: pd.DataFrame) -> Counter[tuple[Any, ...]]:
    """Count each row, a missing value being None whatever it was."""
    return Counter(map(tuple, frame.astype(object).where(frame.notna(), None).to_numpy().tolist()))


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Make a missing value NaN where None stands in a column of objects."""
    objects = frame.select_dtypes("object").columns
    return frame.assign(**{name: frame[name].where(frame[name].notna(), np.nan) for name in objects})


def sides(store: Store, **settings: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run the stage; read both sides back."""
    run_id = data_preprocessing.run(DataSettings(**settings))
    assert store.run(run_id).info.status == "FINISHED"
    return store.table(run_id, "train"), store.table(run_id, "test")


def write_houses(**changes: Any) -> pd.DataFrame:
    """Write `houses.csv` into the working directory; give it as pandas reads it."""
    houses().assign(**changes).to_csv("houses.csv", index=False)
    return pd.read_csv("houses.csv")


# --- the split


@pytest.mark.parametrize("split", ["stratified", "random"])
def test_train_and_test_are_disjoint_and_together_complete(store: Store, split: str) -> None:
    source = datasets.load_iris(as_frame=True).frame.drop_duplicates()
    source.to_parquet("flowers.parquet", index=False)
    train, test = sides(store, data="flowers.parquet", target="target", split=split, test_size=0.3)
    assert not set(rows_of(train)) & set(rows_of(test))
    assert rows_of(train) + rows_of(test) == rows_of(source)


def test_duplicate_rows_are_each_kept_once(store: Store) -> None:
    source = pd.DataFrame({"x": [1, 1, 1, 2, 2, 2] * 10, "y": ["a", "b", "a", "b", "a", "b"] * 10})
    source.to_csv("twice.csv", index=False)
    train, test = sides(store, data="twice.csv", target="y")
    assert rows_of(train) + rows_of(test) == rows_of(source)


def test_both_sides_keep_the_shares_of_the_classes(cancer: Store) -> None:
    run_id = cancer.last(STAGE).info.run_id
    shares = [cancer.table(run_id, side)["target"].value_counts(normalize=True) for side in ("train", "test")]
    whole = datasets.load_breast_cancer(as_frame=True).frame["target"].mean()
    for share in shares:
        assert share["benign"] == pytest.approx(whole, abs=0.005)


def test_a_rare_class_stands_on_both_sides(store: Store) -> None:
    write_houses(**{TARGET: ["rare"] * 3 + ["common"] * 237})
    train, test = sides(store, data="houses.csv", target=TARGET)
    assert set(train[TARGET]) == set(test[TARGET]) == {"rare", "common"}


def test_the_same_seed_gives_the_same_split_and_another_seed_another(store: Store) -> None:
    first, again, other = (sides(store, data="iris", seed=seed) for seed in (3, 3, 4))
    for one, two in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one, two)
    assert rows_of(first[1]) != rows_of(other[1])


@pytest.mark.parametrize(("test_size", "expected"), [(0.5, 75), (0.1, 15), (0.001, 1)])
def test_test_size_is_honoured(store: Store, test_size: float, expected: int) -> None:
    train, test = sides(store, data="iris", test_size=test_size, split="random")
    assert (len(train), len(test)) == (150 - expected, expected)


# --- what is logged


def test_sizes_are_metrics(chain_sizes: tuple[dict[str, float], dict[str, float]]) -> None:
    logged, expected = chain_sizes
    assert {name: logged[name] for name in expected} == expected


@pytest.fixture(params=["cancer", "mixed", "diabetes"])
def chain_sizes(
    request: pytest.FixtureRequest, run_chain: Callable[[str], Store]
) -> tuple[dict[str, float], dict[str, float]]:
    store = run_chain(request.param)
    expected = {
        "cancer": {"full_data_size": 569, "features_count": 31, "train_size": 381, "test_size": 188},
        "mixed": {"full_data_size": 237, "features_count": 6, "train_size": 158, "test_size": 79},
        "diabetes": {"full_data_size": 442, "features_count": 10, "train_size": 331, "test_size": 111},
    }
    return store.last(STAGE).data.metrics, expected[request.param]


@pytest.mark.parametrize("chain", ["cancer", "mixed", "diabetes"], indirect=True)
def test_the_run_carries_its_tags_and_the_datasets_as_inputs(chain: Store) -> None:
    run = chain.last(STAGE)
    table = {"breast_cancer": "breast_cancer", "houses.csv": "houses", "diabetes": "diabetes"}[run.data.params["data"]]
    assert run.info.run_name == run.data.tags["stage"] == STAGE
    digest = run.data.tags["data_digest"]
    assert digest
    assert chain.inputs(run.info.run_id) == [
        (f"{table}-train", digest, "training"),
        (f"{table}-test", digest, "testing"),
    ]
    files = ["problem.json", "profile.html", "settings.json", "test.parquet", "train.parquet"]
    assert chain.artifacts(run.info.run_id) == files


def test_settings_are_logged_under_their_names_on_the_command_line(cancer: Store) -> None:
    assert cancer.last(STAGE).data.params == {
        "data": "breast_cancer",
        "target": "",
        "encoding": "",
        "skip-rows": "",
        "sheet": "",
        "task": "auto",
        "drop": "",
        "derive": "",
        "numeric": "",
        "categorical": "",
        "datetime": "",
        "text": "",
        "split": "stratified",
        "split-column": "",
        "sample-weight": "",
        "test-size": "0.33",
        "seed": "0",
        "dry-run": "False",
    }


def test_the_digest_is_of_every_row_and_the_target(store: Store) -> None:
    source = pd.DataFrame({"x": np.arange(12_000) % 7, "y": np.arange(12_000) % 2})
    last = source.copy()
    last.loc[11_999, "y"] = 1 - last.loc[11_999, "y"]  # beyond the 10,000 rows that MLflow would hash
    digests = []
    for name, frame in {"one": source, "two": source, "three": last}.items():
        frame.to_parquet(f"{name}.parquet", index=False)
        run_id = data_preprocessing.run(DataSettings(data=f"{name}.parquet", target="y"))
        digests.append(store.run(run_id).data.tags["data_digest"])
    assert digests[0] == digests[1] != digests[2]


# --- raw columns


def types_of(frame: pd.DataFrame) -> dict[str, str]:
    """Name the type of each column; text has one name, which pandas 2 has two for."""
    return {name: "text" if is_text(frame[name]) else str(frame[name].dtype) for name in frame}


def test_raw_columns_and_their_types_outlive_the_parquet_file(mixed: Store) -> None:
    source = pd.read_csv("houses.csv")
    run_id = mixed.last(STAGE).info.run_id
    both = pd.concat([mixed.table(run_id, side) for side in ("train", "test")], ignore_index=True)
    assert types_of(both) == types_of(source)
    labelled = source[source[TARGET].notna()]
    assert rows_of(both) == rows_of(labelled)


def test_a_parquet_file_keeps_its_own_types(store: Store) -> None:
    source = houses().astype({"floor": "int16", "area [m²]": "float32", "city": "category"})
    source = source[source[TARGET].notna()]
    source.to_parquet("houses.parquet", index=False)
    read = pd.read_parquet("houses.parquet")
    train, test = sides(store, data="houses.parquet", target=TARGET)
    assert types_of(train) == types_of(test) == types_of(read)
    assert rows_of(train) + rows_of(test) == rows_of(read)


def test_rows_keep_the_order_of_the_table(store: Store) -> None:
    pd.DataFrame({"row": range(100), "y": ["a", "b"] * 50}).to_csv("ordered.csv", index=False)
    for side in sides(store, data="ordered.csv", target="y"):
        assert side["row"].is_monotonic_increasing


def test_dropped_columns_are_gone(store: Store) -> None:
    write_houses()
    train, test = sides(store, data="houses.csv", target=TARGET, drop="city, area [m²]")
    expected = ["rooms", "floor", "garden", "heated", TARGET]
    assert list(train.columns) == list(test.columns) == expected
    assert store.last(STAGE).data.metrics["features_count"] == 4


def test_derived_columns_are_counted_and_settled_but_not_written_into_the_tables(store: Store) -> None:
    write_houses()
    train, _ = sides(store, data="houses.csv", target=TARGET, derive="per room = `area [m²]` / rooms")
    run = store.last(STAGE)
    assert "per room" not in train.columns
    assert run.data.metrics["features_count"] == 7
    assert store.document(run.info.run_id, "problem.json")["derived"] == {"per room": "`area [m²]` / rooms"}


def test_the_default_table_has_its_derived_column_and_labels_as_names(cancer: Store) -> None:
    problem = cancer.document(cancer.last(STAGE).info.run_id, "problem.json")
    assert problem["derived"] == {"additional_feature": "`mean symmetry` / `mean texture`"}
    assert problem["classes"] == ["benign", "malignant"]


def test_rows_without_a_target_are_left_out_counted_and_said(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_houses()
    assert data_preprocessing.main(["--data", "houses.csv", "--target", TARGET]) == 0
    run = store.last(STAGE)
    both = pd.concat([store.table(run.info.run_id, side) for side in ("train", "test")])
    assert both[TARGET].notna().all()
    assert rows_of(both) == rows_of(source.dropna(subset=TARGET))
    assert run.data.metrics["rows_without_target"] == 3
    assert "3 of 240 rows have no target" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "task", "classes"),
    [
        (["yes", "no"] * 30, "binary", ["no", "yes"]),
        ([True, False] * 30, "binary", [False, True]),
        ([0.0, None, 1.0] * 20, "binary", [0, 1]),
        (["a", "b", "c"] * 20, "multiclass", ["a", "b", "c"]),
        ([1, 2, 7] * 20, "multiclass", [1, 2, 7]),
        (np.linspace(0, 1, 60), "regression", []),
    ],
)
def test_the_task_follows_from_the_target(store: Store, target: Any, task: str, classes: list[Any]) -> None:
    pd.DataFrame({"x": range(60), "y": target}).to_csv("small.csv", index=False)
    sides(store, data="small.csv", target="y")
    problem = store.document(store.last(STAGE).info.run_id, "problem.json")
    assert (problem["task"], problem["classes"]) == (task, classes)


# --- what bad input gets


def two_classes(**changes: Any) -> pd.DataFrame:
    return pd.DataFrame({"size": range(20), "colour": ["red", "blue"] * 10, "label": ["a", "b"] * 10}).assign(**changes)


def write(content: str | bytes | pd.DataFrame, name: str = "bad.csv") -> Callable[[], object]:
    """Make what writes a bad file into the working directory."""
    path = Path(name)
    if isinstance(content, pd.DataFrame):
        return lambda: content.to_csv(path, index=False) if path.suffix == ".csv" else content.to_parquet(path)
    return lambda: path.write_bytes(content.encode() if isinstance(content, str) else content)


GOOD = write(two_classes())
DAYS = pd.date_range("2024-01-01", periods=20)
NOTES = pd.DataFrame({"note": [f"text {i}" for i in range(600)], "label": ["a", "b"] * 300})
PARQUET = ["--data", "bad.parquet"]

# What to write, further arguments, what the sentence must name.
BAD_TABLES: dict[str, tuple[Callable[[], object], list[str], list[str]]] = {
    "an empty file": (write(""), [], ["bad.csv", "empty"]),
    "a file of blank lines": (write("\n\n"), [], ["bad.csv"]),
    "a header without rows": (write("size,label\n"), [], ["bad.csv", "header", "no rows"]),
    "a CSV file with a torn quote": (write('size,label\n1,"a\n2,b,c,d\n'), [], ["Cannot read bad.csv"]),
    "a CSV file that is not text": (write(b"\xff\xfe\x00\xd8"), [], ["Cannot read bad.csv"]),
    "a Parquet file that is none": (write("size,label", "bad.parquet"), PARQUET, ["Cannot read bad.parquet"]),
    "an unknown target": (GOOD, ["--target", "labl"], ["'labl'", "mean 'label'", "'size', 'colour', 'label'"]),
    "no column beside the target": (write(two_classes()[["label"]]), [], ["no column beside the target 'label'"]),
    "a target with one class": (write(two_classes(label="a")), [], ["'label'", "'a'", "two classes"]),
    "a class of one row": (write(two_classes(label=["a", "b"] * 9 + ["a", "rare"])), [], ["'rare'", "one row"]),
    "a target that is always missing": (write(two_classes(label=None)), [], ["'label'", "missing"]),
    "nothing left to train on": (GOOD, ["--test-size", "0.99"], ["test_size=0.99", "0 to train on"]),
    "fewer rows than classes": (GOOD, ["--test-size", "0.01"], ["test_size=0.01", "1 rows", "2 classes"]),
    "no number left to train on": (
        write(two_classes(label=np.linspace(0, 1, 20))),
        ["--test-size", "0.999"],
        ["test_size=0.999", "0 to train on"],
    ),
    "a task that the target cannot have": (GOOD, ["--task", "regression"], ["'label'", "task=multiclass"]),
    "an unknown column to drop": (GOOD, ["--drop", "sise"], ["'sise'", "Did you mean 'size'"]),
    "the target to drop": (GOOD, ["--drop", "label"], ["'label'"]),
    "every column to drop": (GOOD, ["--drop", "size,colour"], ["No column is left"]),
    "a derived column from an unknown one": (GOOD, ["--derive", "a = 2 * sise"], ["'sise'", "Did you mean 'size'"]),
    "a derived column that runs code": (GOOD, ["--derive", "a = open(size)"], ["open(size)", "not supported"]),
    "numbers asked of text": (write(NOTES), ["--numeric", "note"], ["numeric names 'note'"]),
    "a split column that is not there": (
        GOOD,
        ["--split", "time", "--split-column", "sise"],
        ["'sise'", "Did you mean 'size'"],
    ),
    "a target of dates": (write(two_classes(label=DAYS[[0, 1] * 10]), "bad.parquet"), PARQUET, ["'label'"]),
}

# Refused before a run is opened, unless `mlflow run` has opened one, which then fails it.
BAD_SETTINGS = {
    "a kind of file that is not read": (["--data", "bad.docx", "--target", "y"], ["bad.docx", ".csv"]),
    "no target": (["--data", "good.csv", "--target", ""], ["target=COLUMN", "'size', 'colour', 'label'"]),
    "a group split without a column": (["--split", "group"], ["split_column"]),
    "a split column without its split": (["--split-column", "size"], ["split=group or split=time"]),
    "a missing file": (["--data", "bad.csv", "--target", "label"], ["No file", "bad.csv", "breast_cancer"]),
    "a built-in table misspelled": (["--data", "irsi"], ["irsi", "Did you mean 'iris'"]),
    "a test size of zero": (["--test-size", "0"], ["--test-size", "'0'", "greater than 0"]),
    "a test size of one": (["--test-size", "1"], ["--test-size", "'1'", "less than 1"]),
    "a test size below zero": (["--test-size", "-0.2"], ["--test-size", "'-0.2'", "greater than 0"]),
    "a test size that is no number": (["--test-size", "half"], ["--test-size", "'half'", "number"]),
    "a test size that is not a number": (["--test-size", "nan"], ["--test-size", "'nan'"]),
    "a negative seed": (["--seed", "-1"], ["--seed", "-1", "from 0"]),
    "a broken seed": (["--seed", "0.5"], ["--seed", "'0.5'"]),
    "a task that does not exist": (["--task", "ranking"], ["--task", "'ranking'", "'binary'"]),
    "an unknown parameter": (["--test-sise", "0.2"], ["--test-sise", "Did you mean '--test-size'"]),
    "a parameter cut short": (["--test", "0.2"], ["--test", "--test-size"]),
    "a parameter without a value": (["--test-size"], ["test-size"]),
    "a word that belongs to nothing": (["0.2"], ["0.2"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_one_sentence_and_leaves_nothing_but_a_failed_run(
    store: Store, refused: Callable[..., str], case: str
) -> None:
    make, argv, words = BAD_TABLES[case]
    make()
    given = {"--data": "bad.csv", "--target": "label"} | dict(zip(argv[::2], argv[1::2], strict=True))
    sentence = refused(data_preprocessing.main, *(word for pair in given.items() for word in pair))
    assert [word for word in words if word not in sentence] == []
    (run,) = store.runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == sentence
    assert store.artifacts(run.info.run_id) == ["settings.json"]
    assert store.versions() == {}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_a_bad_setting_is_one_sentence_and_leaves_nothing(store: Store, refused: Callable[..., str], case: str) -> None:
    argv, words = BAD_SETTINGS[case]
    two_classes().to_csv("good.csv", index=False)
    Path("bad.docx").touch()
    sentence = refused(data_preprocessing.main, *argv)
    assert [word for word in words if word not in sentence] == []
    assert store.runs() == []


def test_a_split_by_time_logs_how_its_sides_differ(store: Store) -> None:
    rng = np.random.default_rng(0)
    later = np.arange(400) >= 300
    rows = {"day": pd.date_range("2024-01-01", periods=400), "x": rng.normal(3.0 * later), "z": rng.normal(size=400)}
    pd.DataFrame(rows).assign(y=rng.integers(0, 2, 400)).to_csv("days.csv", index=False)
    settings = {"data": "days.csv", "target": "y", "split": "time", "split_column": "day", "test_size": 0.25}
    run_id = data_preprocessing.run(DataSettings(**settings))
    assert {"drift.csv", "drift.png"} <= set(store.artifacts(run_id))
    found = pd.read_csv(store.folder_of(run_id) / "drift.csv").set_index("column")
    assert found.index[found["drifts"]].tolist() == ["x"]
    assert "its median went from" in store.run(run_id).data.tags["warnings"]
    assert "drift.csv" not in store.artifacts(data_preprocessing.run(DataSettings(data="days.csv", target="y")))
