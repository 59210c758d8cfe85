"""Stage 4 on a real store, read back: the metrics, the pictures, the decision, and the alias."""

import io
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Store, houses
from mlflow.entities import Run
from sklearn import metrics
from tables_maker import make_problem

import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import model_training
import treeline
from config import DataSettings, EvaluationSettings, TrainingSettings, TuningSettings
from tracking.champions import best_champion, champion_history
from tracking.reference import load_reference
from tracking.runs import Lineage
from treeline.data.problem import Problem

pytestmark = pytest.mark.store

STAGE = "data-evaluation"
TARGET = "kind of house"
EVERY_TABLE = pytest.mark.parametrize("chain", ["cancer", "mixed", "diabetes"], indirect=True)
CLASSIFICATION = ["accuracy", "log_loss", "roc_auc", "error"]
REGRESSION = ["rmse", "mae", "r2"]
CANCER_FORMS = ["CancerModel", "CancerModelBooster", "CancerModelService"]


def problem_of(store: Store) -> Problem:
    return Problem(**store.document(store.last("data-preprocessing").info.run_id, "problem.json"))


def metrics_of(store: Store) -> list[str]:
    return REGRESSION if problem_of(store).task == "regression" else CLASSIFICATION


def evaluate(store: Store, **settings: Any) -> Run:
    """Run the stage; read its run back."""
    return store.run(data_evaluation.run(EvaluationSettings(**settings)))


def champions(store: Store) -> set[str]:
    """The version that `champion` names, under each of the three names; one where they are in step."""
    return {store.aliases(name).get("champion", "") for name in store.versions()}


# --- what is logged


@EVERY_TABLE
def test_the_metrics_are_scikit_learns_on_the_logged_test_rows(chain: Store) -> None:
    problem, logged = problem_of(chain), chain.last(STAGE).data.metrics
    rows = chain.table(chain.last("data-preprocessing").info.run_id, "test")
    raw, y = problem.rows(rows), rows[problem.target]
    model = mlflow.sklearn.load_model(f"models:/{chain.last('model-training').data.tags['model_name']}@challenger")
    answer = model.predict(raw)
    if problem.task == "regression":
        expected = {
            "rmse": metrics.root_mean_squared_error(y, answer),
            "mae": metrics.mean_absolute_error(y, answer),
            "r2": metrics.r2_score(y, answer),
        }
        names = {"rmse": "root_mean_squared_error", "mae": "mean_absolute_error", "r2": "r2_score"}
        expected |= {names[name]: value for name, value in expected.items()}
    else:
        given = model.predict_proba(raw)
        area = {"y_score": given[:, 1]} if given.shape[1] == 2 else {"y_score": given, "multi_class": "ovr"}
        expected = {
            "accuracy": metrics.accuracy_score(y, answer),
            "accuracy_score": metrics.accuracy_score(y, answer),
            "error": 1 - metrics.accuracy_score(y, answer),
            "log_loss": metrics.log_loss(y, given, labels=problem.classes),
            "roc_auc": metrics.roc_auc_score(y, **area, average="weighted"),
        }
    assert {name: logged[f"test_{name}"] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert expected.keys() & logged.keys() == set()


def test_precision_and_recall_are_of_the_second_class(cancer: Store) -> None:
    rows = cancer.table(cancer.last("data-preprocessing").info.run_id, "test")
    answer = mlflow.sklearn.load_model("models:/CancerModel@challenger").predict(rows)
    logged = cancer.last(STAGE).data.metrics
    recall = metrics.recall_score(rows["target"], answer, pos_label="malignant")
    precision = metrics.precision_score(rows["target"], answer, pos_label="malignant")
    assert (logged["test_recall_score"], logged["test_precision_score"]) == pytest.approx((recall, precision))


@EVERY_TABLE
def test_every_metric_has_an_interval_around_it_and_a_baseline_beside_it(chain: Store) -> None:
    logged = chain.last(STAGE).data.metrics
    for name in metrics_of(chain):
        assert logged[f"test_{name}_low"] < logged[f"test_{name}"] < logged[f"test_{name}_high"]
        assert f"dummy_{name}" in logged


@EVERY_TABLE
def test_pictures_and_shap_values_are_artifacts(chain: Store) -> None:
    run_id = chain.last(STAGE).info.run_id
    files = set(chain.artifacts(run_id))
    curves = ["test_roc_curve_plot", "test_precision_recall_curve_plot", "test_confusion_matrix"]
    curves += ["confusion", "calibration"]
    curves += ["test_lift_curve_plot"] if problem_of(chain).task == "binary" else []
    expected = [] if problem_of(chain).task == "regression" else curves
    assert {f"{name}.png" for name in [*expected, "shap_importance", "permutation_importance", "slices"]} <= files
    assert "test_calibration_curve_plot.png" not in files  # ours shows chance; two would contradict each other
    for picture in (chain.folder_of(run_id) / name for name in files if name.endswith(".png")):
        assert picture.read_bytes().startswith(b"\x89PNG")


@EVERY_TABLE
def test_shap_values_cover_every_feature_in_descending_order(chain: Store) -> None:
    shares = pd.read_csv(chain.folder_of(chain.last(STAGE).info.run_id) / "shap_importance.csv")
    assert len(shares) == chain.last("data-preprocessing").data.metrics["features_count"]
    assert shares["mean_abs_shap"].is_monotonic_decreasing
    assert shares["mean_abs_shap"].iloc[0] > 0


def test_thresholds_are_chosen_on_rows_out_of_fold_and_measured_on_the_test_rows(cancer_copy: Store) -> None:
    tuning, data = (cancer_copy.last(stage).info.run_id for stage in ("hyperparameters-tuning", "data-preprocessing"))
    run = evaluate(cancer_copy, costs="fp=1,fn=5", promote="never")
    train, test = cancer_copy.table(data, "train"), cancer_copy.table(data, "test")
    unseen = cancer_copy.table(tuning, "out_of_fold")
    y, given = train["target"].iloc[unseen["row"]] == "malignant", unseen["probability_malignant"].to_numpy()
    chosen = run.data.metrics["f1_threshold"]
    assert chosen in given
    assert metrics.f1_score(y, given >= chosen) == max(metrics.f1_score(y, given >= each) for each in given)
    answer = mlflow.sklearn.load_model("models:/CancerModel@challenger").predict_proba(test)[:, 1]
    reached = metrics.f1_score(test["target"] == "malignant", answer >= chosen)
    logged = run.data.metrics
    assert logged["f1_threshold_f1"] == pytest.approx(reached)
    assert logged["f1_threshold_f1_low"] < reached < logged["f1_threshold_f1_high"]
    assert {"cost_threshold", "cost_threshold_cost", "cost_as_labelled"} <= logged.keys()
    assert not [name for name in logged if name.startswith("best_")]
    table = pd.read_csv(cancer_copy.folder_of(run.info.run_id) / "chosen_thresholds.csv")
    assert table["chosen by"].tolist() == ["as labelled", "f1", "cost"]


def test_without_out_of_fold_predictions_no_threshold_is_chosen_and_it_is_said(
    cancer_copy: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.out_of_fold.OUT_OF_FOLD", "gone")
    run = evaluate(cancer_copy, promote="never")
    assert "no out-of-fold predictions" in run.data.tags["left_out"]
    assert "f1_threshold" not in run.data.metrics
    assert {"thresholds.png", "thresholds.csv"} <= set(cancer_copy.artifacts(run.info.run_id))


def test_what_no_time_was_left_for_is_named(mixed_copy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_evaluation, "EVALUATION_SECONDS", 0.0)
    run = evaluate(mixed_copy, promote="never")
    slices_, permuted = run.data.tags["left_out"].splitlines()
    n_columns = len(problem_of(mixed_copy).kinds)
    assert slices_.startswith(f"Time ended before the slices of {n_columns} of {n_columns} columns (")
    assert permuted.startswith("Time ended before ")
    assert permuted.endswith("were permuted, those of least gain.")
    assert "failed_parts" not in run.data.tags


@EVERY_TABLE
def test_slices_have_intervals_and_a_verdict(chain: Store) -> None:
    run = chain.last(STAGE)
    table = pd.read_csv(chain.folder_of(run.info.run_id) / "slices.csv")
    metric = run.data.tags["metric"]
    assert table.columns.tolist() == ["column", "slice", "rows", "surely_worse", "p", metric, "low", "high"]
    known = table.dropna()
    assert len(known) > 0
    assert ((known["low"] <= known[metric]) & (known[metric] <= known["high"])).all()


def test_costs_of_a_task_that_is_not_binary_are_refused_before_anything_is_measured(
    mixed_copy: Store, refused: Callable[..., str]
) -> None:
    sentence = refused(data_evaluation.main, "--costs", "fp=1", "--promote", "always")
    assert "costs got fp=1 for a multiclass task" in sentence
    assert mixed_copy.last(STAGE).data.metrics == {}


@EVERY_TABLE
def test_the_run_leads_back_to_all_it_builds_on(chain: Store) -> None:
    run = chain.last(STAGE)
    data, tuning, training = map(chain.last, ["data-preprocessing", "hyperparameters-tuning", "model-training"])
    expected = {
        "stage": STAGE,
        "data_run_id": data.info.run_id,
        "tuning_run_id": tuning.info.run_id,
        "training_run_id": training.info.run_id,
        "data_digest": data.data.tags["data_digest"],
        "model_name": training.data.tags["model_name"],
        "model_version": "1",
    }
    assert expected.items() <= run.data.tags.items()
    assert run.info.run_name == STAGE


@EVERY_TABLE
def test_the_rows_it_scored_are_its_only_input(chain: Store) -> None:
    data = chain.last("data-preprocessing")
    table = chain.inputs(data.info.run_id)[1][0]
    assert chain.inputs(chain.last(STAGE).info.run_id) == [(table, data.data.tags["data_digest"], "evaluation")]


# --- the decision


@EVERY_TABLE
def test_a_model_that_beats_the_dummy_is_the_champion_under_all_three_names(chain: Store) -> None:
    run = chain.last(STAGE)
    assert (run.data.tags["decision"], run.data.tags["reasons"]) == ("promote", "")
    assert champions(chain) == {"1"}
    assert len(chain.versions()) == 3


def test_a_target_that_is_noise_is_held_and_says_why_without_failing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(120, 4)), columns=list("abcd"))
    frame.assign(coin=rng.choice(["heads", "tails"], 120)).to_csv("noise.csv", index=False)
    data_preprocessing.run(DataSettings(data="noise.csv", target="coin"))
    hyperparameters_tuning.run(TuningSettings(n_trials=1, folds=2))
    model_training.run(TrainingSettings())
    assert data_evaluation.main([]) == 0
    run = store.last(STAGE)
    assert run.info.status == "FINISHED"
    assert run.data.tags["decision"] == "hold"
    assert "log_loss" in run.data.tags["reasons"]
    assert "dummy baseline" in run.data.tags["reasons"]
    assert run.data.tags["reasons"] in capsys.readouterr().err
    assert champions(store) == {""}
    assert {store.aliases(name)["challenger"] for name in store.versions()} == {"1"}


@pytest.fixture
def two_versions(diabetes_copy: Store) -> Store:
    """A second version as challenger beside the champion, version 1; it is the first one's models again."""
    first = diabetes_copy.last("model-training").info.run_id
    tags = diabetes_copy.run(first).data.tags
    for name in diabetes_copy.versions():
        source = diabetes_copy.client.get_model_version(name, "1").source
        mlflow.register_model(source, name)
        diabetes_copy.client.set_registered_model_alias(name, "challenger", "2")
    lineage = ["data_run_id", "tuning_run_id", "data_digest", "metric", "model_name"]
    training = diabetes_copy.fake_run("model-training", model_version="2", **{name: tags[name] for name in lineage})
    golden = diabetes_copy.folder_of(first) / "golden.json"
    diabetes_copy.client.log_artifact(training, str(golden))
    for name in diabetes_copy.versions():
        for tag in ("data_run_id", "tuning_run_id"):
            diabetes_copy.client.set_model_version_tag(name, "2", tag, tags[tag])
        diabetes_copy.client.set_model_version_tag(name, "2", "training_run_id", training)
    return diabetes_copy


@pytest.mark.parametrize(
    ("settings", "champion", "reason"),
    [
        ({"promote": "better"}, "1", "rmse is not surely better than that of the champion DiabetesModel version 1"),
        ({"promote": "not-worse"}, "2", ""),  # an equal model is not worse
        ({"promote": "never"}, "1", "promote=never"),
        ({"promote": "always", "min_score": "r2=0.1, rmse=70,mae=58"}, "2", ""),
        ({"promote": "always", "model_name": "DiabetesModel"}, "2", ""),
    ],
)
def test_the_alias_follows_promote_and_the_thresholds(
    two_versions: Store, settings: dict[str, str], champion: str, reason: str
) -> None:
    run = evaluate(two_versions, **settings)
    assert run.info.status == "FINISHED"
    assert run.data.tags["model_version"] == "2"
    assert champions(two_versions) == {champion}, run.data.tags["reasons"]
    assert run.data.tags["decision"] == ("promote" if champion == "2" else "hold")
    assert reason in run.data.tags["reasons"]


def test_judgements_of_the_same_rows_are_counted_and_spend_alpha(two_versions: Store) -> None:
    first = two_versions.last(STAGE).data.metrics
    assert (first["judgements"], first["gain_alpha"]) == (1, 0.05)
    for _ in range(2):  # a version judged again keeps its number
        again = evaluate(two_versions).data
        assert (again.metrics["judgements"], again.metrics["gain_alpha"]) == (2, 0.025)
        assert "97.5 % interval" in again.tags["reasons"]


def test_the_champion_s_scores_stand_beside_the_challenger_s(two_versions: Store) -> None:
    run = evaluate(two_versions, promote="always")
    for name in REGRESSION:
        assert run.data.metrics[f"champion_{name}"] == run.data.metrics[f"test_{name}"]  # it is the same model
    assert run.data.metrics["gain"] == run.data.metrics["gain_low"] == 0
    assert run.data.tags["compared"] == (
        "111 of 111 rows are new to the champion DiabetesModel version 1 and to this model"
    )
    assert champion_history("DiabetesModel")[-1]["best"] == "2"
    assert best_champion("DiabetesModel", "2") == "2"
    assert best_champion("DiabetesModel", "1") == "1"  # moved by hand since


@EVERY_TABLE
def test_each_interval_is_there_or_says_why_not(chain: Store) -> None:
    run = chain.last(STAGE)
    found = chain.document(run.info.run_id, "intervals.json")
    for name, each in found.items():
        assert (f"test_{name}_low" in run.data.metrics) is (not each["why"])
        if not each["why"]:
            assert each["low"] == run.data.metrics[f"test_{name}_low"]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("group", list("aabb"), ("groups", [0, 0, 1, 1])),
        ("time", ["2024-01-02", "2024-01-01", "2024-01-02", "2024-01-03"], ("time", [1, 0, 1, 2])),
        ("time", ["2024-01-02", "soon", "2024-01-02", "2024-01-03"], ("rows", None)),
        ("group", None, ("rows", None)),
    ],
)
def test_rows_hang_together_as_the_table_was_split(
    kind: str, values: list[str] | None, expected: tuple[str, list[int] | None]
) -> None:
    problem = replace(make_problem(), split=kind, split_column="by")
    rows = pd.DataFrame({"x": range(4)} if values is None else {"by": values})
    found = data_evaluation.hang_together(problem, rows)
    assert (found.kind, None if found.codes is None else found.codes.tolist()) == expected
    assert data_evaluation.hang_together(make_problem(), rows).kind == "rows"


@pytest.mark.parametrize("promote", ["better", "always"])
def test_a_missed_threshold_is_a_refusal(two_versions: Store, promote: str, refused: Callable[..., str]) -> None:
    sentence = refused(data_evaluation.main, "--promote", promote, "--min-score", "r2=0.1,rmse=1")
    assert "DiabetesModel version 2 is refused: rmse" in sentence
    run = two_versions.last("data-evaluation")
    assert (run.info.status, run.data.tags["decision"]) == ("FAILED", "refuse")
    assert "model_card.html" in two_versions.artifacts(run.info.run_id)
    assert champions(two_versions) == {"1"}


def test_a_served_form_that_answers_otherwise_is_refused(two_versions: Store, refused: Callable[..., str]) -> None:
    training = two_versions.client.get_model_version("DiabetesModel", "2").tags["training_run_id"]
    golden = two_versions.folder_of(training) / "golden.json"
    golden.write_text(golden.read_text().replace('"prediction": ', '"prediction": 1'))
    assert "answers 8 of 8 recorded requests differently" in refused(data_evaluation.main, "--promote", "always")
    assert champions(two_versions) == {"1"}


def test_the_model_named_is_judged_even_when_another_was_trained_later(diabetes_copy: Store) -> None:
    trained = diabetes_copy.last("model-training").info.run_id
    diabetes_copy.fake_run("model-training", model_name="Other", model_version="1")
    assert evaluate(diabetes_copy, model_name="DiabetesModel").data.tags["training_run_id"] == trained


@EVERY_TABLE
def test_the_versions_lead_to_the_evaluation(chain: Store) -> None:
    run_id = chain.last(STAGE).info.run_id
    for name in chain.versions():
        tags = chain.client.get_model_version(name, "1").tags
        assert (tags["evaluation_run_id"], tags["decision"]) == (run_id, "promote")
        assert tags["model_card"] == f"runs:/{run_id}/model_card.html"
        assert tags["treeline_version"] == treeline.__version__


def test_a_champion_that_cannot_be_loaded_holds_the_challenger(two_versions: Store) -> None:
    """As one does whose classes have moved since: what skops kept names them by their paths."""
    old = two_versions.folder / "old"
    shutil.copytree(two_versions.model_folder("DiabetesModel", "1"), old)
    for name in ("MLmodel", "model.skops"):
        (old / name).write_bytes(with_old_paths(old / name))
    version = two_versions.client.create_model_version("DiabetesModel", str(old))
    for key, value in two_versions.client.get_model_version("DiabetesModel", "1").tags.items():
        two_versions.client.set_model_version_tag("DiabetesModel", version.version, key, value)
    two_versions.client.set_registered_model_alias("DiabetesModel", "champion", version.version)
    data_run = two_versions.last("data-preprocessing").info.run_id
    two_versions.table(data_run, "test").assign(bmi=lambda frame: frame["bmi"] + 1e-3).to_csv("new.csv", index=False)

    run = evaluate(two_versions, eval_dataset="new.csv")
    assert (run.info.status, run.data.tags["decision"]) == ("FINISHED", "hold")
    assert "the champion DiabetesModel version 3 cannot be compared" in run.data.tags["reasons"]
    assert "made by another version of Treeline" in run.data.tags["reasons"]
    assert two_versions.aliases("DiabetesModel")["champion"] == "3"


def with_old_paths(path: Path) -> bytes:
    """A file of a model as Treeline wrote it when its classes lay elsewhere."""

    def renamed(content: bytes) -> bytes:
        paths = {b"treeline.model.features": b"treeline.features", b"treeline.model.estimator": b"treeline.model"}
        for new, former in paths.items():
            assert new in content
            content = content.replace(new, former)
        return content

    if path.suffix != ".skops":
        return renamed(path.read_bytes())
    made = io.BytesIO()
    with zipfile.ZipFile(path) as packed, zipfile.ZipFile(made, "w") as again:
        for name in packed.namelist():
            again.writestr(name, renamed(packed.read(name)) if name == "schema.json" else packed.read(name))
    return made.getvalue()


def test_a_failed_card_loses_neither_the_answers_nor_the_evaluation(
    diabetes_copy: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(data_evaluation, "log_card", broken)
    run = evaluate(diabetes_copy)
    assert "model card: OSError: no space left" in run.data.tags["failed_parts"]
    version = diabetes_copy.client.get_model_version("DiabetesModel", "1")
    assert version.tags["evaluation_run_id"] == run.info.run_id
    assert len(load_reference(version).answers) == 111
    assert Lineage.from_tags(version.tags).runs()["evaluation"].info.run_id == run.info.run_id


# --- another table


def test_a_new_table_is_judged_however_its_columns_stand(mixed_copy: Store) -> None:
    new = houses(90, seed=1).assign(remark="not known to the model")
    new["area [m²]"] = new["area [m²]"].round().astype(int)
    new = new[["remark", TARGET, *reversed(problem_of(mixed_copy).kinds)]]
    new.loc[[0, 7], TARGET] = None
    new.to_csv("new.csv", index=False)
    assert pd.read_csv("new.csv")["area [m²]"].dtype == "int64"
    run = evaluate(mixed_copy, eval_dataset="new.csv")
    labelled = pd.read_csv("new.csv").dropna(subset=TARGET)
    assert run.data.metrics["test_example_count"] == len(labelled) < 90
    answer = mlflow.sklearn.load_model("models:/HousesModel@challenger").predict(labelled)
    assert run.data.metrics["test_accuracy"] == pytest.approx((answer == labelled[TARGET]).mean())
    assert [(name, context) for name, _, context in mixed_copy.inputs(run.info.run_id)] == [
        ("houses-evaluation", "evaluation")
    ]


# MLflow asks scikit-learn for the recall of every class, and one has no row here.
@pytest.mark.filterwarnings("ignore:Recall is ill-defined:sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("present", [["flat / loft"], ["flat / loft", "tower block"]])
def test_a_new_table_without_a_class_is_judged_by_what_there_is(mixed_copy: Store, present: list[str]) -> None:
    new = houses(60, seed=2)
    new[new[TARGET].isin(present)].to_parquet("new.parquet", index=False)
    run = evaluate(mixed_copy, eval_dataset="new.parquet")
    assert run.info.status == "FINISHED"
    assert 0 < run.data.metrics["test_accuracy"] <= 1
    assert np.isfinite(run.data.metrics["test_log_loss"])
    assert run.data.tags["decision"]


@pytest.mark.parametrize("label", ["malignant", "benign"])
def test_a_new_table_with_one_of_two_classes_is_judged_by_what_there_is(cancer_copy: Store, label: str) -> None:
    rows = cancer_copy.table(cancer_copy.last("data-preprocessing").info.run_id, "test")
    answer = mlflow.sklearn.load_model("models:/CancerModel@challenger").predict(rows)
    rows[(rows["target"] == label) & (answer == label)].to_csv("new.csv", index=False)
    run = evaluate(cancer_copy, eval_dataset="new.csv")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_accuracy"] == 1


def write_houses(**changes: Any) -> Callable[[], object]:
    return lambda: houses(30).assign(**changes).to_csv("new.csv", index=False)


BAD: dict[str, tuple[Callable[[], object], list[str], list[str]]] = {
    "an empty file": (lambda: Path("new.csv").touch(), [], ["new.csv", "empty"]),
    "columns are missing": (
        lambda: houses(30).drop(columns=["city", "floor"]).to_csv("new.csv", index=False),
        [],
        ["new.csv lacks 2", "'floor', 'city'"],
    ),
    "the target is missing": (
        lambda: houses(30).drop(columns=TARGET).to_csv("new.csv", index=False),
        [],
        ["new.csv lacks the target", f"'{TARGET}'"],
    ),
    "no row is labelled": (write_houses(**{TARGET: None}), [], [f"'{TARGET}'", "missing"]),
    "an unknown label": (write_houses(**{TARGET: "flat / lofd"}), [], ["'flat / lofd'", "Did you mean 'flat / loft'"]),
    "text where numbers were": (write_houses(floor="second"), [], ["'floor'", "'second'", "number"]),
    "a threshold on another task's metric": (write_houses(), ["--min-score", "rmse=1"], ["'rmse'", "multiclass"]),
    "an unknown model": (write_houses(), ["--model-name", "HouseModel"], ["'HouseModel'", "mean 'HousesModel'"]),
    "an unknown run": (write_houses(), ["--training-run-id", "no-such"], ["'no-such'", "model-training"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_moves_no_alias(
    mixed_copy: Store, refused: Callable[..., str], case: str
) -> None:
    (mixed_copy.folder / "new.csv").unlink(missing_ok=True)
    make, argv, words = BAD[case]
    make()
    for name in mixed_copy.versions():
        mixed_copy.client.delete_registered_model_alias(name, "champion")
    sentence = refused(data_evaluation.main, "--eval-dataset", "new.csv", "--promote", "always", *argv)
    assert [word for word in words if word not in sentence] == []
    run = mixed_copy.last(STAGE)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == sentence
    assert champions(mixed_copy) == {""}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--eval-dataset", "new.csv"], ["No file", "new.csv"]),
        (["--min-score", "acuracy=1"], ["'acuracy'", "'accuracy'"]),
        (["--min-score", "accuracy=high"], ["'accuracy=high'", "min_score"]),
        (["--min-score", "accuracy"], ["'accuracy'", "name=number"]),
        (["--costs", "fp=1,cheap=2"], ["'cheap'", "tp, fp, fn, tn"]),
        (["--costs", "fp=much"], ["'fp=much'", "costs"]),
        (["--model-name", "a?b"], ["--model-name", "'a?b'"]),
    ],
)
def test_a_setting_that_cannot_be_leaves_no_run(
    store: Store, refused: Callable[..., str], argv: list[str], words: list[str]
) -> None:
    sentence = refused(data_evaluation.main, *argv)
    assert [word for word in words if word not in sentence] == []
    assert store.runs() == []


def test_without_a_training_run_one_sentence_names_the_command(store: Store, refused: Callable[..., str]) -> None:
    assert "mlflow run . -e model-training" in refused(data_evaluation.main)
    assert store.last(STAGE).info.status == "FAILED"


def test_a_choice_that_does_not_exist_is_one_sentence(store: Store, refused: Callable[..., str]) -> None:
    sentence = refused(data_evaluation.main, "--promote", "maybe")
    assert all(word in sentence for word in ("--promote", "'maybe'", "'better'", "'always'", "'never'"))
    assert store.runs() == []
