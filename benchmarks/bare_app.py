"""A bare FastAPI handler round the pipeline that `MODEL_URI` names: what `mlflow models serve` is measured against.

It reads the same JSON, `dataframe_split`, and gives the same, `predictions`; no signature is checked and no mistake
caught. Run: MODEL_URI=models:/CancerModel@champion uvicorn bare_app:app
"""

import json
import os

import mlflow
import pandas as pd
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

pipeline = mlflow.sklearn.load_model(os.environ["MODEL_URI"])
app = FastAPI()


def answer(body: bytes) -> str:
    """Answer one request."""
    asked = json.loads(body)["dataframe_split"]
    frame = pd.DataFrame(asked["data"], columns=asked["columns"])
    return json.dumps({"predictions": pipeline.answer(frame).to_dict(orient="records")})


@app.get("/ping")
async def ping() -> Response:
    """Say that the model is loaded."""
    return Response("\n")


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    """Answer in a thread, as MLflow does, so that the loop goes on reading other requests."""
    return Response(await run_in_threadpool(answer, await request.body()), media_type="application/json")
