"""A command line read into settings, or refused in a sentence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import DataSettings
from treeline import UserError
from utils import parse


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
