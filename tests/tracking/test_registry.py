"""Versions registered in step, whatever is killed on the way; and found as they are spelled."""

from collections.abc import Callable
from typing import Any

import mlflow
import pytest
from conftest import Store

from tracking import registry
from tracking.champions import finish_earlier
from tracking.registry import find_version, only_champion, register_in_step
from treeline import UserError

pytestmark = pytest.mark.store

FORMS = ["New", "NewBooster", "NewService"]
CALLS = ["create_registered_model", "set_registered_model_tag", "set_registered_model_alias", "update_model_version"]
CALLS += ["update_registered_model", "delete_registered_model_tag"]


@pytest.fixture
def uris(store: Store) -> dict[str, str]:
    """Three logged models, with nothing in them."""
    home = store.client.create_experiment("models")
    made = {form: store.client.create_logged_model(home, form) for form in FORMS}
    for each in made.values():
        store.client.finalize_logged_model(each.model_id, "READY")
    return {form: f"models:/{each.model_id}" for form, each in made.items()}


def register(uris: dict[str, str]) -> str:
    return register_in_step(uris, {form: f"about {form}" for form in uris}, {"data_run_id": "1"})


def stop_at(call: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Be killed at the k-th write to the registry, counted from 0: nothing is undone; give what is left to go."""
    left = [call]

    def stopping(write: Callable[..., Any]) -> Callable[..., Any]:
        def stop(*args: Any, **given: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return write(*args, **given)

        return stop

    monkeypatch.setattr(registry, "undo_registering", lambda *_, **__: None)
    monkeypatch.setattr(mlflow, "register_model", stopping(mlflow.register_model))
    for name in CALLS:
        monkeypatch.setattr(mlflow.MlflowClient, name, stopping(getattr(mlflow.MlflowClient, name)))
    return left


@pytest.mark.parametrize("call", range(15))
@pytest.mark.parametrize("first", [True, False], ids=["new", "known"])
def test_what_a_kill_left_half_registered_is_undone_by_the_next(
    store: Store, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch, call: int, first: bool
) -> None:
    before = [] if first else [register(uris)]
    with monkeypatch.context() as patch:
        left = stop_at(call, patch)
        try:
            register(uris)
        except KeyboardInterrupt:
            assert left == [0]
        else:
            pytest.skip(f"it makes fewer than {call + 1} writes")
    if call % 2:
        finish_earlier("New")
        found = {form: numbers for form, numbers in store.versions().items() if numbers}
        assert found == {form: before for form in FORMS if before}
        assert {store.aliases(form).get("challenger") for form in found} == set(before)
    version = register(uris)
    assert store.versions() == {form: [*before, version] for form in FORMS}
    for form in FORMS:
        assert store.aliases(form) == {"challenger": version}
        assert store.client.get_model_version(form, version).description == f"about {form}"
    assert store.client.get_registered_model("New").tags == {}


@pytest.mark.parametrize("garbled", ["", "[]", "{", '{"before": 3}'])
def test_a_garbled_note_of_what_was_registered_is_dropped(store: Store, uris: dict[str, str], garbled: str) -> None:
    register(uris)
    store.client.set_registered_model_tag("New", registry.REGISTERING, garbled)
    assert register(uris) == "2"
    assert store.client.get_registered_model("New").tags == {}


@pytest.mark.parametrize("version", ["01", "+1", " 1", "1 ", "１", "", "one", "9" * 400, "1.0", "-1"])
def test_a_version_is_found_as_it_is_spelled_alone(store: Store, uris: dict[str, str], version: str) -> None:
    register(uris)
    assert find_version("New/1").version in (1, "1")
    assert find_version("NewService@challenger").name == "New"
    with pytest.raises(UserError, match="is no version of New: write a whole number in plain digits"):
        find_version(f"New/{version}")


@pytest.mark.parametrize("alias", ["", "champion", "a b", "x" * 300])
def test_an_alias_that_is_not_there_is_said(store: Store, uris: dict[str, str], alias: str) -> None:
    register(uris)
    with pytest.raises(UserError, match=r"New has no alias .*: its versions are 1; its aliases challenger"):
        find_version(f"New@{alias}")


def test_what_names_the_model_is_what_the_command_has(store: Store) -> None:
    with pytest.raises(UserError, match="Name the model with --model-uri: 0 have a champion"):
        only_champion("--model-uri")
