"""Numbers that are probably none: marks such as -999, a totals row, and numbers that float32 cannot tell apart."""

import math
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from treeline.data.problem import Problem
from treeline.data.sentences import spell
from treeline.data.spellings import inspect_ids, inspect_spellings, repeating_ids
from treeline.data.values import to_numeric

MIN_ROWS_FOR_SENTINELS = 20
MIN_SENTINELS = 3  # rows that hold the same number, from which it may be a mark
MIN_REST = 10  # different other numbers, below which a column may as well be a code
MIN_ROWS_FOR_TOTALS = 5
MAX_SHARE_TOLD_APART = 0.9  # of the different numbers: where float32 keeps no more of them, there is a warning
MAX_ROWS_TOLD_APART = 100_000  # by which that is judged
MAX_COLUMNS_NAMED = 5
MAX_FLOAT32 = float(np.finfo(np.float32).max)
TOTALS = (
    r"(grand |sub)?(totals?|sums?)|summen?|gesamt(summe)?|insgesamt|total (général|general)|totale|somme|suma|итого"
)


def inspect_cells(problem: Problem, rows: pd.DataFrame) -> list[str]:
    """Find what looks wrong in the cells of a table, before it is split; each a sentence with what to do.

    Args:
        problem: that the table poses.
        rows: typed, in the order of the table; their index numbers the rows of the table.
    """
    names = [name for name, kind in problem.kinds.items() if kind == "number"]
    numbers = {name: to_numeric(rows[name]) for name in names}
    if not problem.classes:
        numbers[problem.target] = to_numeric(rows[problem.target])
    marks = {name: found for name, values in numbers.items() if (found := sentinels(values))}
    ids = repeating_ids(rows, problem.kinds) if problem.split in ("stratified", "random") else {}
    told = {*marks, *ids, problem.target}
    blurred = {name: values for name, values in numbers.items() if name not in told}
    return [
        *_say_sentinels(marks, problem.target),
        *_say_totals(rows, numbers),
        *inspect_spellings(problem, rows),
        *_say_blurred(blurred, problem.kinds),
        *inspect_ids(ids),
    ]


def sentinels(values: np.ndarray) -> dict[float, int]:
    """Find numbers that stand for a missing one, and how often each is there.

    Such a number repeats, is the smallest or the largest of its column, is spelled as people spell such marks (all
    nines, a round negative number, the limit of a type), and either lies as far from the other numbers as these
    spread, or is the one negative number beside many that are not, and more frequent than they are.

    Args:
        values: float64 of shape (n_rows,); NaN where one is missing.
    """
    different, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    found: dict[float, int] = {}
    if counts.sum() < MIN_ROWS_FOR_SENTINELS:
        return found
    while len(different) > MIN_REST:
        usual = float(np.median(counts))
        for end, rest in ((0, slice(1, None)), (-1, slice(None, -1))):
            value, others = float(different[end]), different[rest]
            often = counts[end] >= max(MIN_SENTINELS, 2 * usual)
            far = abs(value - others[end]) >= others[-1] - others[0]
            alone = end == 0 and value < 0 <= others[0] and counts[0] >= 3 * usual and counts[0] > counts[1]
            if often and _is_mark(value) and (far or alone):
                found[value] = int(counts[end])
                different, counts = others, counts[rest]
                break
        else:
            break
    return found


def _is_mark(value: float) -> bool:
    """Tell whether a number is spelled as people mark a missing one."""
    size = abs(value)
    if size in (2.0**15, 2.0**15 - 1, 2.0**16 - 1, 2.0**31, 2.0**31 - 1, 2.0**32 - 1, 2.0**63) or size > 3e38:
        return True
    digits = spell(size)
    if re.fullmatch(r"9{2,}(\.9+|\.0+)?|99?\.9+|8{2,}|7{2,}", digits):
        return True
    power = 10.0 ** math.floor(math.log10(size)) if size else 0.0
    if size >= 1e5 and math.isclose(size, power):
        return True
    return value < 0 and (size in (1.0, 9.0) or (size >= 100 and size % 100 == 0))


def _say_sentinels(marks: Mapping[str, Mapping[float, int]], target: str) -> list[str]:
    def spelled(name: str) -> str:
        return " and ".join(f"{spell(value)} in {count} rows" for value, count in marks[name].items())

    found = []
    if target in marks:
        found.append(
            f"The target {target!r} holds {spelled(target)}, far from its other values, as tables mark a missing one: "
            "empty those cells, for rows without a target are left out, unless the number is meant."
        )
    columns = [f"{name!r} ({spelled(name)})" for name in marks if name != target]
    if columns:
        found.append(
            f"Numbers far from the rest of their column, as tables mark a missing one: {_named(columns)}. Replace them "
            "by empty cells, or leave the column out with drop, unless they are meant."
        )
    return found


def _named(columns: list[str]) -> str:
    """List a few columns."""
    more = f" and {len(columns) - MAX_COLUMNS_NAMED} more columns" if len(columns) > MAX_COLUMNS_NAMED else ""
    return ", ".join(columns[:MAX_COLUMNS_NAMED]) + more


# --- a totals row


def totals_row(rows: pd.DataFrame, numbers: Mapping[str, np.ndarray]) -> tuple[int, str]:
    """Find a row that sums up the others: the last or the first, which says so or holds their sum.

    Args:
        rows: all of them.
        numbers: the columns of numbers, the target among them where it is one.

    Returns:
        Its place, -1 where there is none, and how it gives itself away.
    """
    if len(rows) < MIN_ROWS_FOR_TOTALS:
        return -1, ""
    others = [name for name in rows.columns if name not in numbers]
    for place in (len(rows) - 1, 0):
        row = rows.iloc[place]
        for name in others:
            says = isinstance(row[name], str) and re.fullmatch(TOTALS, row[name].strip(" :.").lower())
            if says and (rows[name] == row[name]).sum() == 1:
                return place, f"{name!r} says {spell(row[name])}"
        summed = [name for name, values in numbers.items() if _sums_up(values, place)]
        present = int(sum(not np.isnan(values[place]) for values in numbers.values()))
        gaps = int(row[others].isna().sum()) + len(numbers) - present
        if summed and (len(summed) == present > 1 or gaps >= (len(others) + len(numbers)) / 2):
            return place, f"{', '.join(map(repr, summed[:3]))} is the sum of the other rows"
    return -1, ""


def _sums_up(values: np.ndarray, place: int) -> bool:
    """Tell whether a number is the sum of all others, as a sheet writes it: rounded at most to what they have."""
    total, others = values[place], np.delete(values, place)
    others = others[np.isfinite(others)]
    if len(others) < MIN_ROWS_FOR_TOTALS - 1 or not np.isfinite(total) or len(np.unique(others)) < 2:
        return False
    size = float(np.abs(others).max())
    return bool(abs(total) > size and abs(total - math.fsum(others)) <= max(1e-6 * abs(total), 1e-9 * size))


def _say_totals(rows: pd.DataFrame, numbers: Mapping[str, np.ndarray]) -> list[str]:
    place, why = totals_row(rows, numbers)
    if place < 0:
        return []
    label = rows.index[place]
    number = f" (row {int(label) + 1})" if isinstance(label, int | np.integer) else ""
    return [
        f"The {'last' if place else 'first'} row{number} looks like a totals row: {why}. Delete it from the file, or "
        "the model learns from it as from any other row."
    ]


# --- numbers that float32 cannot tell apart


def _say_blurred(numbers: Mapping[str, np.ndarray], kinds: Mapping[str, str]) -> list[str]:
    found = []
    for name, values in numbers.items():
        present = values[np.isfinite(values)][:MAX_ROWS_TOLD_APART]
        different, left = _told_apart(present)
        if left <= MAX_SHARE_TOLD_APART * different:
            found.append(f"The column {name!r} has {different} different numbers, {_remedy(name, present, kinds)}.")
    more = len(found) - MAX_COLUMNS_NAMED
    if more > 0:
        found[MAX_COLUMNS_NAMED:] = [f"{more} more columns hold numbers that 32-bit numbers cannot tell apart."]
    return found


def _remedy(name: str, present: np.ndarray, kinds: Mapping[str, str]) -> str:
    """Say what float32 leaves of numbers, and the derived column that keeps them, where there is one."""
    new = re.sub(r"\W+", "_", name).strip("_") + "_0"
    while new in kinds:
        new += "_0"
    old = name if name.isidentifier() else f"`{name}`"
    low, high = float(present.min()), float(present.max())
    size = max(abs(low), abs(high))
    if size > MAX_FLOAT32:
        unit = 10.0 ** math.floor(math.log10(size))
        return (
            f"some of them beyond {MAX_FLOAT32:.1e}, which XGBoost's 32-bit numbers read as missing: give it another "
            f"unit, with derive `{new} = {old} / {unit:g}`"
        )
    left = f"of which XGBoost's 32-bit numbers tell {_told_apart(present)[1]} apart"
    step = 10.0 ** math.floor(math.log10(high - low))
    offset = round(math.floor(low / step) * step, -math.floor(math.log10(step)))  # 59.8, not 59.800000000000004
    different, kept = _told_apart(present - offset)
    if kept <= MAX_SHARE_TOLD_APART * different:
        return f"{left}: if it is an id, leave it out with drop; if it is a code, use categorical"
    shift = f"{'-' if offset >= 0 else '+'} {spell(abs(offset))}"
    return f"{left}: subtract a constant, with derive `{new} = {old} {shift}`, or leave it out with drop if it is an id"


def _told_apart(values: np.ndarray) -> tuple[int, int]:
    """Count the different numbers, and those that are left of them as float32."""
    with np.errstate(over="ignore"):  # beyond float32 they are infinite, and one
        return len(np.unique(values)), len(np.unique(values.astype(np.float32)))
