"""Pictures of a study: what was held stands in its place and has no importance."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution

from treeline.reporting.study_plots import study_pictures
from treeline.tuning.schedule import ask_next
from treeline.tuning.search_space import HELD_LEARNING_RATE, SPACE


def test_a_rate_that_was_held_stands_in_its_place_and_has_no_importance() -> None:
    study = optuna.create_study()
    space = {"learning_rate": SPACE["learning_rate"], "subsample": FloatDistribution(0.5, 1.0)}
    for late in (True, *6 * [False]):
        trial = ask_next(study, space, 0, late)
        study.tell(trial, trial.params["learning_rate"] + trial.params["subsample"])
    pictures = study_pictures(study, "log_loss")
    assert [label.get_text() for label in pictures["parameter_importances"].axes[0].get_yticklabels()] == ["subsample"]
    rates, _ = np.transpose([line.get_ydata() for line in pictures["parallel_coordinate"].axes[0].lines[:7]])
    assert rates[1:] == pytest.approx(math.log(HELD_LEARNING_RATE / 0.005) / math.log(0.3 / 0.005))
