# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first hour with Treeline
#
# From a table to a model that answers over HTTP, in plain calls: the four stages as functions, the runs they leave in
# MLflow, learning curves, the three forms of the model, a form of your own, the registry, a server.
#
# The table is the built-in breast-cancer one: a row is a tissue sample, the target says whether it is benign or
# malignant.
#
# Everything goes into a store of its own, the folder `notebooks/store`; the project's store stays as it is. Run the
# notebook from top to bottom, as often as you like: runs and versions then add up.

# %%
# %matplotlib inline
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
import timeit
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TRIALS = int(os.environ.get("TREELINE_TRIALS", "10"))  # more search longer and may find better

here = Path(globals().get("__file__", "modeling.ipynb")).resolve().parent
project = next(folder for folder in (here, *here.parents) if (folder / "MLproject").exists())
store = project / "notebooks" / "store"
store.mkdir(exist_ok=True)
os.chdir(store)  # MLflow puts artifacts into `mlruns` below the folder where it runs
for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
    del os.environ[name]  # whichever store the shell points at, this notebook keeps to its own
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store / 'mlflow.db'}"
sys.path.insert(0, str(project))
sys.stderr = sys.stdout  # the log between the results, in their order, and not in red
warnings.filterwarnings("ignore", "IProgress not found")  # progress bars as text are fine

import mlflow
import pandas as pd
import requests
import xgboost as xgb
from IPython.display import Image, display
from matplotlib.figure import Figure
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import model_training
from config import DataSettings, EvaluationSettings, TrainingSettings, TuningSettings
from tracking.datasets import load_problem, load_split
from tracking.models import requirements
from treeline.metrics import metrics_of
from utils import log_to_stderr

log_to_stderr()

# %% [markdown]
# ## 1. Data
#
# Each stage is a function: settings in, the id of its MLflow run out. A setting left out has its default, the same as
# on the command line; `python data_preprocessing.py --help` lists them all.
#
# This one reads the table, checks it, settles what each column is, and splits it; the test rows are for the evaluation
# alone. The derived column is computed inside the model, so nobody who asks the model has to compute it.

# %%
data_id = data_preprocessing.run(DataSettings(data="breast_cancer"))

data_run = mlflow.get_run(data_id)
problem = load_problem(data_run)
train = load_split(data_id, "train")
print("sizes  ", {name: int(size) for name, size in data_run.data.metrics.items()})
print("derived", problem.derived)
display(train[problem.target].value_counts().to_frame("training rows"))
display(train.head(3))

# %% [markdown]
# `profile.html` on this run shows every column; the last section says how to open it.
#
# ## 2. Search
#
# Optuna tries parameters, and each try is measured by cross-validation on the training rows: five folds, early stopping
# on their mean. The first trials are known good points, XGBoost's defaults and meta-tuned sets; a trial that falls
# behind is pruned. Every trial is a run nested under the run of this stage.
#
# `search_runs` gives a frame, one row a run, with columns `metrics.…`, `params.…` and `tags.…`; the store filters and
# sorts. These are the best five of the trials that went to their end.

# %% tags=["best"]
tuning_id = hyperparameters_tuning.run(TuningSettings(n_trials=TRIALS, data_run_id=data_id))

metric = mlflow.get_run(tuning_id).data.tags["metric"]
upwards = metrics_of(problem.task)[metric].greater_is_better
below = f"tags.`mlflow.parentRunId` = '{tuning_id}'"
best = mlflow.search_runs(
    experiment_names=["treeline"],
    filter_string=f"{below} and tags.state = 'COMPLETE'",
    order_by=[f"metrics.cv_{metric} {'DESC' if upwards else 'ASC'}"],
    max_results=5,
)
shown = {
    "tags.trial": "trial",
    f"metrics.cv_{metric}": metric,
    "metrics.rounds": "rounds",
    "metrics.seconds": "seconds",
    "params.learning_rate": "learning rate",
    "params.max_depth": "max depth",
}
table = best[list(shown)].rename(columns=shown).astype(float)
whole = dict.fromkeys(("trial", "rounds", "max depth"), int)
display(table.round({metric: 4, "seconds": 1, "learning rate": 4}).astype(whole).set_index("trial"))

# %% [markdown]
# ## 3. Curves
#
# Each trial logged its metrics after every boosting round, averaged over the folds: `log_loss` and, as `log_loss_std`,
# how much the folds differ; `cv_log_loss` is the value at the best round. `get_metric_history` reads such a curve back.
# The best five are coloured, with a dot at their best round; the others are grey.

# %%
client = mlflow.MlflowClient()


def curve(run_id: str, name: str) -> pd.Series:
    """Read a metric's values by boosting round."""
    history = client.get_metric_history(run_id, name)
    return pd.Series([point.value for point in history], [point.step for point in history]).sort_index()


trials = mlflow.search_runs(experiment_names=["treeline"], filter_string=below)
figure = Figure(figsize=(9, 4.5), layout="constrained")
axes = figure.subplots()
for run_id in set(trials["run_id"]) - set(best["run_id"]):
    values = curve(run_id, metric)
    axes.plot(values, color="#bbbbbb", linewidth=1)
for run_id, trial, rounds in best[["run_id", "tags.trial", "metrics.rounds"]].itertuples(index=False):
    values = curve(run_id, metric)
    (line,) = axes.plot(values, label=f"trial {trial}")
    axes.plot(rounds, values[rounds], "o", color=line.get_color())
axes.set(xscale="log", yscale="log", xlabel="boosting round", ylabel=f"{metric} in cross-validation")
axes.set_title("Learning curves of the trials")
axes.yaxis.set_major_formatter("{x:g}")
axes.yaxis.set_minor_formatter("{x:g}")
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
display(figure)

# %% [markdown]
# The same trials in the order they were run. The bar is the standard deviation over the folds at the best round: where
# bars overlap widely, the order of two trials says little. Hollow: pruned, with the value it then had.

# %%
trials["trial"] = trials["tags.trial"].astype(int)
trials = trials.sort_values("trial")
done, pruned = (trials[trials["tags.state"] == state] for state in ("COMPLETE", "PRUNED"))
best_rounds = zip(done["run_id"], done["metrics.rounds"], strict=True)
spread = [curve(run_id, f"{metric}_std")[rounds] for run_id, rounds in best_rounds]
reached = trials[f"metrics.cv_{metric}"].where(trials["tags.state"] == "COMPLETE")
so_far = (reached.cummax() if upwards else reached.cummin()).ffill()

figure = Figure(figsize=(9, 3.5), layout="constrained")
axes = figure.subplots()
axes.errorbar(done["trial"], done[f"metrics.cv_{metric}"], yerr=spread, fmt="o", capsize=3, label="trial")
axes.plot(pruned["trial"], pruned[f"metrics.cv_{metric}"], "o", mfc="none", color="#888888", label="pruned trial")
axes.step(trials["trial"], so_far, where="post", color="#dd8452", label="best so far")
axes.set(xlabel="trial", ylabel=metric, title="Trials compared", xticks=trials["trial"])
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
display(figure)

# %% [markdown]
# ## 4. The model
#
# Training fits once more, on all training rows, with the best parameters and the round count that cross-validation
# found, and registers the model in three forms. A picture that a stage logged is one call away:

# %%
training_id = model_training.run(TrainingSettings(data_run_id=data_id, tuning_run_id=tuning_id))

picture = mlflow.artifacts.download_artifacts(run_id=training_id, artifact_path="feature_importance.png")
display(Image(filename=picture, width=560))

# %% [markdown]
# ## 5. The verdict
#
# The evaluation loads the *registered* model and judges it on rows that training never saw. The model becomes
# `champion` if it earns it; else the tag `reasons` says why not. The first one here has only the dummy baseline to
# beat. Run the notebook again and the next model is held: made the same way from the same rows, it is no better.

# %%
evaluation_id = data_evaluation.run(EvaluationSettings(training_run_id=training_id))

evaluation = mlflow.get_run(evaluation_id).data
print("decision:", evaluation.tags["decision"], evaluation.tags["reasons"])
held_out = pd.DataFrame(
    {
        name: {
            "held out": evaluation.metrics[f"test_{name}"],
            "95 % from": evaluation.metrics[f"test_{name}_low"],
            "to": evaluation.metrics[f"test_{name}_high"],
            "XGBoost's defaults": evaluation.metrics[f"defaults_{name}"],
            "dummy": evaluation.metrics[f"dummy_{name}"],
        }
        for name in ("log_loss", "roc_auc", "accuracy")
    }
).T
display(held_out.round(4))

# %% [markdown]
# The interval says how far the value could have moved had other rows been held out. Take differences within it with
# care: on a table this small, the defaults of XGBoost may well fall inside.

# %%
figure = Figure(figsize=(9, 2), layout="constrained")
for axes, (name, row) in zip(figure.subplots(1, 3), held_out.iterrows(), strict=True):
    axes.plot([row["95 % from"], row["to"]], ["model", "model"], linewidth=5, alpha=0.3, solid_capstyle="butt")
    axes.plot(row["held out"], "model", "o", color="#1f77b4")
    axes.plot(row["XGBoost's defaults"], "defaults", "o", color="#dd8452")
    axes.set_title(f"{name} ({'more' if metrics_of(problem.task)[name].greater_is_better else 'less'} is better)")
    axes.margins(x=0.15, y=0.5)
    axes.spines[["top", "right"]].set_visible(False)
display(figure)

# %% [markdown]
# ## 6. One model, three forms
#
# | registered as | load it with | takes | gives |
# |---|---|---|---|
# | `CancerModel` | `mlflow.sklearn` | raw columns | `predict`: labels; `predict_proba`: an array, one column a class |
# | `CancerModelBooster` | `mlflow.xgboost` | a `DMatrix` of the features | the second class's probability |
# | `CancerModelService` | `mlflow.pyfunc` | raw columns | a frame: `prediction` and one `probability_<class>` a class |
#
# The first is for Python that wants scikit-learn's interface, the second for tools that know XGBoost, the third for
# whoever serves: it is what `mlflow models serve` and batch scoring load.

# %%
name, version = evaluation.tags["model_name"], evaluation.tags["model_version"]
pipeline = mlflow.sklearn.load_model(f"models:/{name}/{version}")
booster = mlflow.xgboost.load_model(f"models:/{name}Booster/{version}")
service = mlflow.pyfunc.load_model(f"models:/{name}Service/{version}")

test = load_split(data_id, "test")
rows = problem.rows(test).head(3)


def matrix(features: pd.DataFrame) -> xgb.DMatrix:
    """Hand a frame of features to XGBoost."""
    types = pipeline.features_.feature_types
    return xgb.DMatrix(features, feature_types=types, enable_categorical=True, nthread=1)


gives = {
    "pipeline.predict(rows)": pipeline.predict(rows),
    "pipeline.predict_proba(rows)": pipeline.predict_proba(rows),
    "booster.predict(matrix(pipeline.feature_frame(rows)))": booster.predict(matrix(pipeline.feature_frame(rows))),
    "service.predict(rows)": service.predict(rows),
}
for call, answer in gives.items():
    print(f"{call}: {type(answer).__name__} of shape {answer.shape}\n{answer}\n")

# %% [markdown]
# What a call costs: the median of repeated calls in this process, in milliseconds, on this machine at this moment. The
# booster is given its features ready and, as in the pipeline, one thread, for with all cores a few rows may take far
# longer. The other two make the features from the raw columns; pyfunc also holds every request against the model's
# signature, the columns and types it was registered with.


# %%
def milliseconds(call: Callable[[pd.DataFrame], Any], frame: pd.DataFrame) -> float:
    """Time a call: the median of fifty, after one that does not count."""
    call(frame)
    return 1000 * statistics.median(timeit.repeat(lambda: call(frame), number=1, repeat=50))


booster.set_param({"nthread": 1})
latency = {}
for n_rows in (1, 1000):
    raw = problem.rows(test).sample(n_rows, replace=True, random_state=0)
    latency[f"{n_rows:,} row{'s' if n_rows > 1 else ''}"] = {
        "booster: features to probabilities": milliseconds(
            lambda features: booster.predict(matrix(features)), pipeline.feature_frame(raw)
        ),
        "pipeline: raw columns to probabilities": milliseconds(pipeline.predict_proba, raw),
        "service: raw columns to the answer": milliseconds(service.predict, raw),
    }
display(pd.DataFrame(latency).round(2).rename_axis(columns="ms a call"))

# %% [markdown]
# ## 7. A form of your own
#
# Suppose you want the label only where the model is sure, and a person's judgement elsewhere. That is a custom pyfunc:
# a file with a class that has `predict`. MLflow keeps the file and runs it on loading; nothing is pickled.

# %%
source = project / "notebooks" / "cautious.py"
print(source.read_text())

# %% [markdown]
# Logged with the pipeline as an artifact, and with a signature that declares the answer and the parameter `confidence`,
# which a caller may send with a request.

# %%
signature = ModelSignature(
    inputs=service.metadata.signature.inputs,
    outputs=Schema([ColSpec(DataType.string, "decision"), ColSpec(DataType.double, "confidence")]),
    params=ParamSchema([ParamSpec("confidence", DataType.double, 0.9)]),
)
with mlflow.start_run(run_name="cautious"):
    logged = mlflow.pyfunc.log_model(
        name=f"{name}Cautious",
        python_model=str(source),
        artifacts={"pipeline": f"models:/{name}/{version}"},
        signature=signature,
        input_example=rows,
        pip_requirements=requirements(),
        registered_model_name=f"{name}Cautious",
    )
cautious = mlflow.pyfunc.load_model(logged.model_uri)
unsure = pipeline.predict_proba(problem.rows(test)).max(axis=1).argsort()[:3]  # the rows it is least sure of
display(cautious.predict(problem.rows(test).iloc[[*unsure, 0, 1]]))

# %% [markdown]
# How often it then answers, and how often it is right when it does. (These are the test rows, to show the trade: settle
# a threshold of yours on rows that you do not report on afterwards.)

# %%
trade = []
for confidence in (0.5, 0.8, 0.9, 0.95, 0.99):
    decision = cautious.predict(problem.rows(test), params={"confidence": confidence})["decision"]
    answered = decision != "ask a person"
    right = (decision == test[problem.target].astype(str))[answered].mean()
    trade.append({"confidence": confidence, "answered": answered.mean(), "right, of those": right})
display(pd.DataFrame(trade).set_index("confidence").round(3))

# %% [markdown]
# ## 8. The registry
#
# A registered model has versions, and aliases that point at them. Treeline moves `challenger`, `champion` and
# `previous` itself, on all three forms together. Descriptions, tags and aliases of your own are set by the client:

# %%
number = str(logged.registered_model_version)
client.update_registered_model(f"{name}Cautious", f"{name} that asks a person where it is not sure.")
client.update_model_version(f"{name}Cautious", number, f"Made in the notebook from {name} version {version}.")
client.set_model_version_tag(f"{name}Cautious", number, "made_from", f"{name}/{version}")
client.set_registered_model_alias(f"{name}Cautious", "trial", number)

assert mlflow.pyfunc.load_model(f"models:/{name}Cautious@trial").metadata.model_uuid == cautious.metadata.model_uuid

for each in [f"{name}{form}" for form in ("", "Booster", "Service", "Cautious")]:
    model = client.get_registered_model(each)
    aliases = ", ".join(f"{alias} = version {to}" for alias, to in sorted(model.aliases.items()))
    print(f"{each}: {aliases}\n    {model.description}")

# %% [markdown]
# The tags of a version lead back to the runs that made it, and so to the digest of the very rows:

# %%
champion = client.get_model_version_by_alias(f"{name}Service", "champion")
print(f"{name}Service version {champion.version}")
for key, value in champion.tags.items():
    print(f"  {key: <16} {value}")

# %% [markdown]
# ## 9. Serving
#
# `mlflow models serve` starts an HTTP server with the champion, here with this Python's packages and on a free port; in
# a terminal it is one command, which `make run` prints. `/ping` answers as soon as the model is loaded.


# %%
def answers(address: str) -> bool:
    """Tell whether a server is ready."""
    try:
        return requests.get(f"{address}/ping", timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def serving(model_uri: str) -> Iterator[str]:
    """Serve a model while the block runs; give the server's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model_uri]
    command += ["--env-manager", "local", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where MLflow finds uvicorn
    address, log, deadline = f"http://127.0.0.1:{port}", Path("serve.log"), time.monotonic() + 300
    with log.open("w") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "PATH": path}, start_new_session=True
        )
    try:
        while not answers(address):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The server did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


# %% [markdown]
# A request is a frame as `to_json(orient="split")` writes it, under the key `dataframe_split`. The answer must be the
# one that pyfunc gives in this process. A request that lacks a column is refused, and the message ends with its name.

# %% tags=["served"]
uri = f"models:/{name}Service@champion"
request = {"dataframe_split": json.loads(rows.to_json(orient="split", index=False, double_precision=15))}
with serving(uri) as address:
    response = requests.post(f"{address}/invocations", json=request, timeout=60)
    lacking = {"dataframe_records": rows.drop(columns=rows.columns[0]).to_dict("records")}
    refusal = requests.post(f"{address}/invocations", json=lacking, timeout=60)

print(json.dumps(response.json(), indent=2))

# %% tags=["refused"]
expected = mlflow.pyfunc.load_model(uri).predict(rows)
pd.testing.assert_frame_equal(pd.DataFrame(response.json()["predictions"]), expected, check_dtype=False, rtol=1e-6)
print(f"{refusal.status_code}: ... {refusal.json()['message'].rpartition('Error: ')[2]}")

# %% [markdown]
# ## 10. From here
#
# All that was logged is there to be looked at, first of all the model card: the artifact `model_card.html` on the run
# `data-evaluation`. In a terminal:

# %%
print(shlex.join(["mlflow", "ui", "--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"]]))

# %% [markdown]
# Your own table, if it is classes that you predict: `DataSettings(data="/whole/path/of/table.csv", target="column")` in
# section 1. Any table, from a terminal: `make run DATA=path/of/table.csv TARGET=column` does sections 1, 2, 4 and 5 in
# one go, in the project's store.
