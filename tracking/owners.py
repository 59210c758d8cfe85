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
        started: when, for numbers are used again; counted so that the same process always gives the same.
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
        silent = silent_seconds > GONE_SECONDS
        if self.host != this_process().host:
            return silent
        try:
            process = psutil.Process(self.process)
            return process.status() == psutil.STATUS_ZOMBIE or _started(process) != self.started
        except (psutil.Error, OSError):  # it ended under our eyes, or is hidden from this user
            return silent or not psutil.pid_exists(self.process)


def _started(process: psutil.Process) -> float:
    """Tell when a process started: in ticks since boot where the system counts them, for clocks are set and Unix time
    then starts it anew.
    """
    counted = Path(f"/proc/{process.pid}/stat")
    return float(counted.read_text().rpartition(")")[2].split()[19]) if counted.exists() else process.create_time()


@cache
def _host() -> str:
    spaces = Path("/proc/self/ns/pid")  # two containers may share a name, and number their processes each from 1
    return f"{socket.gethostname()}/{spaces.readlink()}" if spaces.is_symlink() else socket.gethostname()


def this_process() -> Owner:
    """Give the process that asks."""
    return Owner(_host(), os.getpid(), _started(psutil.Process()))
