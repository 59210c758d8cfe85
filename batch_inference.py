"""A table scored with a registered model, chunk by chunk: a file in, the same file with the model's answers out.

Reads: a table file of raw columns, or a folder of Parquet parts; the model, the champion's served form unless another
is named; the rows it was trained on, to compare with.
Writes: the output file, whole or not at all; beside it, `<output>.rejected`, the rows that cannot be scored, with the
reason; a run with counts, latency, the input's digest, and drift as a table and a picture.
Parameters: `python batch_inference.py --help`.
Run: mlflow run . -e batch-inference -P input=new.parquet -P output=scores.parquet
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from loguru import logger
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from tqdm import tqdm

from config import BatchSettings
from tracking.datasets import Origin, download_artifact, log_dataset
from tracking.models import SERVICE, leave_check_to_pipeline
from tracking.reference import Reference, load_reference
from tracking.registry import find_version, only_champion
from tracking.runs import Lineage, stage_run
from tracking.store_errors import raise_if_of_store
from treeline import UserError
from treeline.data.chunks import WRITABLE, count_rows, file_digest
from treeline.data.drift import drift
from treeline.data.files import KINDS, exists, is_csv, is_remote, local_copy, path_kind
from treeline.data.tables import check_exists
from treeline.reporting.drift_plots import drift_panels
from treeline.reporting.fonts import legible
from treeline.secrets import without_secrets
from treeline.serving.outputs import check_apart, check_writable, rejected_path
from treeline.serving.scoring import Scorer, Tally, answers_beside, prepare_rows, score
from utils import command


@dataclass(frozen=True)
class Model:
    """A model to score with.

    Attributes:
        scorer: answers rows.
        reference: what its registered version is compared with; None for a model that Treeline did not register.
        tags: which model it is.
    """

    scorer: Scorer
    reference: Reference | None
    tags: dict[str, str]


def load(model_uri: str) -> Model:
    """Load the model to score with.

    Args:
        model_uri: any that MLflow loads as pyfunc; empty takes the served form of the only champion there is.

    Raises:
        UserError: there is no such model, or no champion or several.
    """
    uri, version = resolve(model_uri or f"models:/{only_champion('--model-uri')}{SERVICE.suffix}@champion")
    try:
        loaded = mlflow.pyfunc.load_model(uri)
    except Exception as error:  # whatever MLflow, skops and the classes they name raise for what cannot be loaded
        raise_if_of_store(error)
        raise UserError(
            f"Cannot load the model {uri}: {(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error
    predict, tags = partial(_predict, loaded), {"model_uri": without_secrets(uri)}
    if version is None or not Lineage.from_tags(version.tags).data_run_id:
        logger.warning(
            f"{uri} is no version that Treeline registered: its rows are not checked and drift is not measured"
        )
        return Model(Scorer(predict), None, tags)
    leave_check_to_pipeline(loaded)
    reference = load_reference(version)
    tags |= {"model_name": version.name, "model_version": str(version.version)}
    made = replace(Lineage.from_tags(version.tags), evaluation_run_id="")
    return Model(Scorer(predict, reference.problem, reference.train), reference, tags | made.tags())


def resolve(uri: str) -> tuple[str, ModelVersion | None]:
    """Look a model up once, for an alias may move at any time.

    Returns:
        A URI that goes on naming the same model, and the registered version; None for a model of another kind.

    Raises:
        UserError: there is no such version.
    """
    named = uri.removeprefix("models:/")
    if named == uri or not ("@" in named or "/" in named):
        return uri, None
    version = find_version(named)
    name = named.partition("@")[0] if "@" in named else named.rpartition("/")[0]
    return f"models:/{name}/{version.version}", version


def _predict(model: PyFuncModel, frame: pd.DataFrame) -> Any:
    """Let a model answer.

    Raises:
        UserError: it refuses the rows.
    """
    try:
        return model.predict(frame)
    except MlflowException as error:
        raise UserError(f"The model refuses the rows: {str(error.message).splitlines()[0]}") from error


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
    check_writable(output)
    if not is_remote(settings.input):
        if not exists(settings.input):
            raise UserError(f"No file {str(Path(settings.input).absolute())!r} to score.")
        check_exists(settings.input)
        check_apart(Path(settings.input), output)
        check_kinds(settings, Path(settings.input))
    elif settings.input.lower().endswith((*KINDS["csv"], *KINDS["parquet"])):
        check_kinds(settings, Path(settings.input.rpartition("/")[2]))
    return output


def check_kinds(settings: BatchSettings, source: Path) -> None:
    """Refuse to write a CSV as Parquet or the reverse; rows of other files go into either.

    Raises:
        UserError: names both.
    """
    kind = path_kind(source, settings.input)
    if kind in ("csv", "parquet") and (kind == "csv") != is_csv(settings.output):
        raise UserError(
            f"--input {settings.input!r} and --output {settings.output!r} must be of one kind, CSV or Parquet: "
            "the rows are written as they stand."
        )


def run(settings: BatchSettings) -> str:
    """Score a file; return the run id."""
    with ExitStack() as stack:
        active = stack.enter_context(stage_run("batch-inference", settings))
        output = check_paths(settings)
        source = stack.enter_context(local_copy(settings.input, download_artifact))
        check_kinds(settings, source)
        model = load(settings.model_uri)
        digest = file_digest(source)[:16]
        mlflow.set_tags({**model.tags, "input_digest": digest})

        start = time.perf_counter()
        with tqdm(total=count_rows(source) or None, desc="scoring", unit="row", unit_scale=True, disable=None) as bar:
            tally, sample = score(model.scorer, source, output, bar.update, settings.file())
        seconds = time.perf_counter() - start

        if tally.scored:
            log_dataset(sample, Origin(source.name, settings.input, digest), "scoring")
        log_tally(tally, seconds)
        for note in tally.notes:
            logger.info(note)
        logger.info(
            f"{tally.scored} of {tally.read} rows scored by {model.tags['model_uri']} in {seconds:.1f} s: {output}"
        )
        for old, new in tally.renamed.items():
            logger.info(f"the file has a column {old!r} of its own: the model's answer stands in {new!r}")
        if tally.reasons:
            log_rejected(tally, rejected_path(output))
        if model.reference is not None and len(model.reference.train) and tally.scored:
            log_drift(model.reference, sample)
        return str(active.info.run_id)


def log_tally(tally: Tally, seconds: float) -> None:
    """Log counts and latency."""
    mlflow.log_metrics(
        {
            "rows": tally.read,
            "rows_scored": tally.scored,
            "rows_rejected": tally.reasons.total(),
            "seconds": seconds,
            "rows_per_second": tally.scored / seconds,
        }
    )
    if tally.milliseconds:
        p50, p99 = np.percentile(tally.milliseconds, [50, 99])
        mlflow.log_metrics({"ms_per_1000_rows_p50": float(p50), "ms_per_1000_rows_p99": float(p99)})


def log_rejected(tally: Tally, apart: Path) -> None:
    """Log why rows were rejected, and tell where they lie."""
    reasons = pd.Series(tally.reasons, name="rows").sort_values(ascending=False)
    mlflow.log_text(reasons.to_csv(index_label="reason"), "rejected.csv")
    logger.warning(f"{reasons.sum()} rows cannot be scored and lie in {apart}; most often: {reasons.index[0]}")


def log_drift(reference: Reference, sample: pd.DataFrame) -> None:
    """Compare the scored rows with the training rows, and warn where they differ much.

    The answers are safe by now: what goes wrong here is told and noted on the run, and no more.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            found, answers = measure_drift(reference, sample, Path(folder))
        except Exception as error:  # of statistics or drawing, over whatever the rows hold
            reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:500]
            mlflow.set_tag("drift_failed", reason)
            logger.warning(f"drift could not be measured ({reason}); the rows are scored all the same")
            return
        mlflow.log_artifacts(folder)
    if not answers:
        logger.info("the model was never evaluated: its answers are compared with none")
    mlflow.log_metric("columns_drifting", int(found["drifts"].sum()))
    for row in found[found["drifts"]].head(10).itertuples():
        what = "The answer" if row.column in answers else "The column"
        logger.warning(f"{what} {row.column!r} drifts: {row.what}; see drift.csv and drift.png on the run")


def measure_drift(reference: Reference, sample: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Compare rows with the training rows, and the answers with those to the rows that judged the model: its answers to
    its own training rows are too sure of themselves. Write `drift.csv` and `drift.png`.

    Returns:
        The table that `treeline.data.drift.drift` gives, and the names of the answers that could be compared.
    """
    problem, answers = reference.problem, answers_beside(reference.answers, reference.problem.kinds)
    train, _ = prepare_rows(problem.rows(reference.train).reset_index(drop=True), problem)
    found = drift(train, sample, problem.kinds)
    if len(answers):
        names = answers.columns.intersection(sample.columns)
        numbers = [name for name in names if pd.api.types.is_float_dtype(answers[name])]
        kinds = {name: "number" if name in numbers else "category" for name in names}
        found = pd.concat([drift(answers, sample, kinds), found], ignore_index=True)
    before = {name: answers[name] if name in answers else train[name] for name in found["column"]}
    found.to_csv(folder / "drift.csv", index=False)
    with legible([*found["column"], *found["what"]]):
        drift_panels(found, before, sample).savefig(folder / "drift.png")
    return found, list(answers.columns) if len(answers) else []


def main(argv: Sequence[str] | None = None) -> int:
    """Score a file from the command line."""
    return command(BatchSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
