"""Read a table from a file, or one of scikit-learn's built-in ones, into a frame with its target."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from treeline import UserError, nearest
from treeline.data.chunks import chunks
from treeline.data.dtypes import is_numeric
from treeline.data.files import (
    AS_IT_STANDS,
    ENDINGS,
    WHAT_IS_READ,
    Download,
    FileSettings,
    TableFile,
    exists,
    is_remote,
    local_copy,
    path_kind,
)
from treeline.data.numbers import is_plain
from treeline.data.parquet_files import has_parts
from treeline.data.reading import read_path
from treeline.data.values import as_categories, to_datetimes, to_numeric
from treeline.secrets import without_secrets

MIN_SHARE_OF_VALUES = 0.3  # of names that are numbers, from which a header is rather a row
MIN_POSSIBLE = 100  # different rows that the values could make, for each that there is
BUILT_IN: dict[str, Callable[..., Any]] = {
    "breast_cancer": datasets.load_breast_cancer,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}


@dataclass(frozen=True)
class Table:
    """A table as it was read: raw columns, the target among them, where they came from, and how they were read."""

    name: str
    frame: pd.DataFrame
    target: str
    source: str
    notes: list[str] = field(default_factory=list)


def read_table(
    data: str, target: str = "", download: Download | None = None, files: FileSettings = AS_IT_STANDS
) -> Table:
    """Read a built-in table by its name, or a file.

    Args:
        data: one of `BUILT_IN`, or what `read_file` reads.
        target: name of the target column; may be empty for a built-in table only (its target is called `target`).
        download: fetches MLflow artifact URIs.
        files: what the user says of a file.

    Returns:
        The table with its columns as they stood, named by strings; at least one row, the target among the columns.

    Raises:
        UserError: the file is missing, of another kind, unreadable or empty, or the target is not a column of it.
    """
    if data in BUILT_IN:
        source = f"sklearn.datasets.{BUILT_IN[data].__name__}"
        return make_table(data, _built_in(data), target or "target", source, data)
    check_exists(data, BUILT_IN)
    found = read_file(data, download, files)
    source = without_secrets(data) if is_remote(data) else str(Path(data).resolve())
    return replace(make_table(_stem(data), found.frame, target, source, data), notes=found.notes)


def make_table(name: str, frame: pd.DataFrame, target: str, source: str = "memory", called: str = "") -> Table:
    """Make a table of a frame, whose columns are then named by strings and its rows by their numbers.

    Args:
        name: of the table.
        frame: raw columns, the target among them.
        target: name of the target column.
        source: where the frame comes from.
        called: what messages call it; its name where empty.

    Raises:
        UserError: it is no frame, names a column twice, has no rows, or the target is not a column beside others.
    """
    if not isinstance(frame, pd.DataFrame):
        raise UserError(f"The table is a {type(frame).__name__}: give a pandas DataFrame.")
    called = called or name
    if not all(isinstance(each, str) for each in frame.columns):
        frame = frame.set_axis(frame.columns.map(str), axis=1)
    if not isinstance(frame.index, pd.RangeIndex):  # else it would be copied for nothing where pandas copies at once
        frame = frame.reset_index(drop=True)
    if not target:
        raise UserError(f"Name the column to predict with target=COLUMN; the columns of {called} are {_listed(frame)}.")
    if target not in frame.columns:
        hint = nearest(target, frame.columns)
        if not hint and _are_values(frame.columns):
            hint = " It seems to begin with a row of values: put a line of names above it."
        raise UserError(
            f"Unknown target {target!r}: {called} has no such column.{hint} Its columns are {_listed(frame)}."
        )
    if not frame.columns.is_unique:
        twin = frame.columns[frame.columns.duplicated()][0]
        raise UserError(f"{called} names the column {twin!r} twice: rename one.")
    if frame.shape[1] < 2:
        raise UserError(f"{called} has no column beside the target {target!r}: there is nothing to predict from.")
    if frame.empty:
        raise UserError(f"{called} has no rows: there is nothing to learn from.")
    return Table(name, frame, target, source)


def _are_values(names: Iterable[str]) -> bool:
    """Tell whether names of columns are rather the values of a row: many numbers, in no order."""
    every = list(names)
    numbers = [float(name) for name in every if is_plain(name)]
    return len(numbers) >= MIN_SHARE_OF_VALUES * len(every) and numbers != sorted(numbers)


def read_file(data: str, download: Download | None = None, files: FileSettings = AS_IT_STANDS) -> TableFile:
    """Read a table file, wherever it lies, into a frame with string column names and at least one row.

    Args:
        data: a path, a URL of any file system that fsspec knows, or an MLflow artifact URI (`runs:/<id>/table.csv`).
        download: fetches artifact URIs.
        files: what the user says of it.

    Raises:
        UserError: the file is missing, of another kind, unreadable, or has no rows.
    """
    check_exists(data)
    with local_copy(data, download) as path:
        return read_path(path, data, files)


def check_exists(data: str, known: Iterable[str] = ()) -> None:
    """Refuse a local file that is not there; what lies elsewhere is seen when it is fetched.

    Args:
        data: a path, a URL or an artifact URI.
        known: what else may be given in its place, such as built-in tables.

    Raises:
        UserError: names the path, and what may have been meant; or the endings that are read.
    """
    if is_remote(data):
        return
    others = f", or one of: {', '.join(known)}" if known else ""
    if not exists(data):
        where = str(Path(data).absolute()) if len(data) < 1000 and "\0" not in data else data[:1000]
        raise UserError(f"No file {where!r}.{nearest(data, known)} Give {WHAT_IS_READ}{others}.")
    if not Path(data).is_dir():
        path_kind(Path(data), data)
    elif not has_parts(Path(data)):
        raise UserError(
            f"No file {str(Path(data).absolute())!r} but a folder, which holds no Parquet file. Give {WHAT_IS_READ}"
            f"{others}."
        )


def check_target_named(data: str, target: str, files: FileSettings = AS_IT_STANDS) -> None:
    """Refuse a table of one's own without a target; of a local file its columns are told.

    Raises:
        UserError: there is no target.
    """
    if not target:
        known = (
            "" if is_remote(data) else f"; the columns of {data} are {_listed(next(chunks(Path(data), files)).frame)}"
        )
        raise UserError(f"Name the column to predict with target=COLUMN{known}.")


def digest(frame: pd.DataFrame) -> str:
    """Hash every row and every column, names and types included; 16 hexadecimal digits.

    MLflow's own dataset digest stops after 10,000 rows, so two tables that differ later would look alike.
    """
    sha = hashlib.sha256(repr([(name, str(kind)) for name, kind in frame.dtypes.items()]).encode())
    sha.update(pd.util.hash_pandas_object(_hashable(frame), index=False).to_numpy().tobytes())
    return sha.hexdigest()[:16]


def _hashable(frame: pd.DataFrame) -> pd.DataFrame:
    """Spell out lists and the like, which have no hash of their own."""
    spelled: dict[str, pd.Series] = {}
    for i, (name, column) in enumerate(frame.items()):
        if column.dtype != object:
            continue
        try:
            pd.util.hash_pandas_object(column, index=False)
        except TypeError:
            spelled[str(name)] = frame.iloc[:, i].map(str)
    return frame.assign(**spelled) if spelled else frame


def hash_rows(frame: pd.DataFrame, kinds: Mapping[str, str], target: str = "") -> np.ndarray:
    """Hash rows by what a model sees of them, so that a row is known again in another table.

    Args:
        frame: with the raw columns and the target.
        kinds: of the raw columns, as in `treeline.data.columns.Columns`; numbers count as numbers however they
            are typed.
        target: the column to predict; empty leaves it out, so that rows are chosen without a look at it.

    Returns:
        uint64 of shape (n_rows,).
    """
    hashes = np.zeros(len(frame), dtype=np.uint64)
    for name, kind in {
        **kinds,
        **({target: "category"} if target else {}),
    }.items():  # column by column: a copy of the frame may not fit
        hashes = hashes * np.uint64(1_000_003) ^ pd.util.hash_array(_seen(frame[name], kind))
    return hashes


def tells_rows_apart(frame: pd.DataFrame, columns: Iterable[str]) -> bool:
    """Tell whether rows are known again by their values: with few different values a column, different things may well
    look alike.
    """
    possible = np.prod([float(frame[name].nunique()) + 1 for name in columns])
    return bool(possible > MIN_POSSIBLE * len(frame))


def _seen(column: pd.Series, kind: str) -> np.ndarray:
    """Give what a model sees of a column, in one type however it is typed."""
    if kind in ("number", "boolean") or is_numeric(column):
        with np.errstate(over="ignore"):  # in float32, as the model sees numbers; -0.0 is 0.0
            return np.asarray((to_numeric(column) + 0.0).astype(np.float32))
    if kind == "datetime":
        return to_datetimes(column).astype("int64")
    words = as_categories(column)
    return np.where(pd.isna(words), "\0", words)


def _built_in(name: str) -> pd.DataFrame:
    bunch = BUILT_IN[name](as_frame=True)
    frame: pd.DataFrame = bunch.frame
    names = bunch.get("target_names")
    if names is not None and isinstance(names[0], str):
        frame = frame.assign(target=pd.Series(names, dtype="str")[bunch.target].to_numpy())
    return frame


def _stem(data: str) -> str:
    name = data.rstrip("/").rpartition("/")[2].partition("?")[0] if is_remote(data) else Path(data).name
    for ending in ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _listed(frame: pd.DataFrame, most: int = 20) -> str:
    names = [repr(name) for name in frame.columns[:most]]
    return ", ".join(names) + (f" and {frame.shape[1] - most} more" if frame.shape[1] > most else "")
