"""Whose a run is: read back from its tags, and told from a process that has ended, whatever took its number."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tracking.owners import GONE_SECONDS, Owner, _started, this_process


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is ended."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def owner_of(process: int) -> Owner:
    """What a process would say of itself."""
    return Owner(this_process().host, process, _started(psutil.Process(process)))


def test_tags_are_read_back() -> None:
    assert Owner.of_tags(this_process().tags()) == this_process()


@pytest.mark.parametrize("tags", [{}, {"owner.host": "h"}, {**this_process().tags(), "owner.process": "none"}])
def test_tags_that_are_none_are_nobodys(tags: dict[str, str]) -> None:
    assert Owner.of_tags(tags) is None


def test_a_living_process_is_not_gone_however_long_it_was_silent(child: subprocess.Popen[bytes]) -> None:
    assert not this_process().is_gone(1e9)
    assert not owner_of(child.pid).is_gone(1e9)


def test_a_killed_process_is_gone_at_once_also_where_nobody_has_taken_notice(child: subprocess.Popen[bytes]) -> None:
    owner = owner_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.pid_exists(child.pid)  # as a zombie
    assert owner.is_gone(0)
    child.wait(10)
    assert owner.is_gone(0)


def test_a_number_that_another_process_has_now_is_not_the_owner() -> None:
    assert replace(this_process(), started=this_process().started - 100).is_gone(0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system tells no start but by its clock")
def test_a_clock_that_was_set_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = this_process()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 1.0)
    assert not owner.is_gone(0)


def test_another_machine_is_gone_when_it_was_silent_for_long() -> None:
    owner = replace(this_process(), host="another")
    assert not owner.is_gone(GONE_SECONDS - 1)
    assert owner.is_gone(GONE_SECONDS + 1)


def test_a_process_that_cannot_be_looked_at_is_gone_when_it_was_silent_for_long(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = owner_of(child.pid)

    def denied(self: psutil.Process) -> str:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "status", denied)
    assert not owner.is_gone(0)
    assert owner.is_gone(GONE_SECONDS + 1)
