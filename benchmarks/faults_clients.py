"""32 clients at once, one request in four of them wrong: every answer is checked, and the server's memory watched."""

import contextlib
import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

from faults_outcome import Outcome
from faults_requests import answer_to, complaints
from faults_server import Served, served
from serving import CLIENTS, ask, body_of, connect

SECONDS = {True: 600, False: 30}
MOST_BODY = 2**16  # of a wrong request here: the largest ones take turns and would keep all others waiting
MORE_MEMORY = 1.10  # at the end, to the first tenth of the time


class Hammer:
    """Clients that ask until they are told to stop.

    Args:
        one: the server.
        seed: of what each client asks.
    """

    def __init__(self, one: Served, seed: int) -> None:
        self.one, self.seed, self.over = one, seed, threading.Event()
        self.bodies = [body_of(one.rows.iloc[[i]]) for i in range(len(one.rows))]
        self.wrong = [each for each in one.wrong if len(each.body) < MOST_BODY]
        self.right_answers, self.wrong_answers = (
            Outcome("right request of 32 clients"),
            Outcome("wrong request of them"),
        )
        self.lock = threading.Lock()

    def client(self, number: int) -> None:
        """Ask one request after the other."""
        random = Random(f"{self.seed} {number}")
        with contextlib.closing(connect(self.one.server.port)) as connection:
            while not self.over.is_set():
                if random.random() < 0.25:
                    self._ask_wrong(random)
                else:
                    self._ask_right(connection, random.randrange(len(self.bodies)))

    def _ask_right(self, connection: http.client.HTTPConnection, i: int) -> None:
        try:
            told = json.loads(ask(connection, self.bodies[i]))["predictions"]
            found = [] if told == [self.one.answers[i]] else [f"{told} instead of {self.one.answers[i]}"]
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            found = [repr(error)]
            connection.close()
        with self.lock:
            self.right_answers.note(f"row {i}", found)

    def _ask_wrong(self, random: Random) -> None:
        asked = random.choice(self.wrong)
        try:
            found = complaints(asked, *answer_to(self.one.server.port, asked))
        except (OSError, http.client.HTTPException) as error:
            found = [repr(error)]
        with self.lock:
            self.wrong_answers.note(asked.name, found)


def outcomes(full: bool, seed: int) -> Iterator[Outcome]:
    """Hammer a server; give the answers to right and to wrong requests, and whether its memory grew."""
    memory: list[float] = []
    with served() as one, ThreadPoolExecutor(CLIENTS) as pool:
        fresh = one.server.memory()
        hammer = Hammer(one, seed)
        clients = [pool.submit(hammer.client, number) for number in range(CLIENTS)]
        end = time.monotonic() + SECONDS[full]
        while time.monotonic() < end:
            time.sleep(1)
            memory.append(one.server.memory())
        hammer.over.set()
        for each in clients:
            each.result()
    yield hammer.right_answers
    yield hammer.wrong_answers
    tenth = max(1, len(memory) // 10)
    first, last = statistics.mean(memory[:tenth]), statistics.mean(memory[-tenth:])
    told = f"{fresh:.0f} MiB fresh, {first:.0f} in the first tenth of the time, {last:.0f} in the last"
    print(f"clients: {told}", file=sys.stderr)
    grown = Outcome("memory of the server within 10 % of the beginning")
    grown.note("memory", [told] if last > MORE_MEMORY * first else [])
    yield grown
