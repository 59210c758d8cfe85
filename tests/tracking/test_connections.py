"""A real server over raw sockets: who keeps it waiting is closed, and everyone else is answered all the while."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY

from tracking.connections import HEADER_BYTES, listen

SECONDS = 2.0
SERVER = """
import sys, time
from tracking.connections import Patience, listen, run
from tracking.rest import Limits, ScoringApp
class Metadata:
    def get_input_schema(self): return None
class Model:
    metadata = Metadata()
    def predict(self, rows):
        time.sleep(float(rows.get("sleep", [0])[0]))
        return rows.loc[rows.index.repeat(int(rows.get("repeat", [1])[0]))]
port = listen("127.0.0.1", 0)
print(port.getsockname()[1], flush=True)
run(ScoringApp(Model(), Limits(body=2**21, requests=8)), port, Patience(2.0, connections=60))
"""


@pytest.fixture
def server() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Start a server of a model that gives back the rows asked for; give its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=REPOSITORY,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)
    yield port, process
    process.kill()
    process.communicate()


def request(body: bytes, *headers: bytes, line: bytes = b"POST /invocations HTTP/1.1") -> bytes:
    """Write a request as it goes over the wire."""
    head = [line, b"Host: here", b"Content-Type: application/json", *headers]
    length = [] if any(b"Transfer-Encoding" in each for each in headers) else [b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*head, *length, b"", body])


RIGHT = request(b'{"dataframe_records": [{"a": 1.5}]}')


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def rest(client: socket.socket) -> bytes:
    """Read until the server closes."""
    told = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(2**16):
            told += part
    return told


def sentence(told: bytes, status: int) -> str:
    """Give the sentence of an error that stands in JSON, and nothing but it."""
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), told[:500]
    answer = json.loads(body)
    assert set(answer) == {"error_code", "message"}
    return answer["message"]


def memory(process: int) -> int:
    """Give the resident bytes of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def is_well(port: int) -> bool:
    with contextlib.closing(opened(port)) as client:
        client.sendall(RIGHT.replace(b"Host", b"Connection: close\r\nHost"))
        return b'{"predictions": [{"a": 1.5}]}' in rest(client)


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /invo", RIGHT[:60], RIGHT[:-3], request(b"5\r\n{", b"Transfer-Encoding: chunked")],
    ids=["nothing", "half a line", "half a header", "half a body", "half a chunk"],
)
def test_a_request_that_does_not_arrive_is_closed(server: tuple[int, subprocess.Popen[str]], begun: bytes) -> None:
    port, _ = server
    with contextlib.closing(opened(port)) as client:
        begin = time.monotonic()
        client.sendall(begun)
        assert "did not arrive within 2 seconds" in sentence(rest(client), 408)
        assert time.monotonic() - begin < 3 * SECONDS
    assert is_well(port)


@pytest.mark.parametrize("first", [b"", RIGHT], ids=["first request", "second request"])
def test_bytes_that_trickle_do_not_keep_a_connection_open(
    server: tuple[int, subprocess.Popen[str]], first: bytes
) -> None:
    port, _ = server
    with contextlib.closing(opened(port)) as client:
        if first:
            client.sendall(first)
            client.recv(2**16)
        begin = time.monotonic()
        with contextlib.suppress(OSError):
            for i in range(200):
                client.sendall(RIGHT[i : i + 1])
                time.sleep(0.2)
        assert SECONDS / 2 < time.monotonic() - begin < 5 * SECONDS


def test_an_answer_that_is_not_fetched_is_given_up(server: tuple[int, subprocess.Popen[str]]) -> None:
    port, _ = server
    with contextlib.closing(opened(port)) as client:
        client.sendall(request(b'{"dataframe_records": [{"repeat": 500000}]}'))
        time.sleep(3 * SECONDS)
        assert is_well(port)
        time.sleep(SECONDS)
        head, _, body = rest(client).partition(b"\r\n\r\n")
    assert len(body) < int(head.partition(b"content-length: ")[2].split()[0])


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (b"\x00\xff garbage\r\n\r\n", 400, "no HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, 400, "no HTTP request"),
        (b"GET /ping HTTP/1.1\r\n\r\n", 400, "no HTTP request"),
        (request(b"zz\r\n", b"Transfer-Encoding: chunked"), 400, "no HTTP request"),
        (request(b"", b"Content-Length: -5"), 400, "no HTTP request"),
        (RIGHT[:30] + b"X: " + b"x" * 4 * HEADER_BYTES, 400, "longer than 32,768 bytes"),
        (request(b"", b"Content-Length: 99999999"), 400, "no HTTP request"),
        (request(b"x" * (2**21 + 1)), 413, "larger than 2,097,152 bytes"),
        (
            request(b"100000\r\n" + b" " * 2**20 + b"\r\n", b"Transfer-Encoding: chunked")
            + b"100000\r\n" + b" " * 2**20 + b"\r\n1\r\nx\r\n",
            413,
            "larger than 2,097,152 bytes",
        ),
    ],
    ids=["garbage", "TLS", "no host", "a wrong chunk", "a length below 0", "a long header", "two lengths",
         "a long body", "a long body in chunks"],
)  # fmt: skip
def test_what_is_no_request_is_told_so(
    server: tuple[int, subprocess.Popen[str]], sent: bytes, status: int, words: str
) -> None:
    port, process = server
    with contextlib.closing(opened(port)) as client:
        with contextlib.suppress(ConnectionError):  # refused before all of it was sent
            client.sendall(sent)
        assert words in sentence(rest(client), status)
    assert is_well(port)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors


def test_garbage_behind_a_right_request_does_not_take_its_answer(server: tuple[int, subprocess.Popen[str]]) -> None:
    port, _ = server
    with contextlib.closing(opened(port)) as client:
        client.sendall(RIGHT + b"\x00garbage\r\n\r\n")
        told = rest(client)
    assert told.startswith(b"HTTP/1.1 200 OK")
    assert b'{"predictions": [{"a": 1.5}]}' in told
    assert b"HTTP/1.1 400" in told


def test_requests_one_behind_the_other_are_all_answered(server: tuple[int, subprocess.Popen[str]]) -> None:
    port, _ = server
    with contextlib.closing(opened(port)) as client:
        client.sendall(RIGHT * 20)
        told = rest(client)
    assert told.count(b'{"predictions": [{"a": 1.5}]}') == 20


def test_requests_sent_ahead_of_their_answers_are_not_piled_up(server: tuple[int, subprocess.Popen[str]]) -> None:
    port, process = server
    before = memory(process.pid)
    with opened(port) as client:
        client.settimeout(1)
        with pytest.raises(TimeoutError):  # what the server does not take, the network holds back
            client.sendall(RIGHT * 1_000_000)
        assert memory(process.pid) < before + 30 * 2**20
        assert is_well(port)


def test_what_was_held_back_is_read_on(server: tuple[int, subprocess.Popen[str]]) -> None:
    port, _ = server
    long = request(b'{"dataframe_records": [{"a": "%s"}]}' % (b"x" * 300_000))
    with opened(port) as client:
        asked = (RIGHT * 30 + long + RIGHT) * 4
        for start in range(0, len(asked), 70_001):  # cut anywhere: within headers, within bodies
            client.sendall(asked[start : start + 70_001])
        client.sendall(request(b"{}", b"Connection: close"))
        assert rest(client).count(b"HTTP/1.1 200 OK") == 4 * 32


def test_idle_connections_take_no_more_than_their_share(server: tuple[int, subprocess.Popen[str]]) -> None:
    port, _ = server
    begun = time.monotonic()
    idle = [opened(port) for _ in range(200)]
    periods = 1 + int((time.monotonic() - begun) / SECONDS)  # each gives the places of those who said nothing anew
    told = [rest(each) for each in idle]
    assert sum("Too many connections" in sentence(each, 503) for each in told if b" 503 " in each) >= 190 - 60 * periods
    assert is_well(port)
    for each in idle:
        each.close()


def test_more_requests_than_there_are_places_for_are_told_to_come_again(
    server: tuple[int, subprocess.Popen[str]],
) -> None:
    port, _ = server
    slow = request(b'{"dataframe_records": [{"sleep": 1}]}', b"Connection: close")
    clients = [opened(port) for _ in range(12)]
    for client in clients:
        client.sendall(slow)
    told = [rest(client) for client in clients]
    assert sum(b" 200 OK" in each for each in told) == 8
    busy = [each for each in told if b" 200 OK" not in each]
    assert all("Too many requests are under way" in sentence(each, 503) and b"retry-after: 1" in each for each in busy)
    for client in clients:
        client.close()
    assert is_well(port)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_an_answer_under_way_be_finished(
    server: tuple[int, subprocess.Popen[str]], sign: signal.Signals
) -> None:
    port, process = server
    with contextlib.closing(opened(port)) as client, contextlib.closing(opened(port)) as half:
        half.sendall(RIGHT[:-3])
        client.sendall(request(b'{"dataframe_records": [{"sleep": 1.5}]}'))
        time.sleep(0.5)
        process.send_signal(sign)
        assert b'{"predictions": [{"sleep": 1.5}]}' in rest(client)
    assert process.wait(8) == 0


def test_a_port_names_its_protocol_so_that_answers_are_sent_at_once() -> None:
    with listen("127.0.0.1", 0) as port:
        assert port.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken_is_an_error() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])
