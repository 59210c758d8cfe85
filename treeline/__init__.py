"""The pure core of Treeline: tables, checks, features, the estimator, its trainer, and the judgement of a model.

Nothing in this package opens an MLflow run, prints, or reads settings; it takes frames and returns values.
"""


class UserError(Exception):
    """A mistake that the user can mend, told in one sentence: what was wrong, the value got, what to do next."""
