"""Connections to the server of a model: uvicorn's, closed where a client keeps them waiting.

uvicorn bounds an idle connection between two requests and the size of a header, but neither the time that a request
takes to arrive or an answer to be fetched, nor how many connections are open.
"""

import asyncio
import functools
import json
import signal
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_BYTES = 32 * 1024
IDLE_SECONDS = 5.0  # between two requests on one connection
STOP_SECONDS = 5  # that a stop waits for answers under way; containers are killed after ten
LINGER_SECONDS = 1.0  # that a refused client is still listened to: closed at once, it might never read why


@dataclass(frozen=True)
class Patience:
    """What the server bears of its clients.

    `seconds`: that one request may take to arrive, and its answer to be fetched. `connections`: open at once.
    """

    seconds: float = 30.0
    connections: int = 256


def error_answer(status: int, message: str, code: str = "") -> bytes:
    """Write an error as MLflow's server does: JSON of `error_code` and `message`."""
    return json.dumps({"error_code": code or HTTPStatus(status).name, "message": message}).encode()


class _Flow(FlowControl):
    """Reads no further while a request is whole and a next one lies behind it: else what a client sends without waiting
    for its answers would pile up in memory.
    """

    def __init__(self, transport: asyncio.Transport, conn: h11.Connection) -> None:
        super().__init__(transport)
        self.conn = conn

    def resume_reading(self) -> None:
        """Read on, where there is room for it."""
        if self.conn.their_state is not h11.DONE or not self.conn.trailing_data[0]:
            super().resume_reading()


class Connection(H11Protocol):
    """One client's connection, with a deadline for whatever the client has to do.

    The deadline runs from the first byte of a request (or from the connection's opening) until the request is whole,
    and from the moment an answer piles up until the client has taken it.
    """

    def __init__(self, *args: Any, patience: Patience, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patience = patience
        self.deadline: asyncio.TimerHandle | None = None
        self.receiving = True
        self.refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; refuse the connection that is one too many."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.conn)
        self._watch()
        if sum(not each.refused for each in self.connections) > self.patience.connections:  # type: ignore[union-attr]
            self._refuse(503, "Too many connections are open: try again in a moment.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request; the first of a further one starts the clock again."""
        if self.refused:
            return
        if not self.receiving:
            self.receiving = True
            self._watch()
        super().data_received(data)
        self._stop_where_whole()

    def on_response_complete(self) -> None:
        """Wait for the answer to be taken, and for the next request."""
        self.receiving = False
        self._watch()
        super().on_response_complete()
        self.flow.resume_reading()  # what lay ahead may be the beginning of a request alone
        self._stop_where_whole()

    def pause_writing(self) -> None:
        """Start the clock of a client that does not take its answer."""
        super().pause_writing()
        if self.deadline is None:
            self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or a header that is too long."""
        self._refuse(400, f"This is no HTTP request, or its header is longer than {HEADER_BYTES:,} bytes.")

    def shutdown(self) -> None:
        """Close where nothing is under way."""
        if self.refused:
            self.transport.abort()
        else:
            super().shutdown()

    def _watch(self) -> None:
        self._unwatch()
        self.deadline = self.loop.call_later(self.patience.seconds, self._lose_patience)

    def _unwatch(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _stop_where_whole(self) -> None:
        """Stop the clock while the request is whole and the answer is ours to make."""
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_started:
            self._unwatch()

    def _lose_patience(self) -> None:
        if self.receiving:
            self._refuse(408, f"The request did not arrive within {self.patience.seconds:g} seconds.")
        else:  # an answer is not fetched
            self.transport.abort()

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer outside of the application, and close; where an answer has begun, close without a word."""
        under_way = self.cycle is not None and not self.cycle.response_complete
        answered = self.cycle is not None and (self.cycle.response_started and under_way)
        self.refused = True
        if under_way:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._unwatch()
        self._unset_keepalive_if_required()
        if answered or self.transport.is_closing():
            self.transport.abort()
            return
        content = error_answer(status, sentence)
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\nconnection: close\r\n\r\n".encode()
            + content
        )
        self.transport.write_eof()
        self.flow.resume_reading()
        self.deadline = self.loop.call_later(LINGER_SECONDS, self.transport.abort)


def listen(host: str, port: int) -> socket.socket:
    """Take a port, without answering on it yet.

    Raises:
        OSError: it is taken, or there is no such address here.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # With the protocol named, or asyncio does not switch Nagle's algorithm off: 40 ms an answer.
    taken = socket.socket(family, kind, protocol)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(address)
    except OSError:
        taken.close()
        raise
    return taken


def run(app: Any, port: socket.socket, patience: Patience) -> None:
    """Answer on a port until a signal asks to stop; answers under way are finished first.

    Args:
        app: an ASGI application.
        port: from `listen`.
        patience: what is borne of clients.
    """
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: None)  # uvicorn stops on them and then raises them again
    config = uvicorn.Config(
        app,
        http=functools.partial(Connection, patience=patience),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,  # type: ignore[arg-type]
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
        backlog=patience.connections,
    )
    uvicorn.Server(config).run(sockets=[port])
