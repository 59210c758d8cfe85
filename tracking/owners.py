"""Whose a run or a study is: the process that works on it, told so that another one can see whether it still lives."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

BEAT_SECONDS = 60.0  # how often a process says that it lives
GONE_SECONDS = 600.0  # how long it may be silent; only of processes that cannot be looked at here
PREFIX = "owner."  # of the tags


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        host: the machine as processes see each other on it: its name, and the container's where there is one.
        process: its number there.
        started: when, in seconds of Unix time, for numbers are used again.
    """

    host: str
    process: int
    started: float

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> "Owner | None":
        """Read it from tags, or from whatever keeps them; None where there are none, or they are garbled."""
        try:
            return cls(tags[f"{PREFIX}host"], int(tags[f"{PREFIX}process"]), float(tags[f"{PREFIX}started"]))
        except (KeyError, ValueError):
            return None

    def tags(self) -> dict[str, str]:
        """Give it as tags."""
        return {f"{PREFIX}{key}": str(value) for key, value in vars(self).items()}

    def told(self) -> str:
        """Name it to a person."""
        return f"process {self.process} on {self.host.partition('/')[0]}"

    def is_gone(self, silent_seconds: float) -> bool:
        """Tell whether the process has ended.

        Args:
            silent_seconds: since it was last heard of, which counts where it cannot be looked at from here.
        """
        if self.host != this_process().host:
            return silent_seconds > GONE_SECONDS
        try:
            return abs(psutil.Process(self.process).create_time() - self.started) > 1
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


@cache
def _host() -> str:
    spaces = Path("/proc/self/ns/pid")  # two containers may share a name, and number their processes each from 1
    return f"{socket.gethostname()}/{spaces.readlink()}" if spaces.is_symlink() else socket.gethostname()


def this_process() -> Owner:
    """Give the process that asks."""
    return Owner(_host(), os.getpid(), psutil.Process().create_time())
