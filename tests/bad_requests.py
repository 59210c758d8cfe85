"""Wrong requests to the server of a model, as data: each must be told in one sentence with a status of 4xx.

tests/tracking/test_rest.py asks the application, tests/test_serving.py a server; whoever hammers one may do so too.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


@dataclass(frozen=True)
class BadRequest:
    """A request, and the status that it deserves."""

    name: str
    body: bytes = b""
    content_type: str | None = JSON
    status: int = 400
    method: str = "POST"
    path: str = "/invocations"
    headers: tuple[tuple[str, str], ...] = ()

    def all_headers(self) -> list[tuple[str, str]]:
        """Give the headers, the content type among them."""
        return [*([("Content-Type", self.content_type)] if self.content_type is not None else []), *self.headers]


def bad_requests(row: dict[str, Any], number: str) -> list[BadRequest]:
    """List wrong requests to a model.

    Args:
        row: that the model answers, all raw columns by name.
        number: name of a column of it that holds numbers.
    """
    names = [
        *_no_json(row),
        *_no_table(row, number),
        *_wrong_cells(row, number),
        *_wrong_csv(row),
        *_wrong_headers(row),
        *_too_much(row),
    ]
    assert len({each.name for each in names}) == len(names)
    return names


def right(row: dict[str, Any]) -> bytes:
    """Ask for a row as it should be."""
    return json.dumps({"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}).encode()


def _no_json(row: dict[str, Any]) -> Iterator[BadRequest]:
    """What is no JSON, or no object that MLflow knows."""
    told = right(row)
    bodies = {
        "empty": b"",
        "blank": b"   \n",
        "cut short": told[: len(told) // 2],
        "one bracket less": told[:-1],
        "one bracket more": told + b"}",
        "two documents": told + told,
        "single quotes": told.replace(b'"', b"'"),
        "a comma too many": told[:-1] + b",}",
        "a comment": told + b"// all",
        "a zero byte": told.replace(b"dataframe", b"data\x00frame"),
        "zero bytes": b"\x00" * 100,
        "a byte order mark alone": b"\xef\xbb\xbf",
        "invalid UTF-8": told.replace(b"dataframe", b"data\xfframe"),
        "an overlong UTF-8 sequence": b'{"\xc0\xaf": 1}',
        "half of UTF-16": b"\xff\xfe",
        "Latin-1": '{"größe": [1]}'.encode("latin-1"),
        "binary": bytes(range(256)),
        "a form": b"mean+radius=1&mean+texture=2",
        "XML": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
        "YAML": b"!!python/object/apply:os.system ['true']",
        "a pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
        "a list": b"[]",
        "a list of records": json.dumps([row]).encode(),
        "a number": b"1",
        "text": b'"dataframe_split"',
        "null": b"null",
        "true": b"true",
        "not a number": b"NaN",
        "an empty object": b"{}",
        "another key": json.dumps({"rows": [row]}).encode(),
        "two forms at once": json.dumps({"dataframe_records": [row], "inputs": [row]}).encode(),
        "all four forms": json.dumps(
            {form: [] for form in ("dataframe_records", "dataframe_split", "inputs", "instances")}
        ).encode(),
        "the same form twice": told[:-1] + b"," + told[1:],
        "5,000 digits": b'{"inputs": [{"a": %s}]}' % (b"9" * 5000),
        "5,000 digits below zero": b'{"dataframe_split": {"columns": ["a"], "data": [[-%s]]}}' % (b"1" * 5000),
        "a million digits": b'{"inputs": %s}' % (b"7" * 1_000_000),
        "lists 100,000 deep": b'{"inputs": %s%s}' % (b"[" * 100_000, b"]" * 100_000),
        "lists 900 deep": b'{"inputs": %s%s}' % (b"[" * 900, b"]" * 900),
        "lists 100 deep": b'{"instances": %s%s}' % (b"[" * 100, b"]" * 100),
        "objects 50,000 deep": b'{"inputs": %s1%s}' % (b'{"a": ' * 50_000, b"}" * 50_000),
        "objects 500 deep": b'{"dataframe_records": [%s1%s]}' % (b'{"a": ' * 500, b"}" * 500),
        "brackets that never close": b"[" * 1_000_000,
        "100,000 other keys": json.dumps({f"key {i}": i for i in range(100_000)}).encode(),
    }
    for name, body in bodies.items():
        yield BadRequest(f"JSON: {name}", body)
    for name, params in {"unknown": {"threshold": 0.5}, "a list": [1], "text": "all", "a number": 3}.items():
        yield BadRequest(f"params: {name}", told[:-1] + b', "params": %s}' % json.dumps(params).encode())


def _no_table(row: dict[str, Any], number: str) -> Iterator[BadRequest]:
    """Rows that are no table, or none with the columns that the model wants."""
    columns, values = list(row), list(row.values())
    first = columns[0]
    splits = {
        "a list": [[1]],
        "text": "all",
        "null": None,
        "a number": 1,
        "empty": {},
        "no data": {"columns": columns},
        "no columns": {"data": [values]},
        "another key": {"column": columns, "data": [values]},
        "one more key": {"columns": columns, "data": [values], "rows": 1},
        "columns that are text": {"columns": "all", "data": [values]},
        "columns that are a number": {"columns": 3, "data": [values]},
        "columns that are an object": {"columns": row, "data": [values]},
        "columns that are null": {"columns": None, "data": [values]},
        "columns that are nulls": {"columns": [None] * len(columns), "data": [values]},
        "columns that are numbers": {"columns": list(range(len(columns))), "data": [values]},
        "an object as a column": {"columns": [{"a": 1}, *columns[1:]], "data": [values]},
        "objects as columns": {"columns": [{"a": each} for each in columns], "data": [values]},
        "one list as a column": {"columns": [[first], *columns[1:]], "data": [values]},
        "lists as columns": {"columns": [[each, "b"] for each in columns], "data": [values]},
        "a repeated column": {"columns": [*columns, first], "data": [[*values, values[0]]]},
        "all columns repeated": {"columns": columns * 2, "data": [values * 2]},
        "all columns the same": {"columns": [first] * len(columns), "data": [values]},
        "a column less": {"columns": columns[1:], "data": [values[1:]]},
        "a value less": {"columns": columns, "data": [values[1:]]},
        "a value more": {"columns": columns, "data": [[*values, 1]]},
        "data that are text": {"columns": columns, "data": "all"},
        "data that are a number": {"columns": columns, "data": 3},
        "data that are an object": {"columns": columns, "data": {"a": 1}},
        "data that are null alone": {"columns": columns[:1], "data": None},
        "data that are null": {"columns": columns, "data": None},
        "rows that are text": {"columns": columns, "data": ["abc"]},
        "an index too short": {"columns": columns, "data": [values, values], "index": [1]},
        "an index that is text": {"columns": columns, "data": [values], "index": "all"},
        "100,000 columns": {"columns": [f"c{i}" for i in range(100_000)], "data": [[0] * 100_000]},
        "an empty name": {"columns": ["", *columns[1:]], "data": [values]},
        "a lone surrogate as a name": {"columns": ["\ud800", *columns[1:]], "data": [values]},
    }
    for name, split in splits.items():
        yield BadRequest(f"split: {name}", json.dumps({"dataframe_split": split}).encode())
    records = {
        "an object": row,
        "text": "all",
        "null": None,
        "a number": 1,
        "none": [],
        "nulls": [None, None],
        "numbers": [1, 2],
        "texts": ["a", "b"],
        "lists": [[1], [2]],
        "empty objects": [{}, {}],
        "a column less": [{name: row[name] for name in columns[1:]}],
        "a record and a number": [row, 1],
        "a record and null": [row, None],
        "a record in a list": [[row]],
        "other columns": [{"a": 1}],
        "100,000 columns": [{f"c{i}": 0 for i in range(100_000)}],
    }
    for name, rows in records.items():
        yield BadRequest(f"records: {name}", json.dumps({"dataframe_records": rows}).encode())
        if name != "an object":
            for form in ("inputs", "instances"):
                yield BadRequest(f"{form}: {name}", json.dumps({form: rows}).encode())
    twice = json.dumps({"dataframe_records": [row]}).replace("}]}", f', "{first}": 1' + "}]}")
    yield BadRequest("records: a repeated column", twice.encode())
    lists = {name: [value] for name, value in row.items()}
    for name, table in {
        "columns of different lengths": lists | {first: [1, 2]},
        "an empty column": lists | {first: []},
        "columns that are no lists but one": row | {number: [1, 2], first if first != number else columns[1]: []},
        "a column in a list in a list": lists | {number: [[[1]]]},
        "gaps alone": {"a": [None], "b": [None]},
    }.items():
        yield BadRequest(f"inputs: {name}", json.dumps({"inputs": table}).encode())
    for key, value in {"input": [1.5], "prompt": "all", "messages": [{"role": "user", "content": "all"}]}.items():
        yield BadRequest(f"a chat: {key}", json.dumps({key: value}).encode())


def _wrong_cells(row: dict[str, Any], number: str) -> Iterator[BadRequest]:
    """A value that is no number where one belongs."""
    for name, value in {
        "a word": "three",
        "a long word": "x" * 100_000,
        "a list": [1, 2],
        "an empty list": [],
        "an object": {"a": 1},
        "a deep list": [[[[[1]]]]],
        "a lone surrogate": "\udc00",
        "a zero byte": "1\x00",
        "a formula": "=1+1",
        "code": "__import__('os').getcwd()",
        "a path": "../../etc/passwd",
        "two numbers": "1;2",
        "HTML": "<script>alert(1)</script>",
    }.items():
        for form in ("dataframe_records", "instances"):
            body = json.dumps({form: [row | {number: value}]}).encode()
            yield BadRequest(f"cell of {form}: {name}", body)


def _wrong_csv(row: dict[str, Any]) -> Iterator[BadRequest]:
    """CSV that is none, or lacks columns."""
    header = ",".join(row).encode()
    bodies = {
        "empty": b"",
        "line breaks": b"\n\n\n",
        "other columns": b"a,b\n1,2\n",
        "a cell more": header + b"\n" + b"1," * len(row) + b"1\n",
        "a quote that does not end": b'a,b\n1,"2\n',
        "a quote in the header that does not end": b'a,"b\n1,2\n',
        "text after a quote": header + b'\n"1"2' + b",1" * (len(row) - 1) + b"\n",
        "invalid UTF-8": header + b"\n\xff\xfe\n",
        "UTF-16": f"a,b\n1,{'2'}\n".encode("utf-16"),
        "a packed file": gzip.compress(header, mtime=0),
        "zero bytes": b"\x00" * 100,
        "JSON": right(row),
        "a column less": ",".join(list(row)[1:]).encode() + b"\n" + b",".join([b"1"] * (len(row) - 1)) + b"\n",
        "a word for a number": header + b"\n" + b",".join([b"three"] * len(row)) + b"\n",
    }
    for name, body in bodies.items():
        yield BadRequest(f"CSV: {name}", body, CSV)


def _wrong_headers(row: dict[str, Any]) -> Iterator[BadRequest]:
    """Wrong methods, addresses and headers round a right body."""
    told = right(row)
    yield BadRequest("no content type", told, None, 415)
    for name in [
        PARQUET,
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "text/plain",
        "application/xml",
        "application/octet-stream",
        "application/jsonp",
        "json",
        ";",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; version=2",
        "text/csv; charset=windows-1252",
        "text/csv; header=absent",
    ]:
        yield BadRequest(f"content type: {name!r}", told, name, 415)
    for packing in ("gzip", "deflate", "br", "zstd", "x" * 3000):
        body = gzip.compress(told, mtime=0) if packing == "gzip" else told
        yield BadRequest(f"packing: {packing[:10]}", body, status=415, headers=(("Content-Encoding", packing),))
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        yield BadRequest(f"method: {method}", told, status=405, method=method)
    for path in ("/ping", "/health", "/version"):
        yield BadRequest(f"method: POST {path}", told, status=405, path=path)
    for path in (
        "/",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/docs/oauth2-redirect",
        "/invocations/",
        "/invocations/x",
        "//invocations",
        "/INVOCATIONS",
        "/metrics",
        "/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/v2/models",
        "/ping/",
        "/%00",
        "/%ff",
        "/" + "x" * 8000,
    ):
        yield BadRequest(f"address: {path[:30]}", told, status=404, path=path)


def _too_much(row: dict[str, Any]) -> Iterator[BadRequest]:
    """What is small to send and would be large to hold."""
    wide = [f"c{i}" for i in range(20_000)]
    apart = [{name: 1} for name in wide]
    for form in ("dataframe_records", "inputs", "instances"):
        yield BadRequest(f"{form}: each row of another column", json.dumps({form: apart}).encode())
    columns = {name: {str(i): 1} for i, name in enumerate(wide)}
    yield BadRequest("inputs: each column of another row", json.dumps({"inputs": columns}).encode())
    filled = dict.fromkeys(wide, 1) | {"long": [0] * 20_000}
    yield BadRequest("inputs: single values beside a long column", json.dumps({"inputs": filled}).encode())
    short = {"columns": wide, "data": [[0] * len(wide), *[[]] * 20_000]}
    yield BadRequest("split: short rows under a long header", json.dumps({"dataframe_split": short}).encode())
    ragged = [[0] * 20_000, *[[]] * 20_000]
    yield BadRequest("inputs: short rows under a long one", json.dumps({"inputs": ragged}).encode())
    yield BadRequest("input: each row of another column", json.dumps({"input": apart}).encode())
    yield BadRequest("CSV: short lines under a long header", ",".join(wide).encode() + b"\n1" * 20_000, CSV)
    yield BadRequest("a body over the limit", b" " * (16 * 2**20) + right(row), status=413)
    yield BadRequest("CSV: a body over the limit", b"a\n" * (8 * 2**20 + 1), CSV, 413)
