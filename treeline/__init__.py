"""The pure core of Treeline: tables, checks, features, the estimator, its trainer, and the judgement of a model.

Nothing in this package opens an MLflow run, prints, or reads settings; it takes frames and returns values.
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend, told in one sentence: what was wrong, the value got, what to do next."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which of the known words was probably meant: `" Did you mean 'x'?"`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""
