"""Champions on a real store: earned, held, rolled back, healed, printed and made again."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Store

import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import model_registry
import model_training
from config import DataSettings, EvaluationSettings, TrainingSettings, TuningSettings
from tracking import registry

pytestmark = pytest.mark.store

WEAK = "max_depth: 1\nlearning_rate: 0.3\nmax_leaves: 2\ngrow_policy: depthwise\n"


def write_table(rows: int = 1500) -> None:
    """Write a table whose target is an interaction that single splits cannot see well."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    signal = X.a * X.b * 2 + X.c + rng.normal(size=rows) * 0.3
    X.assign(y=np.where(signal > 0, "up", "down")).to_csv("hills.csv", index=False)


def prepare(seed: int = 0) -> str:
    """Run the first stage."""
    return data_preprocessing.run(DataSettings(data="hills.csv", target="y", seed=seed))


def train(data: str, weak: bool = False, trial_seed: int = 0) -> str:
    """Run the second and the third stage on what the first one made; give the training run."""
    Path("weak.yaml").write_text(WEAK)
    space = "weak.yaml" if weak else ""
    tuned = hyperparameters_tuning.run(
        TuningSettings(n_trials=1, folds=2, search_space=space, data_run_id=data, seed=trial_seed)
    )
    return model_training.run(TrainingSettings(tuning_run_id=tuned))


def judge(training: str, **settings: Any) -> dict[str, Any]:
    """Evaluate a training run; give the tags and metrics of the evaluation."""
    run = mlflow.get_run(data_evaluation.run(EvaluationSettings(training_run_id=training, **settings)))
    return {**run.data.tags, **run.data.metrics}


def pointing(store: Store, alias: str) -> set[str]:
    return {store.aliases(name).get(alias, "") for name in store.versions()}


def test_a_better_model_wins_a_worse_and_an_equal_one_are_held(store: Store) -> None:
    write_table()
    data = prepare()
    assert judge(train(data, weak=True))["decision"] == "promote"
    better = judge(train(data))
    assert better["decision"] == "promote"
    assert better["gain_low"] > 0
    assert (pointing(store, "champion"), pointing(store, "previous")) == ({"2"}, {"1"})

    equal = judge(train(data, trial_seed=1))
    assert equal["decision"] == "hold"
    assert "not surely better" in equal["reasons"]
    again = mlflow.get_run(equal["training_run_id"]).info.run_id
    assert judge(again, promote="not-worse", margin=0.5)["decision"] == "promote"
    worse = judge(train(data, weak=True))
    assert worse["decision"] == "hold"
    assert worse["gain_high"] < 0
    kept = registry.champion_history("HillsModel")
    assert [entry["champion"] for entry in kept] == ["1", "2", "3"]
    assert kept[1]["gain"] == pytest.approx(better["gain"])
    assert kept[1]["rows"] == 495


def test_a_champion_gains_nothing_from_rows_it_was_trained_on(store: Store) -> None:
    write_table()
    judge(train(prepare(seed=1)))
    data = prepare(seed=0)
    seen = judge(train(data))
    assert seen["rows_new_to_champion"] < 250
    assert f"{seen['rows_new_to_champion']:.0f} of 495 rows are new to the champion" in seen["compared"]
    everything = judge(train(data), eval_dataset="hills.csv")
    # Of the whole table those rows count that neither was trained on: the very same, whichever table is given.
    assert everything["rows_new_to_champion"] == seen["rows_new_to_champion"]
    assert "and to this model" in everything["compared"]


def test_too_few_new_rows_are_a_reason_to_hold(store: Store) -> None:
    write_table(200)
    data = prepare()
    judge(train(data))
    store.table(data, "train").to_csv("seen.csv", index=False)
    first = judge(train(data, trial_seed=1), eval_dataset="seen.csv", promote="always")
    assert "only 0 of 134 rows are new to this model" in first["reasons"]
    held = judge(train(data, trial_seed=1), eval_dataset="seen.csv")
    assert held["decision"] == "hold"
    assert "only 0 of 134 rows are new to the champion" in held["reasons"]


def test_rows_that_it_was_trained_on_make_no_champion(store: Store) -> None:
    """A model of noise that learned its rows by heart beats the dummy on them, and on none that it did not see."""
    rng = np.random.default_rng(0)
    noise = pd.DataFrame(rng.normal(size=(600, 4)), columns=list("abcd"))
    noise.assign(y=rng.choice(["up", "down"], 600)).to_csv("hills.csv", index=False)
    held = judge(train(prepare()), eval_dataset="hills.csv")
    assert held["decision"] == "hold"
    assert "does not surely beat the dummy" in held["reasons"]
    assert "on 198 rows" in held["reasons"]
    assert "402 of 600 rows of hills.csv look like rows that the model was trained on" in held["warnings"]


@pytest.mark.parametrize(("split", "given", "alike"), [("stratified", False, False), ("time", False, True)])
def test_rows_are_told_by_the_seed_that_drew_them_if_one_did(split: str, given: bool, alike: bool) -> None:
    """Else another seed would judge the rows of a split by time anew, with nothing of alpha spent."""
    frame = pd.DataFrame({"y": [0, 1, 1]})
    challenger: Any = SimpleNamespace(frame=frame, given=given, problem=SimpleNamespace(split=split, target="y"))
    runs: list[Any] = [SimpleNamespace(data=SimpleNamespace(params={"seed": seed})) for seed in ("0", "1")]
    told = {data_evaluation.rows_digest(challenger, run) for run in runs}
    assert (len(told) == 1) is alike


@pytest.fixture
def registered(store: Store) -> Store:
    """Three versions under each of the three names, without models behind them; the second is the champion."""
    for name in ("HillsModel", "HillsModelBooster", "HillsModelService"):
        store.client.create_registered_model(name)
        for _ in range(3):
            store.client.create_model_version(name, str(store.folder))
    for version in ("1", "2"):
        registry.promote("HillsModel", version, {"why": "better"})
    return store


def test_a_crown_moves_champion_and_previous_under_all_names_and_is_recorded(registered: Store) -> None:
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"2"}, {"1"})
    first, second = registry.champion_history("HillsModel")
    assert (first["champion"], first["previous"], first["why"]) == ("1", "", "better")
    assert (second["champion"], second["previous"]) == ("2", "1")
    assert first["at"] <= second["at"]


def test_a_champion_judged_again_is_not_recorded_again(registered: Store) -> None:
    registry.promote("HillsModel", "2", {"why": "better"})
    assert [entry["champion"] for entry in registry.champion_history("HillsModel")] == ["1", "2"]
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"2"}, {"1"})


def test_rollback_restores_and_the_record_shows_it(registered: Store, refused: Callable[..., str]) -> None:
    assert model_registry.main(["rollback"]) == 0
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"1"}, {"2"})
    assert model_registry.main(["rollback", "--model-name", "HillsModel", "--to-version", "3"]) == 0
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"3"}, {"1"})
    assert [entry["why"] for entry in registry.champion_history("HillsModel")] == ["better"] * 2 + ["rollback"] * 2
    assert "has no version 9" in refused(model_registry.main, "rollback", "--to-version", "9")
    for version in ("3", "03"):
        assert "Version 3 of HillsModel is the champion already" in refused(
            model_registry.main, "rollback", "--to-version", version
        )
    assert registered.last("rollback").info.status == "FAILED"


def test_a_version_that_one_form_lacks_is_not_restored(registered: Store, refused: Callable[..., str]) -> None:
    registered.client.delete_model_version("HillsModelService", "1")
    assert "HillsModelService has no version 1" in refused(model_registry.main, "rollback")
    assert pointing(registered, "champion") == {"2"}


def test_what_cannot_be_rolled_back_or_found_is_said(store: Store, refused: Callable[..., str]) -> None:
    assert "0 have a champion" in refused(model_registry.main, "rollback")
    assert "No registered model 'HilsModel'" in refused(model_registry.main, "lineage", "--model", "HilsModel/1")
    assert "Name a version with --model" in refused(model_registry.main, "lineage")
    assert "say what to do: rollback, lineage, export-model" in refused(model_registry.main)
    store.client.create_registered_model("M")
    store.client.create_model_version("M", str(store.folder))
    assert "its versions are 1" in refused(model_registry.main, "lineage", "--model", "M/2")
    assert "are not in this store" in refused(model_registry.main, "lineage", "--model", "M/1")
    for name in ("M", "MBooster", "MService"):
        if name != "M":
            store.client.create_registered_model(name)
            store.client.create_model_version(name, str(store.folder))
        store.client.set_registered_model_alias(name, "champion", "1")
    assert "has had no champion before version 1" in refused(model_registry.main, "rollback")


@pytest.mark.parametrize("done", range(6))
def test_a_kill_between_two_moves_of_aliases_heals(
    registered: Store, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = mlflow.MlflowClient.set_registered_model_alias
    moved = []

    def killed(self: Any, name: str, alias: str, version: str) -> None:
        if len(moved) == done:
            raise KeyboardInterrupt
        moved.append(name)
        move(self, name, alias, version)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_registered_model_alias", killed)
        with pytest.raises(KeyboardInterrupt):
            registry.promote("HillsModel", "3", {"why": "better"})
    assert registry.finish_interrupted_promotion("HillsModel") is True
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"3"}, {"2"})
    assert [entry["champion"] for entry in registry.champion_history("HillsModel")] == ["1", "2", "3"]
    assert registry.finish_interrupted_promotion("HillsModel") is False


def test_the_lineage_names_every_run_and_the_history(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(200)
    training = train(prepare())
    judge(training)
    for model in ("HillsModel/1", "HillsModel@champion", "HillsModelService@champion"):
        assert model_registry.main(["lineage", "--model", model]) == 0
        printed = capsys.readouterr().out
        tags = store.run(training).data.tags
        for word in (training, tags["data_run_id"], tags["tuning_run_id"], tags["data_digest"], "hills.csv", "xgboost"):
            assert word in printed
        assert "version 1  promote=better" in printed


@pytest.mark.parametrize("chain", ["cancer", "mixed", "diabetes"], indirect=True)
def test_the_card_tells_everything_and_links_nowhere(chain: Store) -> None:
    run = chain.last("data-evaluation")
    page = (chain.folder_of(run.info.run_id) / "model_card.html").read_text(encoding="utf-8")
    name = run.data.tags["model_name"]
    assert "http://" not in page.replace("http://localhost", "")
    assert "https://" not in page
    wanted = ["What it is for", "Data", "Search", "How well it does", "Champions so far", "Limits", "How to call it"]
    wanted += ["Lineage", "Why it says so", "Where it errs", "dataframe_split", run.info.run_id]
    for words in wanted:
        assert words in page
    assert page.count("data:image/png;base64") >= 4
    assert "failed_parts" not in run.data.tags
    assert json.dumps(run.data.tags["data_digest"]).strip('"') in page
    client = mlflow.MlflowClient()
    version = client.get_model_version(name, "1")
    assert version.tags["model_card"] == f"runs:/{run.info.run_id}/model_card.html"
    folder = chain.model_folder(name, "1")
    assert f"<h1>{name} version 1</h1>" in (folder / "model_card.html").read_text(encoding="utf-8")
