"""Bad inputs of every kind, given to every entry point: each ends in one sentence and the exit code of a mistake."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_inputs import Case, draw, prepare, settings_cases, store_cases, told, verdict
from conftest import Store

CASES = 250


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, run_chain: Callable[[str], Store]) -> Store:
    """A whole copy of the default table's chain, in which cases do damage and put it right again."""
    return prepare(run_chain("cancer"), tmp_path_factory.mktemp("bad") / "store")


@pytest.mark.store
@pytest.mark.parametrize("part", range(5))
def test_every_bad_input_ends_in_one_sentence(damaged: Store, part: int) -> None:
    found = [(case, verdict(case, damaged)) for case in draw(CASES)[part::5]]
    assert told(found) == "[]"


@pytest.mark.store
@pytest.mark.parametrize(
    "words",
    [
        ("--numeric=mean radius", "--categorical=mean radius"),
        ("--derive=target = `mean radius`",),
        ("--derive=x = 10**10**10",),
        ("--skip-rows=１-３", "--data=rows.csv", "--target=b"),
    ],
)
def test_what_was_taken_before_is_refused(damaged: Store, words: tuple[str, ...]) -> None:
    assert verdict(Case("taken before", "main", ("--dry-run=true", *words)), damaged) == ""


def test_the_generator_draws_what_its_seed_says() -> None:
    assert draw(100, seed=1) == draw(100, seed=1) != draw(100, seed=2)
    drawn = draw(1_000)
    assert len(set(drawn)) == 1_000
    assert len(Counter(case.kind for case in drawn)) > 30


@pytest.mark.store
def test_the_judge_sees_what_is_taken_by_mistake(damaged: Store, tmp_path: Path) -> None:
    good = next(case for case in settings_cases() if case.kind == "seed" and case.entry == "data-preprocessing")
    taken = type(good)("good", good.entry, ("--seed=1", "--dry-run=true"))
    assert verdict(taken, damaged).startswith("exit code 0")
    assert len(store_cases()) > 100
