"""What tells the target when it should not: how much each column knows of it alone, and what is too good to be true."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from treeline.data.looks import is_unspaced
from treeline.data.sentences import figure
from treeline.data.values import as_categories, to_datetimes, to_numeric
from treeline.metrics import CLASSIFICATION, REGRESSION

MIN_LEAK_POWER = 0.995  # share of what there is to know about the target that one column may tell
MIN_LOOK_POWER = 0.95  # share from which a person should look at the column
MAX_LEAKS_TOLD = 3  # columns that predict the target alone, each in a sentence; more are told in one
MIN_ROWS_JUDGED = 50  # rows, below which a single column may predict the target by chance
MIN_CLASS_ROWS_JUDGED = 5  # likewise of a class
MAX_WORDS_JUDGED, MAX_TEXTS_JUDGED = 300, 2_000  # commonest words, and rows, that a text is judged by
# The share of the way from a dummy's value to the perfect one, from which a whole model is near perfect. A good model
# comes near the end of an area; an error shrinks with the root of the variance that is left.
NEAR_PERFECT = {
    "log_loss": 0.98,
    "error": 0.995,
    "accuracy": 0.995,
    "balanced_accuracy": 0.995,
    "f1": 0.995,
    "roc_auc": 0.9998,
    "average_precision": 0.9998,
    "rmse": 0.93,
    "mae": 0.93,
    "mape": 0.93,
    "rmsle": 0.93,
    "r2": 0.995,
}
PERHAPS = "if it is only known once the target is, or is the target under another name, leave it out with drop"


def inspect_leaks(
    power: Mapping[str, float], rows: int, where_known: Mapping[str, tuple[float, float]] | None = None
) -> list[str]:
    """Name the columns that alone predict the target almost perfectly, and those that come near to it.

    Args:
        power: of each column, as `predictive_power` gives it.
        rows: that it was judged by.
        where_known: for columns with gaps the same of the rows where it is known, and the share of these.
    """
    if rows < MIN_ROWS_JUDGED:
        return []
    partly = where_known or {}
    leaks = {name: share for name, share in power.items() if share >= MIN_LEAK_POWER}
    hidden = {name: each for name, each in partly.items() if each[0] >= MIN_LEAK_POWER and name not in leaks}
    look = {name: max(share, partly.get(name, (0.0, 0.0))[0]) for name, share in power.items()}
    look = {name: share for name, share in look.items() if share >= MIN_LOOK_POWER and name not in {*leaks, *hidden}}
    return [
        *_each_or_all(
            leaks,
            lambda name: (
                f"The column {name!r} alone predicts the target almost perfectly ({leaks[name]:.1%} of what there is "
                f"to know): {PERHAPS}."
            ),
            "each predict the target almost perfectly alone",
        ),
        *_each_or_all(
            hidden,
            lambda name: (
                f"The column {name!r} predicts the target almost perfectly in the {hidden[name][1]:.0%} of the rows "
                f"where it is known: {PERHAPS}."
            ),
            "each predict the target almost perfectly where they are known",
        ),
        *_each_or_all(
            look,
            lambda name: (
                f"Look at the column {name!r}: it alone tells {look[name]:.1%} of what there is to know about the "
                f"target; {PERHAPS}."
            ),
            f"each tell more than {MIN_LOOK_POWER:.0%} of what there is to know about the target",
        ),
    ]


def near_perfect(metric: str, value: float, dummy: float) -> str:
    """Say that a whole model is too good to be true; empty where it is not.

    Args:
        metric: a name of `treeline.metrics`.
        value: of the model, on rows that it was not fitted on.
        dummy: of a model that knows the target's distribution alone, by the same metric.
    """
    best = float({**CLASSIFICATION, **REGRESSION}[metric].greater_is_better)
    if (
        not np.isfinite([value, dummy]).all()
        or dummy == best
        or (value - dummy) / (best - dummy) < NEAR_PERFECT[metric]
    ):
        return ""
    return (
        f"The model is near perfect ({metric} {figure(value)}, where {best:.0f} is perfect): that is rare where the "
        "target is not known yet. Ask of its most important columns whether they are known before the target is."
    )


def predictive_power(column: pd.Series, kind: str, y: np.ndarray, classes: bool) -> float:
    """Judge how much of the target a column tells by itself, from 0 (nothing) to 1 (everything).

    A small decision tree on this column alone, or on the commonest words of a text, is cross-validated; a category is
    judged by what the other rows of its level hold. For classes it is the share of the errors that guessing the
    commonest class makes, balanced by class, that are avoided; for numbers it is R², or the square of Spearman's rank
    correlation where that is larger. Pairs are not judged and give 0.

    Args:
        column: raw values.
        kind: of the column.
        y: class codes or floats, of the same rows.
        classes: whether `y` holds class codes.
    """
    if len(y) < 10 or kind == "pair":
        return 0.0
    if kind in ("category", "high_cardinality"):
        levels = pd.factorize(as_categories(column), use_na_sentinel=False)[0]
        return (_power_of_levels_over_classes if classes else _power_of_levels_over_numbers)(levels, y)
    if kind == "text":
        return _trees_power(as_words(column.iloc[:MAX_TEXTS_JUDGED]), y[:MAX_TEXTS_JUDGED], classes)
    values = as_numbers(column, kind)
    known = ~np.isnan(values)
    power = _trees_power(values.reshape(-1, 1), y, classes)
    if classes or min(len(np.unique(values[known])), len(np.unique(y[known]))) < 3:
        return power
    return max(power, float(spearmanr(values[known], y[known]).statistic) ** 2 * float(known.mean()))


def power_where_known(column: pd.Series, kind: str, y: np.ndarray, classes: bool) -> tuple[float, float] | None:
    """Judge a column with gaps by the rows where it is known, as `predictive_power` does, and give their share.

    A category is known where another row has its level. None where the gaps could not hide a copy of the
    target, or too few rows are left.
    """
    if kind in ("text", "pair"):
        return None
    if kind in ("category", "high_cardinality"):
        levels = pd.factorize(as_categories(column))[0]
        known = (levels >= 0) & (np.bincount(levels + 1)[levels + 1] > 1)
    else:
        known = ~np.isnan(as_numbers(column, kind))
    if known.mean() > MIN_LEAK_POWER or known.sum() < MIN_ROWS_JUDGED:
        return None
    return predictive_power(column[known], kind, y[known], classes), float(known.mean())


def as_numbers(column: pd.Series, kind: str) -> np.ndarray:
    """Turn a column of numbers, booleans or moments into float64 of shape (n_rows,): moments are seconds."""
    if kind == "datetime":
        at = to_datetimes(column)
        return np.where(np.isnat(at), np.nan, at.astype("int64") / 1e6)
    values = to_numeric(column).astype(np.float64)
    return np.clip(np.where(np.isinf(values), np.nan, values), -1e30, 1e30)


def as_words(column: pd.Series) -> np.ndarray:
    """Tell which of the commonest words stand in each text: float32 of shape (n_rows, n_words), n_words from 0."""
    texts = [text if isinstance(text, str) else "" for text in as_categories(column)]
    signs = np.mean([is_unspaced(text) for text in texts if text] or [False]) > 0.5
    words = CountVectorizer(
        binary=True, max_features=MAX_WORDS_JUDGED, analyzer="char" if signs else "word", dtype=np.float32
    )
    try:
        return np.asarray(words.fit_transform(texts).toarray())
    except ValueError:  # there is no word
        return np.empty((len(texts), 0), dtype=np.float32)


def _trees_power(x: np.ndarray, y: np.ndarray, classes: bool) -> float:
    if not x.shape[1]:
        return 0.0
    if classes:
        return _trees_power_over_classes(x, y)
    spread, guesses = float(np.var(y)), np.empty(len(y))
    if spread == 0:
        return 0.0
    for train, test in KFold(3, shuffle=True, random_state=0).split(x):
        tree = DecisionTreeRegressor(max_leaf_nodes=512, min_samples_leaf=2, random_state=0)
        guesses[test] = tree.fit(x[train], y[train]).predict(x[test])
    return max(0.0, 1 - float(np.mean((y - guesses) ** 2)) / spread)


def _trees_power_over_classes(x: np.ndarray, y: np.ndarray) -> float:
    kept = _common(y)
    x, y = x[kept], y[kept]
    if len(np.unique(y)) < 2:
        return 0.0
    right = np.zeros(len(y), dtype=bool)
    for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(x, y):
        tree = DecisionTreeClassifier(max_leaf_nodes=64, class_weight="balanced", random_state=0)
        right[test] = tree.fit(x[train], y[train]).predict(x[test]) == y[test]
    return _avoided(right, y)


def _power_of_levels_over_numbers(levels: np.ndarray, y: np.ndarray) -> float:
    """Guess each row by the mean of the other rows of its level; of a level that stands once, by that of all others."""
    spread = float(np.var(y))
    if spread == 0:
        return 0.0
    others = np.bincount(levels)[levels] - 1
    sums = np.bincount(levels, weights=y)[levels] - y
    guesses = np.where(others > 0, sums / np.maximum(others, 1), (y.sum() - y) / (len(y) - 1))
    return max(0.0, 1 - float(np.mean((y - guesses) ** 2)) / spread)


def _power_of_levels_over_classes(levels: np.ndarray, y: np.ndarray) -> float:
    """Guess each row by the class that is most over-represented among the other rows of its level."""
    kept = _common(y)
    if len(np.unique(y[kept])) < 2:
        return 0.0
    levels, y = np.unique(levels[kept], return_inverse=True)[1], np.unique(y[kept], return_inverse=True)[1]
    n_classes = int(y.max()) + 1
    counts = np.bincount(levels * n_classes + y, minlength=(int(levels.max()) + 1) * n_classes).reshape(-1, n_classes)
    own = np.eye(n_classes, dtype=np.int64)[y]
    others = counts[levels] - own
    guesses = (others / (np.bincount(y) - own)).argmax(axis=1)
    return _avoided(np.where(others.any(axis=1), guesses == y, 1 / n_classes), y)


def _common(y: np.ndarray) -> np.ndarray:
    return np.isin(y, np.flatnonzero(np.bincount(y) >= MIN_CLASS_ROWS_JUDGED))


def _avoided(right: np.ndarray, y: np.ndarray) -> float:
    """Give the share of the balanced error of guessing that is avoided, by which rows are guessed right."""
    recalls = [right[y == each].mean() for each in np.unique(y)]
    chance = 1 / len(recalls)
    return max(0.0, (float(np.mean(recalls)) - chance) / (1 - chance))


def _each_or_all(names: Mapping[str, object], tell: Callable[[str], str], what: str) -> list[str]:
    """Tell of each column in a sentence, or of many in one."""
    if len(names) <= MAX_LEAKS_TOLD:
        return [tell(name) for name in names]
    named = ", ".join(map(repr, list(names)[:MAX_LEAKS_TOLD]))
    return [
        f"{len(names)} columns {what}, such as {named}: if they are only known once the target is, be it only by where "
        "they are empty, leave them out with drop."
    ]
