"""The same row gives the same answer, to the last digit, or the same refusal, in every way that it can come."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Store
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from tables_maker import TARGET, ZOO_KINDS, make_zoo

import main
from config import MainSettings
from treeline import UserError
from treeline.data.problem import Problem
from treeline.data.tables import read_file
from treeline.serving.outputs import rejected_path
from treeline.serving.scoring import Scorer, score

pytestmark = pytest.mark.store

N = 160
Row = dict[str, str | None]
Answer = tuple[Any, ...] | str  # the model's, or the sentence with which it refuses


def make_untidy() -> pd.DataFrame:
    """Make a table of text as people and their programs export it, whose target can be learned."""
    rng = np.random.default_rng(0)
    money, share, size = rng.gamma(2, 900, N), rng.uniform(0, 99, N), rng.normal(50, 9, N)
    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 700, N), unit="D")
    times = (pd.Timestamp("2024-10-20") + pd.to_timedelta(rng.integers(0, 10**6, N), unit="s")).tz_localize("UTC")
    german = [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in money]
    signal = money / 900 + share / 30 + (size - 50) / 9 + rng.normal(size=N)
    return pd.DataFrame(
        {
            "price": [f"{value} €" for value in german],
            "share": [f"{value:.1f}%".replace(".", ",") for value in share],
            "size": [
                mark if i in (3, 50) else f"{value:.2f}"
                for i, (value, mark) in enumerate(zip(size, ["n.a."] * N, strict=True))
            ],
            "children": rng.integers(0, 9, N).astype(str),
            "code": rng.choice(["00501", "10115", "00100"], N),
            "severity": rng.choice(["None", "NA", "null", "Minor"], N),
            "paid": rng.choice(["Y", "N"], N),
            "day": days.strftime("%d.%m.%Y"),
            "at": times.tz_convert("America/New_York").strftime("%Y-%m-%d %H:%M:%S%z"),
            "spot": [f"{lat:.4f},{lon:.4f}" for lat, lon in rng.uniform([47, 6], [55, 15], (N, 2))],
            "took": [f"{h}:{m:02}:00" for h, m in rng.integers([1, 0], [90, 60], (N, 2))],
            "street, or not": [f"street {k}" for k in rng.permutation(np.arange(N) % 110)],
            "note": [" ".join(rng.choice(["river", "bank", "night", "train", "paper"], 7)) for _ in range(N)],
            TARGET: np.where(signal > np.median(signal), "None", "other"),
        },
        dtype="str",
    )


UNTIDY_KINDS = {
    "price": "number",
    "share": "number",
    "size": "number",
    "children": "number",
    "code": "category",
    "severity": "category",
    "paid": "boolean",
    "day": "datetime",
    "at": "datetime",
    "spot": "pair",
    "took": "number",
    "street, or not": "high_cardinality",
    "note": "text",
}
ODD = [
    "",
    " ",
    "n/a",
    "NA",
    "None",
    "null",
    "-",
    "?",
    "1",
    "0",
    "3.0",
    "007",
    "1E5",
    "1_2",
    "2:1",
    "1,5",
    "1.234",
    "true",
]
ODD += [
    "12.5",
    "-0",
    "inf",
    "2024-02-30",
    "31.12.9999",
    "0001-01-01",
    "10.11.12",
    "Yes",
    "y",
    "sonst, was",
    'a "b"',
    "9" * 20,
]
CELLS: dict[str, list[str]] = {
    "price": ["1.234,50 €", "€ 12", "(3,00 €)", "-5", "1.234.567,00 €"],
    "share": ["12,5 %", "99%", "3"],
    "size": ["n.a.", "N.A.", "55.125", "+7", "1e-05"],
    "children": ["2", "2.0", "1e+3"],
    "code": ["00501", "501", "10115"],
    "severity": ["None", "NA", "null", "none"],
    "paid": ["Y", "n", "TRUE", "false"],
    "day": ["31.01.2024", "2024-01-31", "2024-01-31T00:00:00Z", "31.1.2024"],
    "at": ["2024-11-03 01:30:00-0400", "2024-11-03 01:30:00-0500", "2024-11-03T06:30:00Z", "2024-11-03 06:30"],
    "spot": ["52.51,13.40", "POINT (13.4 52.5)"],
    "took": ["36:15:00", "1 day, 02:03:04", "0:00:01"],
    "street, or not": ["street 1", "street 999"],
    "note": ["river bank", "train  night\npaper"],
}


def rows_of(columns: list[str]) -> st.SearchStrategy[list[Row]]:
    """Make rows: what fits a column, what is odd anywhere, and any text that a CSV can carry."""
    words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
    cells = {
        name: st.one_of(st.none(), st.sampled_from(CELLS.get(name, ["x"])), st.sampled_from(ODD), words)
        for name in columns
    }
    usual = {name: st.sampled_from(CELLS.get(name, ["x"])) for name in columns}
    return st.lists(st.one_of(st.fixed_dictionaries(usual), st.fixed_dictionaries(cells)), min_size=1, max_size=4)


@dataclass
class Ways:
    """A registered model and every way in which rows can reach it."""

    problem: Problem
    pipeline: Any
    service: Any

    def all(self) -> dict[str, Callable[[list[Row]], list[Answer]]]:
        """Every way by its name."""
        shapes = {
            "dataframe_records": lambda row: {"dataframe_records": [row]},
            "dataframe_split": lambda row: {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}},
            "instances": lambda row: {"instances": [row]},
            "inputs": lambda row: {"inputs": {name: [value] for name, value in row.items()}},
        }
        asked = {
            name: lambda rows, shape=shape: [self.json(shape(row)) for row in rows] for name, shape in shapes.items()
        }
        return {
            **asked,
            "text/csv": lambda rows: [self.request(written(row), "text/csv") for row in rows],
            "frame, pyfunc": lambda rows: [self.frame(self.service.predict, frame_of([row])) for row in rows],
            "frame, pipeline": lambda rows: [self.frame(self.pipeline.answer, frame_of([row])) for row in rows],
            "objects, pipeline": lambda rows: [
                self.frame(self.pipeline.answer, frame_of([row]).astype(object)) for row in rows
            ],
            "evaluation, CSV": self.evaluated,
            "batch, CSV": lambda rows: self.batch(rows, "rows.csv"),
            "batch, Parquet": lambda rows: self.batch(rows, "rows.parquet"),
        }

    def json(self, asked: Any) -> Answer:
        return self.request(json.dumps(asked), "application/json")

    def request(self, asked: str, kind: str) -> Answer:
        schema = self.service.metadata.get_input_schema()
        try:
            answer = scoring_server.invocations(asked, kind, self.service, schema)
        except MlflowException as error:
            return sentence(error.message)
        if answer.status != 200:
            return sentence(answer.response)
        return told(pd.DataFrame(json.loads(answer.response)["predictions"]))[0]

    def frame(self, predict: Callable[[pd.DataFrame], pd.DataFrame], frame: pd.DataFrame) -> Answer:
        try:
            return told(predict(frame))[0]
        except (UserError, MlflowException) as error:
            return sentence(str(getattr(error, "message", error)))

    def evaluated(self, rows: list[Row]) -> list[Answer]:
        found = []
        for row in rows:
            Path("evaluated.csv").write_text(written(row), encoding="utf-8", newline="")
            try:
                table = self.problem.read(read_file("evaluated.csv").frame, "evaluated.csv")
                found.append(told(self.pipeline.answer(self.problem.rows(table)))[0])
            except UserError as error:
                found.append(sentence(str(error)))
        return found

    def batch(self, rows: list[Row], name: str) -> list[Answer]:
        good = {
            column: CELLS[column][0] for column in rows[0]
        }  # else a batch of which no row can be scored is no batch
        frame = frame_of([*rows, good]).assign(number=range(len(rows) + 1))
        if name.endswith("csv"):
            frame.to_csv(name, index=False)
        else:
            frame.to_parquet(name)
        output = Path(name).with_name(f"scored_{name}")
        score(Scorer(self.service.predict, self.problem), Path(name), output)
        read = partial(pd.read_csv, keep_default_na=False) if name.endswith("csv") else pd.read_parquet
        scored = read(output)
        answers = scored[[each for each in scored if each == "prediction" or each.startswith("probability_")]]
        found = dict(zip(scored["number"].astype(int), told(answers), strict=True))
        if rejected_path(output).exists():
            apart = read(rejected_path(output))
            found |= {int(i): sentence(reason) for i, reason in zip(apart["number"], apart["reason"], strict=True)}
        assert len(found) == len(frame)
        return [found[i] for i in range(len(rows))]

    def frames(self, rows: list[Row]) -> list[Answer]:
        return [self.frame(self.pipeline.answer, frame_of([row])) for row in rows]


def frame_of(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, dtype="str")


def written(row: Row) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([list(row), ["" if cell is None else cell for cell in row.values()]])
    return text.getvalue()


def told(answers: pd.DataFrame) -> list[Answer]:
    """Give answers as they are compared: labels as they are, numbers as the 32 bits that the booster gives."""
    plain = [
        answers[name]
        if name == "prediction" and answers[name].dtype.kind not in "f"
        else answers[name].astype(np.float32)
        for name in answers
    ]
    return [tuple(each) for each in zip(*plain, strict=True)]


def sentence(message: str) -> str:
    """Give the sentence about a column within what a server or a file says around it."""
    return (
        message[message.index("The column ") :]
        .partition('", "')[0]
        .replace('\\"', '"')
        .replace("\\\\", "\\")
        .strip('"} ')
    )


def trained(store: Store, table: pd.DataFrame, kinds: dict[str, str], name: str) -> Ways:
    path = Path(name)
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    parent = store.run(main.run(MainSettings(data=name, target=TARGET, n_trials=1, folds=2)))
    problem = Problem(**store.document(parent.data.tags["data_run_id"], "problem.json"))
    assert problem.kinds == kinds
    model = f"{path.stem.capitalize()}Model"
    return Ways(
        problem,
        mlflow.sklearn.load_model(f"models:/{model}/1"),
        mlflow.pyfunc.load_model(f"models:/{model}Service/1"),
    )


@pytest.mark.parametrize("name", ["untidy.csv", "untidy.parquet"])
def test_text_means_the_same_in_every_way_that_it_can_come(store: Store, name: str) -> None:
    ways = trained(store, make_untidy(), UNTIDY_KINDS, name)
    assert ways.problem.classes == ["None", "other"]
    seen: list[Answer] = []

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(rows_of(list(UNTIDY_KINDS)))
    def every_way_agrees(rows: list[Row]) -> None:
        expected = ways.frames(rows)
        seen.extend(expected)
        for way, answer in ways.all().items():
            assert answer(rows) == expected, way

    every_way_agrees()
    assert {isinstance(each, str) for each in seen} == {True, False}  # some are answered, and some refused
    assert len({each for each in seen if not isinstance(each, str)}) > 5


def test_a_table_of_types_and_its_text_give_the_same_answers(store: Store) -> None:
    zoo = make_zoo()
    ways = trained(store, zoo, ZOO_KINDS, "zoo.parquet")
    expected = told(ways.pipeline.answer(zoo))
    assert told(ways.service.predict(zoo)) == expected
    zoo.to_csv("zoo.csv", index=False)
    table = ways.problem.read(read_file("zoo.csv").frame, "zoo.csv")
    assert told(ways.pipeline.answer(ways.problem.rows(table))) == expected
    for name in ("zoo.csv", "zoo.parquet"):
        output = Path(f"scored_{name}")
        score(Scorer(ways.service.predict, ways.problem), Path(name), output)
        scored = pd.read_csv(output) if name.endswith("csv") else pd.read_parquet(output)
        answers = [each for each in scored if each == "prediction" or each.startswith("probability_")]
        assert told(scored[answers]) == expected, name
    for rows in (zoo.head(20), table.head(20)):
        asked = json.loads(
            rows[list(ZOO_KINDS)].to_json(orient="records", date_format="iso", date_unit="us", double_precision=15)
        )
        found = [ways.json({"dataframe_records": [row]}) for row in asked]
        assert found == expected[:20]
