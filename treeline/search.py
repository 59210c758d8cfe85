"""The search space: what a trial may draw, and the known good points that a study tries first."""

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

# TabArena's published space for XGBoost (Erickson et al. 2025, "TabArena: A Living Benchmark for Machine Learning on
# Tabular Data"), with four ends moved outwards so that the known points below lie in it: the learning rate up to 0.3,
# min_child_weight from 1e-6, reg_alpha and reg_lambda from 0, max_cat_to_onehot from 4.
SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(5e-3, 0.3, log=True),
    "max_depth": IntDistribution(4, 10, log=True),
    "max_leaves": IntDistribution(8, 1024, log=True),
    "grow_policy": CategoricalDistribution(["depthwise", "lossguide"]),
    "min_child_weight": FloatDistribution(1e-6, 5.0, log=True),
    "subsample": FloatDistribution(0.6, 1.0),
    "colsample_bylevel": FloatDistribution(0.6, 1.0),
    "colsample_bynode": FloatDistribution(0.6, 1.0),
    "reg_alpha": FloatDistribution(0.0, 5.0),
    "reg_lambda": FloatDistribution(0.0, 5.0),
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


def known_points(task: str) -> list[dict[str, Any]]:
    """Give the points that a study tries before it searches, best guess first: complete, and inside `SPACE`."""
    tuned = TUNED_REGRESSION if task == "regression" else TUNED_CLASSIFICATION
    return [DEFAULTS | tuned, DEFAULTS]
