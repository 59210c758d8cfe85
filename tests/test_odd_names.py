"""The chain on a table whose columns, labels and target have names that a page, a plot or a CSV may trip over."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Store
from mlflow.pyfunc import scoring_server

import batch_inference
import main
from treeline.data.names import one_line

pytestmark = pytest.mark.store

NUMBERS = ["prediction", "reason", "score", "loss", "predicted", "probability_a\nb", "SALE\nPRICE", 'a, "b"', "[x] <y>"]
NUMBERS += [
    "  blanks  ",
    "very " * 60 + "long",
    "tab\there",
    "50% / off",
    "😀",
    "$\\frac{x",
    "Prediction",
    "index",
    "row",
]
TARGET = "tar\nget / %"
LABELS = ["a\nb", "c/d % 😀", 'the third, "label" ' + "long " * 60]


def odd(kind: str, n: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=n).round(3) for name in NUMBERS})
    frame["city\nname"] = rng.choice(["a\nb", "c/d", "50%", "😀", 'é,"q"', "$x^"], n)
    sign = frame["prediction"] + frame["SALE\nPRICE"] + rng.normal(size=n)
    ranks = (sign.rank() * 3 // (n + 1)).astype(int)
    labels = {"words": np.array(LABELS, dtype=object)[ranks], "whole": ranks.to_numpy(), "number": sign.to_numpy()}
    return frame.assign(**{TARGET: labels[kind]})


@pytest.mark.parametrize(("kind", "ending"), [("words", "csv"), ("whole", "parquet"), ("number", "parquet")])
def test_odd_names_go_through_the_chain_a_batch_and_a_request(
    store: Store, capfd: pytest.CaptureFixture[str], kind: str, ending: str
) -> None:
    frame, source = odd(kind), f"odd.{ending}"
    frame.to_csv(source, index=False) if ending == "csv" else frame.to_parquet(source)
    asked = ["--data", source, "--target", TARGET, "--drop", r'"a, ""b""",tab\there,"  blanks  "']
    asked += ["--derive", "`new\nline` = `SALE\nPRICE` + prediction", "--n-trials", "1", "--folds", "2"]
    assert main.main([*asked, "--dry-run"]) == 0
    told = capfd.readouterr().out
    read = [name for name in frame.columns if name not in (TARGET, 'a, "b"', "tab\there", "  blanks  ")]
    for name in [*read, "new\nline"]:
        assert f"\n  {one_line(name): <32} " in told

    assert main.main(asked) == 0
    told = capfd.readouterr().err
    assert "failed and is missing" not in told
    assert "the model type looks like" not in told
    assert "failed_parts" not in store.last("data-evaluation").data.tags

    assert batch_inference.main(["--input", source, "--output", f"scores.{ending}"]) == 0
    assert "the model's answer stands in 'prediction_'" in capfd.readouterr().err
    scores = pd.read_csv(f"scores.{ending}") if ending == "csv" else pd.read_parquet(f"scores.{ending}")
    assert list(scores.columns)[: frame.shape[1] + 1] == [*frame.columns, "prediction_"]
    drift = pd.read_csv(store.folder_of(store.last("batch-inference").info.run_id) / "drift.csv")
    assert {"prediction", "prediction_"} <= set(drift["column"])

    service = mlflow.pyfunc.load_model("models:/OddModelService@champion")
    rows = frame[read].head(20)
    expected = service.predict(rows)
    assert scores["prediction_"].head(20).tolist() == pytest.approx(expected["prediction"].tolist())
    for body, kind_of_body in (
        (json.dumps({"dataframe_split": json.loads(rows.to_json(orient="split"))}), "application/json"),
        (rows.to_csv(index=False), "text/csv"),
    ):
        answer = scoring_server.invocations(body, kind_of_body, service, service.metadata.get_input_schema())
        assert json.loads(answer.response)["predictions"] == expected.to_dict(orient="records")


@pytest.mark.parametrize(
    ("stem", "model"),
    [
        ("a b (1) [x] & 'y' + , % # : € ? * \" \\ {z} $(id) ~", "AB1XYZIdModel"),
        ("n" * 240, ""),
        ("%41", "41Model"),
        ("x\ny", "XYModel"),
        ("churn_2026-11-26", "ChurnModel"),
        ("2026-11-26", "TableModel"),
        ("IrisService", "IrisServiceModel"),
    ],
    ids=lambda text: text[:8],
)
def test_any_file_name_trains(store: Store, stem: str, model: str) -> None:
    odd("whole")[["prediction", "SALE\nPRICE", TARGET]].to_csv(f"{stem}.csv", index=False)
    assert main.main(["--data", f"{stem}.csv", "--target", TARGET, "--n-trials", "1", "--folds", "2"]) == 0
    (name,) = (each for each in store.versions() if not each.endswith(("Service", "Booster")))
    assert name == model or not model
    assert store.aliases(name)["champion"] == "1"
    assert Path(f"{stem}.csv").is_file()
