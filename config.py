"""Settings of every entry point: names, defaults, ranges, help.

A setting's default and range are written here alone; MLproject repeats the defaults and a test holds the two equal.
"""

import re
from dataclasses import fields
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from treeline.data.files import FileSettings
from treeline.data.names import wrong_model_name
from treeline.data.numbers import plain_number
from treeline.data.problem import AskedTask, Problem, TableSettings, check_split_column
from treeline.data.splits import SplitKind
from treeline.data.tables import BUILT_IN, check_exists, check_target_named
from treeline.evaluation.answers import AnswerSettings
from treeline.evaluation.criteria import Criteria, check_thresholds, parse_costs, parse_thresholds
from treeline.evaluation.thresholds import check_costs
from treeline.secrets import without_secrets
from treeline.tuning.objective import choose_metric
from treeline.tuning.schedule import MAX_SEED, MAX_TIMEOUT, MAX_TRIALS, AskedMetric, SearchSettings
from treeline.tuning.search_space import read_space
from treeline.tuning.storage import check_storage


def _number(value: Any) -> Any:
    """Refuse a number that no person spells so; its range is pydantic's to judge."""
    if isinstance(value, str):
        plain_number(value)
    return value


def _whole(value: Any) -> Any:
    """Let a whole number be spelled as `1e1` or `10.0`; anything else is pydantic's to judge."""
    if not isinstance(value, str):
        return value
    try:
        number = plain_number(value)
    except ValueError:
        raise ValueError("input should be a valid integer, such as 10 or 1e3") from None
    return int(number) if number.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]


def _model_name(name: str) -> str:
    """Refuse a name that a registered model cannot have; empty is none."""
    if why := wrong_model_name(name):
        raise ValueError(why)
    return name


def _version(version: str) -> str:
    """Refuse what is no version's number; empty is none."""
    if version and not re.fullmatch(r"[1-9][0-9]{0,8}", version):
        raise ValueError("a version is a whole number in plain digits, such as 3")
    return version


ModelName = Annotated[str, AfterValidator(_model_name)]
# Training and evaluation share it.
MODEL_NAME: str = Field(
    "",
    description="Registered model; empty: training names it after the table (CancerModel for the default one), "
    "evaluation takes what was trained last.",
)

COSTS: str = Field(
    AnswerSettings.costs, description="Costs of a binary decision, such as fp=1,fn=5; cells are tp, fp, fn, tn."
)


class Settings(BaseSettings):
    """What all stages share: settings come from the command line or the caller, never from the environment."""

    model_config = SettingsConfigDict(
        cli_kebab_case=True, cli_hide_none_type=True, extra="forbid", protected_namespaces=()
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out environment variables: `make run DATA=x` exports DATA, and a shell may hold anything."""
        return (init_settings,)

    @field_validator("*", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        """Refuse what no store, file system or page can hold: NUL, and bytes that are no text in this locale."""
        if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
            raise ValueError("input should be text, without NUL and bytes that are no UTF-8")
        return value

    def check(self) -> None:
        """Refuse what can be refused without the data, before a run is opened.

        Raises:
            UserError: names the setting, the value got and what is allowed.
        """

    def check_for(self, problem: Problem) -> None:
        """Refuse what the task does not have, as soon as the table is known.

        Raises:
            UserError: names the setting, the value got and what is allowed.
        """

    def parameters(self) -> dict[str, str]:
        """Give each setting by its name on the command line, as text for MLflow, without the secrets of URLs."""
        return {self.option(name): without_secrets(str(value)) for name, value in self.model_dump().items()}

    @classmethod
    def option(cls, name: str) -> str:
        """Spell a setting as it is on the command line, after the dashes."""
        return name.replace("_", "-") if cls.model_config["cli_kebab_case"] else name


class ReadingSettings(Settings):
    """How a table file is read, where that cannot be told from the file or is told wrong."""

    encoding: str = Field(
        FileSettings.encoding, description="Encoding of a text file, such as cp1252; empty tells it from the file."
    )
    skip_rows: str = Field(
        FileSettings.skip_rows,
        description="Rows of a file to leave out, counted from 1 as an editor or Excel shows them: 1-3 or 2,3.",
    )
    sheet: str = Field(FileSettings.sheet, description="Sheet of an Excel file; empty takes the only one with a table.")

    def check(self) -> None:
        """Refuse an encoding that nobody knows, and rows that are none."""
        super().check()
        self.file()

    def file(self) -> FileSettings:
        """Give what the core needs to read a file."""
        return FileSettings(**{each.name: getattr(self, each.name) for each in fields(FileSettings)})


class DataSettings(ReadingSettings):
    """Check and split a table; log its two sides."""

    data: str = Field(
        "breast_cancer",
        description="Table file (CSV, Parquet, Excel, JSON, Feather), a folder of Parquet parts, or a built-in table: "
        f"{', '.join(BUILT_IN)}.",
    )
    target: str = Field("", description="Column to predict; may be empty for a built-in table.")
    task: AskedTask = Field(TableSettings.task, description="What to predict; auto guesses from the target.")
    drop: str = Field(TableSettings.drop, description="Columns to leave out, separated by commas.")
    derive: str = Field(
        TableSettings.derive,
        description="Columns to add inside the model: `name = expression`, separated by semicolons.",
    )
    numeric: str = Field(
        TableSettings.numeric, description="Columns to read as numbers, separated by commas, where the guess is wrong."
    )
    categorical: str = Field(
        TableSettings.categorical, description="Columns to read as categories, such as codes spelled as numbers."
    )
    datetime: str = Field(TableSettings.datetime, description="Columns to read as dates or times.")
    text: str = Field(TableSettings.text, description="Columns to read as free text.")
    split: SplitKind = Field(
        TableSettings.split,
        description="How rows are split, folds too: stratified by class (a regression target at random), random, "
        "group (no group on both sides) or time (train before test).",
    )
    split_column: str = Field(TableSettings.split_column, description="Column of the groups or the times.")
    sample_weight: str = Field(
        TableSettings.sample_weight,
        description="Column of weights: how much each row counts, in training and in every metric.",
    )
    test_size: Number = Field(
        0.33, gt=0, lt=1, description="Share of the rows held out for the test, above 0 and below 1."
    )
    seed: Whole = Field(0, ge=0, le=MAX_SEED, description="Seed of every random choice, from 0.")
    dry_run: bool = Field(False, description="Print what would be done and do nothing.")

    def check(self) -> None:
        """Refuse a split without its column, a file that is not there, and a table of one's own without a target."""
        super().check()
        check_split_column(self.table())
        if self.data not in BUILT_IN:
            check_exists(self.data, BUILT_IN)
            check_target_named(self.data, self.target, self.file())

    def table(self) -> TableSettings:
        """Give what the core needs to read a table."""
        return TableSettings(**{each.name: getattr(self, each.name) for each in fields(TableSettings)})


class TuningSettings(Settings):
    """Search XGBoost's parameters by cross-validation on the training rows."""

    n_trials: Whole = Field(
        SearchSettings.n_trials, ge=1, le=MAX_TRIALS, description=f"Trials of the study, from 1 to {MAX_TRIALS}."
    )
    timeout: Number = Field(
        SearchSettings.timeout,
        ge=0,
        le=MAX_TIMEOUT,
        description=f"Seconds after which tuning ends, from 0 to {MAX_TIMEOUT} (a year); 0 sets no limit.",
    )
    metric: AskedMetric = Field(
        SearchSettings.metric, description="Metric to optimise; auto is log_loss, or rmse for regression."
    )
    folds: Whole = Field(SearchSettings.folds, ge=2, description="Folds of the cross-validation, from 2.")
    search_space: str = Field(
        "", description="YAML file that narrows, fixes or widens the built-in search space; empty keeps it."
    )
    study_name: str = Field(
        "", description="Name of the study; the same name goes on with a study that was interrupted. Empty makes one."
    )
    storage: str = Field(
        "", description="Optuna storage URL of the study; empty keeps it in a file in the folder studies, by the store."
    )
    data_run_id: str = Field("", description="Run of data-preprocessing to read; empty takes the last finished one.")
    seed: Whole = Field(SearchSettings.seed, ge=0, le=MAX_SEED, description="Seed of every random choice, from 0.")

    def search(self) -> SearchSettings:
        """Give what the core needs to search; the search space is read from its file.

        Raises:
            UserError: the file is unreadable, or what it asks for is not legal.
        """
        given = {each.name: getattr(self, each.name) for each in fields(SearchSettings)}
        return SearchSettings(**given | {"search_space": read_space(self.search_space)})

    def check(self) -> None:
        """Refuse a search space and a storage that cannot be."""
        super().check()
        read_space(self.search_space)
        check_storage(self.storage, self.study_name)

    def check_for(self, problem: Problem) -> None:
        """Refuse a metric of another task."""
        super().check_for(problem)
        choose_metric(self.metric, problem.task)


class TrainingSettings(Settings):
    """Fit the final pipeline on all training rows with the tuned parameters; register it."""

    model_name: ModelName = MODEL_NAME
    data_run_id: str = Field("", description="Run of data-preprocessing to read; empty takes the one that tuning read.")
    tuning_run_id: str = Field(
        "", description="Run of hyperparameters-tuning to read; empty takes the last finished one."
    )
    threshold: str = Field(
        "",
        description="Of two classes, the probability from which a row is labelled as the second: a number, f1 or cost "
        "(the best out of fold); empty labels each row by the more probable one.",
    )
    costs: str = COSTS
    interval: Number = Field(
        AnswerSettings.interval,
        ge=0,
        lt=1,
        description="Of a regression, the share of new rows that intervals beside the predictions are to hold, such as "
        "0.9; 0 makes none.",
    )

    def answers(self) -> AnswerSettings:
        """Give what the core needs to settle a threshold or intervals."""
        return AnswerSettings(**{each.name: getattr(self, each.name) for each in fields(AnswerSettings)})

    def check(self) -> None:
        """Refuse a threshold and costs that cannot be read."""
        super().check()
        self.answers()

    def check_for(self, problem: Problem) -> None:
        """Refuse a threshold of more than two classes, and intervals of classes."""
        super().check_for(problem)
        self.answers().check_task(problem.task)


class EvaluationSettings(ReadingSettings):
    """Score the registered model on rows that training never saw; promote it if it earns it."""

    eval_dataset: str = Field("", description="Labelled table file to judge by; empty takes the logged test rows.")
    model_name: ModelName = MODEL_NAME
    promote: Literal["better", "not-worse", "always", "never"] = Field(
        "better",
        description="Against the champion, on the same rows: surely better, or surely not worse; always and never ask "
        "nothing of it.",
    )
    margin: Number = Field(
        0,
        allow_inf_nan=False,
        ge=0,
        description="How much worse than the champion is still not worse, in units of the metric, from 0.",
    )
    min_score: str = Field("", description="Thresholds to hold, such as accuracy=0.9,log_loss=0.3.")
    costs: str = COSTS
    training_run_id: str = Field(
        "", description="Run of model-training whose model is judged; empty follows model-name."
    )

    def criteria(self, metric: str) -> Criteria:
        """Give what a model must reach, the metric of its search being what decides."""
        return Criteria(metric, parse_thresholds(self.min_score), self.promote, self.margin)

    def check(self) -> None:
        """Refuse thresholds and costs that cannot be read, and a file that is not there."""
        super().check()
        parse_thresholds(self.min_score)
        parse_costs(self.costs)
        if self.eval_dataset:
            check_exists(self.eval_dataset)

    def check_for(self, problem: Problem) -> None:
        """Refuse thresholds and costs that the task does not have."""
        super().check_for(problem)
        check_thresholds(parse_thresholds(self.min_score), problem.task)
        check_costs(parse_costs(self.costs), problem.task)


class MainSettings(EvaluationSettings, TrainingSettings, TuningSettings, DataSettings):
    """Preprocess, tune, train and evaluate in one process, under one parent run; a run id given skips its stage."""

    def of(self, stage: type["Stage"], **given: str) -> "Stage":
        """Give one stage its settings, with the run ids that the chain hands on."""
        return stage(**{name: getattr(self, name) for name in stage.model_fields} | given)


class SweepSettings(Settings):
    """Run the chain for each combination of parameters, as a Hydra multirun."""

    model_config = SettingsConfigDict(cli_kebab_case=False)  # the name of its parameter is Hydra's way of spelling

    hydra_options: str = Field(
        "",
        description="Parameters of main in Hydra's grammar, underscores for hyphens: -m n_trials=5,10 or "
        "seed=range(0,3); hydra/launcher=joblib runs the combinations side by side.",
    )


class BatchSettings(ReadingSettings):
    """Score a file with a registered model."""

    input: str = Field(
        "", description="Table file to score, or a folder of Parquet parts: a path, a URL or an MLflow artifact."
    )
    output: str = Field(
        "",
        description="File to write: the rows with the model's answers, as CSV where the input is one, as Parquet where "
        "it is that, else as either.",
    )
    model_uri: str = Field(
        "", description="Model to score with; empty takes NAMEService@champion of the only model that has a champion."
    )


class RollbackSettings(Settings):
    """Make an earlier version the champion again."""

    model_name: ModelName = Field("", description="Registered model; empty takes the only one that has a champion.")
    to_version: Annotated[str, AfterValidator(_version)] = Field(
        "", description="Version to restore, such as 3; empty takes the previous champion."
    )


class LineageSettings(Settings):
    """Print the chain that made a version, and the history of its name."""

    model: str = Field("", description="Version of a registered model: NAME/3 or NAME@champion.")


class ReproduceSettings(Settings):
    """Run the chain that made a version again and compare what comes out."""

    model: str = Field("", description="Version of a registered model: NAME/3 or NAME@champion.")
    data: str = Field(
        "", description="Where the table is, if it was moved or its URL held a secret; empty takes what was logged."
    )


class ExportSettings(Settings):
    """Pack a version with the runs that made it into one folder or zip."""

    model: str = Field("", description="Version of a registered model: NAME/3 or NAME@champion.")
    output: str = Field("", description="Folder to make, or a zip where the name ends in .zip.")
    rows: bool = Field(True, description="Pack the training and test rows too; evaluation and drift need them.")


class ImportSettings(Settings):
    """Register the version that a bundle holds, with its runs."""

    input: str = Field("", description="Folder or zip that export-model made.")


class RelocateSettings(Settings):
    """Find the artifacts again after the project folder was moved."""


class PruneSettings(Settings):
    """List what nothing needs any more, with its size, and delete it after a yes."""

    yes: bool = Field(False, description="Delete without asking.")
    days: Whole = Field(30, ge=0, description="What was deleted, changed or used in so many last days stays, from 0.")


Stage = TypeVar("Stage", bound=Settings)
