"""The pure core of Treeline: a table in, a tuned model out, and the judgement of it.

Nothing in this package opens an MLflow run, prints, or reads settings; it takes frames and returns values. `fit` is the
whole of it in one call.
"""

import difflib
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from treeline.model.estimator import TreelineClassifier, TreelineRegressor

__version__ = "0.1.0"
MAX_WORD_COMPARED = 1_000  # signs of a word that could be another misspelled; comparing takes their square


class UserError(Exception):
    """A mistake that the user can mend, told in one sentence: what was wrong, the value got, what to do next."""


class StoreError(UserError):
    """What keeps runs, models, studies or files cannot be reached, read or written: a disk, a database, a server."""


class RefusedError(UserError):
    """A model misses what is asked of it."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which of the known words was probably meant: `" Did you mean 'x'?"`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1) if len(word) <= MAX_WORD_COMPARED else []
    return f" Did you mean {match[0]!r}?" if match else ""


def fit(frame: "pd.DataFrame", target: str | int, **settings: Any) -> "TreelineClassifier | TreelineRegressor":
    """Settle the columns of a table, search parameters by cross-validation, and fit the final estimator on all rows.

    What the stages of the MLflow Project do with their training rows, in memory: the same rows and seed give the same
    model.

    Args:
        frame: raw columns and the target; rows without a target are left out.
        target: the column to predict; columns named by numbers are named by strings from then on.
        settings: any of `treeline.data.problem.TableSettings` (`task`, `drop`, `derive`, `split`, ...),
            `treeline.tuning.schedule.SearchSettings` (`n_trials`, `timeout`, `metric`, `folds`, `search_space`,
            `seed`) and `treeline.evaluation.answers.AnswerSettings` (`threshold`, `costs`, `interval`), which say what
            they mean and what they are by default.

    Returns:
        The fitted scikit-learn estimator, with what the search did as `search_`, a `treeline.tuning.trial.Search`, and
        what was made of the table as `problem_`.

    Raises:
        UserError: a setting is unknown, or whatever is wrong with the table or a setting.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> model = fit(load_iris(as_frame=True).frame, "target", n_trials=2, folds=2)
        >>> len(model.search_.trials)
        2
    """
    # Not at the top: a model that is served brings this package, and none of what only a search needs.
    from treeline.cpus import cpu_budget
    from treeline.data.problem import TableSettings, settle_problem
    from treeline.data.tables import make_table
    from treeline.evaluation.answers import AnswerSettings, settle_answers
    from treeline.model.estimator import make_estimator
    from treeline.model.expressions import add_derived
    from treeline.tuning.schedule import SearchSettings
    from treeline.tuning.trial import search

    names = {kind: {each.name for each in fields(kind)} for kind in (TableSettings, SearchSettings, AnswerSettings)}
    known = set().union(*names.values())
    for name in settings.keys() - known:
        raise UserError(f"Unknown setting {name!r}.{nearest(name, known)} The settings are {', '.join(sorted(known))}.")
    reading = TableSettings(**{name: settings[name] for name in names[TableSettings] & settings.keys()})
    plan = SearchSettings(**{name: settings[name] for name in names[SearchSettings] & settings.keys()})
    asked = AnswerSettings(**{name: settings[name] for name in names[AnswerSettings] & settings.keys()})
    problem, rows = settle_problem(make_table("the frame", frame, str(target)), reading)
    problem = add_derived(problem, reading.derive)
    asked.check_task(problem.task)
    found = search(problem, rows, plan, cpu_budget())
    estimator = make_estimator(problem, found.params, found.final_rounds, cpu_budget(), found.out_of_fold.level)
    estimator.fit(problem.rows(rows), rows[problem.target], problem.weights(rows))
    held = found.out_of_fold
    settle_answers(estimator, problem, rows.iloc[held.rows], held.predictions, asked)
    estimator.problem_, estimator.search_ = problem, found
    return estimator
