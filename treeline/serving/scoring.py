"""Score a file with a model, chunk by chunk: the rows with their answers, and apart those that cannot be scored."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from treeline import UserError
from treeline.data.chunks import Chunk, chunks
from treeline.data.drift import sample_rows
from treeline.data.files import AS_IT_STANDS, FileSettings
from treeline.data.names import free_name
from treeline.data.problem import Problem
from treeline.data.sentences import refusal
from treeline.data.target import check_present
from treeline.data.values import read_column
from treeline.data.writing import atomic_writer
from treeline.interruption import stop_if_wished
from treeline.serving.outputs import rejected_path


@dataclass(frozen=True)
class Scorer:
    """A loaded model and what is known of the table that it was trained on.

    Attributes:
        predict: from raw rows to answers, in a frame or an array; raises UserError where it refuses them.
        problem: what it predicts; None for a model that Treeline did not register.
        train: a sample of its training rows; empty where it is not known.
    """

    predict: Callable[[pd.DataFrame], Any]
    problem: Problem | None = None
    train: pd.DataFrame = field(default_factory=pd.DataFrame)

    def answer(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the model's answers, one row each, under columns that begin with `prediction` or `probability`."""
        # By new numbers, for MLflow before 3.17 mixes up rows whose numbers are not 0, 1, 2 and so on.
        found = self.predict(frame.reset_index(drop=True))
        if isinstance(found, pd.DataFrame):
            return found.reset_index(drop=True)
        values = np.asarray(found)
        if values.ndim == 1:
            return pd.DataFrame({"prediction": values})
        return pd.DataFrame(values, columns=[f"prediction_{i}" for i in range(values.shape[1])])


@dataclass
class Tally:
    """What a batch came to.

    Attributes:
        read, scored: counts of rows.
        reasons: how many rows were rejected for each reason.
        milliseconds: that the model took for each chunk, a thousand rows of it.
        renamed: the answers whose names the file has taken, and what they are called beside it.
        notes: how the file was read, in sentences.
    """

    read: int = 0
    scored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare_rows(frame: pd.DataFrame, problem: Problem | None) -> tuple[pd.DataFrame, np.ndarray]:
    """Make rows ready for the model, and tell which cannot be scored.

    Args:
        frame: raw rows.
        problem: that names the model's columns; None takes the rows as they are.

    Returns:
        The rows in the model's columns, read; and why each row cannot be scored, empty where it can.
    """
    reasons = np.full(len(frame), "", dtype=object)
    if problem is None:
        return frame, reasons
    made = {}
    for name, kind in problem.kinds.items():
        made[name], strange = read_column(frame[name], kind, problem.reading(name))
        for i in np.flatnonzero(strange):
            reasons[i] = reasons[i] or refusal(name, kind, frame[name].iloc[i])
    return pd.DataFrame(made, index=frame.index, copy=False), reasons


def score(
    scorer: Scorer,
    source: Path,
    output: Path,
    on_rows: Callable[[int], object] = lambda rows: None,
    files: FileSettings = AS_IT_STANDS,
) -> tuple[Tally, pd.DataFrame]:
    """Score a file chunk by chunk into another; rows that cannot be scored go to `rejected_path(output)`.

    Args:
        scorer: the model.
        source: the file.
        output: appears when both files are whole, one of rejected rows from before is gone then; a name that the file
            has taken gets a `_` at its end.
        on_rows: told after each chunk how many rows it had.
        files: what the user says of the file.

    Returns:
        The tally, and a sample of the scored rows with their answers.

    Raises:
        UserError: a column is missing, the model refuses the rows, or no row can be scored.
        StoreError: a file cannot be written.
        KeyboardInterrupt: the process is to stop.
    """
    tally = Tally()
    with atomic_writer(output, rejected_path(output)) as (append, reject):

        def scored() -> Iterator[pd.DataFrame]:
            for chunk in chunks(source, files):
                stop_if_wished()
                tally.notes += chunk.notes
                found = _score_chunk(scorer, chunk, source.name, tally)
                append(_beside(chunk.raw.filter(found.reasons == ""), found.answers, tally))
                _reject(reject, chunk, found.reasons, tally)
                on_rows(len(found.reasons))
                yield pd.concat([found.rows, answers_beside(found.answers, found.rows.columns)], axis=1)

        sample = sample_rows(scored())
        if tally.read and not tally.scored:
            raise UserError(f"None of the {tally.read} rows can be scored: {tally.reasons.most_common(1)[0][0]}.")
    return tally, sample


@dataclass(frozen=True)
class _Scored:
    """A chunk's rows that could be scored, their answers, and why each other one could not (empty where it could)."""

    rows: pd.DataFrame
    answers: pd.DataFrame
    reasons: np.ndarray


def _score_chunk(scorer: Scorer, chunk: Chunk, name: str, tally: Tally) -> _Scored:
    if scorer.problem is not None:
        check_present(chunk.frame, scorer.problem.kinds, name)
    rows, reasons = prepare_rows(chunk.frame, scorer.problem)
    fine = reasons == ""
    start = time.perf_counter()
    answers = scorer.answer(rows[fine])
    if fine.any():
        tally.milliseconds.append(1e6 * (time.perf_counter() - start) / fine.sum())
    tally.read += len(fine) + len(chunk.broken)
    tally.scored += int(fine.sum())
    return _Scored(rows[fine].reset_index(drop=True), answers, reasons)


def answers_beside(answers: pd.DataFrame, columns: Collection[str]) -> pd.DataFrame:
    """Name answers so that they can stand beside rows: where the rows have a column `prediction`, the answer's is
    `prediction_`.
    """
    names: dict[str, None] = {}
    for name in answers.columns:
        names[free_name(name, {*columns, *names})] = None
    return answers.set_axis(list(names), axis=1)


def _beside(raw: pa.Table, answers: pd.DataFrame, tally: Tally) -> pa.Table:
    """Put the answers beside the rows; note which of them got another name."""
    named = answers_beside(answers, raw.column_names)
    for old, new in zip(answers.columns, named.columns, strict=True):
        raw = raw.append_column(new, pa.Array.from_pandas(named[new]))
        if new != old:
            tally.renamed[old] = new
    return raw


def _reject(reject: Callable[[pa.Table], None], chunk: Chunk, reasons: np.ndarray, tally: Tally) -> None:
    """Write rows apart, with their reasons; a line that is no row is kept within its reason."""
    apart, name = reasons != "", free_name("reason", chunk.raw.column_names)
    if apart.any():
        reject(chunk.raw.filter(apart).append_column(name, pa.array(reasons[apart], pa.string())))
    if chunk.broken:
        empty = [pa.nulls(len(chunk.broken), each.type) for each in chunk.raw.schema]
        rows = pa.table(empty, schema=chunk.raw.schema)
        reject(rows.append_column(name, pa.array(chunk.broken, pa.string())))
    tally.reasons.update(f"{each.partition(' holds ')[0]}:{each.rpartition(',')[2][:-1]}" for each in reasons[apart])
    tally.reasons.update("a line is no row" for _ in chunk.broken)
