"""A model over REST, as `mlflow models serve` answers, behind limits: an ASGI application of four addresses.

MLflow's scoring server reads a request, asks the model and writes the answer; here stands what it leaves out: how large
a request may be, how many are under way, and that every wrong one is told in a sentence.
Imports nothing of the core, which a served model brings with it as it was at training.
"""

import asyncio
import ctypes
import json
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server
from mlflow.version import VERSION

from tracking.connections import error_answer

METHODS = {"/ping": "GET", "/health": "GET", "/version": "GET", "/invocations": "POST"}
PROBES = ("/ping", "/health")  # asked by an address that no one chose as a name
DOCS = ("/docs", "/redoc", "/openapi.json")
CONTENT_TYPES = (scoring_server.CONTENT_TYPE_JSON, scoring_server.CONTENT_TYPE_CSV)
LARGE = 2**20  # bytes from which on requests are read and answered one after the other
LARGE_AT_ONCE = 4  # that may wait for each other
THREADS = 4  # for those that are not large
DRAIN_SECONDS = 2.0  # that what is left of a refused body is read and thrown away, so that the client reads the answer
ROWS_BEGIN, ROWS_END = "Failed to predict data '", "'. \nError: "  # between which MLflow prints a refused table
LONGEST = 1000  # characters at either end of a sentence that holds what was sent

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """What a request may be.

    `body`: bytes of one. `requests`: under way at once. `hosts`: names, or patterns of them, that a request may ask for
    in its header `Host`, with or without a port; none stands for any.
    """

    body: int = 16 * 2**20
    requests: int = 128
    hosts: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    content: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()


class RefusalError(Exception):
    """A request that is not answered, with the status and the sentence that say why."""

    def __init__(self, status: int, sentence: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(sentence)
        self.answer = Answer(status, error_answer(status, sentence), headers)


class _GoneError(Exception):
    """The client went away."""


@dataclass
class ScoringApp:
    """Answers for a model; `docs` is an application that answers the pages about it, where they are wanted."""

    model: PyFuncModel
    limits: Limits = field(default_factory=Limits)
    docs: Any = None

    def __post_init__(self) -> None:
        self.under_way = self.large = 0
        self.pool, self.large_pool = ThreadPoolExecutor(THREADS), ThreadPoolExecutor(1)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if self.docs is not None and scope["path"] in DOCS and self._is_for_us(scope):
            await self.docs(scope, receive, send)
            return
        body = _Body(receive, dict(scope["headers"]))
        try:
            answer = await self._answer(scope, body)
        except RefusalError as refusal:
            answer = refusal.answer
        except _GoneError:
            return
        await _send(answer, body, send)

    def _is_for_us(self, scope: dict[str, Any]) -> bool:
        asked = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        name = asked if asked.endswith("]") else asked.rpartition(":")[0] or asked
        return not self.limits.hosts or any(
            fnmatchcase(each, pattern.lower()) for each in (asked, name) for pattern in self.limits.hosts
        )

    async def _answer(self, scope: dict[str, Any], body: "_Body") -> Answer:
        path, headers = scope["path"], dict(reversed(scope["headers"]))
        if path not in PROBES and not self._is_for_us(scope):
            raise RefusalError(421, "This server does not answer for the name that the header Host asks for.")
        if path not in METHODS:
            raise RefusalError(404, f"There is no such address here; there are {', '.join(METHODS)}.")
        if scope["method"] != METHODS[path]:
            allowed = METHODS[path]
            raise RefusalError(405, f"{path} takes {allowed} alone.", (b"allow", allowed.encode()))
        if path == "/invocations":
            content_type = _content_type(headers)
            if int(headers.get(b"content-length", 0)) > self.limits.body:
                raise self._too_large()
            return await self._invoke(body, content_type)
        return Answer(200, VERSION.encode() if path == "/version" else b"\n")

    async def _invoke(self, body: "_Body", content_type: str) -> Answer:
        """Read a body and have it answered, where not too many are under way."""
        if self.under_way >= self.limits.requests:
            raise _busy("requests")
        self.under_way += 1
        try:
            content: list[bytes] = []
            size = 0
            while body.more:
                content.append(await body.next())
                before, size = size, size + len(content[-1])
                if size > self.limits.body:
                    raise self._too_large()
                if before <= LARGE < size:
                    if self.large >= LARGE_AT_ONCE:
                        size = before  # it never was one of them
                        raise _busy("large requests")
                    self.large += 1
            pool = self.large_pool if size > LARGE else self.pool
            whole = content[0] if len(content) == 1 else b"".join(content)
            del content
            told = await asyncio.get_running_loop().run_in_executor(pool, answer, self.model, whole, content_type)
            if size > LARGE:
                del whole
                _give_memory_back()
            return told
        finally:
            self.under_way -= 1
            self.large -= size > LARGE

    def _too_large(self) -> RefusalError:
        return RefusalError(413, f"The body is larger than {self.limits.body:,} bytes: ask for fewer rows at a time.")


class _Body:
    """The body of a request, as it arrives."""

    def __init__(self, receive: Receive, headers: dict[bytes, bytes]) -> None:
        self.receive = receive
        self.more = b"transfer-encoding" in headers or int(headers.get(b"content-length", 0)) > 0

    async def next(self) -> bytes:
        """Wait for the next part.

        Raises:
            _GoneError: there is nobody to send one.
        """
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        self.more = message.get("more_body", False)
        return bytes(message.get("body", b""))

    async def drain(self) -> None:
        """Throw away what is left."""
        while self.more:
            await self.next()


async def _send(answer: Answer, body: _Body, send: Send) -> None:
    """Send an answer; where the body was not read, listen on for a moment and close."""
    unread = body.more and answer.status >= 400
    headers = [
        (b"content-length", str(len(answer.content)).encode()),
        (b"content-type", b"application/json"),
        *answer.headers,
        *([(b"connection", b"close")] if unread else []),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content, "more_body": unread})
    if unread:
        with suppress(_GoneError, asyncio.TimeoutError):
            await asyncio.wait_for(body.drain(), DRAIN_SECONDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _busy(what: str) -> RefusalError:
    return RefusalError(503, f"Too many {what} are under way: try again in a moment.", (b"retry-after", b"1"))


def _content_type(headers: dict[bytes, bytes]) -> str:
    """Give the content type of a request.

    Raises:
        RefusalError: it is none that is read here, or the body is packed.
    """
    packed = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if packed != "identity":
        raise RefusalError(415, f"The body is packed with {_shortened(packed)}: send it as it is.")
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    if content_type.partition(";")[0].strip() not in CONTENT_TYPES:
        told = f"of the type {_shortened(content_type)!r}" if content_type else "without a Content-Type"
        raise RefusalError(415, f"The request comes {told}; there are {' and '.join(CONTENT_TYPES)}.")
    return content_type


def _give_memory_back() -> None:
    """Have the allocator of Linux's C library hand back what a large request took; others have no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


# --- One whole request, on a thread


def answer(model: PyFuncModel, body: bytes, content_type: str) -> Answer:
    """Answer a request as MLflow does, a wrong one with a sentence."""
    try:
        is_json = content_type.startswith(scoring_server.CONTENT_TYPE_JSON)
        asked = read_json(body) if is_json else read_text(body)
        told = scoring_server.invocations(asked, content_type, model, model.metadata.get_input_schema())
    except RefusalError as refusal:
        return refusal.answer
    except MlflowException as error:
        return _refused(error)
    except RecursionError:
        return RefusalError(400, "The request is nested too deeply: rows are lists or objects of plain values.").answer
    except MemoryError:
        return RefusalError(
            413, "The request asks for more than fits into memory: ask for fewer rows at a time."
        ).answer
    except Exception:
        logging.getLogger("uvicorn.error").exception("A request could not be read")
        return RefusalError(400, "The request cannot be read as rows of a table.").answer
    if told.status >= 400:  # in plain text
        return Answer(told.status, error_answer(told.status, _sentence(told.response)))
    return Answer(told.status, told.response.encode())


def read_text(body: bytes) -> str:
    """Decode a body of CSV.

    Raises:
        RefusalError: it is not UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RefusalError(400, f"The body is not valid UTF-8: {error.reason} at byte {error.start:,}.") from error


def read_json(body: bytes) -> dict[str, Any]:
    """Read a body of JSON, an object.

    Raises:
        RefusalError: it is none, it names a key twice, or holds numbers of thousands of digits.
        RecursionError: it is nested too deeply.
    """
    try:
        asked = json.loads(body, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise RefusalError(400, f"The body is no valid JSON: {error}.") from error
    except UnicodeDecodeError as error:
        raise RefusalError(400, f"The body is no valid JSON: {error.reason} at byte {error.start:,}.") from error
    except ValueError as error:  # a whole number that Python does not read
        raise RefusalError(400, "The body is no valid JSON: a number has thousands of digits.") from error
    if not isinstance(asked, dict):
        kind = "list" if isinstance(asked, list) else type(asked).__name__
        raise RefusalError(400, f"{scoring_server.REQUIRED_INPUT_FORMAT}. Received a {kind}.")
    if asked.get(scoring_server.SERVING_PARAMS_KEY):
        raise RefusalError(400, "The model takes no params: leave them out.")
    return asked


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twin = _first_twin(name for name, _ in pairs)
        raise RefusalError(400, f"The request names {_shortened(twin)!r} twice in one object: leave one out.")
    return found


def _first_twin(names: Iterable[str]) -> str:
    return next(name for name, count in Counter(names).items() if count > 1)


def _refused(error: MlflowException) -> Answer:
    """Tell what MLflow or the model said, without the stack trace that it may bring; that is for the server's log."""
    trace = error.json_kwargs.get("stack_trace")
    if trace:
        logging.getLogger("uvicorn.error").error("A request failed in the model\n%s", trace)
    status = error.get_http_status_code()
    status = status if status < HTTPStatus.INTERNAL_SERVER_ERROR else int(HTTPStatus.BAD_REQUEST)
    return Answer(status, error_answer(status, _sentence(error.message), error.error_code))


def _sentence(told: str) -> str:
    """Leave out what MLflow puts around a sentence: the rows before it, its news about older requests behind it."""
    behind = told.replace(scoring_server.SCORING_PROTOCOL_CHANGE_INFO, "").strip()
    return _shortened(behind.rpartition(ROWS_END)[2] if behind.startswith(ROWS_BEGIN) else behind)


def _shortened(sentence: str) -> str:
    """Leave out the middle of what may be as long as a request."""
    return sentence if len(sentence) <= 2 * LONGEST else f"{sentence[:LONGEST]} ... {sentence[-LONGEST:]}"
