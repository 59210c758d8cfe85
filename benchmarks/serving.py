"""What serving costs: `make serve` against a bare FastAPI handler round the same pipeline (bare_app.py).

And against it `mlflow models serve` on the registered model, which checks each request by the signature as well. The
champion of a small `main` on the default table; one uvicorn worker each; requests in blocks by turns, from a client
that keeps its connection, then from 32 at once. At last 32 clients ask `make serve`'s server alone for five minutes,
each answer held against the one that pyfunc gives. Run: make bench-serving
"""

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import psutil
from common import quiet, ratio, table

HERE = Path(__file__).resolve().parent
CLIENTS, BLOCKS = 32, 10
CALLS = {1: 100, 1000: 10}  # in a block, by rows of a request
FORMATS = {"cold start": "{:.1f} s", "memory": "{:,.0f} MiB", "requests a second": "{:.0f}"}


@dataclass
class Server:
    """A command that serves; each start finds a port of its own."""

    command: Sequence[str]
    environment: Mapping[str, str]
    port: int = 0

    @contextlib.contextmanager
    def running(self, seconds: list[float]) -> Iterator[None]:
        """Start it, note how long that took, and stop it at the end."""
        self.port = free_port()
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            [*self.command, "--port", str(self.port)],
            cwd=HERE,
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while not self._is_up():
                time.sleep(0.02)
            seconds.append(time.perf_counter() - begin)
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()

    def memory(self) -> float:
        """Give the resident memory of the process and its children, in MiB."""
        first = psutil.Process(self.process.pid)
        return sum(each.memory_info().rss for each in [first, *first.children(recursive=True)]) / 2**20

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{' '.join(self.command)} ended with {self.process.returncode}")
        with contextlib.suppress(OSError), contextlib.closing(connect(self.port)) as connection:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        return False


def connect(port: int) -> http.client.HTTPConnection:
    """Open a connection that is kept from one request to the next."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def ask(connection: http.client.HTTPConnection, body: bytes) -> bytes:
    """Send one request; give the answer, or raise where it is none."""
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {content[:500].decode(errors='replace')}")
    return content


def body_of(rows: pd.DataFrame) -> bytes:
    """Write rows as a caller sends them."""
    return b'{"dataframe_split": %s}' % rows.to_json(orient="split", index=False, double_precision=15).encode()


def latencies(servers: Mapping[str, Server], body: bytes, calls: int) -> dict[str, list[float]]:
    """Ask each server `calls` times in turn, `BLOCKS` times round; give the milliseconds, and insist on one answer."""
    found: dict[str, list[float]] = {name: [] for name in servers}
    answers = set()
    for _ in range(BLOCKS):
        for name, server in servers.items():
            with contextlib.closing(connect(server.port)) as connection:
                answers.add(json.dumps(json.loads(ask(connection, body))))  # not timed: it opens the connection
                for _ in range(calls):
                    begin = time.perf_counter()
                    ask(connection, body)
                    found[name].append(1000 * (time.perf_counter() - begin))
    if len(answers) != 1:
        raise RuntimeError(f"the servers do not answer the same: {answers}")
    return found


def throughput(server: Server, body: bytes, seconds: float) -> float:
    """Let all clients ask at once; give the requests answered a second."""
    end = time.perf_counter() + seconds

    def client(_: int) -> int:
        done = 0
        with contextlib.closing(connect(server.port)) as connection:
            while time.perf_counter() < end:
                ask(connection, body)
                done += 1
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(client, range(CLIENTS))) / seconds


def compare(servers: Mapping[str, Server], rows: pd.DataFrame, seconds: float, repeats: int) -> None:
    """Measure every server, by turns; print each figure, and its ratio to that of the last server."""
    found: dict[str, dict[str, list[float]]] = {}

    def note(what: str, name: str, value: float) -> None:
        found.setdefault(what, {each: [] for each in servers})[name].append(value)
        print(f"  {name: <20} {what: <18} {value:10.2f}", flush=True)

    for _ in range(repeats):
        with contextlib.ExitStack() as stack:
            for name, server in servers.items():
                cold: list[float] = []
                stack.enter_context(server.running(cold))
                note("cold start", name, cold[0])
            for size, calls in CALLS.items():
                times = latencies(servers, body_of(rows.head(size)), calls)
                for name, each in times.items():
                    note(f"{size:,} row{'s' * (size > 1)}, p50", name, statistics.median(each))
                    note(f"{size:,} row{'s' * (size > 1)}, p99", name, statistics.quantiles(each, n=100)[-1])
            for name, server in servers.items():
                note("requests a second", name, throughput(server, body_of(rows.head(1)), seconds))
                note("memory", name, server.memory())
    for what, values in found.items():
        show = FORMATS.get(what, "{:.2f} ms")
        *_, last = values.values()
        for name, each in values.items():
            told = f"{name: <20} {show.format(statistics.median(each)): <12}"
            print(f"  {what: <18} {told}" + (f" ratio {ratio(each, last)}" if each is not last else ""), flush=True)


def soak(server: Server, service: mlflow.pyfunc.PyFuncModel, rows: pd.DataFrame, seconds: float) -> None:
    """Let 32 clients ask one row after the other, hold each answer against pyfunc's, and watch the memory."""
    bodies = [body_of(rows.iloc[[i]]) for i in range(len(rows))]
    expected = service.predict(rows).to_dict(orient="records")
    counts, errors, memory = [0] * CLIENTS, [], []
    over = threading.Event()

    def client(k: int) -> None:
        with contextlib.closing(connect(server.port)) as connection:
            while not over.is_set():
                i = (k * 7919 + counts[k]) % len(bodies)
                counts[k] += 1
                try:
                    told = json.loads(ask(connection, bodies[i]))["predictions"]
                    if told != [expected[i]]:
                        errors.append(f"row {i}: {told} instead of {expected[i]}")
                except (OSError, RuntimeError, http.client.HTTPException) as error:
                    errors.append(f"row {i}: {error!r}")
                    connection.close()

    with server.running([]), ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client, k) for k in range(CLIENTS)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(1)
            memory.append(server.memory())
        over.set()
        for each in clients:
            each.result()
    first, last = statistics.mean(memory[:60]), statistics.mean(memory[-60:])
    print(f"  {sum(counts):,} requests of {CLIENTS} clients in {seconds:.0f} s, {len(errors)} wrong {errors[:3] or ''}")
    print(f"  memory {first:,.1f} MiB in the first minute, {last:,.1f} in the last; at most {max(memory):,.1f}")


def free_port() -> int:
    """Find a port that nobody listens on."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10, help="of the study that makes the champion")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="that 32 clients ask for in each repeat")
    parser.add_argument("--soak", type=float, default=300, help="seconds of the last part; 0 leaves it out")
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        command = [sys.executable, str(HERE.parent / "main.py"), "--n-trials", str(options.trials)]
        subprocess.run(command, cwd=folder, env={**os.environ, **store}, check=True, stderr=subprocess.DEVNULL)
        mlflow.set_tracking_uri(store["MLFLOW_TRACKING_URI"])
        uri, tool = "models:/CancerModelService@champion", Path(sys.executable).parent
        path = {"PATH": f"{tool}{os.pathsep}{os.environ['PATH']}"}
        serve = [str(tool / "mlflow"), "models", "serve", "--env-manager", "local", "-m"]
        servers = {
            "make serve": Server([sys.executable, str(HERE.parent / "serve.py")], {**store, **path}),
            "mlflow models serve": Server([*serve, uri], {**store, **path}),
            "bare": Server(
                [str(tool / "uvicorn"), "bare_app:app"], {**store, "MODEL_URI": "models:/CancerModel@champion"}
            ),
        }
        rows = table(0)[0]
        compare(servers, rows.sample(1000, replace=True, random_state=0), options.seconds, options.repeats)
        if options.soak:
            soak(servers["make serve"], mlflow.pyfunc.load_model(uri), rows, options.soak)


if __name__ == "__main__":
    main()
