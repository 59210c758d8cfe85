"""Requests recorded when a model is made, with its answers: replayed before it is promoted, or registered elsewhere."""

import json
import math
from collections.abc import Mapping
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import scoring_server

from tracking.store_errors import raise_if_of_store
from treeline.model.estimator import TreelineClassifier, TreelineRegressor
from treeline.serving.requests import split_of

MAX_GOLDEN_REQUESTS = 8  # that are recorded
GOLDEN_REQUESTS = "golden.json"  # on the training run


def record_golden_requests(estimator: TreelineClassifier | TreelineRegressor, rows: pd.DataFrame) -> dict[str, Any]:
    """Record a few requests as a caller sends them, and the answers.

    Args:
        estimator: fitted.
        rows: raw training rows, of which at most eight are asked.

    Returns:
        `request`, in MLflow's `dataframe_split` shape, and `answer`, a record a row.
    """
    asked = rows.sample(min(len(rows), MAX_GOLDEN_REQUESTS), random_state=0).reset_index(drop=True)
    return {"request": split_of(asked), "answer": estimator.answer(asked).to_dict(orient="records")}


def replay_golden_requests(service_uri: str, golden: Mapping[str, Any]) -> list[str]:
    """Ask the served form the requests recorded at training, as JSON; say where its answers differ."""
    try:
        service = mlflow.pyfunc.load_model(service_uri)
        asked, recorded = json.dumps({"dataframe_split": golden["request"]}), golden["answer"]
        answer = scoring_server.invocations(asked, "application/json", service, service.metadata.get_input_schema())
        answers = json.loads(answer.response)["predictions"] if answer.status == 200 else answer.response
    except Exception as error:  # whatever keeps a model from answering, it does not answer
        raise_if_of_store(error)
        return [f"the served form does not answer: {type(error).__name__}: {error}"[:500]]
    if answer.status != 200:
        return [f"the served form answers {answer.status}: {answers}"[:500]]
    if not isinstance(recorded, list) or len(recorded) != len(answers):
        return ["the served form does not give as many answers as were recorded"]
    differ = sum(not _alike(one, other) for one, other in zip(answers, recorded, strict=True))
    return [f"the served form answers {differ} of {len(answers)} recorded requests differently"] if differ else []


def _alike(one: dict[str, Any], other: Any) -> bool:
    return (
        isinstance(other, dict)
        and one.keys() == other.keys()
        and all(
            math.isclose(value, other[name], rel_tol=1e-4, abs_tol=1e-5)
            if isinstance(value, float) and isinstance(other[name], float | int)
            else value == other[name]
            for name, value in one.items()
        )
    )
