"""A command line read into settings, or refused in a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st

from config import DataSettings
from treeline import UserError
from utils import MAX_SENTENCE, brief, parse


def test_all_illegal_values_are_named_at_once() -> None:
    with pytest.raises(UserError, match=r"--test-size got '2'.*--seed got -1"):
        parse(DataSettings, "stage.py", ["--test-size", "2", "--seed", "-1"])


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--test", "0.2"], r"Unknown parameter --test\. .*The parameters are .*--data, --target"),
        (["--test-siz=0.2"], r"Unknown parameter --test-siz\. Did you mean '--test-size'\?"),
        (["--test_size", "0.2"], r"Unknown parameter --test_size\. Did you mean '--test-size'\?"),
        (["--n-trials", "3"], r"Unknown parameter --n-trials\."),
        (["--no-data"], "Unknown parameter --no-data"),
        (["--"], r"Unknown parameter --\."),
        (["stray"], r"unrecognized arguments: stray\. See python stage\.py --help"),
        (["--data", "iris", "stray"], "unrecognized arguments: stray"),
        (["-x"], "unrecognized arguments: -x"),
        (["--data"], r"--data: expected one argument\. See python stage\.py --help"),
        (["--data", "--target", "y"], "--data: expected one argument"),
    ],
)
def test_a_command_line_that_cannot_be_read_says_why(argv: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        parse(DataSettings, "stage.py", argv)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
    | st.sampled_from(["null", "None", "[1]", "{}"])
)
def test_any_text_reaches_its_setting_as_it_was_typed(text: str) -> None:
    assert parse(DataSettings, "stage.py", [f"--target={text}"]).target == text


@pytest.mark.parametrize(
    "given", ["--seed=1_000", "--seed=１", "--test-size=0.5_0", "--seed=1.5", "--target=a\0b", "--target=gr\udcf6"]
)
def test_what_only_a_program_would_take_is_refused(given: str) -> None:
    with pytest.raises(UserError, match="input should be"):
        parse(DataSettings, "stage.py", [given])


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(UserError, match="--seed is given twice"):
        parse(DataSettings, "stage.py", ["--seed=1", "--seed", "2"])


@pytest.mark.parametrize("text", ["x" * 1_000_000, "a b" * 300_000, "a\nb\x1b[31m\udcff", "://" * 300_000])
def test_a_sentence_is_one_line_that_a_terminal_can_show(text: str) -> None:
    told = brief(f"Cannot read {text!r}: give less. {text}")
    assert told.isprintable()
    assert len(told) <= MAX_SENTENCE
    assert told.startswith("Cannot read '")


@pytest.mark.parametrize(
    "name", ["it's.csv", "a b.csv", "a$b.csv", "x;touch y", "$(shell touch y)", "`touch y`", 'a"b', "$$(x)", "#x"]
)
def test_make_run_hands_a_name_over_as_it_was_typed(name: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import sys; print(sys.argv[1:])")
    (tmp_path / "requirements.txt").touch()
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    (folder / ".runtime").touch()
    make = [
        "make",
        "--no-print-directory",
        "-f",
        str(REPOSITORY / "Makefile"),
        "run",
        "BIN=bin",
        f"DATA={name}",
        f"TARGET={name}",
    ]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([f"--data={name}", f"--target={name}"])
    assert not (tmp_path / "y").exists()
