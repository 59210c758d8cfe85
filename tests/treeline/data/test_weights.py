"""A column of weights: kept beside the features, read like any number, refused where it says nothing."""

import numpy as np
import pandas as pd
import pytest
from tables_maker import TARGET, make_table

from treeline import UserError
from treeline.data.problem import TableSettings, settle_problem
from treeline.data.tables import make_table as table_of
from treeline.data.weights import read_weights


def weighted(weights: object) -> pd.DataFrame:
    frame = make_table()
    return frame.assign(w=np.resize(np.asarray(weights, dtype=object), len(frame)))


def settled(frame: pd.DataFrame, **settings: str) -> tuple:
    return settle_problem(table_of("t", frame, TARGET), TableSettings(**settings))  # type: ignore[arg-type]


def test_weights_are_no_feature_and_stand_beside_the_rows() -> None:
    problem, rows = settled(weighted([1.0, 2.5]), sample_weight="w")
    assert "w" not in problem.kinds
    assert problem.left_out["w"] == "it holds the weights of the rows"
    np.testing.assert_array_equal(problem.weights(rows), np.resize([1.0, 2.5], len(rows)))
    assert list(problem.judged(rows)) == [*problem.kinds, TARGET, "w"]


def test_without_a_column_all_rows_count_alike() -> None:
    problem, rows = settled(weighted([1.0]))
    assert problem.weights(rows) is None
    assert "w" not in problem.judged(rows)


def test_weights_of_text_are_read_as_numbers_and_so_are_those_of_another_table() -> None:
    problem, rows = settled(weighted(["1,5", "2,0", "0,25"]), sample_weight="w")
    assert set(problem.weights(rows)) == {1.5, 2.0, 0.25}
    assert problem.weights(pd.DataFrame({"w": ["3,5"]})).tolist() == [3.5]


def test_a_column_of_weights_may_be_dropped_as_a_feature() -> None:
    problem, rows = settled(weighted([1.0, 2.0]), sample_weight="w", drop="w")
    assert problem.weights(rows) is not None


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([1.0, -1.0], "'w', such as -1"),
        ([1.0, None], "no weight from 0"),
        ([1.0, np.inf], "no weight from 0"),
        ([0.0, 0.0], "every weight in 'w' is 0"),
        (["a", "b"], "holds .*, not numbers"),
    ],
)
def test_what_is_no_weight_is_refused(weights: list, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_weights(pd.Series(weights, name="w", dtype=object))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sample_weight": "v"}, "sample_weight got 'v'"),
        ({"sample_weight": TARGET}, "one of the columns beside the target"),
        ({"sample_weight": "words"}, "^sample_weight: 'words' holds 'a', 'b', not numbers"),
        ({"sample_weight": "w", "split": "group", "split_column": "w"}, "sample_weight and split_column both name 'w'"),
    ],
)
def test_a_column_that_cannot_hold_weights_is_refused(settings: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        settled(weighted([1.0, 2.0]).assign(words=lambda frame: np.resize(["a", "b"], len(frame))), **settings)


def test_rows_without_their_weights_are_not_judged_in_silence() -> None:
    problem, rows = settled(weighted([1.0, 2.0]), sample_weight="w")
    with pytest.raises(UserError, match="The rows lack the column 'w'"):
        problem.weights(rows.drop(columns="w"))
