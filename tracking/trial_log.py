"""The MLflow runs of trials: written behind the training's back by one thread, in batches; gathered after a kill."""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, Run, RunTag

from tracking.closing import close
from tracking.owners import this_process

MAX_METRICS_PER_CALL = 1000  # the most metrics that MLflow takes in one call
RESUMED = "The process that ran it is gone; another run went on with its study."
FLUSH_SECONDS = 1.5  # how long a curve may wait before it is written; a shorter trial is written once, at its end


class RunLog:
    """A `treeline.tuning.trial.TrialLog` that writes runs, one trial at a time and in order; an error of the store
    comes back to the caller at the next trial's end.

    Args:
        experiment_id: of the tuning run.
        parent_run_id: the tuning run.
        tags: set on every trial's run.
    """

    def __init__(self, experiment_id: str, parent_run_id: str, tags: Mapping[str, str]) -> None:
        self._client = mlflow.MlflowClient()
        self._experiment_id = experiment_id
        self._tags = {**this_process().tags(), **tags, "mlflow.parentRunId": parent_run_id, "stage": "trial"}
        self._writer = ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []
        self._run_id = ""
        self._points: list[Metric] = []
        self._params: list[Param] = []
        self._written = 0.0

    def start(self, number: int, params: Mapping[str, Any], run_id: str = "") -> None:
        """Open the run of a trial, or take up one that a kill left open."""
        self._points, self._written = [], time.monotonic()
        self._params = [Param(name, str(value)) for name, value in params.items()]
        name, tags = f"trial-{number:03d}", {**self._tags, "trial": str(number), "state": "RUNNING"}
        self._submit(self._open, name, tags, int(time.time() * 1000), run_id)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each of some curves; they are written within `FLUSH_SECONDS` of the next call."""
        now = int(time.time() * 1000)
        self._points += [Metric(name, value, now, step) for name, value in values.items()]
        if time.monotonic() - self._written > FLUSH_SECONDS:
            self._flush({}, {})

    def end(self, state: str, values: Mapping[str, float], tags: Mapping[str, str], status: str = "FINISHED") -> None:
        """Close the run of a trial, once the trials before it are written."""
        self._settle()
        self._flush(values, {**tags, "state": state})
        self._submit(self._close, status, int(time.time() * 1000))

    def note(self, number: int, values: Mapping[str, float]) -> None:
        """Add single values to the run of a trial that was closed, by this process or one before it."""
        now = int(time.time() * 1000)
        self._submit(self._write_to_closed, number, [Metric(name, value, now, 0) for name, value in values.items()])

    def finish(self) -> None:
        """Wait until everything is written."""
        self._settle()
        self._writer.shutdown()

    def _settle(self) -> None:
        for future in self._pending:
            future.result()
        self._pending = []

    def _flush(self, values: Mapping[str, float], tags: Mapping[str, str]) -> None:
        now = int(time.time() * 1000)
        points = self._points + [Metric(name, value, now, 0) for name, value in values.items()]
        self._submit(self._write, points, self._params, [RunTag(key, value) for key, value in tags.items()])
        self._points, self._params, self._written = [], [], time.monotonic()

    def _submit(self, work: Any, *arguments: Any) -> None:
        self._pending.append(self._writer.submit(work, *arguments))

    def _open(self, name: str, tags: dict[str, str], start: int, run_id: str) -> None:
        if not run_id:
            self._run_id = self._client.create_run(self._experiment_id, start, tags, name).info.run_id
            return
        self._run_id = run_id
        if "error" in self._client.get_run(run_id).data.tags:  # why it was closed, which is true no longer
            self._client.delete_tag(run_id, "error")
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def _write(self, points: list[Metric], params: list[Param], tags: list[RunTag]) -> None:
        self._client.log_batch(self._run_id, points[:MAX_METRICS_PER_CALL], params, tags)
        for first in range(MAX_METRICS_PER_CALL, len(points), MAX_METRICS_PER_CALL):
            self._client.log_batch(self._run_id, points[first : first + MAX_METRICS_PER_CALL])

    def _write_to_closed(self, number: int, points: list[Metric]) -> None:
        wanted = f"tags.study = '{self._tags['study']}' and tags.trial = '{number}' and tags.state = 'COMPLETE'"
        for run in self._client.search_runs([self._experiment_id], wanted):
            self._client.log_batch(run.info.run_id, points)

    def _close(self, status: str, end: int) -> None:
        self._client.set_terminated(self._run_id, status, end)


def gather_runs(study: str, last: int | None) -> str | None:
    """Bring the runs of a study that an earlier process began below the active run, and close those that it left open.

    Args:
        study: its name, the `study` tag of its runs.
        last: the number of its last finished trial.

    Returns:
        The run of the last trial where it was not written to its end, to be written now; empty where it was never
        opened, None where there is nothing to write.
    """
    active = mlflow.active_run().info
    found = mlflow.search_runs([active.experiment_id], f"tags.study = '{study}'", output_format="list")
    found = [run for run in found if run.info.run_id != active.run_id]
    unwritten = "" if found and last is not None else None
    for run in found:
        is_open = run.info.status == "RUNNING"
        if run.data.tags["stage"] != "trial":
            if is_open:
                _close_with_parent(run)
            continue
        mlflow.MlflowClient().set_tag(run.info.run_id, "mlflow.parentRunId", active.run_id)
        if run.data.tags["trial"] == str(last):
            unwritten = run.info.run_id if is_open or run.info.status == "KILLED" else None
        elif is_open:
            close(run, RESUMED)
    return unwritten


def _close_with_parent(tuning: Run) -> None:
    """Close a tuning run, and the run of `main` that it was part of."""
    close(tuning, RESUMED)
    parent = tuning.data.tags.get("mlflow.parentRunId")
    if parent and mlflow.get_run(parent).info.status == "RUNNING":
        close(mlflow.get_run(parent), RESUMED)
