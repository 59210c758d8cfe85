"""The server of a champion, as `make serve` starts it, and what it should answer."""

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from bad_requests import BadRequest, bad_requests
from faults_chain import Place
from faults_store import NAME
from serving import Server

from tracking.models import SERVICE

# As `make serve` sets them.
HEAP = {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "MLFLOW_DISABLE_TELEMETRY": "true"}


@dataclass
class Served:
    """A server under way.

    Attributes:
        server: its process and port.
        rows: raw rows, as they are asked.
        answers: to each of them, as pyfunc gives it.
        wrong: requests that are wrong.
    """

    server: Server
    rows: pd.DataFrame
    answers: list[dict[str, Any]]
    wrong: list[BadRequest]


@contextlib.contextmanager
def served() -> Iterator[Served]:
    """Make a champion and serve it."""
    with tempfile.TemporaryDirectory() as base:
        place = Place(Path(base) / "here", Path(base) / "copies")
        place.prepare()
        place.put_back("champions")
        store = f"sqlite:///{place.folder}/mlflow.db"
        mlflow.set_tracking_uri(store)
        rows = pd.read_csv(place.folder / "rows.csv")
        answers = mlflow.pyfunc.load_model(f"models:/{NAME}{SERVICE.suffix}@champion").predict(rows)
        serve = Path(__file__).resolve().parents[1] / "serve.py"
        environment = {**HEAP, "MLFLOW_TRACKING_URI": store, "TREELINE_MODEL": NAME}
        server = Server([sys.executable, str(serve)], environment)
        with server.running([]):
            row = json.loads(rows.head(1).to_json(orient="records", double_precision=15))[0]
            yield Served(server, rows, answers.to_dict(orient="records"), bad_requests(row, "x0"))
