"""Aliases of three names moved together: whatever is killed, deleted or garbled, the next command goes on."""

import contextlib
import itertools
import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import REPOSITORY, Store, _copy, copy_of, mlflow_at, python
from loguru import logger

from tracking import champions, registry_lock
from tracking.champions import champion_history, count_judgement, finish_earlier, promote
from tracking.registry import only_champion

pytestmark = pytest.mark.store

NAME = "HillsModel"
FORMS = [NAME, "HillsModelBooster", "HillsModelService"]


@pytest.fixture(scope="module")
def four_versions(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Store:
    """Four versions under each of the three names, without models behind them; the second is the champion."""
    store = _copy(empty_store, tmp_path_factory.mktemp("four"))
    with mlflow_at(store):
        for name in FORMS:
            store.client.create_registered_model(name)
            for _ in range(4):
                store.client.create_model_version(name, str(store.folder))
        for version in ("1", "2"):
            promote(NAME, version, {"why": "better"})
    return store


@pytest.fixture
def registered(four_versions: Store, tmp_path: Path) -> Iterator[Store]:
    """The same, to write in."""
    with copy_of(four_versions, tmp_path) as store:
        yield store


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What is logged, a message each."""
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(message.record["message"]))
    yield messages
    logger.remove(sink)


def pointing(store: Store, alias: str) -> set[str]:
    return {store.aliases(name).get(alias, "") for name in FORMS}


def moves() -> list[str]:
    return [entry["champion"] for entry in champion_history(NAME)]


def test_a_promotion_moves_champion_and_previous_under_all_names_and_is_noted(registered: Store) -> None:
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"2"}, {"1"})
    first, second = champion_history(NAME)
    assert (first["champion"], first["previous"], first["why"]) == ("1", "", "better")
    assert (second["champion"], second["previous"]) == ("2", "1")
    assert first["at"] <= second["at"]


def test_a_champion_judged_again_is_not_noted_again(registered: Store) -> None:
    assert promote(NAME, "2", {"why": "better"}, met="1")
    assert moves() == ["1", "2"]
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"2"}, {"1"})


@pytest.mark.parametrize("met", ["", "1"])
def test_who_met_another_champion_is_not_promoted(registered: Store, met: str) -> None:
    assert promote(NAME, "3", {"why": "better"}, met=met) is False
    assert (pointing(registered, "champion"), moves()) == ({"2"}, ["1", "2"])
    assert promote(NAME, "3", {"why": "better"}, met="2") is True
    assert (pointing(registered, "champion"), moves()) == ({"3"}, ["1", "2", "3"])


WRITES = ["set_registered_model_alias", "set_registered_model_tag", "delete_registered_model_tag"]


def stop_at(call: int, monkeypatch: pytest.MonkeyPatch, stop: Callable[[], None]) -> None:
    """Stop before the k-th thing that is written to the registry, counted from 0."""
    left = [call]

    def writing(write: Callable[..., Any]) -> Callable[..., Any]:
        def stopping(*args: Any, **given: Any) -> Any:
            if not left[0]:
                stop()
            left[0] -= 1
            return write(*args, **given)

        return stopping

    for name in WRITES:
        monkeypatch.setattr(mlflow.MlflowClient, name, writing(getattr(mlflow.MlflowClient, name)))


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("call", range(9))  # the note, six aliases, the history, the note's end
def test_a_move_that_is_killed_before_any_of_its_writes_heals(
    registered: Store, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(call, patch, interrupt)
        with pytest.raises(KeyboardInterrupt):
            promote(NAME, "3", {"why": "better"})
    finished = finish_earlier(NAME)
    assert (finished or {}).get("champion") == (None if call == 0 else "3")
    promote(NAME, "3", {"why": "better"})
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"3"}, {"2"})
    assert moves() == ["1", "2", "3"]
    assert finish_earlier(NAME) is None


@pytest.mark.parametrize("call", [1, 4])
def test_a_process_that_is_killed_in_a_move_leaves_what_heals(registered: Store, call: int) -> None:
    script = (
        "import os, signal, sys\n"
        f"sys.path[:0] = [{str(REPOSITORY)!r}, {str(REPOSITORY / 'tests')!r}, {str(REPOSITORY / 'tests/tracking')!r}]\n"
        "import pytest, test_champions\n"
        "with pytest.MonkeyPatch.context() as patch:\n"
        f"    test_champions.stop_at({call}, patch, lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
        f"    test_champions.promote({NAME!r}, '3', {{'why': 'better'}})\n"
    )
    ended = python("-c", script, cwd=registered.folder, MLFLOW_TRACKING_URI=registered.uri)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert promote(NAME, "4", {"why": "better"}, met="3")
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"4"}, {"3"})
    assert moves() == ["1", "2", "3", "4"]


def test_eight_promotions_at_once_are_all_noted(registered: Store, any_lock: None) -> None:
    def challenge(i: int) -> int:
        tried = 1
        while not promote(NAME, str(3 + i % 2), {"why": f"judge {i}"}, met=met_now()):
            tried += 1
        return tried

    def met_now() -> str:
        return registered.aliases(NAME)["champion"]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(challenge, range(8)))
    history = champion_history(NAME)
    assert {"3", "4"} == set(moves()[2:])
    for before, after in itertools.pairwise(history):
        assert after["previous"] == before["champion"] != after["champion"]
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == (
        {history[-1]["champion"]},
        {history[-1]["previous"]},
    )


def test_eight_judgements_at_once_are_all_counted(registered: Store, any_lock: None) -> None:
    with ThreadPoolExecutor(8) as threads:
        counted = list(threads.map(lambda i: count_judgement(NAME, str(i), "rows"), range(8)))
    assert sorted(counted) == list(range(1, 9))


@pytest.fixture(params=["of the folder", "of tags alone"])
def any_lock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock as it works in a folder, and as it works where a server alone is shared."""
    if request.param == "of tags alone":
        monkeypatch.setattr(registry_lock, "_is_shared_by_folder", lambda: False)
        monkeypatch.setattr(registry_lock, "registry_lock", contextlib.nullcontext)


def test_a_version_that_was_deleted_is_no_champion(registered: Store) -> None:
    registered.client.delete_model_version(FORMS[1], "3")
    with pytest.raises(champions.UserError, match="HillsModelBooster has no version 3, for it was deleted"):
        promote(NAME, "3", {"why": "better"})
    assert (pointing(registered, "champion"), moves()) == ({"2"}, ["1", "2"])


def test_a_champion_of_which_a_form_was_deleted_makes_room_for_another(registered: Store, told: list[str]) -> None:
    registered.client.delete_model_version(FORMS[1], "2")
    assert only_champion() == NAME
    assert promote(NAME, "3", {"why": "better"}, met="2")
    assert pointing(registered, "champion") == {"3"}
    assert [registered.aliases(form).get("previous") for form in FORMS] == ["2", None, "2"]
    assert any("HillsModelBooster has no version 2, which is champion" in each for each in told)


def note(store: Store, **move: Any) -> None:
    store.client.set_registered_model_tag(NAME, champions.MOVING, json.dumps(move))


@pytest.mark.parametrize("garbled", ["", "{", "[]", "3", '{"aliases": 3}', '{"aliases": {"champion": "3"}}', "null"])
def test_a_garbled_note_of_a_move_is_told_and_dropped(registered: Store, told: list[str], garbled: str) -> None:
    registered.client.set_registered_model_tag(NAME, champions.MOVING, garbled)
    assert finish_earlier(NAME) is None
    assert f"the tag moving of {NAME} cannot be read" in told[0]
    assert promote(NAME, "3", {"why": "better"}, met="2")


def test_a_move_to_a_version_that_was_deleted_is_undone(registered: Store, told: list[str]) -> None:
    note(registered, aliases={"champion": "3", "previous": "2"}, number=2, entry={"why": "better", "previous": "2"})
    registered.client.set_registered_model_alias(NAME, "champion", "3")
    registered.client.delete_model_version(FORMS[2], "3")
    assert finish_earlier(NAME) is None
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"2"}, {"1"})
    assert "is undone: HillsModelService has no such version any more" in told[0]
    assert moves() == ["1", "2"]


def test_a_move_that_an_earlier_treeline_noted_is_finished(registered: Store) -> None:
    entry = {"at": "2026", "champion": "3", "previous": "2", "why": "better"}
    note(registered, aliases={"champion": "3", "previous": "2"}, number=2, entry=entry)
    assert finish_earlier(NAME) == entry
    assert moves() == ["1", "2", "3"]


def test_a_garbled_entry_of_the_history_says_so_and_loses_no_other(registered: Store) -> None:
    for i, garbled in enumerate(["{", "[]", '{"at": 1}']):
        registered.client.set_registered_model_tag(NAME, f"{champions.HISTORY}{7 + i:04d}", garbled)
    promote(NAME, "3", {"why": "better"})
    assert moves() == ["1", "2", *["unknown"] * 3, "3"]
    assert champion_history(NAME)[2]["why"] == "the tag champion_history.0007 cannot be read"


@pytest.mark.parametrize("alone", FORMS)
def test_an_alias_that_differs_between_forms_is_brought_in_step(registered: Store, told: list[str], alone: str) -> None:
    """The pipeline's counts, or, where it has none, what both others say."""
    for form in FORMS:
        if form != alone:
            registered.client.delete_registered_model_alias(form, "champion")
    finish_earlier(NAME)
    assert pointing(registered, "champion") == ({"2"} if alone == NAME else {"", "2"})
    assert "the alias champion differ" in told[0]
    registered.client.delete_registered_model_alias(alone, "champion")
    for form in FORMS:
        if form != alone:
            registered.client.set_registered_model_alias(form, "champion", "4")
    finish_earlier(NAME)
    assert pointing(registered, "champion") == {"4"}
