"""Which version is the best champion so far, once a challenger is promoted."""

import numpy as np
import pandas as pd
import pytest
from tables_maker import make_problem

from tracking.promotion import Challenger, best_after
from tracking.runs import Lineage
from treeline.evaluation.comparison import Comparison, Contest
from treeline.evaluation.criteria import Criteria
from treeline.evaluation.predictions import Predictions
from treeline.model.estimator import make_estimator

NOBODY = Predictions("regression", np.zeros(0), np.zeros(0), np.zeros((0, 0)))
PROBLEM = make_problem()
CHALLENGER = Challenger(
    name="M",
    version="9",
    problem=PROBLEM,
    estimator=make_estimator(PROBLEM, {}, 1, 1),
    train=pd.DataFrame(),
    frame=pd.DataFrame(),
    predictions=NOBODY,
    golden={},
    lineage=Lineage(),
)


def met(version: str, gain: float) -> Contest:
    return Contest(f"M version {version}", version, comparison=Comparison(200, gain, gain, gain))


@pytest.mark.parametrize(
    ("promote", "contests", "best"),
    [
        ("better", [], "9"),
        ("better", [met("3", 0.1)], "9"),
        ("not-worse", [met("3", -0.1)], "3"),
        ("not-worse", [met("3", 0.1), met("2", -0.1)], "2"),
        ("not-worse", [met("3", -0.1), met("2", 0.0)], "9"),
        ("always", [met("3", -0.1)], "9"),
        ("better", [met("3", 0.1), Contest("M version 2", "2", obstacle="it is gone")], "9"),
    ],
)
def test_the_best_so_far_is_the_one_that_did_best_on_the_same_rows(
    promote: str, contests: list[Contest], best: str
) -> None:
    assert best_after(CHALLENGER, Criteria("rmse", promote=promote), contests) == best
