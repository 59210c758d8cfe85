"""What a person knows of the effect of columns: one along which predictions only rise or fall, ones that may interact.

Both are told by raw column names, and held by XGBoost over the features that the columns become.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from treeline import UserError, nearest
from treeline.model.expressions import Expression

if TYPE_CHECKING:  # a model that is served brings no reader of tables, and what that needs is not installed for it
    from treeline.data.problem import Problem

MONOTONE, INTERACTION = "monotone_constraints", "interaction_constraints"  # XGBoost's names
CONSTRAINTS = {"monotone": MONOTONE, "interaction": INTERACTION}  # by those in a search space
ORDERED_KINDS = ("number", "boolean")  # columns that are one feature, in an order of their own


def read_constraint(name: str, entry: Any, where: str) -> dict[str, Any]:
    """Read `monotone` or `interaction` of a search space.

    Args:
        name: one of `CONSTRAINTS`.
        entry: of `monotone`, -1 (falls), 0 or 1 (rises) by column; of `interaction`, lists of columns that may interact
            with each other and no others. A column that no list names interacts with none.
        where: it stands, for messages.

    Returns:
        XGBoost's parameter, by column names; empty where the entry asks for nothing.

    Raises:
        UserError: the entry is of another shape; names it and what is allowed.
    """
    if name == "monotone":
        if not isinstance(entry, Mapping):
            raise UserError(f"monotone in {where} got {entry!r}: map columns to 1 (rises), -1 (falls) or 0.")
        for column, sign in entry.items():
            if isinstance(sign, bool) or sign not in (-1, 0, 1):
                raise UserError(f"monotone in {where} got {sign!r} for {column!r}: use 1 (rises), -1 (falls) or 0.")
        signs = {str(column): int(sign) for column, sign in entry.items() if sign}
        return {MONOTONE: signs} if signs else {}
    groups = entry if isinstance(entry, list) else [entry]
    if not all(isinstance(group, list) and group for group in groups):
        raise UserError(f"interaction in {where} got {entry!r}: give lists of columns, such as [[a, b], [c]].")
    return {INTERACTION: [[str(column) for column in group] for group in groups]} if groups else {}


def check_constraints(params: Mapping[str, Any], problem: "Problem") -> None:
    """Refuse constraints over columns that the model does not read, or whose features have no such effect.

    Args:
        params: those of XGBoost, constraints by column names among them.
        problem: that the table poses.

    Raises:
        UserError: names the column and why.
    """
    monotone, groups = params.get(MONOTONE, {}), params.get(INTERACTION, [])
    for name, columns in (("monotone", monotone), ("interaction", [each for group in groups for each in group])):
        for column in columns:
            _check_known(name, column, problem)
    if monotone and problem.task == "multiclass":
        raise UserError(
            f"monotone holds for the chance of one of two classes or for a number, and {problem.target!r} has "
            f"{len(problem.classes)} classes: leave it out."
        )
    for column in monotone:
        kind = problem.kinds.get(column, "number")
        if kind not in ORDERED_KINDS:
            raise UserError(
                f"monotone names {column!r}, which is read as {kind} ({problem.reasons.get(column, 'as asked')}) and "
                "becomes features without its order: name columns of numbers, or true and false."
            )
        derived = [name for name, text in problem.derived.items() if column in Expression(text).columns]
        free = [name for name in derived if name not in monotone]
        if free:
            raise UserError(
                f"monotone names {column!r}, of which the derived column {free[0]!r} is made, and that is free to turn "
                "its effect round: name both, or leave one of them out."
            )

    for name, text in problem.derived.items():
        read = Expression(text).columns
        named = {each for group in groups for each in group}
        if named & {name, *read} and not any(set(read) <= set(group) for group in groups):
            raise UserError(
                f"The derived column {name!r} is made of {', '.join(map(repr, read))}, which interaction keeps apart: "
                "name them in one list, or leave it out."
            )


def over_features(params: Mapping[str, Any], names: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    """Give the constraints among parameters over features instead of columns.

    Args:
        params: those of XGBoost, constraints by column names among them.
        names: of the features.
        columns: the column that each feature is made of, in the order of `names`.
    """
    made: dict[str, Any] = {}
    if signs := params.get(MONOTONE):
        made[MONOTONE] = {name: signs[each] for name, each in zip(names, columns, strict=True) if each in signs}
    if groups := params.get(INTERACTION):
        made[INTERACTION] = [
            [name for name, each in zip(names, columns, strict=True) if each in group] for group in groups
        ]
    return made


def _check_known(setting: str, column: str, problem: "Problem") -> None:
    if column in problem.left_out:
        raise UserError(f"{setting} names {column!r}, which the model does not read: {problem.left_out[column]}.")
    known = [*problem.kinds, *problem.derived]
    if column not in known:
        raise UserError(
            f"{setting} names {column!r}, which is not among the columns of the model.{nearest(column, known)}"
        )
