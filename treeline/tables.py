"""Read a table from a file, or one of scikit-learn's built-in ones, into a frame with its target."""

import difflib
import hashlib
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn import datasets

from treeline import UserError

BUILT_IN: dict[str, Callable[..., Any]] = {
    "breast_cancer": datasets.load_breast_cancer,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
CSV_ENDINGS = (".csv", ".csv.gz", ".csv.bz2", ".csv.zip", ".csv.xz")
PARQUET_ENDINGS = (".parquet", ".pq")


@dataclass(frozen=True)
class Table:
    """A table as it was read: raw columns, the target among them, and where they came from."""

    name: str
    frame: pd.DataFrame
    target: str
    source: str


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which of the known words was probably meant: `" Did you mean 'x'?"`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


def read_table(data: str, target: str = "") -> Table:
    """Read a built-in table by its name, or a CSV or Parquet file.

    Args:
        data: one of `BUILT_IN`, or the path of a file that ends in one of `CSV_ENDINGS` or `PARQUET_ENDINGS`.
        target: name of the target column; may be empty for a built-in table only (its target is called `target`).

    Returns:
        The table with its columns as they stood, named by strings; at least one row, the target among the columns.

    Raises:
        UserError: the file is missing, of another kind, unreadable or empty, or the target is not a column of it.
    """
    if data in BUILT_IN:
        frame, name, source = _built_in(data), data, f"sklearn.datasets.{BUILT_IN[data].__name__}"
        target = target or "target"
    else:
        frame, name, source = read_file(data), _stem(data), str(Path(data).resolve())
    if not target:
        raise UserError(f"Name the column to predict with --target; the columns of {data} are {_listed(frame)}.")
    if target not in frame.columns:
        hint = nearest(target, frame.columns)
        raise UserError(
            f"Unknown target {target!r}: {data} has no such column.{hint} Its columns are {_listed(frame)}."
        )
    if frame.shape[1] < 2:
        raise UserError(f"{data} has no column beside the target {target!r}: there is nothing to predict from.")
    return Table(name, frame, target, source)


def read_file(data: str) -> pd.DataFrame:
    """Read a CSV or Parquet file into a frame with string column names and at least one row.

    Raises:
        UserError: the file is missing, of another kind, unreadable, or has no rows.
    """
    path = Path(data)
    if not path.is_file():
        hint = nearest(data, BUILT_IN)
        raise UserError(
            f"No file {str(path.absolute())!r}.{hint} Give a CSV or Parquet file, or one of: {', '.join(BUILT_IN)}."
        )
    lower = path.name.lower()
    if not lower.endswith(CSV_ENDINGS + PARQUET_ENDINGS):
        raise UserError(
            f"Cannot tell what {data!r} is: its name must end in {', '.join(CSV_ENDINGS + PARQUET_ENDINGS)}."
        )
    try:
        frame = pd.read_parquet(path) if lower.endswith(PARQUET_ENDINGS) else pd.read_csv(path, low_memory=False)
    except pd.errors.EmptyDataError:
        raise UserError(f"{data} is empty: it needs a header line and rows.") from None
    # What pandas and pyarrow raise for a file that is not what its name says; ArrowInvalid is a ValueError.
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"Cannot read {data}: {str(error).splitlines()[0]}. Is it a valid file of its kind?") from error
    frame.columns = frame.columns.map(str)
    if frame.empty:
        raise UserError(f"{data} has a header but no rows: there is nothing to learn from.")
    if not frame.columns.is_unique:
        raise UserError(f"{data} names the column {frame.columns[frame.columns.duplicated()][0]!r} twice: rename one.")
    return frame


def digest(frame: pd.DataFrame) -> str:
    """Hash every row and every column, names and types included; 16 hexadecimal digits.

    MLflow's own dataset digest stops after 10,000 rows, so two tables that differ later would look alike.
    """
    sha = hashlib.sha256(repr([(name, str(kind)) for name, kind in frame.dtypes.items()]).encode())
    sha.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return sha.hexdigest()[:16]


def model_name(table: str) -> str:
    """Name the registered model after the table: `CancerModel` for the default one, `HousePricesModel` for a file
    `house_prices.csv`; `TableModel` where nothing of the name can be kept.
    """
    if table == "breast_cancer":
        return "CancerModel"
    words = re.findall(r"[^\W_]+", table)
    return "".join(word[0].upper() + word[1:] for word in words or ["Table"]) + "Model"


def _built_in(name: str) -> pd.DataFrame:
    bunch = BUILT_IN[name](as_frame=True)
    frame: pd.DataFrame = bunch.frame
    names = bunch.get("target_names")
    if names is not None and isinstance(names[0], str):
        frame = frame.assign(target=pd.Series(names, dtype="str")[bunch.target].to_numpy())
    return frame


def _stem(data: str) -> str:
    name = Path(data).name
    for ending in CSV_ENDINGS + PARQUET_ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _listed(frame: pd.DataFrame, most: int = 20) -> str:
    names = [repr(name) for name in frame.columns[:most]]
    return ", ".join(names) + (f" and {frame.shape[1] - most} more" if frame.shape[1] > most else "")
