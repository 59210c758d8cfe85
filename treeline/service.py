"""The served form of a model: one row in, a `prediction` and one `probability_<class>` column a class out.

MLflow runs this file as model code (models from code: nothing is pickled); the fitted pipeline lies beside it as an
artifact. Nothing else imports it.
"""

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext


class Service(PythonModel):
    """Answers requests with the pipeline that lies among its artifacts as `pipeline`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the pipeline once, before the first request."""
        self.estimator = mlflow.sklearn.load_model(context.artifacts["pipeline"])

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame) -> pd.DataFrame:
        """Answer raw rows, in the columns that `treeline.model` gives them.

        Raises:
            MlflowException: the rows are not what the model wants; a server answers it with 400 and the sentence,
                where any other exception would be a stack trace.
        """
        from treeline import UserError  # not at the top: the package comes with the pipeline

        try:
            return self.estimator.answer(model_input)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


mlflow.models.set_model(Service())
