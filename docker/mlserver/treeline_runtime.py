"""MLServer's runtime for MLflow models, reading the columns of a V2 request as `/invocations` reads those of a table.

Our models declare every column as `Any`. The runtime as it comes wants each value of such a column as a string of JSON,
and fails on a plain number. Here a column holds what it looks like: numbers, booleans or text, and null where a value
is missing.

Run: mlserver start <the folder of this file>, where model-settings.json names it
"""

import functools
import json
from collections.abc import Callable
from typing import Any

import mlserver_mlflow.runtime  # type: ignore[import-not-found]
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from mlflow.utils.proto_json_utils import cast_df_types_according_to_schema
from mlserver.codecs import PandasCodec  # type: ignore[import-not-found]
from mlserver.errors import InferenceError  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput  # type: ignore[import-not-found]
from mlserver_mlflow import MLflowRuntime


class Runtime(MLflowRuntime):
    """Serves a table's model; `/invocations`, `/ping` and the rest are the base's."""

    async def load(self) -> bool:
        """Load the model; its columns are described by what is sent, not by a way to encode it."""
        ready = await super().load()
        for column in [*self.inputs, *self.outputs]:
            column.parameters = None
        # A model of ours has replaced these two in MLflow by now; the base imported them before.
        for reader in ("parse_csv_input", "infer_and_parse_data"):
            setattr(mlserver_mlflow.runtime, reader, refusing(getattr(scoring_server, reader)))
        return bool(ready)

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a V2 request.

        Raises:
            InferenceError: the columns are none that the model takes; the caller sees status 400 and the reason.
        """
        try:
            table = pd.DataFrame({column.name: values(column) for column in payload.inputs})
            answer = self._model.predict(cast_df_types_according_to_schema(table, self._input_schema))
        except MlflowException as error:
            raise InferenceError(error.message) from error
        except Exception as error:  # whatever the model says of these rows; it comes with classes of its own
            raise InferenceError(str(error)) from error
        text = answer.select_dtypes("str").columns  # pandas 3's own type of text, which the codec does not know
        return PandasCodec.encode_response(self.name, answer.astype(dict.fromkeys(text, object)), self.version)


def refusing(reader: Callable[..., Any]) -> Callable[..., Any]:
    """Let a reader of `/invocations` answer what it cannot read with 400 and the reason."""

    @functools.wraps(reader)
    def read(*args: Any, **kwargs: Any) -> Any:
        try:
            return reader(*args, **kwargs)
        except MlflowException as error:
            raise InferenceError(error.message) from error

    return read


def values(column: RequestInput) -> list[Any]:
    """Give the values of a column: text is bytes where gRPC brings it, and JSON where the column says so; whole numbers
    beyond 2^53 are spelled, for beside a gap pandas would make floats of them.
    """
    flat = np.array(column.data.root, dtype=object).ravel()
    plain = [each.decode() if isinstance(each, bytes) else each for each in flat]
    spelled = column.parameters and column.parameters.content_type == PandasCodec.JsonContentType
    read = [json.loads(each) for each in plain] if spelled else plain
    return [str(each) if isinstance(each, int) and abs(each) > 2**53 else each for each in read]
