"""Where a batch writes: never over what it reads, and nowhere that cannot be written."""

import os
from pathlib import Path

import pytest

from treeline import StoreError, UserError
from treeline.serving.outputs import check_apart, check_writable


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_can_be_written_passes() -> None:
    Path("in.csv").touch()
    Path("real").mkdir()
    Path("link.csv").symlink_to("real/link.csv")
    for name in ("out.csv", "link.csv"):
        check_writable(Path(name))
        check_apart(Path("in.csv"), Path(name))


def test_an_output_that_is_no_file_is_refused() -> None:
    Path("folder.csv").mkdir()
    Path("apart.rejected.csv").mkdir()
    Path("null.csv").symlink_to(os.devnull)
    Path("lost.csv").symlink_to("none/lost.csv")
    for name in ("folder.csv", "apart.csv", "null.csv"):
        with pytest.raises(UserError, match="is a folder or a device"):
            check_writable(Path(name))
    with pytest.raises(UserError, match=r"No folder .*none' to write lost\.csv in"):
        check_writable(Path("lost.csv"))


def test_what_is_protected_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("out.csv").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "out.csv")  # root may write everywhere
    with pytest.raises(StoreError, match=r"out\.csv' is protected from writing"):
        check_writable(Path("out.csv"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StoreError, match="is protected from writing"):
        check_writable(Path("new.csv"))


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("in.csv", "in.csv"),
        ("in.csv", "link.csv"),
        ("in.rejected.csv", "in.csv"),  # the rejected rows of a batch, mended, and scored with it
        ("parts", "parts/out.parquet"),
        ("parts", "parts/year=2024/out.parquet"),
    ],
)
def test_what_is_read_is_never_written_over(source: str, output: str) -> None:
    for name in ("in.csv", "in.rejected.csv"):
        Path(name).touch()
    Path("link.csv").symlink_to("in.csv")
    Path("parts/year=2024").mkdir(parents=True)
    with pytest.raises(UserError, match="name another output"):
        check_apart(Path(source), Path(output))
