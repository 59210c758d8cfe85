"""Words of a column that may mean the same, and ids that stand in several rows."""

import re
import unicodedata
from collections.abc import Mapping

import numpy as np
import pandas as pd

from treeline.data.problem import Problem
from treeline.data.sentences import spell
from treeline.data.values import as_categories

MAX_LEVELS_COMPARED = 10_000
MAX_COLUMNS_NAMED = 5
MIN_IDS = 20  # different values, below which a column is a category rather than an id
MIN_ROWS_AN_ID = 2  # on average, and most ids have as many
MIN_SHARE_OF_IDS = 0.02  # of the rows: with fewer different values it is a category
ID_ENDS = {"id", "ids", "uuid", "guid", "key", "nr", "no", "num", "number"}
ID_NAMES = {"customer", "patient", "subject", "client", "user", "person", "household", "participant", "respondent"}
COUNTS = {"of", "rooms", "total"}  # words of a name that counts things: `number of rooms`


def spelling_variants(column: pd.Series) -> list[dict[str, int]]:
    """Group the words of a column that differ only in case, blanks or punctuation between letters.

    Signs beside digits or at the ends of a word mean something: `A+` is not `A-`, and `1-5` is not `15`.

    Returns:
        The groups of two spellings or more, each with the count of its rows, the commonest first.
    """
    counts = pd.Series(as_categories(column)).value_counts()
    if len(counts) > MAX_LEVELS_COMPARED:
        return []
    groups: dict[str, dict[str, int]] = {}
    for word, count in counts.items():
        groups.setdefault(_plain(str(word)), {})[str(word)] = int(count)
    return [group for plain, group in groups.items() if len(group) > 1 and plain]


def _plain(word: str) -> str:
    """Spell a word without what people vary in typing it."""
    word = unicodedata.normalize("NFKC", word).casefold()
    word = re.sub(r"\s+", " ", word).strip().strip(" .,;:\"'_")
    return re.sub(r"(?<=[^\W\d_])[ _\-./,']+(?=[^\W\d_])", "", word)


def repeating_ids(rows: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, int]:
    """Find columns whose name says id and whose values stand in several rows each.

    Args:
        rows: all of them.
        kinds: of the columns that the model reads.

    Returns:
        How many rows a value has on average.
    """
    found = {}
    for name, kind in kinds.items():
        if kind not in ("category", "high_cardinality", "number") or not names_id(name):
            continue
        if kind == "number" and not _whole(rows[name]):
            continue
        counts = rows[name].value_counts().to_numpy()
        if len(counts) < max(MIN_IDS, MIN_SHARE_OF_IDS * len(rows)):
            continue
        several = float(np.mean(counts >= MIN_ROWS_AN_ID))
        if counts.mean() >= MIN_ROWS_AN_ID and several > 0.5:
            found[name] = round(float(counts.mean()))
    return found


def names_id(name: str) -> bool:
    """Tell whether a column's name says that it holds an id: `customer_id`, `patientID`, `Kunden-Nr.`, `user`."""
    words = [word.lower() for word in re.findall(r"(?:[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z]))\d*", name)]
    if not words or COUNTS & set(words):
        return False
    return words[-1] in ID_ENDS or (len(words) == 1 and words[0] in ID_NAMES)


def _whole(column: pd.Series) -> bool:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    return bool((values % 1 == 0).all())


def inspect_spellings(problem: Problem, rows: pd.DataFrame) -> list[str]:
    """Say which labels and which levels may mean the same; each is trained as it is spelled."""

    def spelled(groups: list[dict[str, int]]) -> str:
        shown = [", ".join(f"{spell(word)} ({count} rows)" for word, count in group.items()) for group in groups[:3]]
        return "; ".join(shown) + ("; and more" if len(groups) > len(shown) else "")

    found = []
    words = bool(problem.classes) and isinstance(problem.classes[0], str)
    groups = spelling_variants(rows[problem.target]) if words else []
    if groups:
        found.append(
            f"The target {problem.target!r} spells what may be one label in several ways: {spelled(groups)}. Each is "
            "trained as a label of its own: give them one spelling in the file if they mean the same."
        )
    kinds = ("category", "high_cardinality")
    columns = {
        name: groups
        for name, kind in problem.kinds.items()
        if kind in kinds and (groups := spelling_variants(rows[name]))
    }
    if columns:
        named = [f"{name!r}: {spelled(groups)}" for name, groups in list(columns.items())[:MAX_COLUMNS_NAMED]]
        more = f", and {len(columns) - len(named)} more columns" if len(columns) > len(named) else ""
        found.append(
            f"Categories that differ only in case, blanks or punctuation: {' | '.join(named)}{more}. Each is read as a "
            "level of its own: give them one spelling in the file if they mean the same."
        )
    return found


def inspect_ids(ids: Mapping[str, int]) -> list[str]:
    """Say which id repeats, of those that `repeating_ids` gives, and the split that keeps its rows together."""
    if not ids:
        return []
    name, rows = max(ids.items(), key=lambda each: each[1])
    return [
        f"The column {name!r} looks like an id that repeats, {rows} rows each on average: rows of one {name!r} fall on "
        f"both sides of the split, which flatters the model. Use split=group, split_column={name}, if new rows will "
        "be of others; then it is not read."
    ]
