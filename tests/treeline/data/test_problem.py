"""The problem: what later stages know of the table, the same after a trip through JSON."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import CLASSES, KINDS, TARGET, TASKS, ZOO_KINDS, ZOO_LEFT_OUT, make_problem, make_table, make_zoo

from treeline import UserError
from treeline.data.problem import Problem, TableSettings, settle_problem
from treeline.data.tables import make_table as table_of


@pytest.mark.parametrize("target", TASKS)
def test_a_problem_survives_json(target: str) -> None:
    problem = make_problem(target)
    again = Problem(**json.loads(json.dumps(asdict(problem))))
    assert again == problem
    assert list(again.kinds) == list(problem.kinds)
    assert [type(label) for label in again.classes] == [type(label) for label in problem.classes]


def test_the_rows_of_a_problem_are_its_raw_columns_in_order() -> None:
    problem, frame = make_problem(), make_table()
    assert list(problem.rows(frame[frame.columns[::-1]].assign(more=1)).columns) == list(KINDS)


@pytest.mark.parametrize("target", TASKS)
def test_the_truth_is_class_codes_or_numbers(target: str) -> None:
    frame = make_table(target)
    truth = make_problem(target).truth(frame)
    if CLASSES[target]:
        assert truth.tolist() == [CLASSES[target].index(label) for label in frame[TARGET]]
    else:
        assert truth.dtype == np.float64
        assert truth.tolist() == frame[TARGET].tolist()


@pytest.mark.parametrize(
    ("target", "label", "complaint"),
    [
        ("binary", "Yes", r"'outcome' holds the label 'Yes', .*Did you mean 'yes'\? It knows 'no', 'yes'"),
        ("binary", None, "holds an empty cell, which the model does not know"),
        ("bool", "maybe", "the label 'maybe'.* It knows False, True"),
        ("integers", 4, "the label 4.* It knows 3, 5, 8"),
        ("multiclass", "small", "the label 'small'"),
        ("regression", "high", "'outcome' holds 'high', not numbers"),
    ],
)
def test_a_target_that_the_model_cannot_know_is_named(target: str, label: Any, complaint: str) -> None:
    frame = make_table(target).astype({TARGET: object})
    frame.loc[5, TARGET] = label
    with pytest.raises(UserError, match=complaint):
        make_problem(target).truth(frame)


def test_a_number_spelled_as_text_is_not_the_one_named() -> None:
    frame = make_table("regression")
    frame[TARGET] = pd.Series(["1.5", *frame[TARGET].iloc[1:]], dtype=object)
    frame.loc[5, TARGET] = "high"
    with pytest.raises(UserError, match="holds 'high'"):
        make_problem("regression").truth(frame)


def settled(frame: pd.DataFrame, **settings: str) -> tuple[Problem, pd.DataFrame]:
    return settle_problem(table_of("mine", frame, TARGET), TableSettings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", TASKS)
def test_a_table_is_settled_into_its_problem(target: str) -> None:
    frame = make_zoo(target)
    frame[TARGET] = frame[TARGET].mask(frame.index >= 158)
    problem, rows = settled(frame)
    assert (problem.table, problem.source, problem.target, problem.task) == ("mine", "memory", TARGET, TASKS[target])
    assert problem.classes == CLASSES[target]
    assert [type(label) for label in problem.classes] == [type(label) for label in CLASSES[target]]
    assert problem.kinds == ZOO_KINDS
    assert list(problem.left_out) == ZOO_LEFT_OUT
    assert problem.reasons.keys() == problem.kinds.keys()
    assert (problem.derived, problem.split, problem.split_column) == ({}, "stratified", "")
    assert list(rows.columns) == [*ZOO_KINDS, TARGET]
    assert len(rows) == 158
    assert len(problem.digest) == 16


def test_the_digest_is_of_all_labelled_rows_and_of_columns_that_are_left_out_too() -> None:
    frame = make_zoo()
    known = settled(frame)[0].digest
    assert settled(make_zoo())[0].digest == known
    other = frame.assign(customerID=frame["customerID"].str.lower())
    assert settled(other)[0].digest != known


def test_a_column_that_is_dropped_is_gone_and_one_that_is_named_is_of_its_kind() -> None:
    problem, rows = settled(make_zoo(), drop='"blank, or not", review', categorical="2", numeric="row")
    assert not {"blank, or not", "review"} & {*problem.kinds, *problem.left_out, *rows.columns}
    assert (problem.kinds["2"], problem.kinds["row"]) == ("category", "number")
    assert problem.reasons["2"] == "asked for by categorical"


@pytest.mark.parametrize(("split", "read"), [("group", False), ("time", True)])
def test_a_column_that_splits_is_kept_with_the_rows_and_groups_are_not_read(split: str, read: bool) -> None:
    frame = make_zoo().assign(who=np.arange(160) % 7)
    problem, rows = settled(frame, split=split, split_column="who")
    assert (problem.split, problem.split_column) == (split, "who")
    assert ("who" in problem.kinds) is read
    assert problem.left_out.get("who") == (None if read else "it holds the groups")
    assert rows["who"].tolist() == frame["who"].tolist()


def test_a_dropped_column_may_still_split() -> None:
    problem, rows = settled(make_zoo(), drop="when", split="time", split_column="when")
    assert "when" not in problem.kinds
    assert "when" in rows.columns


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"drop": "towm"}, "^drop names 'towm'.*Did you mean 'town'"),
        ({"drop": TARGET}, f"^drop names '{TARGET}'"),
        ({"drop": "town", "categorical": "town"}, "^categorical names 'town'"),
        ({"numeric": "town"}, "^numeric names 'town', which holds .*, not numbers"),
        ({"split": "group"}, "^split=group needs split_column.*got ''"),
        (
            {"split": "time", "split_column": "whem"},
            r"^split=time needs split_column.*'whem'\. Did you mean 'when'",
        ),
        ({"split_column": "when"}, "^split_column goes with split=group or split=time, got split=stratified"),
        ({"task": "binary"}, "task=binary needs two. Use task=multiclass"),
        ({"drop": ", ".join(f'"{name}"' for name in (*ZOO_KINDS, *ZOO_LEFT_OUT) if '"' not in name)}, "^No column is"),
    ],
    ids=str,
)
def test_a_setting_that_does_not_fit_the_table_is_named(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        settled(make_zoo("multiclass").drop(columns='said "when"'), **settings)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"task": "multi"}, "^task got 'multi': use auto, binary, multiclass, regression"),
        ({"task": ""}, "^task got ''"),
        ({"task": None}, "^task got None: give text"),
        ({"split": "Stratified"}, "^split got 'Stratified': use stratified, random, group, time"),
        ({"drop": ["a", "b"]}, r"^drop got \['a', 'b'\]: give text; commas separate columns"),
        ({"derive": {"x": "a"}}, "^derive got {'x': 'a'}: give text"),
        ({"numeric": 3}, "^numeric got 3: give text"),
        ({"split_column": None}, "^split_column got None: give text"),
    ],
    ids=str,
)
def test_settings_that_are_none_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        TableSettings(**settings)


def test_a_column_of_mixed_types_is_spelled_out_so_that_parquet_holds_it() -> None:
    frame = make_table().assign(mixed=[*[1, "a", None, 2.0] * 50])
    problem, rows = settled(frame)
    assert problem.kinds["mixed"] == "category"
    assert rows["mixed"].iloc[[0, 1, 3]].tolist() == ["1", "a", "2"]
    assert rows["mixed"].isna().sum() == 50
