"""The served form of a model: one row in, a `prediction` and one `probability_<class>` column a class out.

MLflow runs this file as model code (models from code: nothing is pickled); the fitted pipeline lies beside it as an
artifact. Nothing else imports it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types.schema import AnyType, Schema


class Service(PythonModel):
    """Answers requests with the pipeline that lies among its artifacts as `pipeline`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the pipeline once, before the first request; it answers on one thread.

        The booster of a large table brings as many threads as it was trained with, which wait for each other on every
        row of a request.
        """
        self.estimator = mlflow.sklearn.load_model(context.artifacts["pipeline"])
        self.estimator.set_threads(1)
        _keep_cells(self.estimator.feature_names_in_)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame) -> pd.DataFrame:
        """Answer raw rows, in the columns that the estimator gives them.

        Args:
            context: unused.
            model_input: a frame; or what a server that leaves the check of a request to us makes of its `inputs`, a
                list of records or a column of values a name. Annotated as a frame, for MLflow warns of any other.

        Raises:
            MlflowException: the rows are not what the model wants; a server answers it with 400 and the sentence,
                where any other exception would be a stack trace.
        """
        from treeline.serving.requests import json_table  # not at the top: the package comes with the pipeline

        with _refusing():
            return self.estimator.answer(_rows_of_text(json_table(model_input)))


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn the sentence of a mistake into what a server answers with 400.

    Raises:
        MlflowException: with the sentence.
    """
    from treeline import UserError

    try:
        yield
    except UserError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from error


def _rows_of_text(asked: pd.DataFrame) -> pd.DataFrame:
    """Undo what MLflow's check makes of columns that are all lists of text: one row, whose cells are those lists."""
    if len(asked) != 1 or not all(isinstance(each, list) for each in asked.iloc[0]):
        return asked
    return asked.explode(list(asked.columns), ignore_index=True) if len({*map(len, asked.iloc[0])}) == 1 else asked


# --- what MLflow's server reads, before the model sees it


def _keep_cells(columns: Any) -> None:
    """Let MLflow's scoring server, where one runs in this process, hand requests to our models as they were written.

    It reads CSV by pandas' guess, which makes 501 of `00501` and a gap of `None`, and JSON by arrays, where a number
    beside text becomes text. There is no setting for it, and `predict` comes too late to know what was sent. So its
    two readers are replaced, for models whose columns are ours: all `Any`, or not declared.
    """
    try:
        from mlflow.pyfunc import scoring_server
    except ImportError:  # what a server needs is not installed, and so none runs
        return
    for name, make in (("parse_csv_input", _csv_reader), ("infer_and_parse_data", _json_reader)):
        reader = getattr(scoring_server, name, None)
        if reader is None:  # an MLflow that reads requests in another way
            continue
        if not hasattr(reader, "treeline_columns"):  # else a model that was loaded before has it replaced
            known: set[str] = set()
            reader = make(reader, known)
            reader.treeline_columns = known
            setattr(scoring_server, name, reader)
        reader.treeline_columns.update(columns)


def _csv_reader(theirs: Any, columns: set[str]) -> Any:
    def parse_csv_input(csv_input: Any, schema: Schema | None = None) -> pd.DataFrame:
        if not _is_ours(schema, columns):
            return theirs(csv_input=csv_input, schema=schema)
        from treeline.serving.requests import csv_table

        text = csv_input.read() if hasattr(csv_input, "read") else Path(csv_input).read_text(encoding="utf-8")
        with _refusing():
            return csv_table(text, columns)

    return parse_csv_input


def _json_reader(theirs: Any, columns: set[str]) -> Any:
    def infer_and_parse_data(data: Any, schema: Schema | None = None) -> Any:
        if not _is_ours(schema, columns):
            return theirs(data, schema)
        from treeline.serving.requests import check_size, check_split, json_table, spell_large

        with _refusing():
            data = spell_large(data)
            check_split(data.get("dataframe_split"))
            check_size(data.get("dataframe_records"))
            asked = next(iter(data.values())) if list(data) in (["inputs"], ["instances"]) else theirs(data, schema)
            return json_table(asked)

    return infer_and_parse_data


def _is_ours(schema: Schema | None, columns: set[str]) -> bool:
    """Tell whether a model's columns are those of ours: all `Any`; or none, as in a copy that is served unchecked."""
    return schema is None or (
        schema.has_input_names()
        and columns.issuperset(schema.input_names())
        and all(isinstance(each.type, AnyType) for each in schema.inputs)
    )


mlflow.models.set_model(Service())
