"""What MLflow's evaluator and its libraries warn of: the expected is silent, the rest is told once in a sentence."""

import logging
import warnings
from collections.abc import Iterator

import pytest
from loguru import logger
from sklearn.exceptions import UndefinedMetricWarning

from tracking.default_evaluator import _told_once

EVALUATOR = logging.getLogger("mlflow.models.evaluation.default_evaluator")


@pytest.fixture
def told() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


def filters() -> list[int]:
    return [len(handler.filters) for handler in logging.getLogger("mlflow").handlers]


def test_what_is_expected_of_an_evaluation_needs_no_word(told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    import mlflow  # noqa: F401  # whose handlers are listened to

    with _told_once():
        EVALUATOR.warning("The classifier num_classes > 10, skip logging ROC curve and Precision-Recall curve.")
        EVALUATOR.warning("According to the labels, the model type looks like None, but you specified classifier.")
        warnings.warn("Precision is ill-defined", UndefinedMetricWarning, stacklevel=1)
        warnings.warn("Glyph 24066 (\\N{CJK}) missing from font(s) DejaVu Sans.", UserWarning, stacklevel=1)
        warnings.warn("Tight layout not applied. The margins cannot be made large enough", UserWarning, stacklevel=1)
    assert told == []
    assert capsys.readouterr().err == ""


def test_what_is_not_expected_is_told_once(told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    import mlflow  # noqa: F401

    before = filters()
    with _told_once():
        for _ in range(3):
            EVALUATOR.warning("Failed to log image artifact 'lift_curve_plot': ValueError('1 category')")
            EVALUATOR.warning("The moon is full\nas it should be")
            warnings.warn("overflow encountered", RuntimeWarning, stacklevel=1)
    assert told == [
        "MLflow's evaluator could not draw lift_curve_plot of these rows",
        "MLflow's evaluator says: The moon is full",
        "MLflow's evaluator says: overflow encountered",
    ]
    assert capsys.readouterr().err == ""
    assert filters() == before
