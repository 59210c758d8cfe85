"""Files of runs that are damaged: named, with their run."""

import json

import pytest
from conftest import Store

from tracking.kept_files import load_best, load_document, reading
from treeline import StoreError

WHOLE = {"params": {}, "rounds": 3, "metric": "log_loss", "value": 0.1, "final_rounds": 3}


@pytest.mark.store
def test_what_a_run_keeps_is_read_back(store: Store) -> None:
    run_id = store.fake_run("hyperparameters-tuning")
    store.client.log_dict(run_id, WHOLE, "best.json")
    assert load_best(run_id) == WHOLE


@pytest.mark.store
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "7",
        "null",
        "[]",
        "[" * 100_000,
        "{}",
        json.dumps(WHOLE | {"rounds": "many"}),
        json.dumps(WHOLE | {"rounds": True}),
    ],
)
def test_a_damaged_file_is_named_with_its_run(store: Store, content: str) -> None:
    run_id = store.fake_run("hyperparameters-tuning")
    store.client.log_text(run_id, content, "best.json")
    with pytest.raises(StoreError, match=f"best.json of the run {run_id} cannot be read: .*restore it"):
        load_best(run_id)


@pytest.mark.store
def test_a_file_that_is_not_there_is_named_too(store: Store) -> None:
    run_id = store.fake_run("model-training")
    with pytest.raises(StoreError, match=f"golden.json of the run {run_id} cannot be read"):
        load_document(run_id, "golden.json")


@pytest.mark.store
def test_what_is_no_object_is_named_whatever_is_needed_of_it(store: Store) -> None:
    run_id = store.fake_run("model-training")
    store.client.log_text(run_id, "[]", "golden.json")
    with pytest.raises(StoreError, match="it holds a list, not an object"):
        load_document(run_id, "golden.json")


def test_a_mistake_within_the_block_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), reading("r", "f"):
        1 / 0  # noqa: B018
