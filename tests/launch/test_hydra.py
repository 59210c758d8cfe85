"""Hydra's options read and refused: the combinations that they stand for."""

import logging
import os
import re
from pathlib import Path

import pytest

import sweep
from launch.hydra import combinations, describe, overrides_of
from treeline import UserError


def listed(options: str) -> list[str]:
    """The combinations that options stand for, each told by what is not at its default."""
    return [describe(settings) for settings in combinations(overrides_of(options), sweep.read)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("n_trials=5", ["n_trials=5"]),
        ("--multirun n_trials=5", ["n_trials=5"]),
        (
            "-m n_trials=5,10 test_size=0.2,0.3",
            [f"test_size={size} n_trials={trials}" for trials in (5, 10) for size in (0.2, 0.3)],
        ),
        ("-m seed=range(1,4)", ["seed=1", "seed=2", "seed=3"]),
        ("-m 'n_trials=range(2, 7, 2)'", ["n_trials=2", "n_trials=4", "n_trials=6"]),
        ("-m seed=choice(3,4) hydra/launcher=joblib hydra.launcher.n_jobs=2", ["seed=3", "seed=4"]),
        ("data=iris,wine ++folds=3", ["data=iris folds=3", "data=wine folds=3"]),
        ("target='mean area'", ["target=mean area"]),
        ("drop='a,b' min_score='accuracy=0.5'", ["drop=a,b min_score=accuracy=0.5"]),
        ("drop=\"a,b\",'it is'", ["drop=a,b", "drop=it is"]),
        ("'drop=\"a,b\"'", ["drop=a,b"]),
        ("derive='r = `a b` / c'", ["derive=r = `a b` / c"]),
        ("'derive=\"r = `a b` / c\"'", ["derive=r = `a b` / c"]),
        ("target=null", ["of the defaults"]),
        ("timeout=1e2,0", ["timeout=100.0", "of the defaults"]),
        ("study_name=a,b", ["study_name=a", "study_name=b"]),
    ],
)
def test_options_stand_for_their_combinations(options: str, expected: list[str]) -> None:
    assert listed(options) == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("", "names no parameter"),
        ("-m", "names no parameter"),
        ("-m n_trails=5,10", "Unknown parameter 'n_trails'. Did you mean 'n_trials'?"),
        ("n-trials=5", "Did you mean 'n_trials'?"),
        ("+more=1", "Unknown parameter 'more'"),
        ("n_trials=5,[", re.escape("Cannot read 'n_trials=5,['")),
        ("n_trials", "Cannot read 'n_trials'"),
        ("derive=r = a / b", "Cannot read '='"),
        ("--cfg job", "Cannot read '--cfg'"),
        ("'n_trials=5", "a quote is not closed"),
        ("n_trials=5,0", "--n-trials got 0: input should be greater than or equal to 1"),
        ("-m test_size=0.2,1.5", "--test-size got '1.5': input should be less than 1"),
        ("promote=maybe", "--promote got 'maybe'"),
        ("min_score=accuracy", "Cannot read 'accuracy' of min_score"),
        ("n_trials=interval(1,5)", "Cannot sweep by 'n_trials=interval"),
        ("data=glob(*)", "Cannot sweep by 'data=glob"),
        ("seed=range(0,1e12)", "stands for 1,000,000,000,000 combinations: a sweep runs 1,000 at most"),
        ("seed=range(0,inf)", "a sweep runs 1,000 at most"),
        ("seed=range(0,50) n_trials=range(1,50)", "stands for 2,450 combinations"),
        ("seed=range(0,5,-1)", "stands for no value"),
        ("seed=1 seed=2", "names 'seed' twice"),
        ("~data", "Cannot take '~data' in hydra_options"),
        ("data=${oc.env:HOME}", "nothing is deleted or looked up"),
        ("hydra.run.dir=/tmp", "of Hydra's own, use hydra/launcher"),
        ("dry_run=true,false", "no dry run"),
        ("n_trials=1,2 study_name=ours", "would share the study 'ours'"),
    ],
)
def test_options_that_cannot_run_are_refused(options: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        listed(options)
    assert "\n" not in str(refused.value)


def test_reading_options_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = (logging.root.level, list(logging.root.handlers), dict(os.environ))
    listed("-m n_trials=1,2")
    assert (logging.root.level, list(logging.root.handlers), dict(os.environ)) == before
    assert (Path.cwd(), list(tmp_path.iterdir())) == (tmp_path, [])
