"""What type the values of a column have, and which of them are none at all."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def is_numeric(column: pd.Series) -> bool:
    """Tell whether a column's dtype is one of real numbers or booleans."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def is_text(column: pd.Series) -> bool:
    """Tell whether every value present is a string."""
    if isinstance(column.dtype, pd.StringDtype):
        return True
    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty") and not is_numeric(column)


def is_boolean(column: pd.Series) -> bool:
    """Tell whether every value present is a boolean."""
    return pd.api.types.is_bool_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) == "boolean"


def is_datetime(column: pd.Series) -> bool:
    """Tell whether a column holds real dates or times rather than text."""
    if isinstance(column.dtype, pd.PeriodDtype) or pd.api.types.is_datetime64_any_dtype(column):
        return True
    return pd.api.types.infer_dtype(column, skipna=True) in ("date", "datetime", "datetime64", "time", "period")


def holds_decimals(column: pd.Series) -> bool:
    """Tell whether every value present is a `decimal.Decimal`."""
    return column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) == "decimal"


def whole_numbers(column: pd.Series) -> bool:
    """Tell whether every number is whole, and small enough to be told from its neighbours as a float."""
    numbers = column.to_numpy(dtype=np.float64)
    return bool((np.abs(numbers) < 2**53).all() and (numbers % 1 == 0).all())


def arrow_text(column: pd.Series) -> pa.Array:
    """Give a column of text to Arrow, which looks at all of it at once; without a copy where it lies there already."""
    cells = pa.array(column if isinstance(column.dtype, pd.StringDtype) else column.astype("str"))
    return pa.concat_arrays(cells.chunks) if isinstance(cells, pa.ChunkedArray) else cells


def is_missing(value: Any) -> bool:
    """Tell whether a value is none at all: a gap, or text without a sign but blanks."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or value is pd.NA or value is pd.NaT or bool(isinstance(value, float) and value != value)


def missing(column: pd.Series) -> np.ndarray:
    """Tell which values are none at all: a boolean of shape (n_rows,); text without a sign but blanks is none."""
    gaps = column.isna().to_numpy(copy=True)
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return gaps
    if isinstance(column.dtype, pd.StringDtype):
        blank = pc.fill_null(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(arrow_text(column))), 0), False)
        return gaps | np.asarray(blank, dtype=bool)
    return np.fromiter((is_missing(value) for value in column.array), dtype=bool, count=len(column)) | gaps


def replaced(frame: pd.DataFrame, columns: Mapping[Any, pd.Series] | pd.DataFrame) -> pd.DataFrame:
    """Put columns in place of those of the same names, without a copy of the others."""
    if all(columns[name] is frame[name] for name in columns):
        return frame
    made = {name: columns[name] if name in columns else frame[name] for name in frame.columns}
    return pd.DataFrame(made, index=frame.index, copy=False)
