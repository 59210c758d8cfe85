"""A model that declines: the label where the pipeline is sure enough of it, else "ask a person".

MLflow runs this file as model code (models from code: nothing is pickled); the fitted pipeline lies beside it as an
artifact. How sure is sure enough comes with each request, as the parameter `confidence`.
"""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext


class Cautious(PythonModel):
    """Answers with the pipeline that lies among its artifacts as `pipeline`, where that is sure enough."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the pipeline once, before the first request."""
        self.pipeline = mlflow.sklearn.load_model(context.artifacts["pipeline"])

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any]) -> pd.DataFrame:
        """Give `decision` and `confidence`, the probability of the most probable class, for each raw row."""
        probabilities = self.pipeline.predict_proba(model_input)
        confidence = probabilities.max(axis=1)
        labels = self.pipeline.classes_[probabilities.argmax(axis=1)].astype(str)
        decision = np.where(confidence >= params["confidence"], labels, "ask a person")
        return pd.DataFrame({"decision": decision, "confidence": confidence}, index=model_input.index)


mlflow.models.set_model(Cautious())
