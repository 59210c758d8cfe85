"""Settings: what a command line may say, what it may not and in which words, and nothing from the environment."""

from typing import Any

import pytest

from config import DataSettings, EvaluationSettings, MainSettings, Settings, TrainingSettings, TuningSettings
from treeline import UserError
from utils import parse

STAGES = [DataSettings, TuningSettings, TrainingSettings, EvaluationSettings]
ALL = [*STAGES, MainSettings]


def with_range(*names: str) -> list[tuple[type[Settings], str]]:
    """Every class of settings that has one of these fields, with that field."""
    return [(kind, name) for kind in ALL for name in names if name in kind.model_fields]


def test_without_arguments_every_setting_has_its_default() -> None:
    for kind in ALL:
        assert parse(kind, "stage.py", []) == kind()


@pytest.mark.parametrize(
    ("kind", "argv", "name", "value"),
    [
        (DataSettings, ["--test-size", "0.10"], "test_size", 0.1),
        (DataSettings, ["--test-size", "1e-1"], "test_size", 0.1),
        (DataSettings, ["--test-size=.5"], "test_size", 0.5),
        (DataSettings, ["--seed", "1e1"], "seed", 10),
        (DataSettings, ["--seed", "0"], "seed", 0),
        (DataSettings, ["--seed", "2147483647"], "seed", 2**31 - 1),
        (DataSettings, ["--task", "multiclass"], "task", "multiclass"),
        (DataSettings, ["--split", "random"], "split", "random"),
        (DataSettings, ["--data", "a folder/größe.csv"], "data", "a folder/größe.csv"),
        (DataSettings, ["--target="], "target", ""),
        (DataSettings, ["--target", ""], "target", ""),
        (DataSettings, ["--drop", "a, b"], "drop", "a, b"),
        (DataSettings, ["--derive", "x = `a b` / c; y = -a"], "derive", "x = `a b` / c; y = -a"),
        (TuningSettings, ["--n-trials", "1"], "n_trials", 1),
        (TuningSettings, ["--n-trials", "10.0"], "n_trials", 10),
        (TuningSettings, ["--n-trials", "1e1"], "n_trials", 10),
        (TuningSettings, ["--timeout", "0"], "timeout", 0.0),
        (TuningSettings, ["--timeout", "0.5"], "timeout", 0.5),
        (TuningSettings, ["--folds", "2"], "folds", 2),
        (TuningSettings, ["--metric", "roc_auc"], "metric", "roc_auc"),
        (TrainingSettings, ["--model-name", "Größe Model"], "model_name", "Größe Model"),
        (EvaluationSettings, ["--promote", "never"], "promote", "never"),
        (EvaluationSettings, ["--min-score", "accuracy=0.9,log_loss=0.3"], "min_score", "accuracy=0.9,log_loss=0.3"),
        (MainSettings, ["--n-trials", "1e1"], "n_trials", 10),
    ],
)
def test_a_legal_value_is_taken(kind: type[Settings], argv: list[str], name: str, value: Any) -> None:
    found = parse(kind, "stage.py", argv)
    assert getattr(found, name) == value
    assert type(getattr(found, name)) is type(value)
    assert found == kind(**{name: value})


@pytest.mark.parametrize(
    ("names", "value", "allowed"),
    [
        (("test_size",), "0", "greater than 0"),
        (("test_size",), "1", "less than 1"),
        (("test_size",), "2", "less than 1"),
        (("test_size",), "-0.5", "greater than 0"),
        (("test_size",), "nan", ""),
        (("test_size",), "a third", "valid number"),
        (("test_size",), "", "valid number"),
        (("seed", "n_trials", "folds"), "2.5", "valid integer"),
        (("seed", "n_trials", "folds"), "-1", "greater than or equal to"),
        (("seed", "n_trials", "folds"), "nan", "valid integer"),
        (("seed", "n_trials", "folds"), "inf", "valid integer"),
        (("seed", "n_trials", "folds"), "1e400", "valid integer"),
        (("seed", "n_trials", "folds"), "many", "valid integer"),
        (("seed", "n_trials", "folds"), "", "valid integer"),
        (("seed",), "2147483648", "less than or equal to 2147483647"),
        (("n_trials",), "0", "greater than or equal to 1"),
        (("folds",), "1", "greater than or equal to 2"),
        (("timeout",), "-1", "greater than or equal to 0"),
        (("timeout",), "nan", ""),
        (("timeout",), "an hour", "valid number"),
        (("task",), "classification", "'auto', 'binary', 'multiclass' or 'regression'"),
        (("split",), "", "'stratified', 'random', 'group' or 'time'"),
        (("metric",), "accuracy", "'auto', 'log_loss', "),
        (("promote",), "yes", "'better', 'not-worse', 'always' or 'never'"),
        *(
            (("model_name",), name, "none of / : . %")
            for name in ("a/b", "a:b", "a?b", "a@b", "a#b", "a\\b", "a\nb", "a\tb", "a\u200bb", "x" * 201, "東" * 67)
        ),
        *(
            (("model_name",), name, "name the model itself, 'Iris', or another")
            for name in ("IrisService", "IrisBooster")
        ),
        *((("model_name",), name, "name the model itself") for name in ("Service", "Booster")),
        *((("model_name",), name, "no blank at an end") for name in (" ", "   ", "a ", "\ta", "a\n")),
    ],
)
def test_an_illegal_value_is_named_with_what_is_allowed(names: tuple[str, ...], value: str, allowed: str) -> None:
    for kind, name in with_range(*names):
        option = "--" + name.replace("_", "-")
        with pytest.raises(UserError) as caught:
            parse(kind, "stage.py", [f"{option}={value}"])
        complaint = str(caught.value)
        assert complaint.startswith(f"{option} got ")
        assert repr(value) in complaint or value in complaint
        assert allowed in complaint
        assert kind.model_fields[name].description in complaint


@pytest.mark.parametrize("kind", ALL)
def test_help_is_given_for_every_parameter(kind: type[Settings], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(kind, "stage.py", ["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert left.value.code == 0
    assert shown.startswith("usage: stage.py")
    for name in kind.model_fields:
        assert f"--{name.replace('_', '-')} " in shown


def test_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MainSettings.model_fields:
        monkeypatch.setenv(name, "7")
        monkeypatch.setenv(name.upper(), "7")
        monkeypatch.setenv(name.upper().replace("_", "-"), "7")
    for kind in ALL:
        given_defaults = {name: field.default for name, field in kind.model_fields.items()}
        assert kind().model_dump() == parse(kind, "stage.py", []).model_dump() == given_defaults


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="n_trails"):
        TuningSettings(n_trails=3)


@pytest.mark.parametrize("kind", STAGES)
def test_main_has_every_parameter_of_a_stage_with_its_default_and_range(kind: type[Settings]) -> None:
    for name, field in kind.model_fields.items():
        theirs = MainSettings.model_fields[name]
        assert theirs.default == field.default, name
        assert theirs.annotation == field.annotation, name
        assert repr(theirs.metadata) == repr(field.metadata), name


def test_main_has_no_parameter_of_its_own() -> None:
    assert set(MainSettings.model_fields) == {name for kind in STAGES for name in kind.model_fields}


@pytest.mark.parametrize("kind", ALL)
def test_every_default_is_a_legal_value(kind: type[Settings]) -> None:
    defaults = [f"--{name}={value}" for name, value in kind().parameters().items()]
    assert parse(kind, "stage.py", defaults) == kind()


@pytest.mark.parametrize("kind", ALL)
def test_every_parameter_is_described_in_a_sentence(kind: type[Settings]) -> None:
    assert kind.__doc__
    assert kind.__doc__.endswith(".")
    for name, field in kind.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert field.description[0].isupper() or name == "promote", name


@pytest.mark.parametrize("kind", ALL)
def test_parameters_are_text_under_their_names_on_the_command_line(kind: type[Settings]) -> None:
    parameters = kind().parameters()
    assert list(parameters) == [name.replace("_", "-") for name in kind.model_fields]
    assert all(isinstance(value, str) for value in parameters.values())


def test_main_hands_its_values_to_each_stage() -> None:
    given_values: dict[str, Any] = {
        "data": "iris",
        "test_size": 0.2,
        "seed": 5,
        "n_trials": 3,
        "folds": 4,
        "model_name": "Name",
        "data_run_id": "d",
        "tuning_run_id": "t",
        "training_run_id": "m",
        "promote": "never",
        "min_score": "accuracy=0.9",
    }
    main = MainSettings(**given_values)
    for kind in STAGES:
        expected = {name: value for name, value in given_values.items() if name in kind.model_fields}
        assert main.of(kind) == kind(**expected)
        assert type(main.of(kind)) is kind


def test_the_chain_s_run_ids_win_over_main_s() -> None:
    main = MainSettings(data_run_id="old", seed=3)
    assert main.of(TuningSettings, data_run_id="new") == TuningSettings(data_run_id="new", seed=3)
