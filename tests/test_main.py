"""The whole chain on a real store, read back: one parent, four stages, one seed, and the page it prints."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import CHAINS, STAGES, Store, houses
from mlflow.entities import Run

import data_preprocessing
import hyperparameters_tuning
import main
import model_training
from config import MainSettings
from tracking.model_card import labels_of_search

pytestmark = pytest.mark.store

EVERY_TABLE = pytest.mark.parametrize("chain", CHAINS, indirect=True)
# Metrics that say how long it took, or how the second compares with the first, not what came out.
TIMES = re.compile(r"seconds|^system/|^cpu|^gain|^rows_new")


def stages_of(store: Store, parent: str) -> dict[str, Run]:
    """The runs under a run of `main`, by stage."""
    return {run.data.tags["stage"]: run for run in store.children(parent)}


def results(run: Run) -> dict[str, float]:
    return {name: value for name, value in run.data.metrics.items() if not TIMES.search(name)}


@EVERY_TABLE
def test_one_parent_holds_the_four_stages(chain: Store) -> None:
    parent = chain.run(chain.parent)
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == parent.data.tags["stage"] == "main"
    stages = stages_of(chain, chain.parent)
    assert sorted(stages) == sorted(STAGES)
    assert {run.info.status for run in stages.values()} == {"FINISHED"}
    assert len(chain.children(stages["hyperparameters-tuning"].info.run_id)) == 2


@EVERY_TABLE
def test_every_run_names_those_it_builds_on(chain: Store) -> None:
    stages = stages_of(chain, chain.parent)
    data, tuning, training, evaluation = (stages[stage] for stage in STAGES)
    ids = {
        "data_digest": data.data.tags["data_digest"],
        "data_run_id": data.info.run_id,
        "tuning_run_id": tuning.info.run_id,
        "training_run_id": training.info.run_id,
    }

    def known(run: Run) -> dict[str, str]:
        return {name: value for name, value in run.data.tags.items() if name in ids}

    names = list(ids)
    assert known(data) == {name: ids[name] for name in names[:1]}
    assert known(tuning) == {name: ids[name] for name in names[:2]}
    assert known(training) == {name: ids[name] for name in names[:3]}
    assert known(evaluation) == known(chain.run(chain.parent)) == ids


@EVERY_TABLE
def test_the_settings_of_the_chain_are_logged_on_its_parent(chain: Store) -> None:
    params = chain.run(chain.parent).data.params
    assert set(params) == {name.replace("_", "-") for name in MainSettings.model_fields}
    assert params["n-trials"] == "2"


def alone(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics that say nothing of a champion or of earlier judgements."""
    of_others = ("champion_", "gain", "smallest_gain", "rows_new_to_champion", "judgements")
    return {name: value for name, value in metrics.items() if not name.startswith(of_others)}


def test_the_same_seed_gives_the_same_chain_whatever_else_runs_in_the_experiment(
    cancer_copy: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the chain runs again, a decoy finishes after every stage: looked up by time, it would be picked."""
    for module, stage in zip((data_preprocessing, hyperparameters_tuning, model_training), STAGES, strict=False):
        run = module.run

        def run_then_decoy(settings: Any, run: Any = run, stage: str = stage) -> Any:
            run_id = run(settings)
            cancer_copy.fake_run(stage, data_digest="decoy")
            return run_id

        monkeypatch.setattr(module, "run", run_then_decoy)
    assert main.main(CHAINS["cancer"]) == 0
    monkeypatch.undo()

    again = cancer_copy.last("main").info.run_id
    assert again != cancer_copy.parent
    first, second = stages_of(cancer_copy, cancer_copy.parent), stages_of(cancer_copy, again)
    for side in ("train", "test"):
        one, two = (cancer_copy.table(each["data-preprocessing"].info.run_id, side) for each in (first, second))
        pd.testing.assert_frame_equal(one, two)
    one, two = (
        cancer_copy.document(each["hyperparameters-tuning"].info.run_id, "best.json") for each in (first, second)
    )
    assert one == two
    for stage in STAGES:
        assert alone(results(first[stage])) == alone(results(second[stage]))
    tags = second["data-evaluation"].data.tags
    assert tags["data_run_id"] == second["data-preprocessing"].info.run_id
    assert tags["tuning_run_id"] == second["hyperparameters-tuning"].info.run_id
    assert tags["training_run_id"] == second["model-training"].info.run_id
    # The same model is no better, so it is held.
    assert cancer_copy.aliases("CancerModel") == {"challenger": "2", "champion": "1"}


def test_a_parquet_file_with_a_boolean_target_goes_through_under_the_name_given(store: Store) -> None:
    frame = houses(120)
    frame = frame.assign(large=(frame["area [m²]"] > 100).where(frame.index > 3, None)).drop(columns="kind of house")
    frame.to_parquet("houses.parquet", index=False)
    argv = ["--data", "houses.parquet", "--target", "large", "--drop", "rooms", "--derive", "twice = floor * 2"]
    argv += ["--n-trials", "1", "--folds", "2", "--model-name", "Large houses", "--min-score", "accuracy=0.6"]
    assert main.main(argv) == 0
    assert store.versions() == {
        "Large houses": ["1"],
        "Large housesBooster": ["1"],
        "Large housesService": ["1"],
    }
    assert store.aliases("Large houses") == {"challenger": "1", "champion": "1"}
    answer = mlflow.pyfunc.load_model("models:/Large housesService@champion").predict(frame.head(20))
    assert list(answer.columns) == ["prediction", "probability_False", "probability_True"]
    assert answer["prediction"].dtype == np.bool_
    assert (answer["prediction"] == (frame["area [m²]"].head(20) > 100)).mean() > 0.8


def test_a_run_id_that_is_given_skips_its_stage_and_those_before_it(diabetes_copy: Store) -> None:
    before = len(diabetes_copy.runs())
    training = diabetes_copy.last("model-training").info.run_id
    assert main.main(["--training-run-id", training]) == 0
    parent = diabetes_copy.last("main")
    assert list(stages_of(diabetes_copy, parent.info.run_id)) == ["data-evaluation"]
    assert len(diabetes_copy.runs()) == before + 2
    assert parent.data.tags["training_run_id"] == training
    assert diabetes_copy.versions()["DiabetesModel"] == ["1"]


def test_it_judges_by_an_artifact_as_data_evaluation_does(diabetes_copy: Store) -> None:
    training, data = (diabetes_copy.last(stage).info.run_id for stage in ("model-training", "data-preprocessing"))
    uri = f"runs:/{data}/test.parquet"
    assert main.main(["--training-run-id", training, "--eval-dataset", uri, "--promote", "always"]) == 0
    run = diabetes_copy.last("data-evaluation")
    assert run.data.params["eval-dataset"] == uri
    assert run.data.metrics["test_example_count"] == 111


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--costs", "fp=much"], ["'fp=much'", "costs"]),
        (["--min-score", "accuracy=high"], ["'accuracy=high'", "min_score"]),
        (["--search-space", "no.yaml"], ["no.yaml", "search_space"]),
        (["--search-space", "bad.yaml"], ["max_depth in bad.yaml got -1"]),
        (["--study-name", "a/b"], ["study_name", "'a/b'"]),
        (["--storage", "nonsense"], ["storage", "'nonsense'"]),
        (["--model-name", "a?b"], ["--model-name", "'a?b'"]),
        (["--eval-dataset", "no.csv"], ["No file", "no.csv"]),
        (["--data", "no.csv", "--target", "y"], ["No file", "no.csv"]),
    ],
)
@pytest.mark.parametrize("further", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_every_setting_is_checked_before_a_run_is_opened(
    store: Store, refused: Callable[..., str], argv: list[str], words: list[str], further: list[str]
) -> None:
    Path("bad.yaml").write_text("max_depth: -1", encoding="utf-8")
    sentence = refused(main.main, *argv, *further)
    assert [word for word in words if word not in sentence] == []
    assert store.runs() == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--costs", "fp=1"], "costs got fp=1 for a regression task"),
        (["--min-score", "accuracy=0.9"], "'accuracy' in min_score for a regression task"),
    ],
)
def test_what_evaluation_would_refuse_of_this_task_is_refused_before_the_search(
    store: Store, refused: Callable[..., str], argv: list[str], words: str
) -> None:
    for further in ([], ["--dry-run"]):
        assert words in refused(main.main, "--data", "diabetes", *argv, *further)
    assert store.runs("hyperparameters-tuning") == []


def test_fixed_parameters_are_logged_and_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    Path("space.yaml").write_text("max_depth: 3\ngamma: 0.25\nreg_alpha: 0.5", encoding="utf-8")
    argv = ["--data", "diabetes", "--n-trials", "1", "--folds", "2", "--search-space", "space.yaml"]
    assert main.main(argv) == 0
    tuning, training = store.last("hyperparameters-tuning"), store.last("model-training")
    (trial,) = store.children(tuning.info.run_id)
    y = store.table(store.last("data-preprocessing").info.run_id, "train")["target"]
    for run in (tuning, trial, training):
        assert (run.data.params["max_depth"], run.data.params["gamma"]) == ("3", "0.25")
        assert float(run.data.params["reg_alpha"]) == pytest.approx(0.5 * y.std(ddof=0))
    printed = capsys.readouterr().out
    assert "max_depth 3," in printed
    assert "gamma 0.25" in printed
    booster = mlflow.sklearn.load_model("models:/DiabetesModel/1").booster_
    config = json.loads(booster.save_config())["learner"]["gradient_booster"]["tree_train_param"]
    assert float(config["reg_alpha"]) == pytest.approx(float(training.data.params["reg_alpha"]), rel=1e-6)


# --- what it prints


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        ("cancer", ["breast_cancer", "569 rows", "30 columns and 1 derived", "binary", "381", "188 held out"]),
        ("mixed", ["houses", "237 rows", "6 columns", "multiclass", "'kind of house'", "158", "79 held out"]),
        ("diabetes", ["diabetes", "442 rows", "10 columns", "regression", "331", "111 held out"]),
    ],
    indirect=["chain"],
)
def test_the_summary_names_the_table_and_the_split(chain: Store, words: list[str]) -> None:
    assert [word for word in [*words, "2 trials"] if word not in chain.printed] == []


@EVERY_TABLE
def test_the_summary_gives_the_best_parameters_and_the_metrics_with_their_intervals(chain: Store) -> None:
    stages = stages_of(chain, chain.parent)
    tuning, values = stages["hyperparameters-tuning"].data, stages["data-evaluation"].data.metrics
    metric = tuning.tags["metric"]
    assert f"learning_rate {float(tuning.params['learning_rate']):.4g}" in chain.printed
    assert f"rounds {tuning.params['rounds']}" in chain.printed
    assert f"{metric} {tuning.metrics[f'cv_{metric}']:.4g} in" in chain.printed
    for name in [metric, *(["mae"] if metric == "rmse" else ["accuracy", "roc_auc"])]:
        interval = rf"\[{values[f'test_{name}_low']:.4f}, {values[f'test_{name}_high']:.4f}\]"
        assert re.search(rf"{name} +{values[f'test_{name}']:.4f} +{interval} +dummy", chain.printed)


@EVERY_TABLE
def test_the_summary_ends_with_the_versions_their_aliases_and_three_commands(chain: Store) -> None:
    names = list(chain.versions())
    for name in names:
        assert f"{name} version 1 (challenger, champion)" in chain.printed
    commands = chain.printed.strip().splitlines()[-3:]
    for words, command in zip(["mlflow ui", "batch_inference.py", "mlflow models serve"], commands, strict=True):
        assert words in command
    assert all(f"models:/{names[-1]}@champion" in command for command in commands[1:])


def test_the_summary_says_why_a_model_is_not_promoted(diabetes_copy: Store, capsys: pytest.CaptureFixture[str]) -> None:
    training = diabetes_copy.last("model-training").info.run_id
    assert main.main(["--training-run-id", training, "--promote", "never"]) == 0
    printed = capsys.readouterr().out
    assert "not promoted: promote=never" in printed
    assert "DiabetesModel version 1 (challenger, champion)" in printed


def test_outside_an_environment_the_commands_of_the_summary_bring_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    folder = Path(sys.executable).parent
    monkeypatch.chdir(folder.parent)
    look, score, serve = (line.split(":", 1)[1].strip() for line in main._next_commands("M@champion"))
    assert look == f"{folder.name}/mlflow ui"
    assert score.startswith(f"{folder.name}/{Path(sys.executable).name} ")
    assert serve.startswith(f"PATH={folder.name}:$PATH {folder.name}/mlflow models serve")
    monkeypatch.setenv("VIRTUAL_ENV", str(folder.parent))
    assert [line.split(":", 1)[1].split()[0] for line in main._next_commands("M")] == ["mlflow", "python", "mlflow"]


def test_the_commands_of_the_summary_name_a_model_that_exists(
    diabetes_copy: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in diabetes_copy.versions():
        diabetes_copy.client.delete_registered_model_alias(name, "champion")
    training = diabetes_copy.last("model-training").info.run_id
    assert main.main(["--training-run-id", training, "--promote", "never"]) == 0
    named = re.findall(r"models:/\S+", capsys.readouterr().out)
    assert len(named) == 2
    for uri in named:
        assert mlflow.models.get_model_info(uri).signature.outputs.input_names() == ["prediction"]


@pytest.mark.parametrize(
    ("metric", "tags", "told"),
    [("f1", {"threshold": "0.2"}, "by the threshold 0.2"), ("f1", {}, ""), ("roc_auc", {"threshold": "0.2"}, "")],
)
def test_a_search_that_labelled_otherwise_than_the_model_says_so(metric: str, tags: dict, told: str) -> None:
    found = labels_of_search(metric, tags)
    assert told in found
    assert bool(found) == bool(told)


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        (
            ["by 74 blocks of time", "", "by 16 blocks of time; few rows make most of it"],
            ", by 16 to 74 blocks of time",
        ),
        (["by 12 groups", "by 12 groups"], ", by 12 groups"),
        (["", "few rows make most of it"], ""),
    ],
)
def test_what_stands_behind_intervals_is_told_where_it_is_not_rows(notes: list[str], told: str) -> None:
    assert main.units_behind(notes) == told
