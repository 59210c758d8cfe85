"""The chain that made a version, run again from its tags: is what comes out the same to the last digit?

The table is read, checked and split again, and the trials that the search recorded are trained again, in their order
and as far as they went: a search that ended by the clock, or ran in several processes, would draw others.

Reads: the registry and the runs behind a version.
Writes: a run with what it found, and below it the runs of the stages it made again, which are no stage's last run.
Parameters: `python reproduction.py --help`.
Run: mlflow run . -e reproduce -P model=CancerModel/1
"""

import csv
import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import mlflow
from loguru import logger
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

import data_preprocessing
import hyperparameters_tuning
import model_training
from config import DataSettings, ReproduceSettings, Stage, TrainingSettings, TuningSettings
from tracking.datasets import load_problem, load_split
from tracking.kept_files import load_best, load_text, reading
from tracking.models import requirements
from tracking.out_of_fold import load_out_of_fold
from tracking.promotion import load_pipeline
from tracking.registry import find_version
from tracking.runs import SETTINGS, Lineage, logged_settings, stage_run
from treeline import UserError
from treeline.cpus import cpu_budget
from treeline.evaluation.predictions import predict
from treeline.model.estimator import make_estimator
from treeline.secrets import lacks_secrets
from treeline.tuning.finalists import Finals
from treeline.tuning.replay import Recording
from utils import command

TRIALS = "trials.csv"  # of a tuning run
TIMES = ("seconds", "system/", "cpu")  # metrics that say how long it took, not what came out


@dataclass(frozen=True)
class Compared:
    """Something that must come out the same."""

    name: str
    reference: object
    current: object

    @property
    def same(self) -> bool:
        """Whether it did."""
        return self.reference == self.current


def run(settings: ReproduceSettings) -> str:
    """Run the chain that made a version again from its tags and report what differs; return the run id.

    Nothing is registered: the model is fitted in memory and judged on the same test rows.

    Raises:
        UserError: the version is unknown, or what came out differs.
    """
    with stage_run("reproduce", settings) as active:
        version = find_version(settings.model)
        runs = Lineage.from_tags(version.tags).runs()
        mlflow.set_tags({"model_name": version.name, "model_version": version.version})

        again = run_again(runs, settings.data)
        compared = compare(version, runs, again)
        differs = [*changed_packages(runs["training"]), *map(difference, (each for each in compared if not each.same))]
        warn_of_other_code(runs["training"], again["tuning"])

        mlflow.log_dict({"compared": [asdict(each) for each in compared], "differs": differs}, "reproduction.json")
        mlflow.set_tag("reproduced", str(not differs).lower())
        for each in compared:
            print(f"  {'same  ' if each.same else 'DIFFERS'} {each.name: <24} {each.reference!r}  {each.current!r}")
        known = f"{version.name} version {version.version}"
        if differs:
            raise UserError(f"{known} did not come out the same. {'; '.join(differs)}.")
        print(f"{known} is reproduced to the last digit.")
        return str(active.info.run_id)


def run_again(runs: Mapping[str, Run], place: str) -> dict[str, Run]:
    """Run the first two stages with the settings of earlier runs, and the trials that there were then.

    Args:
        runs: of a chain, by what they are.
        place: where the table is now; empty takes what was logged.

    Raises:
        UserError: what was logged lacks the password or signature of its URL.
    """
    data, tuning = settings_of(DataSettings, runs["data"]), settings_of(TuningSettings, runs["tuning"])
    data = data.model_copy(update={"data": place or data.data})
    if lacks_secrets(data.data):
        raise UserError(
            f"The table's URL was logged without its password or query, as {data.data}: give it whole with --data."
        )
    recorded = runs["tuning"].info.run_id
    table, best = load_text(recorded, TRIALS), load_best(recorded)
    with reading(recorded, TRIALS):
        trials = list(csv.DictReader(io.StringIO(table)))
        if not trials or not {"number", "state"} <= set(trials[0]):
            raise ValueError("it holds no trials")
    recording = Recording(trials, Finals(**best.get("finals", {})))
    data_id = data_preprocessing.run(data)
    new = {"data_run_id": data_id, "n_trials": len(trials), "timeout": 0, "study_name": "", "storage": ""}
    tuning_id = hyperparameters_tuning.run(tuning.model_copy(update=new), recording)
    return {"data": mlflow.get_run(data_id), "tuning": mlflow.get_run(tuning_id)}


def compare(version: ModelVersion, runs: Mapping[str, Run], again: Mapping[str, Run]) -> list[Compared]:
    """Compare the digest, what the search found, and the metrics on the test rows."""
    digests = (Lineage.from_tags(each["data"].data.tags).data_digest for each in (runs, again))
    found = [Compared("data digest", *digests)]
    reference, current = runs["tuning"].data.metrics, again["tuning"].data.metrics
    names = [name for name in sorted(reference) if not any(word in name for word in TIMES)]
    found += [Compared(name, reference[name], current.get(name, math.nan)) for name in names]
    then, now = (load_best(each["tuning"].info.run_id) for each in (runs, again))
    found += [Compared(f"best {key}", then[key], now[key]) for key in ("params", "rounds")]
    problem = load_problem(again["data"])
    train, test = (load_split(again["data"].info.run_id, side) for side in ("train", "test"))
    estimator = make_estimator(problem, now["params"], now["final_rounds"], cpu_budget(), now["level"])
    estimator.fit(problem.rows(train), train[problem.target], problem.weights(train))
    asked = settings_of(TrainingSettings, runs["training"]).answers()
    model_training.settle(estimator, problem, load_out_of_fold(train, again["tuning"].info.run_id), asked)
    registered = load_pipeline(version.name, str(version.version))
    old, new = (predict(problem, each, test).metrics() for each in (registered, estimator))
    return found + [Compared(f"test_{name}", old[name], new[name]) for name in old]


def difference(compared: Compared) -> str:
    """Say what differs."""
    return f"{compared.name}: {compared.reference!r} before, {compared.current!r} now"


def changed_packages(training: Run) -> list[str]:
    """Say which package versions are not those that a model was made with."""
    known, now = training.data.tags.get("packages", ""), " ".join(requirements())
    if not known or known == now:
        return []
    return [f"other package versions: {', '.join(sorted(set(known.split()) ^ set(now.split())))}"]


def warn_of_other_code(training: Run, tuning: Run) -> None:
    """Tell where the code's commit is another: data shows in its digest, code does not."""
    then, now = (run.data.tags.get("mlflow.source.git.commit", "") for run in (training, tuning))
    if then != now:
        logger.warning(f"the code is another: commit {then or 'unknown'} before, {now or 'unknown'} now")


def settings_of(settings: type[Stage], run: Run) -> Stage:
    """Read the settings that a stage's run was logged with.

    Raises:
        StoreError: they cannot be read.
    """
    logged: Mapping[str, Any] = logged_settings(run)
    with reading(run.info.run_id, SETTINGS):
        given = {name: logged[name] for name in settings.model_fields if name in logged}
        if not given:
            raise ValueError("it holds no setting of this stage")
        return settings(**given)


def main(argv: Sequence[str] | None = None) -> int:
    """Reproduce a version from the command line."""
    return command(ReproduceSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
