"""A file scored without a store: every row stands in the output, or apart with its reason; no half files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import KINDS, TARGET, make_problem, make_table

from treeline import UserError
from treeline.model.estimator import TreelineClassifier, TreelineRegressor, make_estimator
from treeline.serving.outputs import rejected_path
from treeline.serving.scoring import Scorer, answers_beside, prepare_rows, score

N = 60


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model() -> TreelineClassifier | TreelineRegressor:
    frame, problem = make_table(), make_problem()
    return make_estimator(problem, {}, 3, 1).fit(problem.rows(frame), frame[TARGET])


def scorer(model: TreelineClassifier | TreelineRegressor) -> Scorer:
    return Scorer(model.answer, make_problem(), make_table().drop(columns=TARGET))


def rows(n: int = N) -> pd.DataFrame:
    return make_table(n=n, seed=1).drop(columns=TARGET)


def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treeline.data.chunks.ROWS_PER_CHUNK", 7)
    monkeypatch.setattr("treeline.data.chunks.BYTES_PER_CHUNK", 1500)


def read(name: str) -> pd.DataFrame:
    return pd.read_parquet(name) if name.endswith(".parquet") else pd.read_csv(name)


@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_the_answers_stand_beside_the_rows_whatever_the_chunks(
    model: TreelineClassifier, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    frame = rows().assign(patient=[f"p{i:03}" for i in range(N)])
    frame.to_csv(name, index=False) if name.endswith("csv") else frame.to_parquet(name)
    seen: list[int] = []
    small_chunks(monkeypatch)
    output = Path(f"out.{name[3:]}")
    tally, sample = score(scorer(model), Path(name), output, seen.append)
    written, expected = read(output.name), model.answer(rows())
    assert list(written.columns) == [*frame.columns, *expected.columns]
    assert written["patient"].tolist() == frame["patient"].tolist()
    assert written["prediction"].tolist() == expected["prediction"].tolist()
    np.testing.assert_allclose(written[expected.columns[1:]], expected.iloc[:, 1:], rtol=1e-6)
    assert (tally.read, tally.scored, tally.reasons) == (N, N, {})
    assert len(seen) == len(tally.milliseconds) > 2
    assert sum(seen) == N
    assert list(sample.columns) == [*KINDS, *expected.columns]
    assert len(sample) == N
    assert sorted(path.name for path in Path().iterdir()) == sorted([name, output.name])


def test_rows_that_cannot_be_scored_stand_apart_with_the_first_reason(model: TreelineClassifier) -> None:
    frame = rows().astype({"length": object, "checked": object})
    frame.loc[3, "length"], frame.loc[3, "checked"] = "long", "perhaps"
    frame.loc[9, "checked"] = "perhaps"
    lines = frame.to_csv(index=False).splitlines()
    lines.insert(31, "one,two,3,4,5,6,7")
    Path("in.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tally, sample = score(scorer(model), Path("in.csv"), Path("out.csv"))
    apart = read("out.rejected.csv")
    assert apart["reason"].tolist() == [
        "The column 'length' holds 'long', not a number.",
        "The column 'checked' holds 'perhaps', not true or false.",
        "line 32 has 7 fields, the header 5: one,two,3,4,5,6,7",
    ]
    assert apart["length"][0] == "long"
    assert (tally.read, tally.scored) == (N + 1, N - 2)
    assert tally.reasons == {
        "The column 'length': not a number": 1,
        "The column 'checked': not true or false": 1,
        "a line is no row": 1,
    }
    assert len(read("out.csv")) == len(sample) == N - 2

    frame.drop(index=[3, 9]).to_csv("in.csv", index=False)
    score(scorer(model), Path("in.csv"), Path("out.csv"))
    assert not Path("out.rejected.csv").exists()  # those of the batch before are gone


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda frame: frame.drop(columns="town"), r"^in\.parquet lacks 1 of the model's columns: 'town'"),
        (
            lambda frame: frame.assign(length="long"),
            r"^None of the 60 rows can be scored: The column 'length': not",
        ),
    ],
)
def test_what_cannot_be_scored_at_all_is_a_sentence_and_leaves_the_files_of_before(
    model: TreelineClassifier, change: Callable[[pd.DataFrame], pd.DataFrame], complaint: str
) -> None:
    change(rows()).to_parquet("in.parquet")
    Path("out.parquet").write_text("of yesterday")
    with pytest.raises(UserError, match=complaint):
        score(scorer(model), Path("in.parquet"), Path("out.parquet"))
    assert Path("out.parquet").read_text() == "of yesterday"
    assert not [path for path in Path().iterdir() if "partial" in path.name]


@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_a_column_that_is_called_as_an_answer_stands_beside_it(model: TreelineClassifier, name: str) -> None:
    taken = {"prediction": "mine", "prediction_": "mine too", "reason": "because"}
    frame = rows().astype({"length": object}).assign(**taken)
    frame.loc[3, "length"] = "long"
    frame.to_csv(name, index=False) if name.endswith("csv") else frame.astype({"length": "str"}).to_parquet(name)
    tally, _ = score(scorer(model), Path(name), Path(f"out.{name[3:]}"))
    written, apart = read(f"out.{name[3:]}"), read(f"out.rejected.{name[3:]}")
    expected = model.answer(rows().drop(index=3))
    assert {each: written[each].unique().tolist() for each in taken} == {each: [text] for each, text in taken.items()}
    assert written["prediction__"].tolist() == expected["prediction"].tolist()
    assert list(written.columns) == [*frame.columns, "prediction__", *expected.columns[1:]]
    assert apart["reason"].tolist() == ["because"]
    assert "'long'" in apart["reason_"][0]
    assert tally.renamed == {"prediction": "prediction__"}


def test_answers_keep_apart_from_each_other_too() -> None:
    answers = pd.DataFrame([[1, 2]], columns=["probability_a", "probability_a_"])
    assert list(answers_beside(answers, ["probability_a"]).columns) == ["probability_a_", "probability_a__"]


def test_a_model_that_fails_in_the_middle_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks(monkeypatch)
    rows().to_parquet("in.parquet")
    calls = iter(range(100))

    def predict(frame: pd.DataFrame) -> np.ndarray:
        if next(calls) == 3:
            raise UserError("no more")
        return np.zeros(len(frame))

    with pytest.raises(UserError, match="no more"):
        score(Scorer(predict), Path("in.parquet"), Path("out.parquet"))
    assert [path.name for path in Path().iterdir()] == ["in.parquet"]


def test_no_rows_give_a_file_with_every_column(model: TreelineClassifier) -> None:
    rows().head(0).to_parquet("in.parquet")
    tally, sample = score(scorer(model), Path("in.parquet"), Path("out.parquet"))
    assert list(read("out.parquet").columns) == [*KINDS, "prediction", "probability_no", "probability_yes"]
    assert (tally.read, tally.scored, tally.milliseconds, len(sample)) == (0, 0, [], 0)


@pytest.mark.parametrize(
    ("answer", "columns"),
    [
        (lambda n: np.arange(n), ["prediction"]),
        (lambda n: list(range(n)), ["prediction"]),
        (lambda n: np.zeros((n, 3)), ["prediction_0", "prediction_1", "prediction_2"]),
        (lambda n: pd.DataFrame({"prediction": range(n)}, index=range(n, 0, -1)), ["prediction"]),
    ],
    ids=["numbers", "list", "table", "frame"],
)
def test_the_answer_of_any_model_is_a_frame_by_place(answer: Callable[[int], Any], columns: list[str]) -> None:
    seen: list[pd.Index] = []

    def predict(frame: pd.DataFrame) -> Any:
        seen.append(frame.index)
        return answer(len(frame))

    found = Scorer(predict).answer(rows().iloc[10:15])
    assert list(found.columns) == columns
    assert found.index.tolist() == seen[0].tolist() == list(range(5))


def test_a_model_of_unknown_columns_gets_the_rows_as_they_are() -> None:
    frame = pd.DataFrame({"a": ["x", "1"], "b": [None, 2.0]})
    taken, reasons = prepare_rows(frame, None)
    assert taken is frame
    assert reasons.tolist() == ["", ""]


def test_rows_are_made_ready_in_the_model_s_columns_with_numbers_as_numbers() -> None:
    frame = rows(20).astype(object).assign(more="x")
    frame.loc[0, ["length", "count", "checked"]] = ["1.5", " ", "True"]
    ready, reasons = prepare_rows(frame[frame.columns[::-1]], make_problem())
    assert list(ready.columns) == list(KINDS)
    assert {str(ready[name].dtype) for name, kind in KINDS.items() if kind == "number"} == {"float64"}
    assert (ready["length"][0], ready["checked"][0]) == (1.5, True)
    assert np.isnan(ready["count"][0])
    assert set(reasons) == {""}


def test_text_stays_text_whatever_a_chunk_of_it_looks_like(monkeypatch: pytest.MonkeyPatch) -> None:
    small_chunks(monkeypatch)
    rows().assign(town=["01"] * 30 + ["Köln"] * 30).to_csv("in.csv", index=False)
    towns: set[str] = set()

    def predict(frame: pd.DataFrame) -> np.ndarray:
        towns.update(frame["town"])
        return np.zeros(len(frame))

    score(Scorer(predict, make_problem(), make_table()), Path("in.csv"), Path("out.csv"))
    assert towns == {"01", "Köln"}


@pytest.mark.parametrize(
    ("output", "rejected"),
    [
        ("a/scores.csv.gz", "a/scores.rejected.csv.gz"),
        ("scores.csv", "scores.rejected.csv"),
        ("scores.v1.parquet", "scores.v1.rejected.parquet"),
        ("Scores.CSV", "Scores.rejected.CSV"),
    ],
)
def test_the_rejected_lie_beside_the_scores(output: str, rejected: str) -> None:
    assert rejected_path(Path(output)) == Path(rejected)
