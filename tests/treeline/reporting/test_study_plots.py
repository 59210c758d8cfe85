"""The pictures of a study: which there are, what stands on their axes, and where a parameter stands in its range."""

import io
import math
from typing import Any

import numpy as np
import optuna
import pytest
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from treeline.reporting.study_plots import BEST_COLOUR, study_pictures

RATE = FloatDistribution(0.005, 0.3, log=True)
DEPTH = IntDistribution(2, 10)
POLICY = CategoricalDistribution(["depthwise", "lossguide", "neither"])
SPACE = {"learning_rate": RATE, "max_depth": DEPTH, "grow_policy": POLICY}
DRAWN = [
    ({"learning_rate": 0.3, "max_depth": 10, "grow_policy": "depthwise"}, 0.5),
    ({"learning_rate": 0.005, "max_depth": 2, "grow_policy": "neither"}, 0.3),
    ({"learning_rate": math.sqrt(0.005 * 0.3), "max_depth": 6, "grow_policy": "lossguide"}, 0.4),
]


def study_of(*trials: optuna.trial.FrozenTrial, direction: str = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    return study


def finished(
    params: dict[str, Any], value: float, space: dict[str, BaseDistribution] = SPACE
) -> optuna.trial.FrozenTrial:
    return create_trial(params=params, distributions={name: space[name] for name in params}, value=value)


def three(direction: str = "minimize") -> optuna.Study:
    return study_of(*(finished(*each) for each in DRAWN), direction=direction)


def words(figure: Figure) -> str:
    """Everything that is written in a picture."""
    figure.savefig(io.BytesIO(), format="png")
    return "\n".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


def test_a_study_of_one_trial_has_a_history_only() -> None:
    assert list(study_pictures(study_of(finished(*DRAWN[0])), "log_loss")) == ["optimization_history"]


def test_a_study_without_parameters_has_a_history_only() -> None:
    assert list(study_pictures(study_of(finished({}, 1.0), finished({}, 2.0)), "log_loss")) == ["optimization_history"]


def test_a_trial_is_worth_its_metric_in_cross_validation() -> None:
    pictures = study_pictures(three(), "log_loss")
    assert list(pictures) == ["optimization_history", "parameter_importances", "parallel_coordinate", "slices"]
    written = {name: words(figure) for name, figure in pictures.items()}
    assert not any("score" in text for text in written.values())
    assert "log_loss in cross-validation" in written["optimization_history"]
    assert "log_loss in cross-validation" in written["slices"]
    assert "Each parameter against log_loss" in written["slices"]
    assert "red has the best log_loss" in written["parallel_coordinate"]


@pytest.mark.parametrize(("direction", "best"), [("minimize", [0.5, 0.3, 0.3]), ("maximize", [0.5, 0.5, 0.5])])
def test_the_history_knows_which_direction_is_better(direction: str, best: list[float]) -> None:
    axes = study_pictures(three(direction), "m")["optimization_history"].axes[0]
    assert axes.lines[0].get_ydata().tolist() == best
    assert axes.collections[0].get_offsets().tolist() == [[0, 0.5], [1, 0.3], [2, 0.4]]


def test_pruned_trials_are_marked_at_the_foot_of_the_history() -> None:
    pruned = create_trial(state=TrialState.PRUNED)
    axes = study_pictures(study_of(finished(*DRAWN[0]), pruned, finished(*DRAWN[1])), "m")["optimization_history"].axes[
        0
    ]
    assert axes.lines[0].get_xdata().tolist() == [0, 2]
    assert axes.lines[1].get_xdata().tolist() == [1]


def test_a_parameter_stands_in_its_range_from_bottom_to_top() -> None:
    axes = study_pictures(three(), "m")["parallel_coordinate"].axes[0]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == sorted(SPACE)
    heights = np.array([line.get_ydata() for line in axes.lines[:3]])
    expected = {"learning_rate": [1, 0, 0.5], "max_depth": [1, 0, 0.5], "grow_policy": [0, 1, 0.5]}
    assert pytest.approx(np.array([expected[name] for name in names])) == heights.T
    ends = [text.get_text() for text in axes.texts]
    assert ends == ["depthwise", "neither", "0.005", "0.3", "2", "10"]


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1), ("maximize", 0)])
def test_the_best_trial_alone_is_red(direction: str, best: int) -> None:
    axes = study_pictures(three(direction), "m")["parallel_coordinate"].axes[0]
    assert [line.get_color() == BEST_COLOUR for line in axes.lines[:3]] == [k == best for k in range(3)]


def test_a_rate_that_was_held_stands_in_its_place_and_has_no_importance() -> None:
    space = {"learning_rate": RATE, "subsample": FloatDistribution(0.5, 1.0)}
    held = space | {"learning_rate": FloatDistribution(0.1, 0.1)}
    trials = [finished({"learning_rate": 0.05, "subsample": 0.75}, 0.5, space)]
    trials += [finished({"learning_rate": 0.1, "subsample": 0.5 + k / 10}, 1 - k / 10, held) for k in range(4)]
    pictures = study_pictures(study_of(*trials), "log_loss")
    assert [label.get_text() for label in pictures["parameter_importances"].axes[0].get_yticklabels()] == ["subsample"]
    rates, _ = np.transpose([line.get_ydata() for line in pictures["parallel_coordinate"].axes[0].lines[:5]])
    assert rates[1:] == pytest.approx(math.log(0.1 / 0.005) / math.log(0.3 / 0.005))


def test_where_every_parameter_was_held_the_pictures_render() -> None:
    held: dict[str, BaseDistribution] = {"learning_rate": FloatDistribution(0.1, 0.1)}
    study = study_of(*(finished({"learning_rate": 0.1}, value, held) for value in (1.0, 2.0)))
    for figure in study_pictures(study, "m").values():
        words(figure)


def test_a_parameter_that_some_trials_did_not_draw_leaves_a_gap() -> None:
    study = study_of(finished(*DRAWN[0]), finished(*DRAWN[1]), *(finished({"max_depth": 4}, k) for k in (1, 2)))
    pictures = study_pictures(study, "m")
    gaps = [np.isnan(line.get_ydata()).tolist() for line in pictures["parallel_coordinate"].axes[0].lines[:4]]
    assert gaps == 2 * [[False, False, False]] + 2 * [[True, True, False]]
    panels = [axes for axes in pictures["slices"].axes if axes.get_visible()]
    counts = {axes.get_xlabel(): len(axes.collections[0].get_offsets()) for axes in panels}
    assert counts == {"grow_policy": 2, "learning_rate": 2, "max_depth": 4}


@pytest.mark.parametrize("n", [1, 4, 5])
def test_each_parameter_has_a_panel(n: int) -> None:
    names = [f"p{k}" for k in range(n)]
    space: dict[str, BaseDistribution] = dict.fromkeys(names, FloatDistribution(0, 1))
    study = study_of(*(finished(dict.fromkeys(names, value), value, space) for value in (0.1, 0.5, 0.9)))
    figure = study_pictures(study, "m")["slices"]
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_visible()] == names
    words(figure)
