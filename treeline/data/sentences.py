"""Values as a sentence for a person names them."""

import datetime
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from treeline.data.dtypes import is_missing


def refusal(name: str, kind: str, value: Any) -> str:
    """Say that a column holds what is none of its kind: one sentence, the same in a request, a batch and a frame."""
    wanted = {"boolean": "true or false", "datetime": "a date or time"}.get(kind, f"a {kind}")
    return f"The column {name!r} holds {examples([value])}, not {wanted}."


def spell(value: Any) -> str:
    """Spell a value for a sentence as a person knows it from the table, whatever type of a library holds it.

    Text stands in quotes; a number in as few digits as tell it from every other of its own width, a whole one without
    its point; a moment as ISO 8601, without the time of day where that is midnight.
    """
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, str):
        return repr(str(value))
    if is_missing(value):
        return "an empty cell"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, np.generic):
        return str(int(value)) if isinstance(value, np.floating) and _is_plainly_whole(value) else str(value)
    if isinstance(value, float) and _is_plainly_whole(value):
        return str(int(value))
    return str(value)


def figure(value: float, digits: int = 4) -> str:
    """Spell a figure for a sentence in so many digits that tell something, with no power of ten below 1e9."""
    value = float(value) + 0.0  # not "-0"
    return f"{value:.0f}" if 10**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"


def _is_plainly_whole(number: Any) -> bool:
    return float(number).is_integer() and abs(float(number)) < 1e16


def examples(values: Iterable[Any], most: int = 3) -> str:
    """Name the first few different values, each as a person would spell it."""
    different = dict.fromkeys(map(spell, values))
    return ", ".join(list(different)[:most])
