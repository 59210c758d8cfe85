"""A table scored with a registered model, chunk by chunk: a file in, the same file with the model's answers out.

Reads: a CSV or Parquet file of raw columns; the model, the champion's served form unless another is named; the rows it
was trained on, to compare with.
Writes: the output file, whole or not at all; beside it, `<output>.rejected`, the rows that cannot be scored, with the
reason; a run with counts, latency, the input's digest and a table of drift.
Parameters: `python batch_inference.py --help`.
Run: mlflow run . -e batch-inference -P input=new.parquet -P output=scores.parquet
"""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from loguru import logger
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from config import BatchSettings
from tracking.registry import find_version, only_champion
from tracking.runs import find_run, load_problem, log_dataset, split_path, stage_run
from treeline import UserError
from treeline.data.chunks import WRITABLE, chunks, file_digest, is_csv
from treeline.data.drift import drift, sample_rows
from treeline.data.files import is_remote, local_copy
from treeline.data.problem import Problem
from treeline.reporting.plots import bars
from treeline.serving.scoring import Scorer, Tally, ready, rejected_path, score
from utils import command

ANSWERS = "answers.parquet"  # of the evaluation
LINEAGE = ("data_run_id", "tuning_run_id", "training_run_id", "data_digest")


def load(model_uri: str) -> tuple[Scorer, dict[str, str]]:
    """Load the model to score with.

    Args:
        model_uri: any that MLflow loads as pyfunc; empty takes the served form of the only champion there is.

    Returns:
        The scorer, and the tags that say which model it is.

    Raises:
        UserError: there is no such model, or no champion or several.
    """
    uri = model_uri or f"models:/{only_champion()}Service@champion"
    version = _version(uri)
    try:
        model = mlflow.pyfunc.load_model(uri)
    except (MlflowException, OSError) as error:
        raise UserError(f"Cannot load the model {uri}: {str(error).splitlines()[0]}") from error
    tags = {"model_uri": uri}
    if version is None or "data_run_id" not in version.tags:
        logger.warning(
            f"{uri} is no version that Treeline registered: its rows are not checked and drift is not measured"
        )
        return Scorer(model), tags
    tags |= {"model_name": version.name, "model_version": str(version.version)}
    tags |= {key: version.tags[key] for key in LINEAGE if key in version.tags}
    data_run = find_run("data-preprocessing", version.tags["data_run_id"])
    try:
        train = sample_rows(chunk.frame for chunk in chunks(split_path(data_run.info.run_id, "train")))
    except UserError as error:  # a model can be handed over without its rows; it scores all the same
        logger.warning(f"drift is not measured: {error}")
        train = pd.DataFrame()
    return Scorer(model, load_problem(data_run), train, _judged_answers(version)), tags


def check_paths(settings: BatchSettings) -> Path:
    """Hold input and output against what can be read and written, before anything is.

    Returns:
        The output's path.

    Raises:
        UserError: one is not given, of another kind than the other, missing, or the same file.
    """
    if not settings.input or not settings.output:
        raise UserError("Name the file to score with --input and the file to write with --output.")
    output = Path(settings.output)
    if is_remote(settings.output) or not output.name.lower().endswith(WRITABLE):
        raise UserError(
            f"--output got {settings.output!r}: it must be a local path that ends in {', '.join(WRITABLE)}."
        )
    if is_csv(settings.input) != is_csv(output.name):
        raise UserError(
            f"--input {settings.input!r} and --output {settings.output!r} must be of one kind, CSV or Parquet: "
            "the rows are written as they stand."
        )
    if not output.absolute().parent.is_dir():
        raise UserError(f"No folder {str(output.absolute().parent)!r} to write {output.name} in: make it first.")
    if not is_remote(settings.input):
        if not Path(settings.input).is_file():
            raise UserError(f"No file {str(Path(settings.input).absolute())!r} to score.")
        if output.exists() and output.samefile(settings.input):
            raise UserError(f"--output is the input itself, {settings.input!r}: name another file.")
    return output


def run(settings: BatchSettings) -> str:
    """Score a file; return the run id."""
    with ExitStack() as stack:
        active = stack.enter_context(stage_run("batch-inference", settings))
        output = check_paths(settings)
        source = stack.enter_context(local_copy(settings.input))
        scorer, tags = load(settings.model_uri)
        digest = file_digest(source)[:16]
        mlflow.set_tags({**tags, "input_digest": digest})
        start = time.perf_counter()
        tally, sample = score(scorer, source, output)
        seconds = time.perf_counter() - start
        if tally.scored:
            log_dataset(sample, settings.input, Path(settings.input).name, digest, "scoring")
        mlflow.log_metrics(
            {
                "rows": tally.read,
                "rows_scored": tally.scored,
                "rows_rejected": tally.reasons.total(),
                "seconds": seconds,
                "rows_per_second": tally.scored / seconds,
                **_latency(tally),
            }
        )
        logger.info(f"{tally.scored} of {tally.read} rows scored by {tags['model_uri']} in {seconds:.1f} s: {output}")
        if tally.reasons:
            reasons = pd.Series(tally.reasons, name="rows").sort_values(ascending=False)
            mlflow.log_text(reasons.to_csv(index_label="reason"), "rejected.csv")
            apart = rejected_path(output)
            logger.warning(f"{reasons.sum()} rows cannot be scored and lie in {apart}; most often: {reasons.index[0]}")
        if scorer.problem is not None and len(scorer.train) and tally.scored:
            _log_drift(scorer, scorer.problem, sample)
        return str(active.info.run_id)


def _version(uri: str) -> ModelVersion | None:
    """Find the registered version that a URI names; None for a model of another kind."""
    named = uri.removeprefix("models:/")
    return find_version(named) if named != uri and ("@" in named or "/" in named) else None


def _judged_answers(version: ModelVersion) -> pd.DataFrame:
    """Read what the model answered when it was evaluated; empty where it was not."""
    card = version.tags.get("model_card", "")
    if not card:
        return pd.DataFrame()
    return pd.read_parquet(mlflow.artifacts.download_artifacts(card.replace("model_card.html", ANSWERS)))


def _latency(tally: Tally) -> dict[str, float]:
    if not tally.milliseconds:
        return {}
    p50, p99 = np.percentile(tally.milliseconds, [50, 99])
    return {"ms_per_1000_rows_p50": float(p50), "ms_per_1000_rows_p99": float(p99)}


def _log_drift(scorer: Scorer, problem: Problem, sample: pd.DataFrame) -> None:
    """Compare the scored rows with the training rows, and the answers with those to the rows that judged the model: its
    answers to its own training rows are too sure of themselves. Warn where they differ much.
    """
    before, _ = ready(problem.rows(scorer.train).reset_index(drop=True), problem)
    found = drift(before, sample, problem.kinds)
    if len(scorer.answers):
        names = scorer.answers.columns.intersection(sample.columns)
        numbers = [name for name in names if pd.api.types.is_float_dtype(scorer.answers[name])]
        kinds = {name: "number" if name in numbers else "category" for name in names}
        found = pd.concat([drift(scorer.answers, sample, kinds), found], ignore_index=True)
    else:
        logger.info("the model was never evaluated: its answers are compared with none")
    mlflow.log_text(found.to_csv(index=False), "drift.csv")
    shown = found.dropna(subset="distance").set_index("column")["distance"].head(30)
    mlflow.log_figure(bars(shown, "Drift against the rows of training", "0 alike, 1 nothing in common"), "drift.png")
    mlflow.log_metric("columns_drifting", int(found["drifts"].sum()))
    for row in found[found["drifts"]].head(10).itertuples():
        what = "The answer" if row.column in scorer.answers.columns else "The column"
        logger.warning(
            f"{what} {row.column!r} drifts: distance {row.distance:.2f} from before, missing {row.missing_now:.0%} now "
            f"and {row.missing_before:.0%} then; see drift.csv on the run"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Score a file from the command line."""
    return command(BatchSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
