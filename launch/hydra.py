"""Hydra's side of a sweep: options in, the checked settings of every combination out, and a call for each of them.

Hydra splits, overrides and launches; it is kept from writing folders, changing the logging and ending the process.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from math import ceil, inf, isfinite, prod
from typing import Any

from hydra import initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException

from config import MainSettings
from treeline import UserError, nearest
from treeline.interruption import stop_if_wished

WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")  # blanks within quotes do not end it
MAX_COMBINATIONS = 1_000  # of a sweep
QUIET = ["hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null"]


def overrides_of(options: str) -> list[str]:
    """Split Hydra's command line into overrides; a sweep is a multirun with `-m` or without.

    Quotes within an override are Hydra's, `drop='a,b'`; those round one are a shell's, `'drop="a,b"'`.

    Raises:
        UserError: it is empty, stands for too many combinations, or holds what Hydra cannot read or a parameter that
            `main` does not have.
    """
    if WORD.sub("", options).strip():
        raise UserError(f"Cannot read hydra_options {options!r}: a quote is not closed.")
    words = [word[1:-1] if word[0] in "'\"" else word for word in WORD.findall(options)]
    words = [word for word in words if word not in ("-m", "--multirun")]
    if not words:
        raise UserError('hydra_options names no parameter: give some, such as "-m n_trials=5,10 seed=0,1".')
    sizes: dict[str, int] = {}
    for word in words:
        override = None
        with contextlib.suppress(HydraException, RecursionError):
            override = OverridesParser.create().parse_override(word)
        if override is None or not override.key_or_group:
            how = "write name=value, name=a,b, name=range(1,4), or name='any text' in quotes"
            raise UserError(f"Cannot read {word!r} in hydra_options: {how}.")
        name = override.key_or_group
        _check_name(name, word, override.is_delete() or "${" in word)
        if name in sizes:
            raise UserError(f"hydra_options names {name!r} twice: give it once, with commas between its values.")
        sizes[name] = _count(override, word)
    if (total := prod(sizes.values())) > MAX_COMBINATIONS:
        raise UserError(
            f"hydra_options stands for {total:,} combinations: a sweep runs {MAX_COMBINATIONS:,} at most. Give fewer "
            "values."
        )
    return words


def _check_name(name: str, word: str, strange: bool) -> None:
    """Refuse what is no parameter of `main`, and of Hydra's own settings all but those of the launcher: the others move
    the folders and the logging that a sweep keeps as they are.
    """
    if strange:
        raise UserError(f"Cannot take {word!r} in hydra_options: write a value; nothing is deleted or looked up.")
    known = list(MainSettings.model_fields)
    launcher = name == "hydra/launcher" or name.startswith("hydra.launcher.")
    if name.partition("/")[0].partition(".")[0] == "hydra" and not launcher:
        raise UserError(
            f"Cannot take {word!r} in hydra_options: of Hydra's own, use hydra/launcher and hydra.launcher."
        )
    if not launcher and name not in known:
        raise UserError(f"Unknown parameter {name!r}.{nearest(name, known)} The parameters are {', '.join(known)}.")


def _count(override: Override, word: str) -> int:
    """Count the values of an override without drawing them, for a range may have no end.

    Raises:
        UserError: there is none, no end to them, or they are no list and no range.
    """
    if not override.is_sweep_override():
        return 1
    value = override.value()
    if isinstance(value, RangeSweep):
        start, stop, step = (float(each or 0) for each in (value.start, value.stop, value.step))
        steps = (stop - start) / step if step else inf
        count = ceil(steps) if isfinite(steps) else MAX_COMBINATIONS + 1
    elif isinstance(value, ChoiceSweep):
        count = len(value.list)
    else:
        raise UserError(f"Cannot sweep by {word!r} in hydra_options: list the values, or give a range(first,last).")
    if count < 1:
        raise UserError(f"{word!r} in hydra_options stands for no value.")
    return count


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
