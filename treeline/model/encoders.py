"""How a column that is no plain number becomes columns of the matrix; one encoder a kind, fitted on training rows."""

import re
from typing import Any, Protocol

import numpy as np
import pandas as pd
import sklearn
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import f_classif, f_regression
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from treeline.data.looks import is_unspaced
from treeline.data.values import as_categories, as_category

MAX_TFIDF_CELLS = 50_000_000  # of a matrix of words, beyond which fewer words are kept
MAX_TFIDF_VOCABULARY, MAX_TFIDF_WORDS = 20_000, 1000
MAX_ROWS_IN_LOOP = 50  # values up to which a loop beats pandas
TFIDF_STEPS = 32  # to which a word's weight is rounded, so that XGBoost keeps 32 bins of it rather than 256

DATETIME_PARTS = ["year", "month", "day", "weekday", "hour", "minute", "days"]
MICROSECONDS_PER_DAY = 86_400e6
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")


class Encoder(Protocol):
    """What an encoder of one column does; its fitted attributes end in `_`."""

    def fit_transform(self, column: pd.Series, y: np.ndarray | None) -> np.ndarray:
        """Learn from training rows and give what they become, float32 of shape (n_rows, n_made).

        Args:
            column: raw values, shape (n_rows,).
            y: class codes, or floats for regression, of the same rows; None where there is no target.
        """

    def transform(self, column: pd.Series) -> np.ndarray:
        """Give what any other rows become, float32 of shape (n_rows, n_made)."""

    def names(self, name: str) -> list[str]:
        """Name the columns that it makes of the raw column of this name, n_made of them."""


class CategoryEncoder:
    """A category of few levels: the code of each, which XGBoost splits natively; NaN for a missing or unseen one."""

    def fit_transform(self, column: pd.Series, y: np.ndarray | None) -> np.ndarray:
        """Learn the levels, each coded by its place in their order, and give the codes."""
        present = {value for value in as_categories(column) if isinstance(value, str)}
        self.codes_ = {value: float(code) for code, value in enumerate(sorted(present))}
        return self.transform(column)

    def names(self, name: str) -> list[str]:
        """Keep the name."""
        return [name]

    def transform(self, column: pd.Series) -> np.ndarray:
        """Give the codes."""
        if len(column) > MAX_ROWS_IN_LOOP:
            found = pd.Index(self.codes_).get_indexer(pd.Index(as_categories(column))).astype(np.float32)
            return np.where(found < 0, np.float32(np.nan), found).reshape(-1, 1)
        get = self.codes_.get
        codes = (get(value if isinstance(value, str) else as_category(value), np.nan) for value in column.array)
        return np.fromiter(codes, dtype=np.float32, count=len(column)).reshape(-1, 1)


class TargetMeanEncoder:
    """A category of many levels: the smoothed mean of the target in each (of each class, where there are several).

    The means are scikit-learn's TargetEncoder's (Micci-Barreca 2001, with empirical Bayes smoothing). The rows that it
    is fitted on are encoded by cross-fitting, each by means from rows without it: otherwise a rare level would hand the
    model its own target. An unseen level has the target's overall mean; a missing one is a level of its own.
    """

    def names(self, name: str) -> list[str]:
        """Keep the name, with the class behind it where there are several."""
        return (
            [name] if len(self.target_mean_) == 1 else [f"{name} -> class {k}" for k in range(len(self.target_mean_))]
        )

    def fit_transform(self, column: pd.Series, y: np.ndarray | None) -> np.ndarray:
        """Learn the mean of every level, and give the cross-fitted ones.

        Raises:
            ValueError: there is no target.
        """
        if y is None:
            raise ValueError("a category of many levels is encoded by the target: fit needs y")
        codes, different = pd.factorize(as_categories(column), sort=False, use_na_sentinel=False)
        classes = [None] if y.dtype.kind == "f" or y.max() == 1 else list(range(int(y.max()) + 1))
        made = np.empty((len(codes), len(classes)), dtype=np.float32)
        means: list[dict[int, float]] = []
        self.target_mean_: list[float] = []
        for k, which in enumerate(classes):
            goal = y.astype(np.float64) if which is None else (y == which).astype(np.float64)
            encoder = TargetEncoder(target_type="continuous", **_crossing(min(5, len(codes))))
            made[:, k] = encoder.fit_transform(codes.reshape(-1, 1), goal)[:, 0]
            means.append(dict(zip(encoder.categories_[0].tolist(), encoder.encodings_[0].tolist(), strict=True)))
            self.target_mean_.append(float(encoder.target_mean_))
        self.means_ = {str(each): [mean[code] for mean in means] for code, each in enumerate(different)}
        return made

    def transform(self, column: pd.Series) -> np.ndarray:
        """Give the means of the levels, or of the target."""
        get, unseen = self.means_.get, self.target_mean_
        rows = [get(str(as_category(value)), unseen) for value in column.array]
        return np.array(rows, dtype=np.float32).reshape(len(column), len(unseen))


class DatetimeEncoder:
    """Dates and times, datetime64: the calendar and clock parts that vary, and the days elapsed since the middle one.

    Since the middle one and not the first, for 32 bits tell the minutes of a few years apart, and not those of the
    centuries since 0001-01-01, which may stand for an unknown day.
    """

    def fit_transform(self, column: pd.Series, y: np.ndarray | None) -> np.ndarray:
        """Learn the middle moment and which parts vary, and give these."""
        values = column.to_numpy(dtype="datetime64[us]")
        seen = values[~np.isnat(values)]
        self.start_ = str(np.sort(seen)[len(seen) // 2]) if len(seen) else "1970-01-01"
        found = datetime_parts(seen, np.datetime64(self.start_))
        self.parts_ = [name for name in DATETIME_PARTS if len(seen) and found[name].min() != found[name].max()] or [
            "days"
        ]
        return self.transform(column)

    def names(self, name: str) -> list[str]:
        """Put the part behind the name."""
        return [f"{name} {part}" for part in self.parts_]

    def transform(self, column: pd.Series) -> np.ndarray:
        """Give the parts; NaN where there is no moment to be read."""
        found = datetime_parts(column.to_numpy(dtype="datetime64[us]"), np.datetime64(self.start_))
        return np.column_stack([found[name] for name in self.parts_]).astype(np.float32)


class PairEncoder:
    """Text of two numbers, such as `52.51,13.40`, `POINT (13.4 52.5)` or `10-19`: both of them."""

    def fit_transform(self, column: pd.Series, y: np.ndarray | None) -> np.ndarray:
        """Give the numbers; there is nothing to learn."""
        return self.transform(column)

    def names(self, name: str) -> list[str]:
        """Put the place behind the name."""
        return [f"{name} first", f"{name} second"]

    def transform(self, column: pd.Series) -> np.ndarray:
        """Give the numbers, of three or more the first two; NaN where there are none."""
        return np.array([_two_numbers(value) for value in column.array], dtype=np.float32).reshape(len(column), 2)


class TfidfEncoder:
    """Free text: the TF-IDF weights of the words, and in small tables the pairs of words, that tell most of the target.

    An absent word weighs 0. As a missing value it made a round of 1,000 words three times as long, for XGBoost reads a
    matrix with gaps through an index; the weights are rounded, so that one without gaps takes a byte a cell.
    """

    def fit_transform(self, column: pd.Series, y: np.ndarray | None) -> np.ndarray:
        """Learn the vocabulary and give the weights.

        Of the 20,000 commonest words those are kept whose weights differ most between the classes, or go best with the
        number (an F test each): at most 1,000, fewer where there are very many rows.
        """
        small = len(column) < 5000
        self.vectorizer_ = TfidfVectorizer(
            max_features=MAX_TFIDF_VOCABULARY,
            min_df=2 if small else 5,
            max_df=0.9,
            sublinear_tf=True,
            ngram_range=(1, 2 if small else 1),
            dtype=np.float32,
        )
        text = _text(column)
        if np.mean([is_unspaced(each) for each in text[:1000] if each] or [False]) > 0.5:  # no blanks between its words
            self.vectorizer_.set_params(analyzer="char", ngram_range=(1, 2))
        try:
            weights = self.vectorizer_.fit_transform(text)
        except ValueError:  # no word is common enough: keep whatever there is
            self.vectorizer_ = TfidfVectorizer(max_features=MAX_TFIDF_WORDS, token_pattern=r"(?u)\S+", dtype=np.float32)
            weights = self.vectorizer_.fit_transform([*text, "?"])[:-1]
        most = int(np.clip(MAX_TFIDF_CELLS / max(len(column), 1), 50, MAX_TFIDF_WORDS))
        self.kept_ = _most_predictive(weights, y, most)
        return _weights(weights[:, self.kept_])

    def names(self, name: str) -> list[str]:
        """Put the words behind the name."""
        return [f"{name}: {word}" for word in self.vectorizer_.get_feature_names_out()[self.kept_]]

    def transform(self, column: pd.Series) -> np.ndarray:
        """Give the weights."""
        return _weights(self.vectorizer_.transform(_text(column))[:, self.kept_])


ENCODERS: dict[str, type[Encoder]] = {
    "category": CategoryEncoder,
    "high_cardinality": TargetMeanEncoder,
    "datetime": DatetimeEncoder,
    "pair": PairEncoder,
    "text": TfidfEncoder,
}


def datetime_parts(values: np.ndarray, start: np.datetime64) -> dict[str, np.ndarray]:
    """Give the calendar and clock parts of moments, and the days elapsed since a start.

    Args:
        values: datetime64[us] of shape (n_rows,).
        start: where the days are counted from.

    Returns:
        float64 of shape (n_rows,) for each of `DATETIME_PARTS`; NaN for NaT. Monday is weekday 0; days have fractions.
    """
    at = pd.DatetimeIndex(values)
    attributes = {"weekday": "day_of_week"}
    found = {
        name: np.asarray(getattr(at, attributes.get(name, name)), dtype=np.float64) for name in DATETIME_PARTS[:-1]
    }
    since = (values - start) / np.timedelta64(1, "us")
    found["days"] = np.where(np.isnat(values), np.nan, since / MICROSECONDS_PER_DAY)
    return found


def _crossing(folds: int) -> dict[str, Any]:
    """Say how TargetEncoder cuts its folds: by a splitter from scikit-learn 1.9 on, by a number before."""
    if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9):
        return {"cv": KFold(folds, shuffle=True, random_state=0)}
    return {"cv": folds, "random_state": 0}


def _two_numbers(value: Any) -> tuple[float, float]:
    """Find the two numbers in a text; a dash between digits is no minus."""
    plain = re.sub(r"SRID=\d+;|(?<=\d)\s?[-–]\s?(?=\d)", " ", value) if isinstance(value, str) else ""
    found = _NUMBER.findall(plain)
    return (float(found[0]), float(found[1])) if len(found) > 1 else (np.nan, np.nan)


def _text(column: pd.Series) -> list[str]:
    """Give a column as strings without markup; empty where it is missing."""
    return [re.sub(r"<[^<>]{1,40}>", " ", value) if isinstance(value, str) else "" for value in as_categories(column)]


def _most_predictive(weights: csr_matrix, y: np.ndarray | None, most: int) -> np.ndarray:
    """Choose the columns that tell most of the target, in their order; the heaviest where there is none."""
    if weights.shape[1] <= most:
        return np.arange(weights.shape[1])
    if y is None or len(np.unique(y)) < 2:
        power = np.asarray(weights.sum(axis=0)).ravel()
    else:
        power = np.nan_to_num((f_regression if y.dtype.kind == "f" else f_classif)(weights, y)[0])
    return np.sort(np.argsort(-power, kind="stable")[:most])


def _weights(sparse: csr_matrix) -> np.ndarray:
    """Spread weights out, rounded up to 32nds."""
    made = sparse.toarray()
    np.multiply(made, TFIDF_STEPS, out=made)
    np.ceil(made, out=made)
    return np.divide(made, TFIDF_STEPS, out=made)
