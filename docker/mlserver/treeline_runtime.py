"""MLServer's runtime for MLflow models, reading the columns of a V2 request as `/invocations` reads those of a table.

Our models declare every column that is not of fractions as `Any`, for it may hold gaps. The runtime as it comes wants
each value of such a column as a string of JSON, and fails on a plain number. Here a column holds what it looks like:
numbers, booleans or text, and null where a value is missing.

Run: mlserver start <the folder of this file>, where model-settings.json names it
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.utils.proto_json_utils import cast_df_types_according_to_schema
from mlserver.codecs import PandasCodec  # type: ignore[import-not-found]
from mlserver.errors import InferenceError  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput  # type: ignore[import-not-found]
from mlserver_mlflow import MLflowRuntime  # type: ignore[import-not-found]


class Runtime(MLflowRuntime):
    """Serves a table's model; `/invocations`, `/ping` and the rest are the base's."""

    async def load(self) -> bool:
        """Load the model; its columns are described by what is sent, not by a way to encode it."""
        ready = await super().load()
        for column in [*self.inputs, *self.outputs]:
            column.parameters = None
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


def values(column: RequestInput) -> list[Any]:
    """Give the values of a column: text is bytes where gRPC brings it, and JSON where the column says so."""
    flat = np.array(column.data.root, dtype=object).ravel()
    plain = [each.decode() if isinstance(each, bytes) else each for each in flat]
    spelled = column.parameters and column.parameters.content_type == PandasCodec.JsonContentType
    return [json.loads(each) for each in plain] if spelled else plain
