"""A store behind a server: a first look that tells in seconds what is wrong, and patience when it goes away later.

MLflow asks a server that is gone again and again, for minutes and without a word. How often is still MLflow's own
setting, MLFLOW_HTTP_REQUEST_MAX_RETRIES and its like, and chosen here where nobody set it.
"""

import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable

from loguru import logger
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError

from tracking.store_errors import network_reason, server_error, shown, status_error
from treeline import StoreError, UserError, interruption

LOOK_SECONDS = 10  # how long the first look waits for an answer
PATIENCE_SECONDS = 120.0  # how long a server may be away in the middle of a run
LINE_SECONDS = 55.0  # a line about it a minute
CLOSING_SECONDS = 5  # how long to wait for an answer once the server was given up
SEARCH = "/api/2.0/mlflow/experiments/search"  # the first look: whoever may use the server may ask this


def reach_server(uri: str, wait: float) -> None:
    """Look whether an MLflow server answers as one.

    Raises:
        StoreError: it is out of reach, and was for as long as asked; or it refuses this user, or is something else.
    """
    _await(lambda: _look_at_server(uri), wait)


def reach_database(uri: str, wait: float) -> None:
    """Look whether the server of a database answers.

    Raises:
        StoreError: it does not, and did not for as long as asked.
        UserError: its driver is not installed, or the address is none.
    """
    _await(lambda: _look_at_database(uri), wait)


def be_patient(uri: str, seconds: float) -> None:
    """Let MLflow's requests outlast a server that is away for a while, tell it, and end them when the time is over.

    Args:
        uri: of the server.
        seconds: how long it may be away; what the user set for MLflow goes before it.
    """
    turns = 7 + math.ceil(max(0.0, seconds - 126) / 120)  # waits of 0, 2, 4 .. 64 s, and 120 s from then on
    chosen = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(turns),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    }
    if turns >= 10:  # MLflow takes fewer, unless it is told
        os.environ.setdefault("_MLFLOW_HTTP_REQUEST_MAX_RETRIES_LIMIT", str(turns + 1))
    own = all(os.environ.get(name, value) == value for name, value in chosen.items())
    for name, value in chosen.items():
        os.environ.setdefault(name, value)
    _Patience.watch(_Patience(uri, seconds if own else float("inf")))


class _Patience(logging.Filter):
    """Reads in urllib3's log which requests fail, tells it once a minute, and ends them when the time is over.

    Args:
        uri: of the server.
        seconds: how long a request may go on failing.
    """

    def __init__(self, uri: str, seconds: float) -> None:
        super().__init__()
        self._uri, self._seconds = uri, seconds
        self._since: dict[int, float] = {}  # by thread: when its request began to fail
        self._told = self._given_up = -math.inf
        self._away_since = 0.0  # the beginning of what it was given up for

    @staticmethod
    def watch(patience: "_Patience") -> None:
        """Put it in the place of an earlier one."""
        retries = logging.getLogger("urllib3.util.retry")
        for each in [each for each in retries.filters if isinstance(each, _Patience)]:
            retries.removeFilter(each)
        retries.addFilter(patience)
        retries.setLevel(logging.DEBUG)
        for name in ("urllib3.connectionpool", "mlflow.system_metrics.system_metrics_monitor"):
            if _tells_more not in logging.getLogger(name).filters:
                logging.getLogger(name).addFilter(_tells_more)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record from being shown.

        Raises:
            StoreError: the time is over; it ends the request that failed.
        """
        if isinstance(record.args, tuple) and len(record.args) == 2 and "/mlflow" in str(record.args[0]):
            history = getattr(record.args[1], "history", ())
            self._failed(len(history), str(history[-1].error or f"status {history[-1].status}") if history else "")
        return record.levelno > logging.DEBUG

    def _failed(self, times: int, reason: str) -> None:
        now, thread = time.monotonic(), threading.get_ident()
        if times <= 1 or thread not in self._since:
            self._since[thread] = now
        given_up = now - self._given_up < PATIENCE_SECONDS
        waited = now - (self._away_since if given_up else self._since[thread])
        if given_up or waited >= self._seconds or interruption.wished():
            self._given_up, self._away_since = now, now - waited
            os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(CLOSING_SECONDS)  # closing a run need not take a minute
            raise server_error(self._uri, _told(reason, waited))
        if times > 1 and now - self._told >= LINE_SECONDS:
            self._told = now
            own = "as MLFLOW_HTTP_REQUEST_MAX_RETRIES and its like say"
            patience = own if math.isinf(self._seconds) else f"up to {self._seconds:.0f} s"
            logger.warning(f"The tracking server {shown(self._uri)} {_told(reason, waited)}: waiting {patience}")


def _told(reason: str, waited: float) -> str:
    told = f"answers with {reason}" if reason.startswith("status ") else network_reason(Exception(reason))
    return told + (f", for {waited:.0f} s now" if waited >= 1 else "")


def _tells_more(record: logging.LogRecord) -> bool:
    """Hide the lines that others write about each request that failed, in the place of which one a minute is told."""
    return not record.getMessage().startswith(
        ("Retrying (", "Failed to get mlflow run: API", "Failed to log system metrics: API")
    )


class _AwayError(Exception):
    """A server that may come back."""

    def __init__(self, told: StoreError) -> None:
        super().__init__(str(told))
        self.told = told


def _await(look: Callable[[], None], wait: float) -> None:
    """Look until nothing is away any more, or the time is over."""
    begun = told = time.monotonic()
    while True:
        try:
            return look()
        except _AwayError as away:
            now = time.monotonic()
            if now - begun >= wait:
                raise away.told from None
            if now - told >= LINE_SECONDS or told == begun:
                told = now
                logger.warning(f"{str(away).partition(': see')[0].rstrip('.')}; waiting up to {wait:.0f} s")
        for _ in range(20):
            interruption.stop_if_wished()
            time.sleep(0.1)


def _look_at_server(uri: str) -> None:
    try:
        response = http_request(
            get_default_host_creds(uri),
            SEARCH,
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=LOOK_SECONDS,
            raise_on_status=False,
        )
    except MlflowException as error:
        raise _AwayError(server_error(uri, network_reason(error.__context__ or error))) from None
    if response.status_code >= 500:
        raise _AwayError(status_error(uri, response.status_code, response.text))
    if response.status_code != 200 or not _is_answer(response.text):
        raise status_error(uri, response.status_code, response.text)


def _is_answer(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _look_at_database(uri: str) -> None:
    known = make_url(uri).get_backend_name() in ("postgresql", "mysql")
    try:
        engine = create_engine(uri, connect_args={"connect_timeout": LOOK_SECONDS} if known else {})
    except ImportError as error:
        raise UserError(f"The store {shown(uri)} needs a driver that is not installed: {error}.") from error
    try:
        engine.connect().close()
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())[:300]
        raise _AwayError(
            StoreError(
                f"The database {shown(uri)} is out of reach ({reason}): see that it runs and that MLFLOW_TRACKING_URI "
                "names it, then start the command again."
            )
        ) from None
    finally:
        engine.dispose()
