"""A store behind a server: told in seconds what is wrong with it, waited for when it goes away for a while."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from conftest import Store
from loguru import logger
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from tracking import server_store
from tracking.server_store import SEARCH, be_patient, reach_database, reach_server
from tracking.store_errors import store_error
from treeline import StoreError, UserError

pytestmark = pytest.mark.store


class FakeServer(ThreadingHTTPServer):
    """Answers a request with the next of its answers, and with the last one from then on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, str]] = [(200, '{"experiments": []}')]
        self.asked = 0
        self.uri = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def do_GET(self) -> None:
        status, body = self.server.answers[min(self.server.asked, len(self.server.answers) - 1)]
        self.server.asked += 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(store: Store) -> Iterator[FakeServer]:
    with FakeServer() as made:
        Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def closed_port(store: Store) -> str:
    """The address of a port that nothing listens on."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    found: list[str] = []
    sink = logger.add(lambda message: found.append(str(message)))
    yield found
    logger.remove(sink)


def ask(uri: str) -> Any:
    return http_request(get_default_host_creds(uri), SEARCH, "GET")


# --- the first look


def test_a_server_of_mlflow_is_reached(server: FakeServer) -> None:
    reach_server(server.uri, 0)
    assert server.asked == 1


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, "<html>Please log in</html>", "does not answer as MLflow does"),
        (200, "[]", "does not answer as MLflow does"),
        (404, "no", "status 404"),
        (401, "no", "MLFLOW_TRACKING_USERNAME"),
        (403, "Invalid Host header", "Invalid Host header"),
        (500, "boom", "boom"),
        (503, "later", "status 503"),
    ],
)
def test_an_answer_that_is_none_is_told_at_once(server: FakeServer, status: int, body: str, words: str) -> None:
    server.answers = [(status, body)]
    with pytest.raises(StoreError, match=words):
        reach_server(server.uri, 0)
    assert server.asked == 1


def test_a_server_that_is_gone_is_told_without_its_secrets(closed_port: str) -> None:
    with pytest.raises(StoreError, match="refuses the connection") as told:
        reach_server(closed_port, 0)
    assert "secret" not in str(told.value)


def test_a_server_that_never_answers_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_store, "LOOK_SECONDS", 1)
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StoreError, match="does not answer"):
            reach_server(f"http://127.0.0.1:{silent.getsockname()[1]}", 0)


def test_a_server_that_starts_is_waited_for_where_it_is_asked(server: FakeServer, lines: list[str]) -> None:
    server.answers = [(503, "starting"), *server.answers]
    reach_server(server.uri, 30)
    assert (server.asked, len(lines)) == (2, 1)


def test_a_login_is_not_waited_for(server: FakeServer) -> None:
    server.answers = [(401, "no"), *server.answers]
    with pytest.raises(StoreError, match="login"):
        reach_server(server.uri, 30)


def test_a_database_without_its_driver_is_a_mistake() -> None:
    with pytest.raises(UserError, match="driver"):
        reach_database("postgresql+pg8000://me:secret@127.0.0.1:1/x", 0)


# --- later


def test_a_server_that_comes_back_costs_a_line(server: FakeServer, lines: list[str]) -> None:
    be_patient(server.uri, 60)
    server.answers = [(503, "away"), (503, "away"), *server.answers]
    assert ask(server.uri).status_code == 200
    assert (server.asked, len(lines)) == (3, 1)


def test_a_server_that_stays_away_is_given_up_and_not_waited_for_again(server: FakeServer) -> None:
    be_patient(server.uri, 1)
    server.answers = [(503, "away")]
    for most in (4, 1):  # requests, until the time is over and once it was
        server.asked = 0
        with pytest.raises(MlflowException) as raised:
            ask(server.uri)
        assert "answers with status 503" in str(store_error(raised.value))
        assert server.asked <= most


def test_what_the_user_set_for_mlflow_goes_first(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    be_patient(server.uri, 0)
    server.answers = [(503, "away"), (503, "away"), *server.answers]
    assert ask(server.uri).status_code == 200


def test_a_long_wait_is_more_than_mlflow_takes_by_itself(server: FakeServer) -> None:
    be_patient(server.uri, 3600)
    assert ask(server.uri).status_code == 200


def test_a_closed_port_is_given_up_in_time(closed_port: str) -> None:
    be_patient(closed_port, 1)
    begun = time.monotonic()
    with pytest.raises(MlflowException) as raised:
        ask(closed_port)
    assert "refuses the connection" in str(store_error(raised.value))
    assert time.monotonic() - begun < 30
