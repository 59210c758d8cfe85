"""The server's application: right requests answered as MLflow does, every wrong one told in a sentence."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
import pytest
from bad_requests import CSV, BadRequest, bad_requests, right
from conftest import Store, mlflow_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server

from tracking import rest
from tracking.rest import Limits, ScoringApp

# As in tests/bad_requests.py, for these name a case before there is a model.
COLUMN = "mean radius"
A_ROW = dict.fromkeys([COLUMN, *(f"c{i}" for i in range(29))], 1.0)
TRACE = re.compile(r"Traceback|stack_trace|\.py\b|site-packages|(?<![\w.])/(?:tmp|home|usr|opt|root|work)/")


def ask(app: Any, asked: BadRequest, *chunks: bytes) -> tuple[int, str, dict[bytes, bytes]]:
    """Ask an application as uvicorn would; give status, content and headers."""
    parts = [*chunks] or [asked.body]
    messages = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]
    sent: list[dict[str, Any]] = []
    headers = [(name.lower().encode(), value.encode()) for name, value in asked.all_headers()]
    length = b"transfer-encoding" if chunks else b"content-length"
    headers.append((length, b"chunked" if chunks else str(len(asked.body)).encode()))

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": asked.path, "method": asked.method, "headers": headers}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(each["body"] for each in sent[1:]).decode(), dict(sent[0]["headers"])


def sentence(app: Any, asked: BadRequest, *chunks: bytes) -> str:
    """Ask, and give the sentence of the error that it must be."""
    status, content, _ = ask(app, asked, *chunks)
    assert status == asked.status, content[:500]
    told = json.loads(content)
    assert set(told) == {"error_code", "message"}
    assert told["message"]
    assert len(content) < 15_000
    assert not TRACE.search(content.replace("/../../etc/passwd", ""))
    return told["message"]


@pytest.fixture(scope="module")
def service(run_chain: Callable[[str], Store]) -> Iterator[tuple[ScoringApp, dict[str, Any]]]:
    """Give the champion of the default table behind the application, and a row."""
    store = run_chain("cancer")
    with mlflow_at(store):
        model = mlflow.pyfunc.load_model("models:/CancerModelService@champion")
        rows = store.table(store.last("data-preprocessing").info.run_id, "test").drop(columns="target")
        model.metadata.signature = None  # as serve.py leaves it
        yield ScoringApp(model), json.loads(rows.head(1).to_json(orient="records", double_precision=15))[0]


@pytest.fixture(scope="module")
def wrong(service: tuple[ScoringApp, dict[str, Any]]) -> dict[str, BadRequest]:
    """Give the wrong requests to that model by name."""
    return {each.name: each for each in bad_requests(service[1], COLUMN)}


class Echo:
    """A model that gives back the rows."""

    class metadata:  # noqa: N801
        @staticmethod
        def get_input_schema() -> None:
            return None

    def predict(self, rows: Any) -> Any:
        return rows


def echo(**limits: Any) -> ScoringApp:
    return ScoringApp(Echo(), Limits(**limits))  # type: ignore[arg-type]


# --- Wrong requests


def test_there_are_at_least_a_hundred_wrong_requests() -> None:
    assert len(bad_requests(A_ROW, COLUMN)) >= 200


@pytest.mark.store
@pytest.mark.parametrize("name", [each.name for each in bad_requests(A_ROW, COLUMN)])
def test_a_wrong_request_is_told_in_a_sentence(
    service: tuple[ScoringApp, dict[str, Any]], wrong: dict[str, BadRequest], name: str
) -> None:
    app, row = service
    sentence(app, wrong[name])
    assert ask(app, BadRequest("right", right(row)))[0] == 200


def cells() -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    return st.recursive(plain, lambda deep: st.lists(deep, max_size=4) | st.dictionaries(st.text(max_size=5), deep))


@pytest.mark.store
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(form=st.sampled_from(["dataframe_split", "dataframe_records", "inputs", "instances", "input"]), asked=cells())
def test_whatever_is_asked_is_answered_or_told(
    service: tuple[ScoringApp, dict[str, Any]], form: str, asked: Any
) -> None:
    status, content, _ = ask(service[0], BadRequest("drawn", json.dumps({form: asked}).encode()))
    assert status in (200, 400)
    assert not TRACE.search(content)


@pytest.mark.store
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(["application/json", CSV]))
def test_a_right_request_with_wrong_bytes_is_answered_or_told(
    service: tuple[ScoringApp, dict[str, Any]], data: st.DataObject, kind: str
) -> None:
    app, row = service
    csv = ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n"
    body = bytearray(right(row) if kind != CSV else csv.encode())
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    status, content, _ = ask(app, BadRequest("drawn", bytes(body), kind))
    assert status in (200, 400)
    assert not TRACE.search(content)


# --- Right requests


@pytest.mark.store
def test_a_right_request_has_mlflows_answer_to_the_byte(service: tuple[ScoringApp, dict[str, Any]]) -> None:
    app, row = service
    model: PyFuncModel = app.model
    csv = (",".join(row) + "\n" + ",".join(map(str, row.values()))).encode()
    for kind, body in [
        ("application/json", right(row)),
        ("application/json; charset=utf-8", json.dumps({"inputs": [row | {COLUMN: None}]}).encode("utf-8-sig")),
        ("application/json", json.dumps({"dataframe_records": [row | {COLUMN: 10**30, "é": "x"}]}).encode()),
        ("application/json", json.dumps({"instances": [row | {COLUMN: float("nan")}]}).encode()),
        (CSV, csv),
    ]:
        expected = scoring_server.invocations(body, kind, model, None)
        status, content, headers = ask(app, BadRequest("right", body, kind))
        assert (status, content) == (expected.status, expected.response) == (200, content)
        assert headers[b"content-type"] == b"application/json"
        assert ask(app, BadRequest("right", b"", kind), body[:5], body[5:40], body[40:])[1] == content


@pytest.mark.parametrize(("path", "content"), [("/ping", "\n"), ("/health", "\n"), ("/version", mlflow.__version__)])
def test_a_probe_is_answered(path: str, content: str) -> None:
    assert ask(echo(), BadRequest("probe", method="GET", path=path))[:2] == (200, content)


# --- Limits


def test_a_body_may_be_as_long_as_the_limit_says() -> None:
    body = b'{"dataframe_records": [{"a": 1}]}'
    assert ask(echo(body=len(body)), BadRequest("right", body))[0] == 200
    told = sentence(echo(body=len(body) - 1), BadRequest("long", body, status=413))
    assert told == f"The body is larger than {len(body) - 1} bytes: ask for fewer rows at a time."
    sentence(echo(body=len(body) - 1), BadRequest("long", b"", status=413), body[:10], body[10:])


@pytest.mark.parametrize(
    ("host", "status"),
    [("a.example", 200), ("A.EXAMPLE:80", 200), ("x.b.example", 200), ("c.example:5", 200), ("c.example:6", 421),
     ("b.example.evil", 421), ("", 421), ("127.0.0.1", 421), ("[::1]:80", 200)],
)  # fmt: skip
def test_a_name_that_was_not_allowed_is_refused(host: str, status: int) -> None:
    app = echo(hosts=["a.example", "*.b.example", "c.example:5", "[[]::1]"])
    asked = BadRequest("host", b'{"dataframe_records": [{"a": 1}]}', headers=(("Host", host),), status=status)
    assert ask(app, asked)[0] == status
    assert ask(app, BadRequest("probe", method="GET", path="/ping", headers=(("Host", host),)))[0] == 200


def test_large_requests_wait_for_each_other_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    app = echo()
    app.large = rest.LARGE_AT_ONCE
    body = b'{"dataframe_records": [{"a": "%s"}]}' % (b"x" * rest.LARGE)
    assert "large requests" in sentence(app, BadRequest("large", body, status=503))
    assert (app.large, app.under_way) == (rest.LARGE_AT_ONCE, 0)
    app.large -= 1
    assert ask(app, BadRequest("large", body))[0] == 200
    assert (app.large, app.under_way) == (rest.LARGE_AT_ONCE - 1, 0)


def test_the_pages_about_the_addresses_are_there_where_asked_for() -> None:
    app = ScoringApp(Echo(), docs=scoring_server.init(Echo()))  # type: ignore[arg-type]
    for path in rest.DOCS:
        sentence(echo(), BadRequest("docs", method="GET", path=path, status=404))
        scope = {"type": "http", "path": path, "method": "GET", "headers": [], "query_string": b"", "root_path": ""}
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        asyncio.run(app(scope, receive, send))
        assert sent[0]["status"] == 200


def test_an_error_of_the_model_is_told_without_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Echo):
        def predict(self, rows: Any) -> Any:
            raise RuntimeError("a secret")

    app = ScoringApp(Broken())  # type: ignore[arg-type]
    told = sentence(app, BadRequest("right", b'{"dataframe_records": [{"a": 1}]}'))
    assert "secret" not in told
    assert "a secret" in caplog.text


def test_the_rows_that_were_refused_are_not_printed_around_the_sentence() -> None:
    class Refusing(Echo):
        def predict(self, rows: Any) -> Any:
            raise MlflowException.invalid_parameter_value("The column 'a' holds 'x', not a number.")

    app = ScoringApp(Refusing())  # type: ignore[arg-type]
    asked = BadRequest("a word", b'{"dataframe_records": [{"a": "x"}, {"a": 2}]}')
    assert sentence(app, asked) == "The column 'a' holds 'x', not a number."


def test_no_news_about_older_requests_follows_the_sentence() -> None:
    odd = BadRequest("odd", b'{"dataframe_records": [{"a": 1}]}', "application/json; a=b", 415)
    assert sentence(echo(), odd) == "Unrecognized content type parameters: a."
