"""`make serve` on real stores: every form of request has pyfunc's answer, every wrong one a readable 400."""

import contextlib
import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bad_requests import bad_requests
from conftest import BIN, REPOSITORY, Store, mlflow_at

pytestmark = pytest.mark.project

TABLES = ["cancer", "mixed", "diabetes"]
EVERY_TABLE = pytest.mark.parametrize("table", TABLES)


@dataclass(frozen=True)
class Served:
    """A champion behind `make serve`, raw rows that training never saw, and pyfunc's answers to them."""

    port: int
    rows: pd.DataFrame
    answers: list[dict[str, Any]]

    def ask(self, body: Any, content_type: str = "application/json", path: str = "/invocations") -> tuple[int, str]:
        """Send a request; anything but text and bytes goes as JSON."""
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("POST", path, content, {"Content-Type": content_type})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def predictions(self, body: Any, content_type: str = "application/json") -> list[dict[str, Any]]:
        status, answer = self.ask(body, content_type)
        assert status == 200, answer
        return json.loads(answer)["predictions"]

    def records(self, n: int) -> list[dict[str, Any]]:
        return json.loads(self.rows.head(n).to_json(orient="records", double_precision=15))

    def split(self, n: int) -> dict[str, Any]:
        return json.loads(self.rows.head(n).to_json(orient="split", double_precision=15, index=False))


def make_serve(store: Store, *variables: str) -> subprocess.Popen:
    """Start `make serve` on a store, in a process group of its own and with the environment that these tests run in."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTEST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])
    return subprocess.Popen(
        ["make", "-o", "env", BIN, "serve", *variables],
        cwd=REPOSITORY,
        env={**clean, "PATH": path, "MLFLOW_TRACKING_URI": store.uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@contextlib.contextmanager
def serving(store: Store, model: str, port: int) -> Iterator[None]:
    """Have `make serve` answer on a port."""
    process = make_serve(store, f"MODEL={model}", f"PORT={port}")
    try:
        wait_for(process, port)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


def wait_for(process: subprocess.Popen, port: int) -> None:
    for _ in range(1200):
        assert process.poll() is None, process.stdout.read()
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
            client.request("GET", "/ping")
            assert client.getresponse().status == 200
            return
        time.sleep(0.1)
    raise TimeoutError("the server does not answer")


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def server(run_chain: Callable[[str], Store]) -> Iterator[Callable[[str], Served]]:
    """Give the champion of a chain behind a server that runs until the last test of this file."""
    import mlflow

    running: dict[str, Served] = {}
    with contextlib.ExitStack() as stack:

        def serve(table: str) -> Served:
            if table not in running:
                store, port = run_chain(table), free_port()
                name = next(name for name in store.versions() if name.endswith("Service"))
                data = store.last("data-preprocessing").info.run_id
                rows = store.table(data, "test")[list(store.document(data, "problem.json")["kinds"])]
                with mlflow_at(store):
                    answers = mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(rows)
                stack.enter_context(serving(store, name.removesuffix("Service"), port))
                running[table] = Served(port, rows, answers.to_dict(orient="records"))
            return running[table]

        yield serve


@pytest.fixture
def served(server: Callable[[str], Served], table: str) -> Served:
    return server(table)


def same(told: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Tell whether answers are equal to the last digit."""
    return json.loads(json.dumps(expected)) == told


# --- Right requests


@EVERY_TABLE
@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs", "inputs of records", "instances"])
def test_every_form_of_request_has_the_answer_of_pyfunc(served: Served, form: str, n: int) -> None:
    split, records = served.split(n), served.records(n)
    body = {
        "dataframe_split": {"dataframe_split": split},
        "dataframe_records": {"dataframe_records": records},
        "inputs": {"inputs": {name: [record[name] for record in records] for name in split["columns"]}},
        "inputs of records": {"inputs": records},
        "instances": {"instances": records},
    }[form]
    assert same(served.predictions(body), served.answers[:n])


@pytest.mark.parametrize("table", ["cancer"])
@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs"])
def test_the_requests_among_the_examples_ask_for_the_first_row_of_the_default_table(served: Served, form: str) -> None:
    from sklearn.datasets import load_breast_cancer

    first = load_breast_cancer(as_frame=True).data.head(1)
    told = served.predictions((REPOSITORY / "examples" / f"{form}.json").read_bytes())
    assert told == served.predictions({"dataframe_records": first.to_dict(orient="records")})
    assert told[0]["prediction"] == "malignant"


@EVERY_TABLE
def test_the_answer_is_a_prediction_and_for_classes_their_probabilities(served: Served) -> None:
    for answer in served.predictions({"dataframe_split": served.split(40)}):
        label, probabilities = answer.pop("prediction"), answer
        if not probabilities:  # a regression
            assert isinstance(label, float)
            continue
        assert max(probabilities, key=lambda name: probabilities[name]) == f"probability_{label}"
        assert math.isclose(sum(probabilities.values()), 1, abs_tol=1e-5)


@EVERY_TABLE
def test_no_rows_have_no_answers(served: Served) -> None:
    assert served.predictions({"dataframe_split": {**served.split(1), "data": []}}) == []


@EVERY_TABLE
def test_a_table_may_be_sent_as_csv(served: Served) -> None:
    told = served.predictions(served.rows.head(40).to_csv(index=False).encode(), "text/csv")
    assert same(told, served.answers[:40])


@EVERY_TABLE
def test_one_row_may_be_sent_without_brackets(served: Served) -> None:
    assert same(served.predictions({"inputs": served.records(1)[0]}), served.answers[:1])


@EVERY_TABLE
def test_a_number_may_be_missing_or_whole_and_columns_may_come_in_any_order(served: Served) -> None:
    record = served.records(1)[0]
    first = next(iter(record))
    for value in (None, 3):
        body = [{"a further column": 1} | dict(reversed((record | {first: value}).items()))]
        by_records, by_inputs = (served.predictions({form: body}) for form in ("dataframe_records", "inputs"))
        assert by_records == by_inputs
        assert by_records[0].keys() == served.answers[0].keys()


@EVERY_TABLE
def test_callers_at_once_have_each_their_own_answer(served: Served) -> None:
    def ask(i: int) -> list[dict[str, Any]]:
        return served.predictions({"dataframe_records": [records[i % len(records)]]})

    records = served.records(40)
    with ThreadPoolExecutor(32) as pool:
        told = [answer for answers in pool.map(ask, range(200)) for answer in answers]
    assert same(told, [served.answers[i % len(records)] for i in range(200)])


# --- Wrong requests: a function of a right record that gives the wrong body, and what the answer must say


def refused(served: Served, body: Any, content_type: str = "application/json") -> str:
    """Send a wrong request; give the sentence of its 400."""
    status, answer = served.ask(body, content_type)
    assert status == 400, answer
    told = json.loads(answer)
    assert "stack_trace" not in told
    assert "Traceback" not in told["message"]
    return told["message"]


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


A_COLUMN = {"cancer": "mean radius", "mixed": "city", "diabetes": "bmi"}
BODIES = {
    "dataframe_split": lambda record: {"dataframe_split": {"columns": list(record), "data": [list(record.values())]}},
    "dataframe_records": lambda record: {"dataframe_records": [record]},
    "inputs": lambda record: {"inputs": {name: [value] for name, value in record.items()}},
}


@EVERY_TABLE
@pytest.mark.parametrize("form", BODIES)
def test_a_missing_column_is_named(served: Served, table: str, form: str) -> None:
    sentence = refused(served, BODIES[form](without(served.records(1)[0], A_COLUMN[table])))
    assert f"Missing columns: '{A_COLUMN[table]}'. The model wants " in sentence


@pytest.mark.parametrize(("table", "name"), [("cancer", "mean radius"), ("mixed", "area [m²]"), ("diabetes", "bmi")])
@pytest.mark.parametrize("form", BODIES)
def test_a_word_among_fractions_is_named_with_its_column(served: Served, name: str, form: str) -> None:
    sentence = refused(served, BODIES[form](served.records(1)[0] | {name: "wide"}))
    assert sentence.endswith(f"The column {name!r} holds 'wide', not a number.")


@pytest.mark.parametrize("table", ["mixed"])
@pytest.mark.parametrize("form", BODIES)
@pytest.mark.parametrize("name", ["rooms", "floor", "garden", "heated"])
@pytest.mark.parametrize("value", ["three", [1, 2], {"a": 1}], ids=str)
def test_what_is_no_number_is_named_with_its_column(served: Served, form: str, name: str, value: Any) -> None:
    sentence = refused(served, BODIES[form](served.records(1)[0] | {name: value}))
    wanted = "a number" if name in ("rooms", "floor") else "true or false"
    assert sentence.endswith(f"The column {name!r} holds {value!r}, not {wanted}.")


@EVERY_TABLE
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"dataframe_split": {"columns": ["mean', "valid JSON"),
        ("", "valid JSON"),
        (b"\xff\xfe", "valid JSON"),
        ([], "JSON dictionary"),
        ({}, "JSON dictionary with exactly one of the input fields"),
        ({"rows": [{"a": 1}]}, "JSON dictionary with exactly one of the input fields"),
        ({"dataframe_split": [[1]]}, "must be a dictionary"),
        ({"dataframe_split": {"column": ["a"], "data": [[1]]}}, "'column'"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}, "2 columns passed"),
        ({"dataframe_records": {"a": 1}}, "must be a list of records"),
        ({"dataframe_records": []}, "Missing columns"),
        ({"inputs": [[1.5]]}, "Missing columns"),
        ({"inputs": [{"a": 1}, 2]}, "are no table"),
        ({"inputs": {"a": [1, 2], "b": [1]}}, "are no table"),
        ({"inputs": "three"}, "are no table"),
        ({"input": [1.5]}, "Missing columns"),
        ({"prompt": "three"}, "Missing columns"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_read_is_told_why(served: Served, body: Any, words: str) -> None:
    assert words in refused(served, body)


@EVERY_TABLE
def test_two_forms_at_once_are_refused(served: Served) -> None:
    both = {"dataframe_split": served.split(1), "dataframe_records": served.records(1)}
    assert "exactly one of the input fields" in refused(served, both)


@pytest.mark.parametrize("table", ["cancer"])
def test_another_content_type_is_told_which_ones_there_are(served: Served) -> None:
    status, answer = served.ask({"dataframe_split": served.split(1)}, "application/x-www-form-urlencoded")
    assert status == 415
    assert "application/json" in answer


@EVERY_TABLE
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "The CSV is empty: its first line must name the columns."),
        ("a,b\n1,2,3\n", "Line 2 of the CSV has 3 cells, the header has 2."),
        ('a,b\n1,"2\n', "Line 2 of the CSV cannot be read: unexpected end of data."),
        ("a,b\n1,2\n", "Missing columns: "),
    ],
)
def test_a_csv_that_cannot_be_read_is_told_why(served: Served, body: str, words: str) -> None:
    assert words in refused(served, body, "text/csv")


# --- mlflow models serve, which checks each request by the signature before the pipeline does


def test_a_server_without_our_script_reads_requests_alike(cancer: Store) -> None:
    import mlflow

    uri, port = "models:/CancerModelService@champion", free_port()
    rows = cancer.table(cancer.last("data-preprocessing").info.run_id, "test").drop(columns="target").head(20).round()
    expected = mlflow.pyfunc.load_model(uri).predict(rows).to_dict(orient="records")
    whole = rows.astype("int64")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        wait_for(process, port)
        served = Served(port, whole, expected)
        assert same(served.predictions({"dataframe_split": served.split(20)}), expected)
        assert same(served.predictions({"instances": served.records(20)}), expected)
        assert same(served.predictions(whole.to_csv(index=False, sep=";"), "text/csv"), expected)
        assert same(served.predictions({"inputs": whole.astype(str).to_dict(orient="list")}), expected)
        assert "cells, the header has" in refused(served, "a,b\n1,2,3\n", "text/csv")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


# --- make serve


def test_the_copy_that_is_served_has_the_answers_but_no_inputs_to_check(cancer_copy: Store, tmp_path: Path) -> None:
    import mlflow
    from mlflow.models import Model

    from serve import uncheck

    with mlflow_at(cancer_copy):
        uri = "models:/CancerModelService@champion"
        folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "copy")))
        registered = mlflow.models.get_model_info(uri).signature
        uncheck(folder)
        assert mlflow.models.get_model_info(uri).signature == registered
    served = Model.load(folder).signature
    assert registered.inputs is not None
    assert served.inputs is None
    assert served.outputs == registered.outputs


def ended(process: subprocess.Popen) -> str:
    """Wait for a command that must fail; give what it printed, which is no traceback."""
    printed, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in printed
    return printed


def test_without_a_champion_make_serve_says_so(store: Store) -> None:
    printed = ended(make_serve(store, f"PORT={free_port()}"))
    assert "error: CancerModel has no champion" in printed
    assert "There are: none yet" in printed


def test_a_name_without_a_champion_is_told_which_names_have_one(cancer_copy: Store) -> None:
    printed = ended(make_serve(cancer_copy, "MODEL=CanserModel", f"PORT={free_port()}"))
    assert "There are: CancerModel." in printed


def test_a_server_told_to_stop_ends_well_within_seconds(cancer_copy: Store) -> None:
    port = free_port()
    process = make_serve(cancer_copy, f"PORT={port}", "ARGS=--max-body 1 --allowed-hosts 127.0.0.1 --docs")
    try:
        wait_for(process, port)
        served = Served(port, cancer_copy.table(cancer_copy.last("data-preprocessing").info.run_id, "test"), [])
        assert served.ask(b" " * 2**20 + b" ")[0] == 413
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
            client.request("GET", "/docs")
            assert client.getresponse().status == 200
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        begin = time.monotonic()
        printed, _ = process.communicate(timeout=60)
    assert time.monotonic() - begin < 10
    assert "Traceback" not in printed


@pytest.mark.parametrize("table", ["cancer"])
def test_a_real_server_tells_every_wrong_request_and_answers_on(served: Served) -> None:
    for each in bad_requests(served.records(1)[0], "mean radius"):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as client:
            client.putrequest(each.method, each.path)
            for name, value in [*each.all_headers(), ("Content-Length", str(len(each.body)))]:
                client.putheader(name, value)
            client.endheaders(each.body)
            response = client.getresponse()
            assert response.status == each.status, each.name
            if each.method != "HEAD":
                assert set(json.loads(response.read())) == {"error_code", "message"}, each.name
    assert same(served.predictions({"dataframe_split": served.split(1)}), served.answers[:1])


def test_a_port_that_is_taken_is_named(cancer_copy: Store) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert f"error: The port {port} of 127.0.0.1 is taken" in ended(make_serve(cancer_copy, f"PORT={port}"))
