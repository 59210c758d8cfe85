"""What an evaluation finds: its tables, pictures and numbers, what failed, and what was left out."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import mlflow
import pandas as pd
from loguru import logger
from matplotlib.figure import Figure
from mlflow.entities import Run

from tracking.kept_files import load_document, reading
from tracking.store_errors import raise_if_of_store
from treeline.evaluation.intervals import Interval
from treeline.interruption import stop_if_wished

INTERVALS = "intervals.json"  # the ends of each metric, why there are none, and what to know about them


def log_intervals(found: Mapping[str, Interval]) -> None:
    """Log the interval of each metric on the active run, with its reasons and notes."""
    mlflow.log_dict({name: asdict(each) for name, each in found.items()}, INTERVALS)


def load_intervals(evaluation: Run) -> dict[str, Interval]:
    """Load the interval of each metric of an evaluation.

    Raises:
        StoreError: they cannot be read.
    """
    kept = load_document(evaluation.info.run_id, INTERVALS)
    with reading(evaluation.info.run_id, INTERVALS):
        return {name: Interval(**each) for name, each in kept.items()}


def told_of_few(values: Mapping[str, float]) -> str:
    """Say behind the champion's figures on how many rows they are measured, where that is not all; else nothing.

    Args:
        values: the metrics of an evaluation.
    """
    rows, every = values.get("rows_new_to_champion", 0), values.get("rows_evaluated", 0)
    return f" on {rows:.0f} rows" if 0 < rows < every else ""


@dataclass
class Findings:
    """What an evaluation has found so far; the card is made of it.

    Attributes:
        pictures: PNG bytes by file name without its ending.
        tables: by file name without its ending.
        values: single numbers.
        failed: parts that failed, and why.
        left_out: what there was no time or no ground for, in sentences.
    """

    pictures: dict[str, bytes] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def picture(self, name: str, figure: Figure) -> None:
        """Log a figure and keep it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.png"
            figure.savefig(path, dpi=100)
            self.pictures[name] = path.read_bytes()
            mlflow.log_artifact(str(path))

    def table(self, name: str, table: pd.DataFrame) -> None:
        """Log a table and keep it."""
        self.tables[name] = table
        mlflow.log_text(table.to_csv(index=False), f"{name}.csv")

    def leave_out(self, sentence: str) -> None:
        """Say what is missing because there was no time or no ground for it; it is the tag `left_out`."""
        self.left_out.append(sentence)
        logger.warning(sentence)
        mlflow.set_tag("left_out", "\n".join(self.left_out)[:5000])

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """Do a part of the evaluation; one that fails is named on the run, and the rest stands."""
        stop_if_wished()
        try:
            work()
        except Exception as error:  # whatever a picture or a table raises, the judgement does not hang on it
            raise_if_of_store(error)
            self.failed.append(f"{name}: {type(error).__name__}: {error}"[:500])
            logger.warning(f"{name} failed and is missing: {error}")
            mlflow.set_tag("failed_parts", "\n".join(self.failed)[:5000])
