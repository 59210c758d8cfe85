"""A version made again on a real store: the same to the last digit, and nobody's last run."""

import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import STAGES, Store, _copy, copy_of, mlflow_at

import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import main
import model_training
import reproduction
from config import DataSettings, EvaluationSettings, MainSettings, TrainingSettings, TuningSettings
from treeline.tuning import trial

pytestmark = pytest.mark.store


@pytest.fixture(scope="module")
def chain_of_hills(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Store:
    """A store with one chain of a small table, `hills.csv` in its folder."""
    store = _copy(empty_store, tmp_path_factory.mktemp("hills"))
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("abcd"))
    signal = X.a * X.b * 2 + X.c + rng.normal(size=300) * 0.3
    with mlflow_at(store):
        X.assign(y=np.where(signal > 0, "up", "down")).to_csv("hills.csv", index=False)
        main.run(MainSettings(data="hills.csv", target="y", n_trials=3, folds=2, derive="e = a * b"))
    return store


@pytest.fixture
def made(tmp_path: Path, chain_of_hills: Store) -> Iterator[Store]:
    """A copy of it, the table beside it."""
    shutil.copy(chain_of_hills.folder / "hills.csv", tmp_path)
    with copy_of(chain_of_hills, tmp_path) as store:
        yield store


def test_a_version_is_made_again_to_the_last_digit(
    made: Store, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    versions = made.versions()
    assert reproduction.main(["--model", "HillsModel@champion"]) == 0
    printed = capsys.readouterr().out
    assert "is reproduced to the last digit" in printed
    assert "DIFFERS" not in printed
    assert made.versions() == versions

    table = pd.read_csv("hills.csv")
    table.loc[0, "a"] += 1
    table.to_csv("hills.csv", index=False)
    sentence = refused(reproduction.main, "--model", "HillsModel/1")
    assert "data digest" in sentence
    found = made.document(made.last("reproduce").info.run_id, "reproduction.json")
    assert any("data digest" in each for each in found["differs"])


def test_a_search_that_followed_the_clock_is_made_again(
    made: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tried lower learning rates when its seconds, not its trials, came to an end."""
    monkeypatch.setattr(trial, "is_late", lambda done, settings, deadline: done >= 5)
    main.run(MainSettings(data="hills.csv", target="y", n_trials=8, timeout=1000, folds=2, promote="never"))
    monkeypatch.undo()
    assert reproduction.main(["--model", "HillsModel/2"]) == 0
    assert "DIFFERS" not in capsys.readouterr().out
    again = made.last("hyperparameters-tuning")
    assert (float(again.data.params["timeout"]), again.data.metrics["trials"]) == (0, 8)


def test_a_threshold_and_a_setting_longer_than_mlflow_keeps_are_made_again(
    made: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    derive = f"e = a * b{' ' * 6000}+ c"
    settings = {"data": "hills.csv", "target": "y", "n_trials": 1, "folds": 2, "promote": "never", "threshold": "0.2"}
    main.run(MainSettings(**settings, derive=derive))
    assert len(made.last("data-preprocessing").data.params["derive"]) <= 6000
    assert reproduction.main(["--model", "HillsModel/2"]) == 0
    assert "DIFFERS" not in capsys.readouterr().out


def test_stages_that_mlflow_run_started_one_by_one_are_made_again(
    made: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It logs every parameter as a shell would spell it: an empty one as two quotes."""
    for stage, settings in (
        (data_preprocessing, DataSettings(data="hills.csv", target="y", derive="e = a * b")),
        (hyperparameters_tuning, TuningSettings(n_trials=1, folds=2)),
        (model_training, TrainingSettings()),
    ):
        opened = made.client.create_run(made.run(made.parent or made.last("main").info.run_id).info.experiment_id)
        for name, value in settings.parameters().items():
            made.client.log_param(opened.info.run_id, name, shlex.quote(value))
        monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
        stage.run(settings)
    assert made.last("data-preprocessing").data.params["drop"] == "''"
    assert reproduction.main(["--model", "HillsModel/2"]) == 0
    assert "DIFFERS" not in capsys.readouterr().out


def test_what_was_made_again_is_no_stage_s_last_run(made: Store) -> None:
    first = {stage: made.last(stage).info.run_id for stage in STAGES[:2]}
    assert reproduction.main(["--model", "HillsModel/1"]) == 0
    again = {run.data.tags["stage"]: run for run in made.children(made.last("reproduce").info.run_id)}
    assert set(again) == set(STAGES[:2])
    assert all(run.info.run_id != first[stage] for stage, run in again.items())

    tuning = mlflow.get_run(hyperparameters_tuning.run(TuningSettings(n_trials=1, folds=2)))
    assert tuning.data.tags["data_run_id"] == first["data-preprocessing"]
    training = mlflow.get_run(model_training.run(TrainingSettings(tuning_run_id=first["hyperparameters-tuning"])))
    assert training.data.tags["data_run_id"] == first["data-preprocessing"]
    made.client.delete_run(tuning.info.run_id)
    assert (
        mlflow.get_run(model_training.run(TrainingSettings())).data.tags["tuning_run_id"]
        == first["hyperparameters-tuning"]
    )
    data_evaluation.run(EvaluationSettings())
