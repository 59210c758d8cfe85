"""Files that are damaged by chance: whatever their bytes, a table comes out of the readers or a sentence."""

import bz2
import gzip
import io
import lzma
import time
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from treeline import UserError
from treeline.data.chunks import chunks, count_rows
from treeline.data.reading import read_path

SECONDS = 20  # that one file may take
CASES = 36  # of each kind
PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
KINDS = [".csv", ".tsv", ".json", ".jsonl", ".parquet", ".feather", ".xlsx"]
KINDS += [".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".json.gz"]
SPLICES = [
    b"\0",
    b'"',
    b"\r",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"{",
    b"[" * 3000,
    b"9" * 5000,
    b",",
    b"NaN",
    b"\\ud800",
    b"\n",
]


@lru_cache
def whole(ending: str) -> bytes:
    """Give the bytes of a file of a kind that nothing is wrong with."""
    rows = pd.DataFrame({"n": range(60), "größe": np.linspace(0, 1, 60), "t": ["a", 'sagt "ja"', "é,ß"] * 20})
    kind, _, packed = ending[1:].partition(".")
    if packed == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("t.csv", whole(".csv"))
        return file.getvalue()
    if packed:
        return PACKERS[f".{packed}"](whole(f".{kind}"))
    if kind in ("csv", "tsv"):
        return rows.to_csv(index=False, sep="\t" if kind == "tsv" else ",").encode()
    if kind in ("json", "jsonl"):
        return rows.to_json(orient="records", lines=kind == "jsonl").encode()
    file = io.BytesIO()
    {"parquet": rows.to_parquet, "feather": rows.to_feather, "xlsx": rows.to_excel}[kind](file)
    return file.getvalue()


def damaged(ending: str, rng: np.random.Generator) -> bytes:
    """Damage a file once to three times; a packed one inside or outside."""
    content = bytearray(whole(ending))
    for _ in range(rng.integers(1, 4)):
        first, last = sorted(rng.integers(0, len(content) + 1, 2))
        which = rng.integers(0, 7)
        if which == 0:  # cut short
            del content[first:]
        elif which == 1:  # a piece is lost
            del content[first:last]
        elif which == 2:  # a piece comes twice
            content[last:last] = content[first:last]
        elif which == 3:  # bytes are other bytes
            for place in rng.integers(0, max(len(content), 1), 8):
                content[place : place + 1] = bytes([rng.integers(0, 256)])
        elif which == 4:  # a piece is overwritten
            content[first : first + 40] = bytes(rng.integers(0, 256, 40, dtype=np.uint8))
        elif which == 5:  # zeros, as of a disk that was full
            content[first:last] = bytes(last - first)
        else:
            content[first:first] = SPLICES[rng.integers(0, len(SPLICES))]
    return bytes(content)


@pytest.mark.filterwarnings("ignore")  # of openpyxl on what a workbook lacks
@pytest.mark.parametrize("ending", KINDS)
def test_a_damaged_file_is_a_table_or_a_sentence(tmp_path: Path, ending: str) -> None:
    rng = np.random.default_rng(KINDS.index(ending))
    refusals = []
    for case in range(CASES):
        called = KINDS[rng.integers(0, len(KINDS))] if case % 6 == 0 else ending  # some under another kind's name
        path = tmp_path / f"t{case}{called}"
        path.write_bytes(damaged(ending, rng))
        for reader in (_at_once, _in_chunks):
            start = time.monotonic()
            try:
                reader(path)
            except UserError as error:
                refusals.append(str(error))
            assert time.monotonic() - start < SECONDS, path.name
    assert refusals
    assert [each for each in refusals if len(each.splitlines()) != 1 or len(each) > 1000] == []


def _at_once(path: Path) -> None:
    read_path(path, path.name)


def _in_chunks(path: Path) -> None:
    count_rows(path)
    for chunk in chunks(path):
        assert len(chunk.frame) == chunk.raw.num_rows or not chunk.raw.num_columns
