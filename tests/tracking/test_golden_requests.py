"""Recorded requests: whatever the rows hold, the registered model answers them as the pipeline did."""

import datetime
import json
from decimal import Decimal
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Store

from tracking.golden_requests import MAX_GOLDEN_REQUESTS, record_golden_requests, replay_golden_requests
from tracking.models import log_models
from treeline.data.problem import TableSettings, settle_problem
from treeline.data.tables import make_table
from treeline.model.estimator import make_estimator

pytestmark = pytest.mark.store


def every_type(n: int = 120) -> pd.DataFrame:
    """Make a table with a column of every type of value that a table's rows may hold."""
    rng = np.random.default_rng(0)
    moments = pd.Series(pd.Timestamp("2026-10-24") + pd.to_timedelta(rng.integers(0, 3 * 10**14, n), unit="ns"))
    count = pd.Series(rng.integers(0, 9, n))
    gaps = rng.random(n) < 0.2
    return pd.DataFrame(
        {
            "fraction": rng.normal(size=n) / 3,
            "whole fraction": rng.integers(0, 50, n).astype(float),
            "whole": count,
            "large": 2**60 + rng.integers(0, 2**59, n),
            "gaps": count.astype("Int64").mask(gaps),
            "decimal": [Decimal(int(each)) / 7 for each in rng.integers(0, 99, n)],
            "float32": rng.normal(size=n).astype(np.float32),
            "boolean": rng.random(n) < 0.5,
            "boolean with gaps": pd.Series(rng.random(n) < 0.5, dtype="boolean").mask(gaps),
            "moment": moments,
            "moment with gaps": moments.mask(gaps),
            "zoned": moments.dt.tz_localize("UTC"),
            "time": [datetime.time(int(hour), 30) for hour in rng.integers(0, 24, n)],
            "duration": pd.to_timedelta(rng.integers(0, 10**6, n), unit="s"),
            "code": [f"{each:05}" for each in rng.integers(501, 530, n)],
            "word": rng.choice(["None", "NA", "null", "a\nb", "😀"], n),
            "category": pd.Categorical(rng.choice(["x", "y"], n)),
        }
    )


@pytest.mark.parametrize("name", [*every_type().columns, ""], ids=lambda name: name or "all")
def test_the_registered_model_answers_what_was_recorded(store: Store, name: str) -> None:
    frame = every_type() if not name else every_type()[[name]]
    ranks = pd.Series(np.random.default_rng(1).normal(size=len(frame)))
    table = make_table("made", frame.assign(noise=ranks.to_numpy(), y=np.where(ranks > 0, "yes", "no")), "y")
    problem, rows = settle_problem(table, TableSettings())
    assert name in problem.kinds or not name
    estimator = make_estimator(problem, {}, 3, 1).fit(problem.rows(rows), rows["y"])
    golden: dict[str, Any] = json.loads(json.dumps(record_golden_requests(estimator, problem.rows(rows))))
    assert len(golden["request"]["data"]) == len(golden["answer"]) == MAX_GOLDEN_REQUESTS
    with mlflow.start_run():
        uris = log_models(estimator, problem.rows(rows), problem, "Made")
    assert replay_golden_requests(uris["MadeService"], golden) == []
    golden["answer"][0]["probability_no"] = 2.0
    assert replay_golden_requests(uris["MadeService"], golden) == [
        "the served form answers 1 of 8 recorded requests differently"
    ]
