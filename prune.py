"""What nothing needs any more, with its size, and gone after a yes: the trash of the store and leftover environments.

Reads: the SQLite store of this folder and its artifacts, the environments that `mlflow run` has built.
Writes: nothing before a yes; then it deletes what it has listed.
Parameters: `python prune.py --help`.
Run: make prune              YES=1 deletes without asking
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence

import mlflow

from config import PruneSettings
from tracking.environments import unused_environments
from tracking.store import registry_lock, store_folder
from tracking.trash import Unused, unused_in_store
from treeline import StoreError
from treeline.interruption import stop_if_wished
from utils import command

SHOWN = 10  # of one kind


def run(settings: PruneSettings) -> int:
    """List what is unused, ask, delete; return how many bytes that has freed.

    Raises:
        StoreError: something cannot be deleted.
    """
    before = time.time() - settings.days * 86400
    listed = _unused(before)
    print(table(listed))
    if not listed:
        return 0
    if not (settings.yes or _agreed()):
        print("Nothing was deleted: --yes (YES=1 with make) deletes it.")
        return 0
    freed = 0
    with registry_lock():
        still = {(each.kind, each.name) for each in _unused(before)}  # a run may have been restored while we asked
        for each in listed:
            stop_if_wished()
            if (each.kind, each.name) in still:
                try:
                    each.delete()
                except OSError as error:
                    raise StoreError(
                        f"Cannot delete {each.name}: {error.strerror or error}. What was deleted before it is gone; "
                        "make it writable and start again."
                    ) from error
                freed += each.size
    print(f"Deleted: {readable(freed)} are free.")
    return freed


def _unused(before: float) -> list[Unused]:
    database = store_folder() / "mlflow.db"
    here = mlflow.get_tracking_uri().startswith("sqlite:") and database.is_file()
    return [*(unused_in_store(database, before) if here else []), *unused_environments(before)]


def _agreed() -> bool:
    return sys.stdin.isatty() and input("Delete all of it for good? [y/N] ").strip().lower() in {"y", "yes"}


def table(listed: Sequence[Unused]) -> str:
    """Give a line a thing, the largest of each kind first, and the sum."""
    lines, counts = [], Counter(each.kind for each in listed)
    for kind, count in counts.items():
        largest = sorted((each for each in listed if each.kind == kind), key=lambda each: -each.size)
        sizes = sum(each.size for each in largest)
        lines.append(f"{readable(sizes):>9}  {count} x {kind}")
        lines += [f"{'':11}{readable(each.size):>9}  {each.name}" for each in largest[:SHOWN]]
        lines += [f"{'':22}and {count - SHOWN} more"] if count > SHOWN else []
    total = readable(sum(each.size for each in listed))
    return "\n".join([*lines, f"{total:>9}  in all, unused"] if lines else ["Nothing is unused."])


def readable(size: int) -> str:
    """Spell bytes in the unit that leaves one to four digits."""
    number, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.3g} {units[0]}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return command(PruneSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
