"""What can be done with registered versions: restore an earlier champion, print a version's lineage, make it again.

Reads: the registry and the runs behind it.
Writes: rollback moves the aliases and the record; reproduce a run of its own with what it found; lineage nothing.
Parameters: `python model_registry.py rollback --help`, and so on for each entry point.
Run: mlflow run . -e rollback -P to-version=3
"""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import mlflow
from loguru import logger
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

import data_preprocessing
import hyperparameters_tuning
from aliases import aliased, crown, heal, record
from config import DataSettings, LineageSettings, ReproduceSettings, RollbackSettings, Stage, TuningSettings
from treeline import UserError, nearest
from treeline.budget import cpu_budget
from treeline.forms import requirements
from utils import choose_experiment, command, forms, load_problem, load_split, stage_run

TIMES = ("seconds", "system/", "cpu")  # metrics that say how long it took, not what came out


def find_version(model: str) -> ModelVersion:
    """Find a version by `NAME/3` or `NAME@champion`; any of the three forms' names stands for all.

    Raises:
        UserError: there is no such model, version or alias.
    """
    client = mlflow.MlflowClient()
    known = sorted(each.name for each in client.search_registered_models())
    name, at, alias = model.partition("@")
    if not at:
        name, _, version = model.rpartition("/")
    base = next((each for each in known if name in forms(each)), name)
    if base not in known:
        listed = ", ".join(known) or "none yet"
        raise UserError(
            f"No registered model {name!r}.{nearest(name, known)} Write NAME/3 or NAME@champion; got {model!r}. There "
            f"are: {listed}."
        )
    try:
        return client.get_model_version_by_alias(base, alias) if at else client.get_model_version(base, version)
    except MlflowException:
        found = client.search_model_versions(f"name = '{base}'")
        versions = ", ".join(sorted((str(each.version) for each in found), key=int))
        aliases = ", ".join(sorted(client.get_registered_model(base).aliases))
        raise UserError(
            f"{base} has no {'alias ' + alias if at else 'version ' + version}: its versions are {versions}; its "
            f"aliases {aliases}."
        ) from None


def rollback(settings: RollbackSettings) -> str:
    """Make an earlier version the champion again, under all three names; return the run id.

    Raises:
        UserError: there is no champion, nothing before it, or no such version under all names.
    """
    with stage_run("rollback", settings) as active:
        name = settings.model_name or _only_champion()
        if heal(name):
            logger.warning(f"an earlier move of the aliases of {name} was cut short; it is finished now")
        champion, previous = aliased(name, "champion"), aliased(name, "previous")
        if champion is None:
            raise UserError(f"{name} has no champion to roll back from: train and evaluate one first.")
        version = settings.to_version or (str(previous.version) if previous else "")
        if not version:
            raise UserError(
                f"{name} has had no champion before version {champion.version}: name one with --to-version."
            )
        for form in forms(name):
            find_version_of_form(form, version)
        if version == str(champion.version):
            raise UserError(f"Version {version} of {name} is the champion already.")
        crown(name, version, {"run_id": active.info.run_id, "why": "rollback"})
        mlflow.set_tags({"model_name": name, "model_version": version, "previous_version": str(champion.version)})
        logger.info(f"{name} version {version} is the champion again; it was version {champion.version}")
        return str(active.info.run_id)


def find_version_of_form(form: str, version: str) -> None:
    """Make sure that a registered model has a version.

    Raises:
        UserError: it has not.
    """
    try:
        mlflow.MlflowClient().get_model_version(form, version)
    except MlflowException:
        raise UserError(f"{form} has no version {version}: choose one that all three forms have.") from None


def lineage(settings: LineageSettings) -> str:
    """Print the chain that made a version and the record of its name; return the text."""
    choose_experiment()
    version = find_version(_named(settings.model))
    runs = chain_of(version)
    data, tuning, training = (runs[key] for key in ("data", "tuning", "training"))
    problem = load_problem(data)
    tags = training.data.tags
    aliases = ", ".join(sorted(version.aliases)) or "no alias"
    lines = [
        f"{version.name} version {version.version} ({aliases})",
        f"  table        {problem.table} from {problem.source}, digest {problem.digest}",
        f"  data run     {data.info.run_id}  {_settings_line(data)}",
        f"  tuning run   {tuning.info.run_id}  {_settings_line(tuning)}; best score "
        f"{tuning.data.metrics['best_score']:.6g}",
        f"  training run {training.info.run_id}  rounds {training.data.params.get('rounds', '')}",
        f"  git commit   {tags.get('mlflow.source.git.commit', 'unknown')}",
        f"  made with    {tags.get('packages', 'unknown')}",
        f"  evaluated    {version.tags.get('model_card', 'not yet')} {version.tags.get('decision', '')}".rstrip(),
        "Champions of this name",
        *(f"  {each['at']}  version {each['champion']}  {each['why']}" for each in record(version.name)),
    ]
    text = "\n".join(lines)
    print(text)
    return text


def reproduce(settings: ReproduceSettings) -> str:
    """Run the chain that made a version again from its tags and report what differs; return the run id.

    Nothing is registered: the model is fitted in memory and scored on the same test rows.

    Raises:
        UserError: the version is unknown, or what came out differs.
    """
    with stage_run("reproduce", settings) as active:
        version = find_version(_named(settings.model))
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


def chain_of(version: ModelVersion) -> dict[str, Run]:
    """Find the runs that made a version, by its tags: data, tuning and training.

    Raises:
        UserError: a tag or a run is missing.
    """
    try:
        return {key: mlflow.get_run(version.tags[f"{key}_run_id"]) for key in ("data", "tuning", "training")}
    except (KeyError, MlflowException) as error:
        raise UserError(
            f"The runs that made {version.name} version {version.version} are not in this store: {error}."
        ) from None


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


def _settings_line(run: Run) -> str:
    wanted = ("data", "target", "split", "seed", "n-trials", "folds")
    return ", ".join(f"{name} {run.data.params[name]}" for name in wanted if run.data.params.get(name))


def _named(model: str) -> str:
    if model:
        return model
    known = ", ".join(sorted(each.name for each in mlflow.search_registered_models())) or "none yet"
    raise UserError(f"Name a version with --model, such as NAME/3 or NAME@champion; the registered models are {known}.")


def _only_champion() -> str:
    """Find the one pipeline that has a champion.

    Raises:
        UserError: there is none, or there are several.
    """
    crowned = {each.name for each in mlflow.search_registered_models() if "champion" in each.aliases}
    found = sorted(name for name in crowned if set(forms(name)) <= crowned)
    if len(found) != 1:
        raise UserError(
            f"Name the model with --model-name: {len(found)} have a champion{': ' if found else ''}{', '.join(found)}."
        )
    return found[0]


ENTRY_POINTS: dict[str, tuple[type[Any], Callable[[Any], str]]] = {
    "rollback": (RollbackSettings, rollback),
    "lineage": (LineageSettings, lineage),
    "reproduce": (ReproduceSettings, reproduce),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the entry points, the first word of the command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in ENTRY_POINTS:
        known = ", ".join(ENTRY_POINTS)
        print(f"error: say what to do: {known}; got {words[0] if words else 'nothing'!r}.", file=sys.stderr)
        return 1
    settings, work = ENTRY_POINTS[words[0]]
    return command(settings, f"{__file__} {words[0]}", work, words[1:])


if __name__ == "__main__":
    sys.exit(main())
