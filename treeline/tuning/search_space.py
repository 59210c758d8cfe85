"""The search space: what a trial may draw, and the known good points that a study tries first."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from treeline import UserError, nearest
from treeline.data.numbers import plain_number
from treeline.model.boosting import ABSOLUTE_ERROR, SQUARED_ERROR, TWEEDIE
from treeline.model.constraints import CONSTRAINTS, read_constraint

# TabArena's published space for XGBoost (Erickson et al. 2025, "TabArena: A Living Benchmark for Machine Learning on
# Tabular Data"), with three ends moved outwards so that the known points below lie in it: the learning rate up to 0.3,
# min_child_weight from 1e-6, max_cat_to_onehot from 4. And reg_alpha and reg_lambda are drawn on a log scale: uniformly
# 98 % of the draws of reg_alpha are above 0.1, which a small table does not bear (digits: 12 draws of 12 were worse in
# cross-validation than the meta-tuned point, most by more than double).
SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(5e-3, 0.3, log=True),
    "max_depth": IntDistribution(4, 10, log=True),
    "max_leaves": IntDistribution(8, 1024, log=True),
    "grow_policy": CategoricalDistribution(["depthwise", "lossguide"]),
    "min_child_weight": FloatDistribution(1e-6, 5.0, log=True),
    "subsample": FloatDistribution(0.6, 1.0),
    "colsample_bylevel": FloatDistribution(0.6, 1.0),
    "colsample_bynode": FloatDistribution(0.6, 1.0),
    "reg_alpha": FloatDistribution(1e-4, 5.0, log=True),
    "reg_lambda": FloatDistribution(1e-4, 5.0, log=True),
    "max_cat_to_onehot": IntDistribution(4, 100, log=True),
}

# XGBoost's own defaults; 1024 leaves are more than a tree of depth 6 can have, so they stand for "no limit".
DEFAULTS: dict[str, Any] = {
    "learning_rate": 0.3,
    "max_depth": 6,
    "max_leaves": 1024,
    "grow_policy": "depthwise",
    "min_child_weight": 1.0,
    "subsample": 1.0,
    "colsample_bylevel": 1.0,
    "colsample_bynode": 1.0,
    "reg_alpha": 0.0,
    "reg_lambda": 1.0,
    "max_cat_to_onehot": 4,
}
# The meta-tuned defaults of Holzmüller, Grinsztajn and Steinwart 2024, "Better by Default: Strong Pre-Tuned MLPs and
# Boosted Trees on Tabular Data", for classification and regression.
TUNED_CLASSIFICATION = {"learning_rate": 0.08, "max_depth": 6, "min_child_weight": 5e-6, "subsample": 0.65}
TUNED_CLASSIFICATION |= {"colsample_bylevel": 0.9, "reg_lambda": 0.0}
TUNED_REGRESSION = {"learning_rate": 0.05, "max_depth": 9, "min_child_weight": 2.0, "subsample": 0.7, "reg_lambda": 0.0}

# The same with columns drawn for each level and node, and XGBoost's reg_lambda, for tables where they learn too fast:
# better than they are in cross-validation, and on held-out rows, on each of the six tables of benchmarks/search.py.
SAMPLED = {"colsample_bylevel": 0.7, "colsample_bynode": 0.7, "reg_lambda": 1.0}
# Deep, for classes that lie in many clusters: the depth and min_child_weight of the first XGBoost of AutoGluon's
# zero-shot portfolio of 2023 (its `r33`, rounded).
DEEP = SAMPLED | {"max_depth": 10, "min_child_weight": 0.6}
# Shallow and quick: the second XGBoost of the same portfolio (its `r89`, rounded; columns are drawn for each level
# instead of each tree).
SHALLOW = {"learning_rate": 0.088, "max_depth": 5, "min_child_weight": 0.63, "colsample_bylevel": 0.66}

MAX_BYTES = 250_000  # of a file of a search space; its own reader takes seconds for as many
MAX_WHOLE, LEAST_SHARE, MAX_FLOAT = 2**31 - 1, 1e-9, 1e38  # that XGBoost takes, in 32 bits
HELD_LEARNING_RATE = 0.08  # at which a study learns until its end: that of the meta-tuned defaults for classification


@dataclass(frozen=True)
class Legal:
    """What XGBoost takes for a parameter, in its 32 bits: numbers from `low` to `high`."""

    whole: bool = False
    low: float = 0.0
    high: float = MAX_FLOAT

    def __str__(self) -> str:
        """Say it in words."""
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:.10g}"

    def holds(self, value: Any) -> bool:
        """Tell whether a value is one of them."""
        if not isinstance(value, Real) or isinstance(value, bool) or not self.low <= float(value) <= self.high:
            return False
        return not self.whole or float(value).is_integer()


SHARE = Legal(low=LEAST_SHARE, high=1)
COUNT = Legal(whole=True, low=1, high=MAX_WHOLE)
LEGAL: dict[str, Legal] = {
    "learning_rate": SHARE,
    "max_depth": COUNT,
    "max_leaves": Legal(whole=True, high=MAX_WHOLE),
    "min_child_weight": Legal(),
    "subsample": SHARE,
    "colsample_bytree": SHARE,
    "colsample_bylevel": SHARE,
    "colsample_bynode": SHARE,
    "reg_alpha": Legal(),
    "reg_lambda": Legal(),
    "gamma": Legal(),
    "max_delta_step": Legal(),
    "scale_pos_weight": Legal(low=LEAST_SHARE),
    "max_cat_to_onehot": COUNT,
    "max_cat_threshold": COUNT,
}
CHOICES: dict[str, tuple[str, ...]] = {
    "grow_policy": ("depthwise", "lossguide"),
    "objective": (SQUARED_ERROR, ABSOLUTE_ERROR, TWEEDIE),
}
# What a search may draw or hold fixed, in the order it is told.
PARAMETERS = list(dict.fromkeys([*SPACE, *LEGAL, *CHOICES]))


def read_space(path: str) -> dict[str, Any]:
    """Read a YAML file that changes the built-in space, and make sure that it can be settled.

    Args:
        path: of the file; empty keeps the built-in space.

    Returns:
        Its entries, as `settle_space` takes them.

    Raises:
        UserError: the file is unreadable, or an entry is not legal; names it and what is allowed.
    """
    entries = _read_yaml(path) if path else {}
    settle_space(entries, path)
    return entries


def settle_space(
    entries: Mapping[str, Any], where: str = "the search space"
) -> tuple[dict[str, BaseDistribution], dict[str, Any]]:
    """Change the built-in space.

    Args:
        entries: a parameter's value is a number (fixed), a list (choices), or `{low: , high: , log: }` (a range; `log`
            is the built-in one's unless given). What they do not name stays as it is. `monotone` and `interaction`
            constrain columns, as `treeline.model.constraints.read_constraint` takes them.
        where: they stand, for messages.

    Returns:
        What a trial draws, and what is fixed.

    Raises:
        UserError: an entry is not legal; names it and what is allowed.
    """
    space: dict[str, BaseDistribution] = dict(SPACE)
    fixed: dict[str, Any] = {}
    for name, entry in entries.items():
        if name in CONSTRAINTS:
            fixed |= read_constraint(name, entry, where)
            continue
        known = [*LEGAL, *CHOICES]
        if name not in known:
            raise UserError(
                f"Unknown parameter {name!r} in {where}.{nearest(str(name), [*known, *CONSTRAINTS])} Use "
                f"{', '.join([*known, *CONSTRAINTS])}."
            )
        space.pop(name, None)
        if isinstance(entry, list) and len(entry) > 1:
            space[name] = CategoricalDistribution([_legal(where, name, value) for value in entry])
        elif isinstance(entry, dict):
            space[name] = _range(where, name, entry)
        else:
            fixed[name] = _legal(where, name, entry[0] if isinstance(entry, list) and entry else entry)
    return space, fixed


def known_points(task: str, space: Mapping[str, BaseDistribution]) -> list[dict[str, Any]]:
    """Give the points that a study tries before it searches, moved into the space: XGBoost's defaults, so that no
    study is worse than no tuning, the meta-tuned ones, and some that differ much from them (those for regression are
    deep already). Where a trial draws the loss it trains by, they have the first, and the meta-tuned one each.
    """
    tuned = DEFAULTS | (TUNED_REGRESSION if task == "regression" else TUNED_CLASSIFICATION)
    deep = [] if task == "regression" else [tuned | DEEP]
    first, *others = getattr(space.get("objective"), "choices", [""])
    each_loss = [{"objective": loss, **tuned} for loss in others]
    points: list[dict[str, Any]] = []
    for known in (DEFAULTS, tuned, *each_loss, tuned | SAMPLED, *deep, DEFAULTS | SHALLOW):
        point = {"objective": first, **known}
        moved = {name: _moved(point[name], space[name]) for name in space if name in point}
        if moved not in points:
            points.append(moved)
    return points


def _moved(value: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return value if value in distribution.choices else distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return min(max(value, distribution.low), distribution.high)


class _PlainLoader(yaml.SafeLoader):
    """YAML without what a search space has no use for: a key twice, of which YAML keeps the last, and aliases, by which
    a few lines stand for gigabytes, or for themselves.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias such as *a is not read")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.MarkedYAMLError(problem=f"{name!r} stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        content = b""
        if readable := Path(path).is_file():  # a device has no end, and a pipe may have no beginning
            with Path(path).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError):
        readable = False
    if not readable:
        raise UserError(f"No readable file {str(Path(path).absolute())!r} for search_space.")
    if len(content) > MAX_BYTES:
        raise UserError(f"{path} is no search space: it has more than {MAX_BYTES:,} bytes.")
    try:
        entries = yaml.load(content.decode(), Loader=_PlainLoader)
    except RecursionError:
        raise UserError(f"{path} is no search space: it is nested too deep.") from None
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path} is no YAML{line}: {error.problem or error.context}.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, a date that is none, a number of 5,000 digits
        raise UserError(f"{path} is no YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(entries, dict):
        raise UserError(f"{path} must map parameters to values, such as `max_depth: {{low: 3, high: 8}}`.")
    return entries


def _legal(where: str, name: str, value: Any) -> Any:
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise UserError(f"{name} in {where} got {value!r}: use {' or '.join(CHOICES[name])}.")
        return value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = plain_number(value)  # YAML reads 1e-3, without a point, as text
    if not LEGAL[name].holds(value):
        raise UserError(f"{name} in {where} got {value!r}: give {LEGAL[name]}, a list of them, or {{low: , high: }}.")
    return int(value) if LEGAL[name].whole else float(value)


def _range(where: str, name: str, entry: dict[str, Any]) -> BaseDistribution:
    strange = set(entry) - {"low", "high", "log"}
    if strange or not {"low", "high"} <= set(entry) or name in CHOICES:
        raise UserError(f"{name} in {where} got {entry!r}: a range is {{low: , high: }}, with log: true or false.")
    low, high = _legal(where, name, entry["low"]), _legal(where, name, entry["high"])
    log = entry.get("log", getattr(SPACE.get(name), "log", False) and low > 0)
    if not low < high or not isinstance(log, bool) or (log and low <= 0):
        raise UserError(f"{name} in {where} got {entry!r}: low must be below high, and above 0 where log is true.")
    return (IntDistribution if LEGAL[name].whole else FloatDistribution)(low, high, log=log)
