"""A command line: parse it, run what it asks for, end with one sentence and an exit code."""

import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import optuna
from loguru import logger
from pydantic import ValidationError
from pydantic_settings import CliApp, CliSettingsSource, SettingsError

from config import Settings, Stage
from tracking.adoption import close_unused_run
from tracking.closing import close_abandoned_runs
from tracking.store import open_store
from tracking.store_errors import store_error
from treeline import RefusedError, StoreError, UserError, interruption, nearest
from treeline.data.names import one_line
from treeline.secrets import without_secrets

if TYPE_CHECKING:
    from loguru import Record

# The exit codes of every command; docs/use-the-model.md tells them.
DONE, MISTAKE, COMMAND_LINE, REFUSED, STORE, INTERRUPTED = 0, 1, 2, 3, 4, 130

MAX_SENTENCE, MAX_WORD = 900, 200  # signs of what is told at the end, and of a word in it
MAX_TEXT = 20_000  # signs of a sentence that are looked through

# Libraries whose INFO lines narrate their set-up: migrations, a new experiment, monitoring threads, loading a model.
QUIET = (
    "alembic",
    "mlflow.tracking.fluent",
    "mlflow.system_metrics",
    "mlflow.pyfunc",
    "mlflow.models",
)


def command(
    settings: type[Stage], script: str, run: Callable[[Stage], object], argv: Sequence[str] | None = None
) -> int:
    """Run a stage from the command line.

    Returns:
        0 where it is done, a model that is held among it; after one sentence on stderr 1 where the user can mend what
        went wrong, 2 where the command line is wrong, 3 where the gate refuses the model, 4 where the store or its
        server cannot be reached; 130 where it was interrupted.
    """
    log_to_stderr()
    listen_for_stops()
    try:
        given = parse(settings, Path(script).name, argv)
        given.check()
    except UserError as error:
        return ended(error, STORE if isinstance(error, StoreError) else COMMAND_LINE)
    try:
        open_store()
        close_abandoned_runs()
        run(given)
    except RefusedError as error:
        return ended(error, REFUSED)
    except StoreError as error:
        return ended(error, STORE)
    except UserError as error:
        return ended(error, MISTAKE)
    except KeyboardInterrupt:
        close_unused_run("It was interrupted.")
        print(
            "interrupted: what was running is closed; a study goes on when its --study-name is given", file=sys.stderr
        )
        return INTERRUPTED
    except Exception as error:
        told = store_error(error)  # anything else is a defect, of which the traceback tells
        if told is None:
            raise
        return ended(told, STORE)
    close_unused_run()
    return DONE


def listen_for_stops() -> None:
    """Let Ctrl-C and a scheduler's stop end the process where nothing is half done, and the second of them at once."""

    def stop(number: int, frame: object) -> None:
        if interruption.wished():
            os._exit(INTERRUPTED)
        interruption.wish()
        os.write(2, b"\nstopping as soon as nothing is half done; stop it once more to end at once\n")

    interruption.withdraw()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)


def _hide_secrets(record: "Record") -> None:
    record["message"] = without_secrets(record["message"])


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))


def ended(error: UserError, code: int) -> int:
    """Tell what went wrong as the last line of stderr, and give the exit code."""
    if code != STORE:
        close_unused_run(str(error))
    text = str(error)
    if len(text) > MAX_TEXT:
        text = f"{text[: MAX_TEXT // 2]} [...] {text[-MAX_TEXT // 2 :]}"
    print(f"error: {brief(without_secrets(text))}", file=sys.stderr)
    return code


def brief(text: str) -> str:
    """Put a sentence on one line that a terminal can show, with the ends alone of what a user gave and is very long."""
    line = one_line(re.sub(r"\s*[\r\n]\s*", " ", text))
    line = re.sub(rf"\S{{{MAX_WORD},}}", lambda word: f"{word[0][:80]}[{len(word[0])} signs]{word[0][-20:]}", line)
    if len(line) <= MAX_SENTENCE:
        return line
    return f"{line[: MAX_SENTENCE * 2 // 3]} [...] {line[-MAX_SENTENCE // 4 :]}"


def parse(settings: type[Stage], script: str, argv: Sequence[str] | None = None) -> Stage:
    """Read a command line into settings.

    Args:
        settings: the stage's class.
        script: the file it runs as, for `--help`.
        argv: the arguments; None takes the process's own.

    Raises:
        UserError: an unknown parameter, or a value outside its range; names it, the value got and what is allowed.
    """
    arguments = _flags(settings, list(sys.argv[1:] if argv is None else argv))
    _refuse_unknown(settings, arguments)
    source = CliSettingsSource[Any](settings, cli_prog_name=script, cli_exit_on_error=False, cli_parse_none_str="\0")
    try:
        return CliApp.run(settings, cli_args=arguments, cli_settings_source=source)
    except SettingsError as error:
        reason = str(error).removeprefix("error parsing CLI: ")
        raise UserError(f"Cannot read the command line: {reason}. See python {script} --help.") from None
    except ValidationError as error:
        raise UserError(" ".join(_complaint(settings, detail) for detail in error.errors())) from None


def log_to_stderr() -> None:
    """Send our log to stderr, one short line a message and no secret in it, nor in a traceback; quieten libraries that
    narrate their set-up.
    """
    logger.remove()
    logger.configure(patcher=_hide_secrets)
    sys.excepthook = _print_traceback
    logger.add(
        sys.stderr, format="<green>{time:HH:mm:ss}</green> | <level>{level: <7}</level> | {message}", level="INFO"
    )
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback of what it raises as well
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for every small file
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line a trial would break the progress bar


def _complaint(settings: type[Settings], detail: Any) -> str:
    name = str(detail["loc"][0])
    field = settings.model_fields.get(name)
    meaning = f" ({field.description})" if field else ""
    reason = str(detail["msg"]).removeprefix("Value error, ")
    return f"--{settings.option(name)} got {detail['input']!r}: {reason[0].lower()}{reason[1:]}{meaning}"


def _flags(settings: type[Settings], arguments: list[str]) -> list[str]:
    """Let `--dry-run` stand for `--dry-run true`."""
    flags = [f"--{settings.option(name)}" for name, field in settings.model_fields.items() if field.annotation is bool]
    spelled: list[str] = []
    for i, word in enumerate(arguments):
        bare = word in flags and (i + 1 == len(arguments) or arguments[i + 1].startswith("--"))
        spelled += [word, "true"] if bare else [word]
    return spelled


def _refuse_unknown(settings: type[Settings], arguments: Sequence[str]) -> None:
    """Name an unknown parameter before argparse sees it, which would take `--test` for `--test-size`, and one that is
    given twice, of which argparse would take the last without a word.
    """
    options = [f"--{settings.option(name)}" for name in settings.model_fields] + ["--help"]
    given: set[str] = set()
    for word in arguments:
        name = word.partition("=")[0]
        if name in given:
            raise UserError(f"{name} is given twice: give it once.")
        if name in options:
            given.add(name)
        elif word.startswith("--"):
            raise UserError(
                f"Unknown parameter {name}.{nearest(name, options)} The parameters are {', '.join(options)}."
            )
