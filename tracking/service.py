"""The served form of a model: one row in, a `prediction` and one `probability_<class>` column a class out.

MLflow runs this file as model code (models from code: nothing is pickled); the fitted pipeline lies beside it as an
artifact. Nothing else imports it.
"""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext


class Service(PythonModel):
    """Answers requests with the pipeline that lies among its artifacts as `pipeline`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the pipeline once, before the first request; it answers on one thread.

        The booster of a large table brings as many threads as it was trained with, which wait for each other on every
        row of a request.
        """
        self.estimator = mlflow.sklearn.load_model(context.artifacts["pipeline"])
        self.estimator.booster_.set_param({"nthread": 1})

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
        from treeline import UserError  # not at the top: the package comes with the pipeline

        try:
            return self.estimator.answer(_table(model_input))
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _table(asked: Any) -> pd.DataFrame:
    """Make a table of what was asked.

    Raises:
        MlflowException: it is none.
    """
    if isinstance(asked, pd.DataFrame):
        return asked
    if isinstance(asked, dict):  # lists, for pandas wants no array of arrays in a column
        asked = {
            name: np.atleast_1d(each).tolist() if isinstance(each, np.ndarray) else each for name, each in asked.items()
        }
    try:
        return pd.DataFrame(asked)
    except (ValueError, TypeError, AttributeError) as error:  # the three ways in which pandas says so
        raise MlflowException.invalid_parameter_value(f"The rows asked for are no table: {error}.") from error


mlflow.models.set_model(Service())
