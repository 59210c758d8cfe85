"""A command line: parse it, run what it asks for, end with one sentence and an exit code."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from config import Stage, log_to_stderr, parse
from tracking.runs import check_store
from treeline import UserError


def command(
    settings: type[Stage], script: str, run: Callable[[Stage], object], argv: Sequence[str] | None = None
) -> int:
    """Run a stage from the command line.

    Returns:
        0; 1 after one sentence on stderr where the user can mend what went wrong; 130 where it was interrupted.
    """
    log_to_stderr()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop ends runs as Ctrl-C does
    try:
        given = parse(settings, Path(script).name, argv)
        check_store()
        run(given)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "interrupted: what was running is closed; a study goes on when its --study-name is given", file=sys.stderr
        )
        return 130
    return 0
