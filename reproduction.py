"""The chain that made a version, run again from its tags: is what comes out the same to the last digit?"""

import math

import mlflow
from loguru import logger
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

import data_preprocessing
import hyperparameters_tuning
from config import DataSettings, ReproduceSettings, Stage, TuningSettings
from tracking.models import requirements
from tracking.registry import chain_of, find_version
from tracking.runs import load_problem, load_split, stage_run
from treeline import UserError
from treeline.cpus import cpu_budget

TIMES = ("seconds", "system/", "cpu")  # metrics that say how long it took, not what came out


def reproduce(settings: ReproduceSettings) -> str:
    """Run the chain that made a version again from its tags and report what differs; return the run id.

    Nothing is registered: the model is fitted in memory and scored on the same test rows.

    Raises:
        UserError: the version is unknown, or what came out differs.
    """
    with stage_run("reproduce", settings) as active:
        version = find_version(settings.model)
        runs = chain_of(version)
        mlflow.set_tags({"model_name": version.name, "model_version": version.version})
        data = _settings_of(DataSettings, runs["data"])
        tuning = _settings_of(TuningSettings, runs["tuning"])
        trials = int(runs["tuning"].data.metrics["trials"])
        data_id = data_preprocessing.run(data)
        tuning_id = hyperparameters_tuning.run(
            tuning.model_copy(
                update={"data_run_id": data_id, "n_trials": trials, "timeout": 0, "study_name": "", "storage": ""}
            )
        )
        again = {"data": mlflow.get_run(data_id), "tuning": mlflow.get_run(tuning_id)}
        differs = _causes(runs, again)
        rows = _compare(version, runs, again)
        for name, before, after in rows:
            if before != after:
                differs.append(f"{name}: {before!r} before, {after!r} now")
        mlflow.log_dict({"compared": [list(row) for row in rows], "differs": differs}, "reproduction.json")
        mlflow.set_tag("reproduced", str(not differs).lower())
        for name, before, after in rows:
            print(f"  {'same  ' if before == after else 'DIFFERS'} {name: <24} {before!r}  {after!r}")
        if differs:
            raise UserError(
                f"{version.name} version {version.version} did not come out the same. {'; '.join(differs)}."
            )
        print(f"{version.name} version {version.version} is reproduced to the last digit.")
        return str(active.info.run_id)


def _compare(version: ModelVersion, runs: dict[str, Run], again: dict[str, Run]) -> list[tuple[str, object, object]]:
    """Give name, value before and value now of the digest, the search's results and the scores on the test rows."""
    rows: list[tuple[str, object, object]] = [
        ("data digest", runs["data"].data.tags["data_digest"], again["data"].data.tags["data_digest"])
    ]
    before, after = runs["tuning"].data.metrics, again["tuning"].data.metrics
    names = [name for name in before if not any(word in name for word in TIMES)]
    rows += [(name, before[name], after.get(name, math.nan)) for name in sorted(names)]
    best = {
        key: mlflow.artifacts.load_dict(f"{each['tuning'].info.artifact_uri}/best.json")
        for key, each in (("before", runs), ("now", again))
    }
    rows += [(f"best {key}", best["before"][key], best["now"][key]) for key in ("params", "rounds")]
    problem = load_problem(again["data"])
    train, test = (load_split(again["data"].info.run_id, side) for side in ("train", "test"))
    estimator = problem.estimator(best["now"]["params"], best["now"]["rounds"], cpu_budget())
    estimator.fit(problem.rows(train), train[problem.target])
    registered = mlflow.sklearn.load_model(f"models:/{version.name}/{version.version}")
    old, new = (problem.predictions(each, test).scores() for each in (registered, estimator))
    return rows + [(f"test {name}", old[name], new[name]) for name in old]


def _causes(runs: dict[str, Run], again: dict[str, Run]) -> list[str]:
    """Say what the chain was made of that is not the same now: code and packages; data shows in its digest."""
    causes = []
    tags = runs["training"].data.tags
    known, now = tags.get("packages", ""), " ".join(requirements())
    if known and known != now:
        changed = sorted(set(known.split()) ^ set(now.split()))
        causes.append(f"other package versions: {', '.join(changed)}")
    commit = "mlflow.source.git.commit"
    before, after = tags.get(commit, ""), again["tuning"].data.tags.get(commit, "")
    if before != after:
        logger.warning(f"the code is another: commit {before or 'unknown'} before, {after or 'unknown'} now")
    return causes


def _settings_of(settings: type[Stage], run: Run) -> Stage:
    """Read the settings that a stage's run was logged with."""
    logged = {name.replace("-", "_"): value for name, value in run.data.params.items()}
    return settings(**{name: logged[name] for name in settings.model_fields if name in logged})
