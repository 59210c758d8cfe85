"""Each wrong request of tests/bad_requests.py to a real server: a status, one sentence, and the next answer right."""

import contextlib
import json
import re
from collections.abc import Iterator

from bad_requests import BadRequest
from faults_outcome import Outcome
from faults_server import Served, served
from serving import ask, body_of, connect

UNTOLD = re.compile(r"Traceback|site-packages|\.py\b")  # what no caller is to see


def answer_to(port: int, asked: BadRequest) -> tuple[int, bytes]:
    """Ask over a connection of its own; give status and content."""
    with contextlib.closing(connect(port)) as connection:
        connection.request(asked.method, asked.path, asked.body, dict(asked.all_headers()))
        response = connection.getresponse()
        return response.status, response.read()


def complaints(asked: BadRequest, status: int, content: bytes) -> list[str]:
    """Say what is wrong with the answer to a wrong request."""
    found = [] if status == asked.status else [f"status {status} instead of {asked.status}"]
    text = content.decode(errors="replace")
    with contextlib.suppress(ValueError):
        if set(json.loads(text)) == {"error_code", "message"} and not UNTOLD.search(text):
            return found
    return [*found, f"no sentence: {text[:200]!r}"]


def _next(one: Served) -> list[str]:
    with contextlib.closing(connect(one.server.port)) as connection:
        told = json.loads(ask(connection, body_of(one.rows.head(1))))["predictions"]
    return [] if told == one.answers[:1] else [f"the next right request is answered with {told}"]


def outcomes(full: bool, seed: int) -> Iterator[Outcome]:
    """Send each once; nothing is drawn."""
    outcome = Outcome("bad request")
    with served() as one:
        for asked in one.wrong:
            try:
                found = complaints(asked, *answer_to(one.server.port, asked)) + _next(one)
            except OSError as error:
                found = [f"no answer: {error!r}"]
            outcome.note(asked.name, found)
    yield outcome
