"""The MLflow runs of trials: written behind the training's back by one thread, in batches; gathered after a kill."""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, Run, RunInfo, RunTag

from tracking.closing import close
from tracking.owners import this_process
from treeline.tuning.records import Record

MAX_METRICS_PER_CALL = 1000  # the most metrics that MLflow takes in one call
RESUMED = "The process that ran it is gone; another run went on with its study."
FLUSH_SECONDS = 1.5  # how long a curve may wait before it is written; a shorter trial is written once, at its end


class RunLog:
    """A `treeline.tuning.records.TrialLog` that writes runs, one trial at a time and in order.

    A run is closed once all of it is written. What the store refuses comes back to the caller at the next trial's
    beginning or at this one's end, and nothing is written after it: `gather` finds what is missing the next time.

    Args:
        parent: the tuning run.
        tags: set on every trial's run; `study` and `study_id` tell whose it is.
    """

    def __init__(self, parent: RunInfo, tags: Mapping[str, str]) -> None:
        self._client = mlflow.MlflowClient()
        self._parent = parent
        self._tags = {**this_process().tags(), **tags, "mlflow.parentRunId": parent.run_id, "stage": "trial"}
        self._writer = ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []
        self._failed = False
        self._runs: dict[int, str] = {}  # by the number of the trial
        self._run_id = ""
        self._there = Written()
        self._points: list[Metric] = []
        self._params: list[Param] = []
        self._flushed = 0.0

    def start(self, number: int, params: Mapping[str, Any], run_id: str = "") -> None:
        """Open the run of a trial, or take up one that was not written to its end."""
        self._settle(wait=False)
        self._points, self._flushed = [], time.monotonic()
        self._params = [Param(name, str(value)) for name, value in params.items()]
        tags = {**self._tags, "trial": str(number), "state": "RUNNING"}
        self._submit(self._open, number, tags, int(time.time() * 1000), run_id)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each of some curves; they are written within `FLUSH_SECONDS` of the next call."""
        now = int(time.time() * 1000)
        self._points += [Metric(name, value, now, step) for name, value in values.items()]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
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
        try:
            self._settle()
        finally:
            self._writer.shutdown()

    def gather(self, records: Mapping[int, Record], digest: str) -> dict[int, str]:
        """Bring the runs of the study that earlier processes began below the tuning run, and close those that no trial
        counts for.

        Args:
            records: what the run of each trial that counts must hold.
            digest: of the data; by the name and it the runs of a study are known that has no id.

        Returns:
            The trials whose run is not whole, to be written now: the run that was begun, or empty where there is none.
        """
        begun: dict[int, list[Run]] = {}
        for run in self._earlier(digest):
            if run.data.tags.get("stage") == "trial":
                self._client.set_tag(run.info.run_id, "mlflow.parentRunId", self._parent.run_id)
                begun.setdefault(int(run.data.tags["trial"]), []).append(run)
            elif run.info.status == "RUNNING":
                _close_with_parent(run)
        unwritten = {number: "" for number in records if number not in begun}
        for number, runs in begun.items():
            chosen = None
            if number in records:
                whole = [run for run in runs if is_whole(run, records[number])]
                chosen = (whole or runs)[0]
                if whole:
                    self._runs[number] = chosen.info.run_id
                    lacking = {k: v for k, v in records[number].notes.items() if k not in chosen.data.metrics}
                    if lacking:
                        self.note(number, lacking)
                else:
                    unwritten[number] = chosen.info.run_id
            for run in runs:
                if run is not chosen and run.info.status in ("RUNNING", "FINISHED"):
                    close(run, RESUMED)
        return dict(sorted(unwritten.items()))

    def _earlier(self, digest: str) -> list[Run]:
        query, own_id = f"tags.study = '{self._tags['study']}'", self._tags.get("study_id", "")
        found = mlflow.search_runs([self._parent.experiment_id], query, output_format="list")
        own = [run for run in found if run.data.tags.get("study_id", "") == own_id]
        stages = [run for run in own if run.data.tags.get("data_digest") == digest]
        parents = {run.info.run_id for run in stages}
        trials = [run for run in own if run.data.tags.get("stage") == "trial"]
        if not own_id:
            trials = [run for run in trials if run.data.tags.get("mlflow.parentRunId") in parents]
        return [*(run for run in stages if run.info.run_id != self._parent.run_id), *trials]

    def _settle(self, wait: bool = True) -> None:
        done = [future for future in self._pending if wait or future.done()]
        self._pending = [future for future in self._pending if future not in done]
        for future in done:
            future.result()

    def _flush(self, values: Mapping[str, float], tags: Mapping[str, str]) -> None:
        now = int(time.time() * 1000)
        points = self._points + [Metric(name, value, now, 0) for name, value in values.items()]
        self._submit(self._write, points, self._params, [RunTag(key, value) for key, value in tags.items()])
        self._points, self._params, self._flushed = [], [], time.monotonic()

    def _submit(self, work: Any, *arguments: Any) -> None:
        self._pending.append(self._writer.submit(self._unless_failed, work, *arguments))

    def _unless_failed(self, work: Any, *arguments: Any) -> None:
        """Write nothing behind what is missing: a run must not look finished that lacks a piece."""
        if self._failed:
            return
        try:
            work(*arguments)
        except Exception:
            self._failed = True
            raise

    def _open(self, number: int, tags: dict[str, str], start: int, run_id: str) -> None:
        if run_id:
            self._there = written(self._client, run_id)
            if "error" in self._there.tags:  # of whoever closed it
                self._client.delete_tag(run_id, "error")
            self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        else:
            self._there = Written()
            name = f"trial-{number:03d}"
            run_id = self._client.create_run(self._parent.experiment_id, start, tags, name).info.run_id
        self._run_id = self._runs[number] = run_id

    def _write(self, points: list[Metric], params: list[Param], tags: list[RunTag]) -> None:
        points = [point for point in points if point.step not in self._there.steps.get(point.key, ())]
        params = [param for param in params if param.key not in self._there.params]
        last = max(0, len(points) - 1) // MAX_METRICS_PER_CALL
        for i in range(last + 1):
            some = points[i * MAX_METRICS_PER_CALL : (i + 1) * MAX_METRICS_PER_CALL]
            self._client.log_batch(self._run_id, some, [] if i else params, tags if i == last else [])

    def _write_to_closed(self, number: int, points: list[Metric]) -> None:
        self._client.log_batch(self._runs[number], points)

    def _close(self, status: str, end: int) -> None:
        self._client.set_terminated(self._run_id, status, end)


@dataclass(frozen=True)
class Written:
    """What a run holds already, and need not be written twice: the steps of each metric, parameters and tags."""

    steps: Mapping[str, frozenset[int]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def written(client: mlflow.MlflowClient, run_id: str) -> Written:
    """Read what a run holds."""
    data = client.get_run(run_id).data
    steps = {name: frozenset(each.step for each in client.get_metric_history(run_id, name)) for name in data.metrics}
    return Written(steps, data.params, data.tags)


def is_whole(run: Run, record: Record) -> bool:
    """Tell whether a run was written to its end; what finalists were given later is not looked at."""
    last = {metric.key: metric.step for metric in run.data.to_proto().metrics}  # points are written in their order
    return (
        run.info.status == record.status
        and run.data.tags.get("state") == record.state
        and record.params <= run.data.params.keys()
        and record.values <= run.data.metrics.keys()
        and all(last.get(name) == points for name, points in record.points.items())
    )


def _close_with_parent(tuning: Run) -> None:
    """Close a tuning run, and the run of `main` that it was part of."""
    close(tuning, RESUMED)
    parent = tuning.data.tags.get("mlflow.parentRunId")
    if parent and mlflow.get_run(parent).info.status == "RUNNING":
        close(mlflow.get_run(parent), RESUMED)
