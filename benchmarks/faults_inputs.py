"""Bad values, files, settings and environments given to every command, drawn as tests/bad_inputs.py knows them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bad_inputs import draw, prepare, verdict
from conftest import Store
from faults_chain import Command
from faults_outcome import Outcome
from faults_store import last_run_of

CASES = {True: 1000, False: 150}


def outcomes(full: bool, seed: int) -> Iterator[Outcome]:
    """Give each input to the command that it is meant for; it must end with a code and one sentence."""
    with tempfile.TemporaryDirectory() as base:
        chain = Path(base) / "chain"
        chain.mkdir()
        ended = Command(chain, "main", ("--n-trials", "2", "--folds", "2")).wait()
        if ended.code != 0:
            raise RuntimeError(f"the main job ended with {ended.code}: {ended.said[-2000:]}")
        source = Store(chain, last_run_of(chain / "mlflow.db", "main"))
        store = prepare(source, Path(base) / "here")
        outcome = Outcome("bad input")
        for case in draw(CASES[full], seed):
            wrong = verdict(case, store)
            outcome.note(str(case)[:300], [wrong] if wrong else [])
        yield outcome
