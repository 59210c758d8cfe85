"""One process at a time under a name: in a folder, through a server, and past those that were killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from conftest import REPOSITORY, Store

from tracking import registry_lock
from tracking.champions import champion_history, count_judgement, promote
from tracking.owners import this_process
from tracking.registry_lock import QUEUE, model_lock
from treeline import interruption

pytestmark = pytest.mark.store

FORMS = ["HillsModel", "HillsModelBooster", "HillsModelService"]


@pytest.fixture(params=["of the folder", "of tags alone"])
def any_lock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock as it works in a folder, and as it works where a server alone is shared."""
    if request.param == "of tags alone":
        monkeypatch.setattr(registry_lock, "_is_shared_by_folder", lambda: False)
        monkeypatch.setattr(registry_lock, "registry_lock", contextlib.nullcontext)


@pytest.fixture
def tags_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_lock, "_is_shared_by_folder", lambda: False)
    monkeypatch.setattr(registry_lock, "registry_lock", contextlib.nullcontext)


def queue_of(store: Store, name: str) -> list[str]:
    return [key for key in store.client.get_registered_model(name).tags if key.startswith(QUEUE)]


def test_nobody_is_inside_with_another(store: Store, any_lock: None) -> None:
    inside, most = [], []

    def enter(i: int) -> None:
        with model_lock("M", make=True):
            inside.append(i)
            most.append(len(inside))
            time.sleep(0.02)
            inside.remove(i)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(enter, range(6)))
    assert most == [1] * 6
    assert queue_of(store, "M") == []


def stand(store: Store, **given: object) -> None:
    place = {**this_process().tags(), "number": 1, "at": time.time(), **given}
    store.client.set_registered_model_tag("M", f"{QUEUE}other", json.dumps(place))


GONE = {"owner.process": "1", "owner.started": "3"}


@pytest.mark.parametrize(
    "left", [GONE, {**GONE, "number": 0}, {"owner.host": "other/1", "at": 3}, {"owner.host": None}, {"at": "then"}]
)
def test_a_place_that_nobody_stands_at_is_taken_over(store: Store, tags_alone: None, left: dict[str, object]) -> None:
    store.client.create_registered_model("M")
    stand(store, **left)
    with model_lock("M"):
        assert len(queue_of(store, "M")) == 1
    assert queue_of(store, "M") == []


@pytest.mark.parametrize("held", [{}, {"number": 0}, {"owner.host": "other/1"}])
def test_a_place_where_somebody_stands_is_waited_for_until_a_stop(
    store: Store, tags_alone: None, held: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.client.create_registered_model("M")
    stand(store, **held)
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            interruption.wish()

    monkeypatch.setattr(registry_lock.time, "sleep", nap)
    with pytest.raises(KeyboardInterrupt), model_lock("M"):
        raise AssertionError("two are inside")
    assert queue_of(store, "M") == [f"{QUEUE}other"]


def test_a_place_is_drawn_again_before_another_takes_it_over(
    store: Store, tags_alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.client.create_registered_model("M")
    stand(store)
    monkeypatch.setattr(registry_lock, "HELD_SECONDS", 0.2)
    drawn, draw = [], registry_lock._draw

    def draw_again(name: str, key: str) -> None:
        drawn.append(key)
        if len(drawn) == 3:
            store.client.delete_registered_model_tag("M", f"{QUEUE}other")
        draw(name, key)

    monkeypatch.setattr(registry_lock, "_draw", draw_again)
    with model_lock("M"):
        pass
    assert len(drawn) >= 3
    assert len(set(drawn)) == 1


@pytest.fixture
def server(tmp_path: Path, empty_store: Path) -> Iterator[str]:
    """A tracking server of its own, with eight versions under three names; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "mlflow.db").write_bytes((empty_store / "mlflow.db").read_bytes())
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for name in FORMS:
        client.create_registered_model(name)
        for _ in range(8):
            client.create_model_version(name, str(tmp_path))
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", "sqlite:///mlflow.db"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, **quiet},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
                break
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_eight_promotions_at_once_through_a_server_are_all_noted(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes of four threads each, in folders of their own; a third was killed inside the lock."""
    program = tmp_path / "judges.py"
    program.write_text(
        "import contextlib, os, signal, sys\n"
        f"sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from tracking import registry_lock\n"
        "from tracking.champions import champion_version, count_judgement, promote\n"
        "registry_lock.registry_lock = contextlib.nullcontext\n"
        "def judge(i):\n"
        "    tried = 0\n"
        "    while True:\n"
        "        tried += 1\n"
        "        met = champion_version('HillsModel')\n"
        "        if promote('HillsModel', str(i + 1), {'why': f'judge {i}'}, met):\n"
        "            return tried, count_judgement('HillsModel', f'{i}', 'rows')\n"
        "if sys.argv[1] == 'die':\n"
        "    with registry_lock.model_lock('HillsModel'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "first = int(sys.argv[1])\n"
        "with ThreadPoolExecutor(4) as threads:\n"
        "    print(list(threads.map(judge, range(first, first + 4))))\n"
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": server}
    processes = []
    for what in ("die", "0", "4"):
        folder = tmp_path / what
        folder.mkdir()
        processes.append(
            subprocess.Popen(
                [sys.executable, str(program), what], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
            )
        )
        if what == "die":
            assert processes[0].wait(120) == -signal.SIGKILL
    counted = [each for process in processes[1:] for each in json.loads(told(process))]
    assert sorted(count for _, count in counted) == list(range(1, 9))
    assert any(tried > 1 for tried, _ in counted)  # somebody met a champion that was none any more
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    mlflow.set_tracking_uri(server)
    mlflow.set_registry_uri(server)
    try:
        history = champion_history(FORMS[0])
        assert sorted(entry["why"] for entry in history) == [f"judge {i}" for i in range(8)]
        for before, after in zip([{"champion": ""}, *history], history, strict=False):
            assert after["previous"] == before["champion"]
        last = {"champion": history[-1]["champion"], "previous": history[-1]["previous"]}
        models = [mlflow.MlflowClient().get_registered_model(name) for name in FORMS]
        assert [{alias: str(version) for alias, version in each.aliases.items()} for each in models] == [last] * 3
        assert not any(key.startswith((QUEUE, "moving")) for key in models[0].tags)
        assert count_judgement(FORMS[0], "new", "rows") == 9
        assert promote(FORMS[0], last["champion"], {"why": "again"})
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)


def told(process: "subprocess.Popen[str]") -> str:
    """Wait for a process and give what it printed, as JSON."""
    printed = process.communicate(timeout=240)[0]
    assert process.returncode == 0
    return printed.splitlines()[-1].replace("(", "[").replace(")", "]")
