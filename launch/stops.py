"""A stop of a process that waits for others: passed on to them, and obeyed where each has nothing half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from treeline import interruption

LOOK_SECONDS = 0.2  # how often a wish to stop is looked for


def listen_to_parent() -> None:
    """In a process that another one started: stop when that one passes a stop on, as often as it does.

    A terminal sends Ctrl-C to both; here it does nothing, for the parent passes it on.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: interruption.wish())
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def stops_passed_on() -> Iterator[None]:
    """Pass a wish to stop on to the processes that this one starts within the block."""
    done = threading.Event()
    watch = threading.Thread(target=_pass_on, args=(done,), daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()


def _pass_on(done: threading.Event) -> None:
    told: set[psutil.Process] = set()
    while not done.wait(LOOK_SECONDS):
        if not interruption.wished():
            continue
        for child in set(psutil.Process().children(recursive=True)) - told:
            told.add(child)
            with suppress(psutil.NoSuchProcess):  # it has ended by itself
                child.terminate()
