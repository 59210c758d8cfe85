"""Champions on a real store: earned, held, rolled back, healed, printed and made again."""

import contextlib
import json
import sqlite3
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
from tracking import restoration
from tracking.champions import champion_history, promote
from tracking.registry import register_in_step

pytestmark = pytest.mark.store

NAME, BOOSTER = "CancerModel", "CancerModelBooster"
FORMS = [NAME, BOOSTER, "CancerModelService"]
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
    kept = champion_history("HillsModel")
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
def registered(cancer_copy: Store) -> Store:
    """Three versions of one model under each of its three names; the second is the champion, the first was it."""
    uris = {form: cancer_copy.client.get_model_version(form, "1").source for form in FORMS}
    for _ in range(2):
        register_in_step(uris, dict.fromkeys(uris, ""), cancer_copy.client.get_model_version(NAME, "1").tags)
    promote(NAME, "2", {"why": "better"})
    return cancer_copy


def rolled_back(*argv: str) -> None:
    assert model_registry.main(["rollback", *argv]) == 0


def moves() -> list[tuple[str, str]]:
    return [(entry["champion"], entry["why"]) for entry in champion_history(NAME)]


WAS = [("1", "promote=better"), ("2", "better")]


def test_rollback_restores_and_the_history_shows_it(registered: Store, refused: Callable[..., str]) -> None:
    rolled_back()
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"1"}, {"2"})
    rolled_back("--model-name", NAME, "--to-version", "3")
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"3"}, {"1"})
    assert moves() == [*WAS, ("1", "rollback"), ("3", "rollback")]
    assert "has no version 9. Choose one that all three forms have: 1, 2, 3." in refused(
        model_registry.main, "rollback", "--to-version", "9"
    )
    told = refused(model_registry.main, "rollback", "--to-version", "3")
    assert told == "Version 3 of CancerModel is the champion already."
    assert registered.last("rollback").info.status == "FAILED"


@pytest.mark.parametrize("version", ["02", "+2", "2.0", " ", "\uff12", "\u00b2", "-1", "0", "9" * 10, "two"])
def test_a_version_is_spelled_in_one_way(store: Store, capsys: pytest.CaptureFixture[str], version: str) -> None:
    assert model_registry.main(["rollback", f"--to-version={version}"]) == 2
    assert f"--to-version got {version!r}: a version is a whole number in plain digits" in capsys.readouterr().err
    assert store.runs() == []


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("point", ["set_registered_model_alias", "delete_registered_model_tag"])
def test_a_rollback_that_was_cut_short_is_finished_and_not_followed_by_one_more(
    registered: Store, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, point, killed)
        assert model_registry.main(["rollback"]) == 130
    rolled_back()
    assert moves() == [*WAS, ("1", "rollback")]
    assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"1"}, {"2"})
    assert registered.last("rollback").data.tags["previous_version"] == "2"
    rolled_back()
    assert moves() == [*WAS, ("1", "rollback"), ("2", "rollback")]


def test_a_rollback_that_ended_after_its_move_is_not_followed_by_one_more_either(
    registered: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):  # the second is cut short before it could answer
        with monkeypatch.context() as patch:
            patch.setattr(mlflow, "set_tags", killed)
            assert model_registry.main(["rollback"]) == 130
    rolled_back()
    assert moves() == [*WAS, ("1", "rollback")]
    rolled_back()
    assert moves()[-1] == ("2", "rollback")


def test_another_version_may_be_asked_for_after_a_rollback_was_cut_short(
    registered: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "delete_registered_model_tag", killed)
        assert model_registry.main(["rollback"]) == 130
    rolled_back("--to-version", "3")
    assert moves() == [*WAS, ("1", "rollback"), ("3", "rollback")]


@pytest.mark.parametrize("forms", [["CancerModelBooster"], ["CancerModel"], ["CancerModel", "CancerModelService"]])
def test_a_version_of_which_a_form_was_deleted_is_registered_again(registered: Store, forms: list[str]) -> None:
    for form in forms:
        registered.client.delete_model_version(form, "1")
    rolled_back("--to-version", "1")
    assert (pointing(registered, "champion"), pointing(registered, "challenger")) == ({"4"}, {"3"})
    version = registered.client.get_model_version(NAME, "4")
    assert version.tags["restored_version"] == "1"
    assert registered.run(version.tags["training_run_id"]).data.tags["model_version"] == "4"
    assert data_evaluation.main(["--training-run-id", version.tags["training_run_id"]]) == 0


def test_a_version_that_is_gone_altogether_is_not_restored(registered: Store, refused: Callable[..., str]) -> None:
    training = registered.client.get_model_version(NAME, "1").tags["training_run_id"]
    registered.client.delete_model_version(BOOSTER, "1")
    home = registered.run(training).info.experiment_id
    for each in mlflow.search_logged_models([home], output_format="list"):
        if each.name == BOOSTER and each.source_run_id == training:
            registered.client.delete_logged_model(each.model_id)
    told = refused(model_registry.main, "rollback", "--to-version", "1")
    assert "the model that its training run logged is gone too" in told
    for form in (NAME, "CancerModelService"):
        registered.client.delete_model_version(form, "1")
    assert "has no version 1. Choose one that all three forms have: 2, 3" in refused(
        model_registry.main, "rollback", "--to-version", "1"
    )


def test_a_champion_that_was_deleted_is_rolled_back_from(registered: Store) -> None:
    for form in FORMS:
        registered.client.delete_model_version(form, "2")
    rolled_back("--model-name", NAME)
    assert pointing(registered, "champion") == {"1"}


@pytest.mark.parametrize("form", ["CancerModel", "CancerModelBooster", "CancerModelService"])
def test_a_form_whose_files_are_gone_is_not_restored(registered: Store, refused: Callable[..., str], form: str) -> None:
    folder = registered.model_folder(form, "1")
    version = registered.client.get_model_version(form, "1")
    empty = registered.client.create_logged_model(registered.last("main").info.experiment_id, form)
    with contextlib.closing(sqlite3.connect("mlflow.db")) as database, database:
        row = (f"models:/{empty.model_id}", form)
        database.execute("UPDATE model_versions SET source = ? WHERE name = ? AND version = 1", row)
    assert folder.is_dir()
    assert version.source != f"models:/{empty.model_id}"
    assert "CancerModel version 1 cannot be restored: the " in refused(model_registry.main, "rollback")
    assert pointing(registered, "champion") == {"2"}


def test_a_model_that_answers_otherwise_is_not_restored(
    registered: Store, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = registered.client.get_model_version(NAME, "1").tags["training_run_id"]
    told = registered.document(training, "golden.json")
    told["answer"][0]["prediction"] = "neither"
    monkeypatch.setattr("tracking.restoration.golden_requests_of", lambda _: told)
    assert "answers 1 of 8 recorded requests differently" in refused(model_registry.main, "rollback")
    assert pointing(registered, "champion") == {"2"}


def test_a_champion_that_changes_during_a_rollback_stays(
    registered: Store, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoration.Restored, "check", lambda _: promote(NAME, "3", {"why": "better"}))
    assert "changed meanwhile, from version 2 to 3" in refused(model_registry.main, "rollback")
    assert pointing(registered, "champion") == {"3"}


@pytest.mark.parametrize("times", [1, data_evaluation.MAX_MEETINGS])
def test_a_champion_that_changes_during_an_evaluation_is_met_in_its_turn(
    registered: Store, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Version 3, whose training run the last one is, is judged while 1 and 2 take turns as champion."""
    training = registered.client.get_model_version(NAME, "3").tags["training_run_id"]
    registered.client.set_tag(training, "model_version", "3")
    meet, met = data_evaluation.meet_champions, []

    def overtaken(challenger: Any, champion: str, metric: str, alpha: float) -> Any:
        met.append(champion)
        if len(met) <= times:
            promote(NAME, "1" if champion == "2" else "2", {"why": "meanwhile"})
        return meet(challenger, champion, metric, alpha)

    monkeypatch.setattr(data_evaluation, "meet_champions", overtaken)
    tags = judge(training, promote="always")
    if times == 1:
        assert (met, tags["champion"], tags["decision"]) == (["2", "1"], "version 1", "promote")
        assert (pointing(registered, "champion"), pointing(registered, "previous")) == ({"3"}, {"1"})
        assert moves() == [*WAS, ("1", "meanwhile"), ("3", "promote=always")]
    else:
        assert (len(met), tags["decision"]) == (times, "hold")
        assert f"changed {times} times while it was judged" in tags["reasons"]
        assert registered.client.get_model_version(NAME, "3").tags["decision"] == "hold"


def test_what_cannot_be_rolled_back_or_found_is_said(store: Store, refused: Callable[..., str]) -> None:
    assert "0 have a champion" in refused(model_registry.main, "rollback")
    assert "No registered model 'HilsModel'" in refused(model_registry.main, "lineage", "--model", "HilsModel/1")
    assert "Name a version with --model" in refused(model_registry.main, "lineage")
    assert "Say what to do: rollback, lineage, export-model" in refused(model_registry.main)
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
