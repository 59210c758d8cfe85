"""The served form: what it makes of the pipeline that it answers with."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Store
from mlflow.pyfunc import PythonModelContext

from tracking.models import PACKAGE, TRUSTED
from tracking.service import Service

pytestmark = pytest.mark.store


def threads_of(booster: Any) -> str:
    return str(json.loads(booster.save_config())["learner"]["generic_param"]["nthread"])


def test_it_answers_on_one_thread_whatever_the_booster_was_trained_with(cancer: Store, tmp_path: Path) -> None:
    pipeline = mlflow.sklearn.load_model("models:/CancerModel@champion")
    pipeline.booster_.set_param({"nthread": 7})
    saved = str(tmp_path / "pipeline")
    formats = {"serialization_format": "skops", "skops_trusted_types": TRUSTED, "code_paths": [str(PACKAGE)]}
    mlflow.sklearn.save_model(pipeline, saved, pip_requirements=[], **formats)
    assert threads_of(mlflow.sklearn.load_model(saved).booster_) == "7"

    service = Service()
    service.load_context(PythonModelContext({"pipeline": saved}, {}))
    assert threads_of(service.estimator.booster_) == "1"
