"""Hydra's side of a sweep: options in, the checked settings of every combination out, and a call for each of them.

Hydra splits, overrides and launches; it is kept from writing folders, changing the logging and ending the process.
"""

import re
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from hydra import initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from config import MainSettings
from treeline import UserError, nearest
from treeline.interruption import stop_if_wished

WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")  # blanks within quotes do not end it
QUIET = ["hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null"]


def overrides_of(options: str) -> list[str]:
    """Split Hydra's command line into overrides; a sweep is a multirun with `-m` or without.

    Quotes within an override are Hydra's, `drop='a,b'`; those round one are a shell's, `'drop="a,b"'`.

    Raises:
        UserError: it is empty, or holds what Hydra cannot read or a parameter that `main` does not have.
    """
    if WORD.sub("", options).strip():
        raise UserError(f"Cannot read hydra_options {options!r}: a quote is not closed.")
    words = [word[1:-1] if word[0] in "'\"" else word for word in WORD.findall(options)]
    words = [word for word in words if word not in ("-m", "--multirun")]
    if not words:
        raise UserError('hydra_options names no parameter: give some, such as "-m n_trials=5,10 seed=0,1".')
    known = list(MainSettings.model_fields)
    for word in words:
        try:
            name = OverridesParser.create().parse_override(word).key_or_group
        except HydraException:
            name = ""
        if not name:
            how = "write name=value, name=a,b, name=range(1,4), or name='any text' in quotes"
            raise UserError(f"Cannot read {word!r} in hydra_options: {how}.")
        if not name.startswith(("hydra.", "hydra/")) and name not in known:
            raise UserError(f"Unknown parameter {name!r}.{nearest(name, known)} The parameters are {', '.join(known)}.")
    return words


def combinations(words: Sequence[str], read: Callable[[Mapping[str, Any]], MainSettings]) -> list[MainSettings]:
    """Give the settings of every combination in Hydra's order, all checked.

    Args:
        words: Hydra's overrides.
        read: checks the parameters of a combination, and gives its settings.

    Raises:
        UserError: one of them cannot run, or two would share a study.
    """
    words = [word for word in words if not re.match(r"\W*hydra[./]launcher\b", word)]  # reading needs no processes
    found = [read(parameters) for parameters in multirun(words, dict)]
    if any(settings.dry_run for settings in found):
        raise UserError("A sweep has no dry run: try one of its combinations with main.py --dry-run.")
    studies = [settings.study_name for settings in found if settings.study_name]
    if len(studies) > len(set(studies)):
        raise UserError(f"Two combinations would share the study {studies[0]!r}: leave study_name out.")
    return found


def multirun(words: Sequence[str], task: Callable[[Any], Any]) -> list[Any]:
    """Call a task with the parameters of each combination, by the launcher that the words name.

    Args:
        words: Hydra's overrides.
        task: must not raise; processes of their own take it by its module's name.

    Returns:
        What the task returned, in Hydra's order.

    Raises:
        UserError: Hydra refuses the words, or a process was killed.
        KeyboardInterrupt: it was killed because all are to stop.
    """
    ConfigStore.instance().store("treeline", MainSettings().model_dump())
    try:
        with tempfile.TemporaryDirectory() as folder, initialize(config_path=None, version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            batches = hydra.multirun("treeline", task, [*QUIET, f"hydra.sweep.dir='{folder}'", *words], False)
    except (HydraException, ValueError) as error:  # ValueError: joblib's of its own options
        reason = " ".join(str(error).partition("Config search path")[0].split())
        raise UserError(f"Hydra refuses {' '.join(words)}: {reason}") from None
    except BrokenProcessPool:
        stop_if_wished()
        fewer = "run fewer side by side, with hydra.launcher.n_jobs=1"
        raise UserError(f"A process of the sweep was killed, most often for want of memory: {fewer}.") from None
    return [job.return_value for batch in batches for job in batch]


def describe(settings: MainSettings, hidden: Collection[str] = ()) -> str:
    """Tell a combination by what is not at its default, but for the names to hide."""
    fields = {name: field for name, field in MainSettings.model_fields.items() if name not in hidden}
    given = {name: getattr(settings, name) for name in fields if getattr(settings, name) != fields[name].default}
    return " ".join(f"{name}={value}" for name, value in given.items()) or "of the defaults"
